//! The standing comparison of what is served with what was trained on: of one page in many the features of the cards
//! that were chosen are kept as counts, and held against the spread that the release tells.
//!
//! Cards that were chosen, not all candidates: those are what training sees. It must not know a model.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use releases::Release;
use shared_models::{ReleaseId, Seed, TenantId};

use crate::{
    features::{Distribution, Matrix, SCHEMA},
    metrics::FeatureMetrics,
};

/// Below so many cards nothing is said of a feature's spread.
const FEWEST: f64 = 500.0;
/// At so many, what was counted before counts half.
const MOST: f64 = 20_000.0;

/// Watches the features of all tenants.
pub struct Skew {
    one_in: u64,
    tenants: Mutex<BTreeMap<TenantId, Window>>,
    metrics: FeatureMetrics,
}

/// The feature that has moved most, and how far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worst {
    /// Which.
    pub feature: &'static str,
    /// Its population stability index.
    pub index: f64,
}

impl Skew {
    /// Looks at one page in `one_in`; at none for 0.
    #[must_use]
    pub fn new(one_in: u64, metrics: FeatureMetrics) -> Self {
        Self { one_in, tenants: Mutex::default(), metrics }
    }

    /// Whether a page is looked at: by its seed, so that its replay is too.
    #[must_use]
    pub fn wants(&self, seed: Seed) -> bool {
        self.one_in > 0 && seed.0.is_multiple_of(self.one_in)
    }

    /// Takes in the chosen rows of a page, and shows what has become of the features; gives the one that has moved most,
    /// once enough was seen of a release that tells how it was trained.
    pub fn observe(
        &self,
        tenant: &TenantId,
        release: Option<&Release>,
        matrix: &Matrix,
        chosen: impl Iterator<Item = u32>,
    ) -> Option<Worst> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |window: &Window| window.release.as_ref() == release.map(Release::id);
        if !tenants.get(tenant).is_some_and(is_known) {
            tenants.insert(tenant.clone(), Window::new(release));
        }
        let window = tenants.get_mut(tenant)?;
        for row in chosen {
            window.add(&matrix.row(row as usize));
        }
        let worst = window.worst();
        self.show(&tenants);
        worst
    }

    /// Numbers over all tenants; the index is that of the tenant where the feature has moved most.
    fn show(&self, tenants: &BTreeMap<TenantId, Window>) {
        self.metrics.sampled();
        let cards: f64 = tenants.values().map(|window| window.cards).sum();
        if cards <= 0.0 {
            return;
        }
        for (column, feature) in SCHEMA.iter().enumerate() {
            let sum = |of: fn(&Seen) -> f64| {
                tenants.values().filter_map(|window| window.features.get(column)).map(of).sum::<f64>() / cards
            };
            self.metrics.feature(
                feature.name,
                sum(|seen| seen.sum),
                sum(|seen| seen.missing),
                sum(|seen| seen.unsound),
            );
            let index = tenants.values().filter_map(|window| window.index(column)).reduce(f64::max);
            if let Some(index) = index {
                self.metrics.skew(feature.name, index);
            }
        }
    }
}

/// What was seen of one tenant's release.
struct Window {
    release: Option<ReleaseId>,
    trained: Option<Distribution>,
    cards: f64,
    features: Vec<Seen>,
}

/// What was seen of one feature.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Of the numbers that are finite.
    sum: f64,
    /// At the default.
    missing: f64,
    /// Out of range.
    unsound: f64,
    /// In each part of the trained spread.
    parts: Vec<f64>,
}

impl Window {
    fn new(release: Option<&Release>) -> Self {
        let trained = release.and_then(Distribution::of_release);
        let parts = |column: usize| {
            trained.as_ref().and_then(|trained| trained.features.get(column)).map_or(0, |spread| spread.shares.len())
        };
        let features = (0..SCHEMA.len()).map(|column| Seen { parts: vec![0.0; parts(column)], ..Seen::default() });
        let features = features.collect();
        Self { release: release.map(|release| release.id().clone()), trained, cards: 0.0, features }
    }

    fn add(&mut self, row: &[f32]) {
        if self.cards >= MOST {
            self.cards /= 2.0;
            self.features.iter_mut().for_each(Seen::halve);
        }
        self.cards += 1.0;
        for (column, ((seen, value), feature)) in self.features.iter_mut().zip(row).zip(SCHEMA).enumerate() {
            seen.missing += f64::from(u8::from(*value == feature.default));
            seen.unsound += f64::from(u8::from(!feature.is_in_range(*value)));
            if !value.is_finite() {
                continue;
            }
            seen.sum += f64::from(*value);
            let spread = self.trained.as_ref().and_then(|trained| trained.features.get(column));
            if let Some(part) = spread.and_then(|spread| seen.parts.get_mut(spread.part(*value))) {
                *part += 1.0;
            }
        }
    }

    fn index(&self, column: usize) -> Option<f64> {
        let trained = self.trained.as_ref()?.features.get(column)?;
        (self.cards >= FEWEST).then(|| self.features.get(column).map(|seen| trained.index(&seen.parts)))?
    }

    fn worst(&self) -> Option<Worst> {
        let indices = SCHEMA
            .iter()
            .enumerate()
            .filter_map(|(column, feature)| Some(Worst { feature: feature.name, index: self.index(column)? }));
        indices.max_by(|one, other| one.index.total_cmp(&other.index))
    }
}

impl Seen {
    fn halve(&mut self) {
        for number in [&mut self.sum, &mut self.missing, &mut self.unsound].into_iter().chain(&mut self.parts) {
            *number /= 2.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use releases::{Meta, Parts};
    use service_runtime::Metrics;
    use shared_models::ItemKey;

    use super::*;
    use crate::features::{COLUMNS, Column, distribution};

    /// A release that was trained on these values of one column, all else at the defaults.
    fn release(values: impl Iterator<Item = f32>) -> Release {
        let rows: Vec<f32> = values.flat_map(row).collect();
        let told = Distribution::of_rows(&rows).encode().unwrap();
        let blobs = BTreeMap::from([(distribution::FILE.to_owned(), told)]);
        let parts = Parts { items: vec![ItemKey(1)], blobs, ..Parts::default() };
        Release::in_memory(tenant(), Meta::default(), parts).unwrap()
    }

    fn tenant() -> TenantId {
        TenantId::new("demo").unwrap()
    }

    fn row(value: f32) -> [f32; COLUMNS] {
        let mut row = Matrix::of_defaults(1).row(0);
        row[Column::UserCosine as usize] = value;
        row
    }

    fn page(values: impl Iterator<Item = f32>) -> Matrix {
        Matrix::from_rows(&values.flat_map(row).collect::<Vec<f32>>()).unwrap()
    }

    fn even() -> impl Iterator<Item = f32> {
        (0..600).map(|n| n as f32 / 1_000.0)
    }

    #[test]
    fn what_moved_is_named_and_what_did_not_is_quiet() {
        let (metrics, release) = (Metrics::new(), release(even()));
        let skew = Skew::new(1, FeatureMetrics::register(&metrics));
        let few = skew.observe(&tenant(), Some(&release), &page(even()), 0..100);
        assert_eq!(few, None, "too few to tell");
        let same = skew.observe(&tenant(), Some(&release), &page(even()), 0..600).unwrap();
        assert!(same.index < 0.1, "{same:?}");
        for _ in 0..20 {
            skew.observe(&tenant(), Some(&release), &page(even().map(|value| value + 0.4)), 0..600);
        }
        let moved = skew.observe(&tenant(), Some(&release), &page(even()), 0..1).unwrap();
        assert_eq!(moved.feature, "user_cosine");
        assert!(moved.index > 0.25);
        let text = metrics.encode();
        for part in [
            "setlist_ranking_feature_skew{feature=\"user_cosine\"}",
            "setlist_ranking_feature_mean{feature=\"user_cosine\"}",
            "setlist_ranking_feature_missing_share{feature=\"trend\"} 1.0",
            "setlist_ranking_feature_out_of_range_share{feature=\"trend\"} 0.0",
            "setlist_ranking_feature_samples_total 23",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_new_release_begins_anew_and_one_that_tells_nothing_has_no_skew() {
        let skew = Skew::new(1, FeatureMetrics::register(&Metrics::new()));
        let (one, other) = (release(even()), release(even().map(|value| value / 2.0)));
        assert!(skew.observe(&tenant(), Some(&one), &page(even()), 0..600).is_some());
        assert!(skew.observe(&tenant(), Some(&other), &page(even()), 0..100).is_none());
        assert!(skew.observe(&tenant(), None, &page(even()), 0..600).is_none());
    }

    #[test]
    fn one_page_in_so_many_is_looked_at() {
        let looked_at = |one_in: u64| {
            let skew = Skew::new(one_in, FeatureMetrics::register(&Metrics::new()));
            (0..10_000).filter(|seed| skew.wants(Seed(*seed))).count()
        };
        assert_eq!((looked_at(0), looked_at(1), looked_at(1_000)), (0, 10_000, 10));
    }
}
