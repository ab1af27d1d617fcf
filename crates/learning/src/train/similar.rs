//! Which way of finding neighbours a release gets: each that the data allow is measured on what happened after the
//! cut, and the best is computed again from everything.

use std::{borrow::Cow, sync::Arc};

use releases::Neighbours;

use super::{Config, LENGTH};
use crate::{
    ease,
    evaluate::{measure, metrics::mean},
    factors::Interactions,
    neighbours::{self, NeighbourScorer},
    progress::{Progress, Unit},
};

/// What was chosen.
pub(super) struct Chosen {
    /// The neighbours of every item of the release.
    pub(super) neighbours: Neighbours,
    /// The way, with what each way reached, for the lineage.
    pub(super) told: String,
}

/// What came before the cut, and after it.
pub(super) struct Past<'a> {
    pub(super) seen: &'a Interactions,
    pub(super) held_out: &'a Interactions,
    /// The cosine's neighbours of what was seen: somebody else needed them before.
    pub(super) cosines: Arc<Neighbours>,
}

/// A way to find neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Cosine,
    ClosedForm,
}

impl Way {
    const ALL: [Self; 2] = [Self::Cosine, Self::ClosedForm];

    fn name(self) -> &'static str {
        match self {
            Self::Cosine => "cosine",
            Self::ClosedForm => "ease",
        }
    }

    /// `None` where the data do not allow it.
    fn nearest(self, of: &Interactions, config: &Config, progress: &dyn Progress) -> Option<Neighbours> {
        match self {
            Self::Cosine => Some(neighbours::nearest(of, &config.neighbours)),
            Self::ClosedForm => {
                let model = ease::train(of, &config.closed_form, progress).ok()?;
                Some(neighbours::of_ease(&model, config.neighbours.neighbours))
            }
        }
    }
}

/// The neighbours of all items, by the way that of what was seen finds most of what was held out.
pub(super) fn nearest(past: Past<'_>, all: &Interactions, config: &Config, progress: &dyn Progress) -> Chosen {
    let stage = progress.stage("neighbours", Unit::Steps, Some(Way::ALL.len() as u64 + 1));
    let Past { seen, held_out, cosines } = past;
    let mut cosines = Some(cosines);
    let mut reached: Vec<(Way, f64)> = Vec::new();
    for way in Way::ALL {
        let found = match way {
            Way::Cosine => cosines.take().map(Arc::unwrap_or_clone),
            Way::ClosedForm => way.nearest(seen, config, progress),
        };
        if let Some(neighbours) = found.filter(|_| !held_out.is_empty()) {
            let scorer = NeighbourScorer { neighbours, given: Cow::Borrowed(seen) };
            let at = measure(&scorer, seen, held_out, &[LENGTH]);
            reached.push((way, at.first().map_or(0.0, |at| mean(&at.recall))));
        }
        stage.advance(1);
    }
    // Of equals the first: nothing to measure on leaves the cosine.
    let mut best = (Way::Cosine, f64::NEG_INFINITY);
    for found in &reached {
        if found.1 > best.1 {
            best = *found;
        }
    }
    let (way, neighbours) = match best.0.nearest(all, config, progress) {
        Some(neighbours) => (best.0, neighbours),
        None => (Way::Cosine, neighbours::nearest(all, &config.neighbours)),
    };
    let recalls: Vec<String> =
        reached.iter().map(|(way, recall)| format!("{} recall@{LENGTH} {recall:.4}", way.name())).collect();
    let told = format!("{} of: {}", way.name(), if recalls.is_empty() { "-".to_owned() } else { recalls.join(", ") });
    stage.finish(&format!("{} pairs, {told}", neighbours.items.len()));
    Chosen { neighbours, told }
}
