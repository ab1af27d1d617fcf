//! What the training of a ranker did and how good it is beside the live one, for people and for the manifest.

use std::{collections::BTreeMap, fmt};

use shared_models::{ReleaseId, Timestamp, component::Action};

use crate::{
    evaluate::Interval,
    gates::Verdict,
    ranker::{ActionReport, Source, Trained, effect::Effect, records::Joined},
    train::report::of_scorer,
};

/// What the training of a ranker did.
#[derive(Clone, Debug)]
pub struct RankerReport {
    /// The release, once it is written.
    pub release: Option<ReleaseId>,
    /// The live release whose candidate models it has.
    pub parent: ReleaseId,
    /// Whether it is live.
    pub promoted: bool,
    /// What the gates said of it.
    pub verdict: Option<Verdict>,
    /// The scorer.
    pub scorer: Option<Trained>,
    /// What it was learnt from.
    pub source: Option<Source>,
    /// How many cards it says how likely what is by, and what they are.
    pub rows: Option<(usize, Source)>,
    /// The live scorer on the same later rows.
    pub live: Vec<ActionReport>,
    /// What the scorer does to pages of the past.
    pub effect: Option<Effect>,
    /// What the live one does to the same pages.
    pub effect_of_live: Option<Effect>,
    /// What the join of records with events found.
    pub joined: Joined,
    /// How likely a card is looked at by its place, as a share of the first place's, with how many stood there.
    pub examination: Vec<(f64, usize)>,
    /// From when to when what it learnt from happened.
    pub window: (Timestamp, Timestamp),
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
    /// Seconds by stage, in order; `all` is last.
    pub seconds: Vec<(&'static str, f64)>,
}

impl RankerReport {
    pub(super) fn new(parent: ReleaseId, from: Timestamp) -> Self {
        Self {
            release: None,
            parent,
            promoted: false,
            verdict: None,
            scorer: None,
            source: None,
            rows: None,
            live: Vec::new(),
            effect: None,
            effect_of_live: None,
            joined: Joined::default(),
            examination: Vec::new(),
            window: (from, from),
            notes: Vec::new(),
            seconds: Vec::new(),
        }
    }

    /// The measurements as the manifest holds them. What the live scorer came to on the same rows and pages stands beside
    /// them (`…_of_live`): the gates compare with that.
    pub(super) fn metrics(&self, trained: &Trained) -> BTreeMap<String, f64> {
        let mut metrics = of_scorer(&trained.actions, self.effect.as_ref());
        let mut beside = |name: String, interval: &Interval| {
            for (end, value) in [("", interval.mean), ("_low", interval.low), ("_high", interval.high)] {
                if value.is_finite() {
                    metrics.insert(format!("{name}_of_live{end}"), value);
                }
            }
        };
        if let Some(effect) = &self.effect_of_live {
            beside("page_ndcg@20".to_owned(), &effect.after);
        }
        for action in &self.live {
            beside(format!("{}_calibration_error", action.action), &action.calibration_error);
        }
        metrics
    }

    fn live_of(&self, action: Action) -> Option<&ActionReport> {
        self.live.iter().find(|report| report.action == action)
    }
}

impl fmt::Display for RankerReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(release) = &self.release {
            let state = if self.promoted { "live" } else { "not live" };
            writeln!(f, "release {release}, {state}, with the candidate models of {}", self.parent)?;
        }
        if let Some(verdict) = &self.verdict {
            write!(f, "{verdict}")?;
        }
        let Joined { answers, cards, seen, acted, astray, late } = self.joined;
        writeln!(
            f,
            "{answers} answers since {} with {cards} cards, {seen} of them seen: {} played, {} completed, {} liked, {} \
             skipped; {late} actions came too late, {astray} events fit no card",
            self.window.0, acted[0], acted[1], acted[2], acted[3]
        )?;
        if let Some(trained) = &self.scorer {
            let source = self.source.map_or("nothing", Source::as_str);
            let [learnt, calibrated, tested] = trained.rows;
            writeln!(
                f,
                "scorer ({}) of {source}: {learnt} rows, calibrated on {calibrated}, tested on {tested}:",
                trained.model.kind()
            )?;
            for action in &trained.actions {
                writeln!(f, "  {action}")?;
                if let Some(live) = self.live_of(action.action) {
                    writeln!(
                        f,
                        "  {:<9} live release, same rows: log loss {:.4}  AUC {:.3}  calibration error {:.4}",
                        "", live.log_loss, live.auc, live.calibration_error.mean
                    )?;
                }
            }
        }
        for (effect, whose) in [(&self.effect, ""), (&self.effect_of_live, "; by the live release")] {
            if let Some(effect) = effect {
                writeln!(f, "  {effect}{whose}")?;
            }
        }
        if self.examination.len() > 1 {
            let told: Vec<String> =
                self.examination.iter().take(12).map(|(looked, _)| format!("{looked:.2}")).collect();
            writeln!(f, "looked at, by place on a shelf, as a share of the first: {}", told.join(" "))?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        let seconds: Vec<String> =
            self.seconds.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect();
        writeln!(f, "{}", seconds.join(", "))
    }
}
