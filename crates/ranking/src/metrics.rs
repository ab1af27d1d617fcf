//! ranking's own metrics: what the cards are, and what becomes of releases. Stage times and counts are
//! the runner's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use service_runtime::metrics::{Metrics, seconds_buckets};
use shared_models::{ReleaseId, component::ReasonCode, slate::RankedPage};

use crate::explore::newcomers::Tally;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

/// Only releases that are live have a series: as many as there are tenants, at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReleaseLabels {
    release: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

/// The metrics of the ranking service.
#[derive(Clone, Debug)]
pub struct RankingMetrics {
    /// Of features.
    pub(crate) features: FeatureMetrics,
    pages: Family<OutcomeLabels, Counter>,
    page_seconds: Histogram,
    cards: Family<ReasonLabels, Counter>,
    explored: Counter,
    new_items: Family<OutcomeLabels, Counter>,
    unscored: Counter,
    passed_over: Counter,
    explained: Family<OutcomeLabels, Counter>,
    cold: Counter,
    releases: Family<OutcomeLabels, Counter>,
    live: Family<ReleaseLabels, Gauge>,
    /// What `live` shows, so that it changes only when it must.
    shown: Arc<Mutex<BTreeMap<String, i64>>>,
}

impl RankingMetrics {
    /// Metrics registered under `setlist_ranking_…`.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let this = Self {
            features: FeatureMetrics::register(metrics),
            pages: Family::default(),
            page_seconds: Histogram::new(seconds_buckets()),
            cards: Family::default(),
            explored: Counter::default(),
            new_items: Family::default(),
            unscored: Counter::default(),
            passed_over: Counter::default(),
            explained: Family::default(),
            cold: Counter::default(),
            releases: Family::default(),
            live: Family::default(),
            shown: Arc::default(),
        };
        metrics.register("setlist_ranking_pages", "Pages ranked, by outcome", this.pages.clone());
        metrics.register("setlist_ranking_page_seconds", "Time to rank one page", this.page_seconds.clone());
        metrics.register("setlist_ranking_cards", "Cards chosen, by reason", this.cards.clone());
        metrics.register("setlist_ranking_explored_cards", "Cards that a random draw chose", this.explored.clone());
        metrics.register(
            "setlist_ranking_new_items",
            "New items that kept positions went to, and that got none by budget or guardrail",
            this.new_items.clone(),
        );
        metrics.register(
            "setlist_ranking_unscored_rows",
            "Rows of shelves that could not be scored",
            this.unscored.clone(),
        );
        metrics.register(
            "setlist_ranking_passed_over_rows",
            "Candidates that were not scored for want of time",
            this.passed_over.clone(),
        );
        metrics.register(
            "setlist_ranking_explanations",
            "Pages ranked again for a question about them, by outcome",
            this.explained.clone(),
        );
        metrics.register("setlist_ranking_cold_pages", "Pages scored without a trained scorer", this.cold.clone());
        metrics.register("setlist_ranking_releases", "Releases looked at, by outcome", this.releases.clone());
        metrics.register(
            "setlist_ranking_live_release",
            "Tenants that are served from a release, by release",
            this.live.clone(),
        );
        // What happens seldom is shown as 0 from the start: a rate over it is then known from its first time on.
        this.new_items(Tally::default());
        drop(this.explained.get_or_create(&OutcomeLabels { outcome: "explained" }));
        this
    }

    pub(crate) fn ranked(&self, page: &RankedPage, elapsed: std::time::Duration) {
        self.pages.get_or_create(&OutcomeLabels { outcome: "ok" }).inc();
        self.page_seconds.observe(elapsed.as_secs_f64());
        // Counted here first: a family is looked up once a reason, not once a card.
        let mut reasons = [0_u64; ReasonCode::ALL.len()];
        let (mut explored, mut unscored) = (0, 0);
        for slate in &page.slates {
            unscored += u64::from(slate.unscored);
            for card in &slate.cards {
                explored += u64::from(card.explored);
                if let Some(count) = reasons.get_mut(card.reason.code as usize) {
                    *count += 1;
                }
            }
        }
        for (code, count) in ReasonCode::ALL.iter().zip(reasons).filter(|(_, count)| *count > 0) {
            self.cards.get_or_create(&ReasonLabels { reason: code.as_str() }).inc_by(count);
        }
        self.explored.inc_by(explored);
        self.unscored.inc_by(unscored);
        self.cold.inc_by(u64::from(page.degraded.iter().any(|stage| stage.stage.starts_with("scorer.release"))));
    }

    pub(crate) fn new_items(&self, tally: Tally) {
        let Tally { shown, over_budget, guarded } = tally;
        for (outcome, count) in [("shown", shown), ("over_budget", over_budget), ("guarded", guarded)] {
            self.new_items.get_or_create(&OutcomeLabels { outcome }).inc_by(count.into());
        }
    }

    pub(crate) fn passed_over(&self, rows: usize) {
        self.passed_over.inc_by(rows as u64);
    }

    pub(crate) fn explained(&self, failure: Option<shared_models::ErrorCode>) {
        let outcome = failure.map_or("explained", shared_models::ErrorCode::as_str);
        self.explained.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    pub(crate) fn failed(&self, code: shared_models::ErrorCode) {
        self.pages.get_or_create(&OutcomeLabels { outcome: code.as_str() }).inc();
    }

    pub(crate) fn release_swapped(&self) {
        self.releases.get_or_create(&OutcomeLabels { outcome: "serves" }).inc();
    }

    pub(crate) fn release_refused(&self) {
        self.releases.get_or_create(&OutcomeLabels { outcome: "refused" }).inc();
    }

    /// Shows which releases serve: one for each tenant.
    pub(crate) fn live(&self, releases: impl Iterator<Item = ReleaseId>) {
        let mut next: BTreeMap<String, i64> = BTreeMap::new();
        for release in releases {
            *next.entry(release.to_string()).or_default() += 1;
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if *shown == next {
            return;
        }
        for (release, tenants) in &next {
            self.live.get_or_create(&ReleaseLabels { release: release.clone() }).set(*tenants);
        }
        for release in shown.keys().filter(|release| !next.contains_key(*release)) {
            self.live.remove(&ReleaseLabels { release: release.clone() });
        }
        *shown = next;
    }
}

/// A feature of the schema: a closed list.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FeatureLabels {
    feature: &'static str,
}

type FeatureGauge = Family<FeatureLabels, Gauge<f64, AtomicU64>>;

/// What the features of chosen cards are, by the pages that are looked at.
#[derive(Clone, Debug)]
pub struct FeatureMetrics {
    mean: FeatureGauge,
    missing: FeatureGauge,
    out_of_range: FeatureGauge,
    skew: FeatureGauge,
    samples: Counter,
}

impl FeatureMetrics {
    /// Metrics registered under `setlist_ranking_feature_…`.
    #[must_use]
    pub fn register(metrics: &Metrics) -> Self {
        let this = Self {
            mean: Family::default(),
            missing: Family::default(),
            out_of_range: Family::default(),
            skew: Family::default(),
            samples: Counter::default(),
        };
        let families = [
            ("mean", "Mean of a feature over chosen cards", &this.mean),
            ("missing_share", "Share of chosen cards at which a feature is at its default", &this.missing),
            ("out_of_range_share", "Share of chosen cards at which a feature is out of its range", &this.out_of_range),
            ("skew", "Population stability index of a feature against what was trained on", &this.skew),
        ];
        for (name, help, family) in families {
            metrics.register(format!("setlist_ranking_feature_{name}"), help, family.clone());
        }
        metrics.register(
            "setlist_ranking_feature_samples",
            "Pages whose features were looked at",
            this.samples.clone(),
        );
        this
    }

    pub(crate) fn sampled(&self) {
        self.samples.inc();
    }

    pub(crate) fn feature(&self, feature: &'static str, mean: f64, missing: f64, out_of_range: f64) {
        let labels = FeatureLabels { feature };
        self.mean.get_or_create(&labels).set(mean);
        self.missing.get_or_create(&labels).set(missing);
        self.out_of_range.get_or_create(&labels).set(out_of_range);
    }

    pub(crate) fn skew(&self, feature: &'static str, index: f64) {
        self.skew.get_or_create(&FeatureLabels { feature }).set(index);
    }
}
