//! What is different between two releases: measurements, sizes, items, and what golden listeners would get.

use std::{collections::BTreeSet, fmt};

use candidate_generation::index::{EmbeddingIndex, embedding};
use releases::{
    Manifest, Release,
    golden::{ANSWER, Comparison, Golden},
};

use super::budgets;

/// A number of both releases, where they have it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change<T> {
    /// What is counted.
    pub name: String,
    /// In the one.
    pub from: Option<T>,
    /// In the other.
    pub to: Option<T>,
}

/// Two releases side by side.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    /// The one.
    pub from: Manifest,
    /// The other.
    pub to: Manifest,
    /// Measurements.
    pub metrics: Vec<Change<f64>>,
    /// Bytes of files.
    pub files: Vec<Change<u64>>,
    /// Counts.
    pub counts: Vec<Change<u64>>,
    /// Items of both, of the one alone, and of the other alone.
    pub items: [usize; 3],
    /// How much of what the one finds for golden listeners the other finds too; `None` without golden requests.
    pub listeners: Option<Comparison>,
    /// How much of what the one finds like golden items the other finds too.
    pub similar: Option<Comparison>,
}

impl Diff {
    /// Compares two releases. The golden listeners are those of the second, or else of the first.
    #[must_use]
    pub fn between(from: &Release, to: &Release) -> Self {
        let both = from.items.iter().filter(|key| to.index_of(**key).is_some()).count();
        let (listeners, similar) = answers(from, to).unzip();
        Self {
            from: from.manifest.clone(),
            to: to.manifest.clone(),
            metrics: changes(&from.manifest.metrics, &to.manifest.metrics, |value| *value),
            files: changes(&from.manifest.files, &to.manifest.files, |file| file.bytes),
            counts: changes(&from.manifest.counts, &to.manifest.counts, |value| *value),
            items: [both, from.items.len() - both, to.items.len() - both],
            listeners,
            similar,
        }
    }
}

fn changes<V, T: Copy>(
    from: &std::collections::BTreeMap<String, V>,
    to: &std::collections::BTreeMap<String, V>,
    value: impl Fn(&V) -> T,
) -> Vec<Change<T>> {
    let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let of =
        |name: &String| Change { name: name.clone(), from: from.get(name).map(&value), to: to.get(name).map(&value) };
    names.into_iter().map(of).collect()
}

/// What both answer to the golden requests.
fn answers(from: &Release, to: &Release) -> Option<(Comparison, Comparison)> {
    let golden = [to, from].into_iter().find_map(|release| Golden::of(release).ok().flatten())?;
    let index = |release: &Release| {
        release.factors.as_ref().map(|factors| EmbeddingIndex::build(factors, &embedding::Config::default()))
    };
    let (before, after) = (index(from), index(to));
    let (mut listeners, mut similar) = (Comparison::default(), Comparison::default());
    for listener in &golden.listeners {
        let nearest = |release, index: &Option<EmbeddingIndex>| {
            candidate_generation::golden::nearest(release, index.as_ref(), listener, ANSWER)
        };
        listeners.add(&nearest(from, &before), &nearest(to, &after));
    }
    for item in &golden.similar {
        similar.add(&candidate_generation::golden::alike(from, item), &candidate_generation::golden::alike(to, item));
    }
    Some((listeners, similar))
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (word, manifest) in [("from", &self.from), ("to", &self.to)] {
            writeln!(
                f,
                "{word:<5} {} of {}, events to {}, code {}",
                manifest.id, manifest.created_at, manifest.window.to, manifest.code_version
            )?;
        }
        let [both, gone, new] = self.items;
        writeln!(f, "items: {both} in both, {gone} gone, {new} new")?;
        if let Some(listeners) = self.listeners.filter(|listeners| listeners.requests > 0) {
            let (share, requests) = (listeners.overlap() * 100.0, listeners.requests);
            writeln!(f, "nearest {ANSWER} of {requests} golden listeners: {share:.0} % the same")?;
        }
        if let Some(similar) = self.similar.filter(|similar| similar.requests > 0) {
            let (share, requests) = (similar.overlap() * 100.0, similar.requests);
            writeln!(f, "most alike of {requests} golden items: {share:.0} % the same")?;
        }
        writeln!(f, "measurements:")?;
        for Change { name, from, to } in &self.metrics {
            let difference = from.zip(*to).map_or_else(String::new, |(from, to)| format!("{:+.4}", to - from));
            let number = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
            writeln!(f, "  {name:<32} {:>10} {:>10} {difference:>9}", number(from), number(to))?;
        }
        writeln!(f, "counts:")?;
        for Change { name, from, to } in &self.counts {
            let number = |value: &Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
            writeln!(f, "  {name:<32} {:>10} {:>10}", number(from), number(to))?;
        }
        writeln!(f, "files:")?;
        for Change { name, from, to } in &self.files {
            let size = |value: &Option<u64>| value.map_or_else(|| "-".to_owned(), budgets::mebibytes);
            writeln!(f, "  {name:<32} {:>10} {:>10}", size(from), size(to))?;
        }
        Ok(())
    }
}
