//! What a page's candidates look like in factor space, gathered once: features, diversity and reasons
//! all read it. It must never know a shelf or a score.

use std::borrow::Cow;

use releases::{Factors, Release, vectors};
use shared_models::{ItemKey, plan::RankQuery};

/// The vectors of some items: unit length, one after another; zeros where the release knows none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Units {
    stride: usize,
    values: Vec<f32>,
    /// The length that each vector had; 0 where the release knows none.
    lengths: Vec<f32>,
}

impl Units {
    fn of(items: &[ItemKey], release: Option<(&Release, &Factors)>) -> Self {
        let Some((release, factors)) = release else {
            return Self { stride: 0, values: Vec::new(), lengths: vec![0.0; items.len()] };
        };
        let stride = factors.stride();
        let mut values = vec![0.0; stride * items.len()];
        let mut lengths = vec![0.0; items.len()];
        for ((key, unit), length) in items.iter().zip(values.chunks_exact_mut(stride)).zip(&mut lengths) {
            if let Some(row) = release.index_of(*key).map(|index| factors.row(index)).filter(|row| row.len() == stride)
            {
                unit.copy_from_slice(row);
                *length = vectors::normalise(unit);
            }
        }
        Self { stride, values, lengths }
    }

    /// How many numbers a vector takes; 0 where there is no release.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All vectors, one after another.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The vector of an item; empty where there is no release.
    #[must_use]
    pub fn unit(&self, index: usize) -> &[f32] {
        self.values.get(index * self.stride..(index + 1) * self.stride).unwrap_or(&[])
    }

    /// The length an item's factors had; 0 where the release knows none.
    #[must_use]
    pub fn length(&self, index: usize) -> f32 {
        self.lengths.get(index).copied().unwrap_or(0.0)
    }

    /// Whether the release has factors for an item.
    #[must_use]
    pub fn is_known(&self, index: usize) -> bool {
        self.length(index) > 0.0
    }

    /// How many of the items the release has factors for.
    #[must_use]
    pub fn known(&self) -> usize {
        self.lengths.iter().filter(|length| **length > 0.0).count()
    }
}

/// One page in factor space.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gathered {
    /// The candidates, in the order of the table.
    pub candidates: Units,
    /// The listener's recent items, newest first.
    pub recent: Units,
    /// The items the request is about.
    pub seeds: Units,
    /// The user vector at unit length; empty when unknown.
    pub listener: Vec<f32>,
    /// The length the user vector had.
    pub listener_length: f32,
}

impl Gathered {
    /// Looks up every item of the page once.
    #[must_use]
    pub fn of(query: &RankQuery, release: Option<&Release>) -> Self {
        let known = release.and_then(|release| release.factors.as_ref().map(|factors| (release, factors)));
        let mut listener =
            known.map_or_else(Vec::new, |(release, factors)| user_vector(query, release, factors).into_owned());
        let listener_length = vectors::normalise(&mut listener);
        Self {
            candidates: Units::of(&query.table.items, known),
            recent: Units::of(&query.listener.recent, known),
            seeds: Units::of(&query.seed_items, known),
            listener,
            listener_length,
        }
    }
}

/// The user vector in the space of this release, padded. One that was folded from another release
/// lies in another space, where its numbers mean nothing: then the recent items are folded in here,
/// each with the confidence of one play today, until the profile has been folded anew.
fn user_vector<'a>(query: &'a RankQuery, release: &Release, factors: &Factors) -> Cow<'a, [f32]> {
    let listener = &query.listener;
    if listener.vector_release.as_ref() == Some(release.id()) && listener.vector.len() == factors.stride() {
        return Cow::Borrowed(&listener.vector);
    }
    if listener.vector_release.as_ref() == Some(release.id()) && listener.vector.len() == factors.dimensions {
        let mut padded = listener.vector.clone();
        padded.resize(factors.stride(), 0.0);
        return Cow::Owned(padded);
    }
    let confidence = factors.confidence(1.0, 0.0);
    let interactions: Vec<(u32, f32)> =
        listener.recent.iter().filter_map(|key| release.index_of(*key)).map(|row| (row, confidence)).collect();
    if interactions.is_empty() { Cow::Owned(Vec::new()) } else { Cow::Owned(factors.fold_in(&interactions)) }
}
