//! Positions that are kept for new items: which items are new, which of those have had enough, and which are known to be
//! worse by now.
//!
//! An item is *new* while it is young and was rarely shown. It gets no kept position while it is *over budget*, shown
//! more often an hour than the rule allows, nor once it is *guarded*: when its rate is below the typical one of the
//! shelf with a certainty of 95 % (its posterior's mean and 1.645 standard deviations lie below; see [`super::beliefs`]).
//! All of that follows from the facts of the page, so that the same page gives the same answer, and a fleet needs no
//! memory of what it spent.
//!
//! It must never know chance.

use pipeline::ranking::Scored;
use shared_models::{candidates::CandidateTable, component::Fact, explore::NewItems};

use super::beliefs::{Evidence, Posterior};

/// How many impressions the release's word for an item counts for here.
const PRIOR: f32 = 20.0;
/// The quantile of the standard normal distribution at 95 %.
const ONE_SIDED_95: f32 = 1.645;

/// How an item stands before a kept position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is not new.
    Known,
    /// It may have the position.
    Welcome,
    /// It is new, and was shown enough this hour.
    OverBudget,
    /// It is new, and known to be worse.
    Guarded,
}

/// What became of new items on a shelf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Kept positions that went to one.
    pub shown: u32,
    /// New items that were over budget.
    pub over_budget: u32,
    /// New items that were guarded.
    pub guarded: u32,
}

/// The rule of a shelf, and what is known of its candidates.
#[derive(Clone, Copy, Debug)]
pub struct Newcomers<'a> {
    rule: &'a NewItems,
    evidence: Evidence<'a>,
    ages: &'a [f32],
    hourly: &'a [f32],
    typical: f32,
}

impl<'a> Newcomers<'a> {
    /// The rule over a page's facts; the typical rate is the median of these candidates'.
    #[must_use]
    pub fn of(rule: &'a NewItems, table: &'a CandidateTable, evidence: Evidence<'a>, best: &[Scored]) -> Self {
        let mut rates: Vec<f32> = best.iter().map(|scored| evidence.posterior(scored.row, PRIOR).mean).collect();
        rates.sort_unstable_by(f32::total_cmp);
        let typical = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
        let column = |fact| table.fact(fact).unwrap_or(&[]);
        Self { rule, evidence, ages: column(Fact::AgeDays), hourly: column(Fact::CrowdShownHourly), typical }
    }

    /// Whether a position is kept.
    #[must_use]
    pub fn keeps(&self, position: usize) -> bool {
        let from = usize::from(self.rule.from);
        (from..from + usize::from(self.rule.slots)).contains(&position)
    }

    /// How often a kept position goes to a new item.
    #[must_use]
    pub fn share(&self) -> f64 {
        f64::from(self.rule.share.clamp(0.0, 1.0))
    }

    /// How a candidate stands.
    #[must_use]
    pub fn standing(&self, row: u32) -> Standing {
        let of = |column: &[f32]| column.get(row as usize).copied();
        // An age of -1 is none: nobody knows when it came out.
        let is_young =
            of(self.ages).is_some_and(|days| days >= 0.0 && days < self.rule.younger.as_secs_f32() / 86_400.0);
        if !is_young || self.evidence.shown(row) >= self.rule.shown_below {
            return Standing::Known;
        }
        let Posterior { mean, deviation } = self.evidence.posterior(row, PRIOR);
        if mean + ONE_SIDED_95 * deviation < self.typical {
            Standing::Guarded
        } else if of(self.hourly).is_some_and(|hourly| hourly >= self.rule.hourly) {
            Standing::OverBudget
        } else {
            Standing::Welcome
        }
    }

    /// How the candidates stand that are new.
    #[must_use]
    pub fn tally(&self, ranked: &[Scored]) -> Tally {
        let mut tally = Tally::default();
        for scored in ranked {
            match self.standing(scored.row) {
                Standing::OverBudget => tally.over_budget += 1,
                Standing::Guarded => tally.guarded += 1,
                Standing::Known | Standing::Welcome => {}
            }
        }
        tally
    }
}
