//! This service's last word on a release before it may serve: questions that it must answer, and the golden requests
//! that its trainer wrote into it, asked of the code that serves.
//!
//! It must not know how a release is trained, nor which one serves.

use releases::{
    Release,
    golden::{Comparison, Golden, Listener, Scored, Similar},
};

use crate::{index::EmbeddingIndex, profiles};

/// The items of the listener who is made up for a release without golden requests.
const PLAYED: usize = 5;
/// How many items that listener is answered with.
const ANSWER: usize = 10;

/// Asks a release with its index. What a release does not have it is not asked for.
///
/// # Errors
/// What is wrong with the answers, in words.
pub fn check(release: &Release, index: Option<&EmbeddingIndex>) -> Result<(), String> {
    ask(release, index)?;
    let golden = Golden::of(release).map_err(|error| service_runtime::tasks::chain(&error))?;
    let Some(golden) = golden else { return Ok(()) };
    let compared = compare(&golden, release, index);
    compared.listeners.judge("listeners", &golden.tolerance)?;
    compared.similar.judge("neighbours", &golden.tolerance)
}

/// How a release answers the golden requests, which may be another one's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Compared {
    /// The listeners.
    pub listeners: Comparison,
    /// The items.
    pub similar: Comparison,
}

/// Asks a release the golden requests, and compares its answers with the expected ones.
#[must_use]
pub fn compare(golden: &Golden, release: &Release, index: Option<&EmbeddingIndex>) -> Compared {
    let mut compared = Compared::default();
    for listener in &golden.listeners {
        compared.listeners.add(&listener.nearest, &nearest(release, index, listener, listener.nearest.len()));
    }
    for similar in &golden.similar {
        compared.similar.add(&similar.nearest, &alike(release, similar));
    }
    compared
}

/// The items nearest to a golden listener, as the source of nearest items finds them.
#[must_use]
pub fn nearest(release: &Release, index: Option<&EmbeddingIndex>, of: &Listener, limit: usize) -> Vec<Scored> {
    let (Some(factors), Some(index)) = (&release.factors, index) else { return Vec::new() };
    let history = of.history.iter().map(|entry| (entry.item, entry.score, 0.0));
    let vector = profiles::fold_in_items(history, release);
    let found = index.search(factors, &vector.values, limit);
    found
        .into_iter()
        .filter_map(|(row, score)| Some(Scored { item: *release.items.get(row as usize)?, score }))
        .collect()
}

/// The items most alike, as the source of neighbours reads them.
#[must_use]
pub fn alike(release: &Release, of: &Similar) -> Vec<Scored> {
    let (Some(neighbours), Some(row)) = (&release.neighbours, release.index_of(of.item)) else { return Vec::new() };
    let (rows, scores) = neighbours.of(row);
    let known = |(row, score): (&u32, &f32)| Some(Scored { item: *release.items.get(*row as usize)?, score: *score });
    rows.iter().zip(scores).take(of.nearest.len()).filter_map(known).collect()
}

/// A listener of a few items must be found a vector and items near it, not all alike, and some items must have
/// neighbours.
fn ask(release: &Release, index: Option<&EmbeddingIndex>) -> Result<(), String> {
    if let (Some(factors), Some(index)) = (&release.factors, index) {
        let is_known = |row: &u32| factors.row(*row).iter().any(|value| *value != 0.0);
        let known: Vec<u32> = (0..release.items.len() as u32).filter(is_known).collect();
        let played = known.iter().step_by((known.len() / PLAYED).max(1)).take(PLAYED);
        let told: Vec<(u32, f32)> = played.map(|row| (*row, factors.confidence(1.0, 0.0))).collect();
        let found = index.search(factors, &factors.fold_in(&told), ANSWER);
        if !found.first().is_some_and(|(_, score)| score.is_finite() && *score > 0.0) {
            return Err(format!("a search finds nothing near a listener of {} of its items", told.len()));
        }
        let is_same = |row: &u32| factors.row(*row) == factors.row(known.first().copied().unwrap_or(0));
        if known.len() > ANSWER && known.iter().all(is_same) {
            return Err("every item has the same factors, so that every listener gets every score alike".to_owned());
        }
    }
    match &release.neighbours {
        Some(neighbours) if release.items.len() > 1 && neighbours.items.is_empty() => {
            Err("none of its items has a neighbour".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use releases::{
        Factors, Meta, Neighbours, Parts,
        golden::{FILE, FORM},
    };
    use shared_models::{ItemKey, TenantId};

    use super::*;
    use crate::index::embedding;

    /// Twenty items, each at an angle of its own.
    fn parts() -> Parts {
        let values: Vec<f32> = (0..20).flat_map(|n| [(n as f32 * 0.3).cos(), (n as f32 * 0.3).sin()]).collect();
        Parts {
            items: (1..=20).map(ItemKey).collect(),
            factors: Some(Factors::new(2, &values, 10.0, 0.1, 0.0).unwrap()),
            neighbours: Some(Neighbours {
                offsets: (0..=20).map(|row| row * 2).collect(),
                items: (0..20_u32).flat_map(|row| [(row + 1) % 20, (row + 2) % 20]).collect(),
                scores: (0..20).flat_map(|_| [0.9, 0.4]).collect(),
            }),
            ..Parts::default()
        }
    }

    fn looked_at(parts: Parts) -> (Release, Option<EmbeddingIndex>) {
        let release = Release::in_memory(TenantId::new("demo").unwrap(), Meta::default(), parts).unwrap();
        let index =
            release.factors.as_ref().map(|factors| EmbeddingIndex::build(factors, &embedding::Config::default()));
        (release, index)
    }

    /// What the parts answer, as their golden requests.
    fn golden(parts: Parts) -> Golden {
        let (release, index) = looked_at(parts);
        let listeners = [2_u64, 9]
            .map(|item| {
                let mut listener =
                    Listener { history: vec![Scored { item: ItemKey(item), score: 1.0 }], nearest: vec![] };
                listener.nearest = nearest(&release, index.as_ref(), &listener, 5);
                listener
            })
            .to_vec();
        let two = vec![Scored { item: ItemKey(1), score: 0.0 }; 2];
        let similar = Similar { item: ItemKey(3), nearest: two };
        let similar = vec![Similar { nearest: alike(&release, &similar), ..similar }];
        Golden { form: FORM, listeners, similar, ..Golden::default() }
    }

    fn check_with(golden: &Golden, parts: Parts) -> Result<(), String> {
        let blobs = BTreeMap::from([(FILE.to_owned(), golden.encode().unwrap())]);
        let (release, index) = looked_at(Parts { blobs, ..parts });
        check(&release, index.as_ref())
    }

    #[test]
    fn a_release_answers_its_own_golden_requests_and_no_other_ones() {
        let golden = golden(parts());
        assert_eq!(golden.listeners[0].nearest[0].item, ItemKey(2));
        assert_eq!(check_with(&golden, parts()), Ok(()));

        let mut other = parts();
        other.items = (101..=120).map(ItemKey).collect();
        assert!(check_with(&golden, other).unwrap_err().contains("golden listeners are answered with 0 %"));

        let mut other = parts();
        other.neighbours.as_mut().unwrap().scores = (0..20).flat_map(|_| [0.8, 0.4]).collect();
        assert!(check_with(&golden, other).unwrap_err().contains("golden neighbours are answered with scores"));
    }

    #[test]
    fn a_golden_file_of_another_form_is_refused() {
        let blobs = BTreeMap::from([(FILE.to_owned(), b"{\"form\": 1}".to_vec())]);
        let (release, index) = looked_at(Parts { blobs, ..parts() });
        assert!(check(&release, index.as_ref()).unwrap_err().contains("golden.json"));
        let newer = Golden { form: FORM + 1, ..golden(parts()) };
        assert!(check_with(&newer, parts()).unwrap_err().contains("form"));
    }

    #[test]
    fn items_that_are_all_alike_are_refused() {
        let alike = Factors::new(2, &[0.5, 0.25].repeat(20), 10.0, 0.1, 0.0).unwrap();
        let (release, index) = looked_at(Parts { factors: Some(alike), ..parts() });
        assert!(check(&release, index.as_ref()).unwrap_err().contains("the same factors"));
    }
}
