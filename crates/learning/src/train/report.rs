//! What a training did and how good the result is, for people and for the manifest.

use std::{collections::BTreeMap, fmt};

use shared_models::{ReleaseId, Timestamp};

use super::{content::Told, scorer::Scored, table::Table};
use crate::{
    evaluate::Interval,
    events::Sample,
    gates::Verdict,
    ranker::{ActionReport, Source, Trained, effect::Effect},
};

/// How well held-out items are found, against always recommending the most popular.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// The length of the lists.
    pub k: usize,
    /// Users that were measured.
    pub users: usize,
    /// Pairs that were to be found.
    pub held_out: usize,
    /// Recall of the factors.
    pub recall: Interval,
    /// NDCG of the factors.
    pub ndcg: Interval,
    /// The share of items on at least one list.
    pub coverage: f64,
    /// Recall of popularity.
    pub popularity_recall: Interval,
    /// NDCG of popularity.
    pub popularity_ndcg: Interval,
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "recall@{k} {:.4} [{:.4}, {:.4}] (popularity {:.4}), ndcg@{k} {:.4} (popularity {:.4}), {} users",
            self.recall.mean,
            self.recall.low,
            self.recall.high,
            self.popularity_recall.mean,
            self.ndcg.mean,
            self.popularity_ndcg.mean,
            self.users,
            k = self.k
        )
    }
}

/// What a training did.
#[derive(Clone, Debug)]
pub struct TrainReport {
    /// The release, once it is written.
    pub release: Option<ReleaseId>,
    /// Whether it is live.
    pub promoted: bool,
    /// What the gates said of it.
    pub verdict: Option<Verdict>,
    /// How good the factors are; `None` when nothing could be held out.
    pub evaluation: Option<Evaluation>,
    /// The scorer; `None` when there were too few rows.
    pub scorer: Option<Trained>,
    /// What the scorer's rows were made of.
    pub scorer_source: Option<Source>,
    /// Whose pages the scorer's rows are of; `None` when it was not tried.
    pub scorer_listeners: Option<Sample>,
    /// What the scorer does to pages of the past; `None` where there is no scorer, or nobody played anything.
    pub effect: Option<Effect>,
    /// How good the mapping from content to factors is; `None` without one.
    pub content: Option<Told>,
    /// The moment that separates what was trained on from what was measured.
    pub cut: Timestamp,
    /// How much there was.
    pub counts: BTreeMap<String, u64>,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
    /// Seconds by stage, in order; `all` is last.
    pub seconds: Vec<(&'static str, f64)>,
    /// The most memory that the process held, in bytes, by stage; `all` is last. Empty where the system does not tell.
    pub peaks: Vec<(&'static str, u64)>,
}

impl TrainReport {
    pub(super) fn new(table: &Table, evaluation: Option<Evaluation>, scored: &Scored, cut: Timestamp) -> Self {
        let Scored { scorer, rows, listeners, effect } = scored;
        let rows = rows.as_ref();
        let mut counts = BTreeMap::new();
        let mut count = |name: &str, number: u64| counts.insert(name.to_owned(), number);
        count("items", table.items.len() as u64);
        count("users", table.users.len() as u64);
        count("interactions", table.len() as u64);
        count("impressions", table.impressions());
        count("plays", table.plays);
        count("events_on_unknown_items", table.unknown);
        count("events_on_unplayed_items", table.unplayed);
        count("scorer_rows", rows.map_or(0, |rows| rows.len() as u64));
        let mut notes = Vec::new();
        if let Some(evaluation) = &evaluation
            && evaluation.recall.mean <= evaluation.popularity_recall.mean
        {
            notes.push("the factors do not find more than popularity does".to_owned());
        }
        if table.unknown > 0 {
            notes.push(format!("{} events are on items that the catalogue does not hold", table.unknown));
        }
        match rows {
            Some(rows) if rows.source == Source::Pages && table.impressions() == 0 => {
                notes.push(
                    "the data have no impressions: the scorer's probabilities are relative to what sources offer"
                        .to_owned(),
                );
            }
            Some(rows) if rows.source == Source::SampledNegatives => {
                notes.push("the data have no impressions: the scorer's negatives are items drawn at random, and its probabilities are relative to that draw".to_owned());
            }
            Some(rows) if rows.unusable > 0 => {
                notes.push(format!("{} rows had a feature that is not finite", rows.unusable));
            }
            _ => {}
        }
        if scorer.is_none() {
            notes.push("there were too few rows for a scorer: ranking serves its cold model".to_owned());
        }
        Self {
            release: None,
            promoted: false,
            verdict: None,
            evaluation,
            scorer: scorer.clone(),
            scorer_source: rows.map(|rows| rows.source),
            scorer_listeners: *listeners,
            effect: *effect,
            content: None,
            cut,
            counts,
            notes,
            seconds: Vec::new(),
            peaks: Vec::new(),
        }
    }

    /// The measurements as the manifest holds them.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let mut metrics = BTreeMap::new();
        let mut put = |name: String, value: f64| {
            metrics.insert(name, value);
        };
        if let Some(e) = &self.evaluation {
            for (name, interval) in [
                ("recall", e.recall),
                ("ndcg", e.ndcg),
                ("popularity_recall", e.popularity_recall),
                ("popularity_ndcg", e.popularity_ndcg),
            ] {
                put(format!("{name}@{}", e.k), interval.mean);
                put(format!("{name}@{}_low", e.k), interval.low);
                put(format!("{name}@{}_high", e.k), interval.high);
            }
            put(format!("coverage@{}", e.k), e.coverage);
        }
        if let Some(told) = self.content {
            put("content_explained".to_owned(), told.explained);
            put("artists_explained".to_owned(), told.explained_by_makers);
        }
        metrics
            .extend(of_scorer(self.scorer.as_ref().map_or(&[][..], |trained| &trained.actions), self.effect.as_ref()));
        metrics
    }
}

/// The measurements of a scorer as a manifest holds them.
pub(super) fn of_scorer(actions: &[ActionReport], effect: Option<&Effect>) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::new();
    let mut put = |name: String, value: f64| {
        if value.is_finite() {
            metrics.insert(name, value);
        }
    };
    if let Some(Effect { before, after, .. }) = effect {
        put("page_ndcg@20".to_owned(), after.mean);
        put("page_ndcg@20_low".to_owned(), after.low);
        put("page_ndcg@20_high".to_owned(), after.high);
        put("page_ndcg@20_of_sources".to_owned(), before.mean);
    }
    for ActionReport { action, log_loss, base_log_loss, auc, calibration_error, .. } in actions {
        for (name, value) in [
            ("log_loss", *log_loss),
            ("base_log_loss", *base_log_loss),
            ("auc", *auc),
            ("calibration_error", calibration_error.mean),
            ("calibration_error_low", calibration_error.low),
            ("calibration_error_high", calibration_error.high),
        ] {
            put(format!("{action}_{name}"), value);
        }
    }
    metrics
}

impl fmt::Display for TrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(release) = &self.release {
            writeln!(f, "release {release}{}", if self.promoted { ", live" } else { ", not live" })?;
        }
        if let Some(verdict) = &self.verdict {
            write!(f, "{verdict}")?;
        }
        let counts: Vec<String> = self.counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "{}", counts.join(", "))?;
        if let Some(evaluation) = &self.evaluation {
            writeln!(f, "measured on what happened from {}: {evaluation}", self.cut)?;
        }
        if let Some(told) = &self.content {
            writeln!(f, "new items: {told}")?;
        }
        if let Some(trained) = &self.scorer {
            writeln!(
                f,
                "scorer ({}) of {} rows, calibrated on {}, tested on {}:",
                trained.model.kind(),
                trained.rows[0],
                trained.rows[1],
                trained.rows[2]
            )?;
            for action in &trained.actions {
                writeln!(f, "  {action}")?;
            }
            if let Some(effect) = &self.effect {
                writeln!(f, "  {effect}")?;
            }
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let seconds: Vec<String> =
            self.seconds.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
        writeln!(f, "{}", seconds.join(", "))?;
        let gibibytes = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let peaks: Vec<String> =
            self.peaks.iter().map(|(name, bytes)| format!("{name} {:.2} GiB", gibibytes(*bytes))).collect();
        if peaks.is_empty() { Ok(()) } else { writeln!(f, "peak memory: {}", peaks.join(", ")) }
    }
}
