//! What a release knows of a page's candidates, gathered once: where they lie in factor space, and what everybody does
//! with them. Features, diversity and reasons all read it. It must never know a shelf or a score.

use std::borrow::Cow;

use releases::{
    Factors, Release,
    rates::{Four, quarter_of},
    vectors,
};
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
    /// The vectors of rows of the release.
    fn of(rows: &[Option<u32>], factors: Option<&Factors>) -> Self {
        let Some(factors) = factors else {
            return Self { stride: 0, values: Vec::new(), lengths: vec![0.0; rows.len()] };
        };
        let stride = factors.stride();
        let mut values = vec![0.0; stride * rows.len()];
        let mut lengths = vec![0.0; rows.len()];
        for ((row, unit), length) in rows.iter().zip(values.chunks_exact_mut(stride)).zip(&mut lengths) {
            if let Some(row) = row.map(|row| factors.row(row)).filter(|row| row.len() == stride) {
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

    /// How many items there are, known or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The lengths the items' factors had.
    #[must_use]
    pub fn lengths(&self) -> &[f32] {
        &self.lengths
    }
}

/// What everybody does with one candidate, as far as this page asks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Crowd {
    /// Everywhere.
    pub all: Four,
    /// In the request's market; as everywhere where the market does not know the item well enough.
    pub market: Four,
    /// Plays per impression at this quarter of the day.
    pub quarter_play: f32,
    /// Skips per play at this quarter of the day.
    pub quarter_skip: f32,
    /// Whether it rises or falls.
    pub momentum: f32,
    /// How many listen to it.
    pub listeners: f32,
    /// How often it was shown.
    pub impressions: f32,
    /// When anything first happened to it, in days since 1970; 0 when unknown.
    pub first_seen_days: f32,
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
    /// The items the listener plays most, most played first.
    pub favourites: Units,
    /// The items the listener skipped last, last first.
    pub skipped: Units,
    /// What everybody does with the candidates; `None` when the release does not know.
    pub crowd: Option<Vec<Crowd>>,
    /// The candidates' rows in the release.
    pub rows: Vec<Option<u32>>,
    /// The user vector at unit length; empty when unknown.
    pub listener: Vec<f32>,
    /// The length the user vector had.
    pub listener_length: f32,
}

impl Gathered {
    /// Looks up every item of the page once.
    #[must_use]
    pub fn of(query: &RankQuery, release: Option<&Release>) -> Self {
        let factors = release.and_then(|release| release.factors.as_ref());
        let rows = |items: &[ItemKey]| -> Vec<Option<u32>> {
            items.iter().map(|key| release.and_then(|release| release.index_of(*key))).collect()
        };
        let mut listener = release
            .zip(factors)
            .map_or_else(Vec::new, |(release, factors)| user_vector(query, release, factors).into_owned());
        let listener_length = vectors::normalise(&mut listener);
        let candidates = rows(&query.table.items);
        Self {
            candidates: Units::of(&candidates, factors),
            recent: Units::of(&rows(&query.listener.recent), factors),
            seeds: Units::of(&rows(&query.seed_items), factors),
            favourites: Units::of(&rows(&query.listener.favourites), factors),
            skipped: Units::of(&rows(&query.listener.skipped), factors),
            crowd: release.and_then(|release| crowd(query, release, &candidates)),
            rows: candidates,
            listener,
            listener_length,
        }
    }
}

/// What everybody does with the candidates at this time and place.
fn crowd(query: &RankQuery, release: &Release, candidates: &[Option<u32>]) -> Option<Vec<Crowd>> {
    let rates = release.rates.as_ref()?;
    let market = rates.market(query.context.market);
    let quarter = quarter_of(query.context.now);
    let of = |row: &Option<u32>| {
        let Some((row, item)) = row.and_then(|row| Some((row, rates.of(row)?))) else {
            let Four { play, skip, .. } = rates.mean;
            let (all, market) = (rates.mean, rates.mean);
            return Crowd { all, market, quarter_play: play, quarter_skip: skip, ..Crowd::default() };
        };
        Crowd {
            all: item.all,
            market: market.and_then(|market| market.of(row)).copied().unwrap_or(item.all),
            quarter_play: item.quarter_play.get(quarter).copied().unwrap_or_default(),
            quarter_skip: item.quarter_skip.get(quarter).copied().unwrap_or_default(),
            momentum: item.momentum,
            listeners: item.listeners,
            impressions: item.impressions,
            first_seen_days: item.first_seen_days,
        }
    };
    Some(candidates.iter().map(of).collect())
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
