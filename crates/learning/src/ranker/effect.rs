//! What ranking brings: pages of the past in the order of the scorer against the order of their sources.

use std::fmt;

use ranking::scorers::Scorer;
use shared_models::{Seed, component::Action, plan::Objective};

use super::pages::Page;
use crate::evaluate::{Interval, bootstrap, metrics::ndcg};

/// How many cards are looked at: a page's first two shelves or so.
const CARDS: usize = 20;
/// How often pages are drawn again for the intervals.
const ROUNDS: usize = 1_000;

/// NDCG@20 of the same pages in two orders, by what was played.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Effect {
    /// Pages on which something was played.
    pub pages: usize,
    /// The share of plays that any source had found.
    pub found: f64,
    /// In the order of the sources.
    pub before: Interval,
    /// In the order of the scorer.
    pub after: Interval,
    /// What the scorer's order gains, page by page.
    pub gain: Interval,
}

impl Effect {
    /// The gain as a share of what was before.
    #[must_use]
    pub fn lift(&self) -> f64 {
        if self.before.mean > 0.0 { self.gain.mean / self.before.mean } else { 0.0 }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "NDCG@{CARDS} of {} pages: {:.4} in the order of sources, {:.4} ranked: {:+.1} % [{:+.1}, {:+.1}]",
            self.pages,
            self.before.mean,
            self.after.mean,
            self.lift() * 100.0,
            self.gain.low / self.before.mean.max(f64::MIN_POSITIVE) * 100.0,
            self.gain.high / self.before.mean.max(f64::MIN_POSITIVE) * 100.0,
        )
    }
}

/// Measures a scorer by what it says of an objective; `None` where nothing was played on any page.
#[must_use]
pub fn measure(pages: &[Page], scorer: &dyn Scorer, objective: Objective, seed: Seed) -> Option<Effect> {
    let (mut before, mut after, mut found, mut played) = (Vec::new(), Vec::new(), 0, 0);
    for page in pages.iter().filter(|page| page.played > 0) {
        let wanted = Wanted::of(page);
        found += wanted.found;
        played += page.played;
        let as_given: Vec<u32> = (0..wanted.rows).collect();
        before.push(wanted.ndcg(&as_given));
        after.push(wanted.ndcg(&ranked(page, scorer, objective)));
    }
    if before.is_empty() {
        return None;
    }
    let gains: Vec<f32> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
    Some(Effect {
        pages: before.len(),
        found: found as f64 / played.max(1) as f64,
        before: bootstrap(&before, ROUNDS, seed),
        after: bootstrap(&after, ROUNDS, seed),
        gain: bootstrap(&gains, ROUNDS, seed),
    })
}

/// By how much NDCG@20 of the pages in a scorer's order is more than in another's, page by page; `None` where nothing was
/// played on any page.
#[must_use]
pub fn ahead(
    pages: &[Page],
    scorer: &dyn Scorer,
    other: &dyn Scorer,
    objective: Objective,
    seed: Seed,
) -> Option<Interval> {
    let ahead = |page: &Page| {
        let wanted = Wanted::of(page);
        wanted.ndcg(&ranked(page, scorer, objective)) - wanted.ndcg(&ranked(page, other, objective))
    };
    let gains: Vec<f32> = pages.iter().filter(|page| page.played > 0).map(ahead).collect();
    (!gains.is_empty()).then(|| bootstrap(&gains, ROUNDS, seed))
}

/// What was played on a page.
struct Wanted {
    /// Rows that were played; what no source had found stands past every list, and counts in the ideal one.
    played: Vec<u32>,
    /// How many of them a source had found.
    found: usize,
    rows: u32,
}

impl Wanted {
    fn of(page: &Page) -> Self {
        let hits = (0_u32..).zip(&page.labels).filter(|(_, labels)| labels[Action::Play as usize]);
        let mut played: Vec<u32> = hits.map(|(row, _)| row).collect();
        let found = played.len();
        let rows = u32::try_from(page.labels.len()).unwrap_or(u32::MAX);
        played.extend((rows..).take(page.played.saturating_sub(found)));
        Self { played, found, rows }
    }

    fn ndcg(&self, order: &[u32]) -> f32 {
        ndcg(order, &self.played, CARDS)
    }
}

/// The rows by blended score, best first, ties in the order of the sources; what cannot be scored comes last.
fn ranked(page: &Page, scorer: &dyn Scorer, objective: Objective) -> Vec<u32> {
    let scores = scorer.predict(&page.matrix);
    let score = |predictions| ranking::objective::blend(objective, predictions).map_or(f32::MIN, |score| score.value());
    let mut rows: Vec<(f32, u32)> = scores.iter().map(score).zip(0..).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0));
    rows.into_iter().map(|(_, row)| row).collect()
}
