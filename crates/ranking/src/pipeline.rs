//! The stages of ranking, in order, with need and budget: the table of contents of a request.
//!
//! | stage | component | need |
//! |---|---|---|
//! | features | `schema`: one matrix for the page | required |
//! | predict | `release`: the release's scorer | best effort |
//! | predict | `cold`: fixed weights, where there is no scorer | required |
//! | blend, order, select | [`ShelfRules`] | required |
//!
//! Order, spans and counts are the runner's. Nothing here may know the wire or where releases lie.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pipeline::{
    Failure, Score, StageMetrics, StageResult, Step,
    ranking::{Arrange, Features, Predictor, RankingPipeline, Scored},
};
use shared_models::{
    degraded::DegradedCause,
    plan::{RankQuery, ShelfRankPlan},
    slate::{RankedCard, Slate},
};

use crate::{
    explore::newcomers::Tally,
    features::{self, Gathered, Matrix},
    metrics::RankingMetrics,
    models::Serving,
    objective,
    scorers::{Predictions, Scorer, cold},
    slate::{self, Chosen, Rules, order, reasons},
};

/// One page on its way through the stages.
#[derive(Debug)]
pub struct Page {
    /// What was asked.
    pub query: RankQuery,
    /// What serves, kept for the whole run: a swap does not disturb it.
    pub serving: Option<Arc<Serving>>,
    /// The page in factor space.
    pub gathered: Gathered,
}

impl Page {
    /// Looks the page's items up in the release.
    #[must_use]
    pub fn new(query: RankQuery, serving: Option<Arc<Serving>>) -> Self {
        let gathered = Gathered::of(&query, serving.as_ref().map(|serving| &*serving.release));
        Self { query, serving, gathered }
    }

    fn shelf(&self, group: usize) -> Option<&ShelfRankPlan> {
        self.query.shelves.get(group)
    }
}

/// The runner with ranking's types.
pub type Pipeline = RankingPipeline<Page, Matrix, Predictions, ShelfRules>;

/// Hangs up the stages.
#[must_use]
pub fn build(scorer_budget: Duration, metrics: StageMetrics) -> Pipeline {
    RankingPipeline {
        features: Box::new(SchemaFeatures),
        predictor: Step::best_effort(scorer_budget, Box::new(ReleasePredictor)),
        fallback: Box::new(ColdPredictor),
        arrange: ShelfRules::default(),
        metrics,
    }
}

struct SchemaFeatures;

impl Features<Page, Matrix> for SchemaFeatures {
    fn name(&self) -> &'static str {
        "schema"
    }

    fn compute(&self, page: &Page) -> StageResult<Matrix> {
        Ok(features::compute::compute(&page.query, &page.gathered))
    }
}

struct ReleasePredictor;

#[async_trait]
impl Predictor<Page, Matrix, Predictions> for ReleasePredictor {
    fn name(&self) -> &'static str {
        "release"
    }

    async fn predict(&self, page: &Page, matrix: &Matrix) -> StageResult<Vec<Predictions>> {
        let scorer = page.serving.as_ref().and_then(|serving| serving.scorer.as_ref());
        scorer.map(|scorer| scorer.predict(matrix)).ok_or_else(|| Failure::of(DegradedCause::NoRelease))
    }
}

struct ColdPredictor;

#[async_trait]
impl Predictor<Page, Matrix, Predictions> for ColdPredictor {
    fn name(&self) -> &'static str {
        "cold"
    }

    async fn predict(&self, _: &Page, matrix: &Matrix) -> StageResult<Vec<Predictions>> {
        Ok(cold::model().predict(matrix))
    }
}

/// How shelves are blended, ordered and filled.
#[derive(Clone, Debug, Default)]
pub struct ShelfRules {
    /// Where it is counted what becomes of new items.
    pub counts: Option<RankingMetrics>,
}

impl Arrange<Page, Predictions> for ShelfRules {
    /// `None` for a shelf that the plan does not have.
    type Slate = Option<Slate>;

    fn groups(&self, page: &Page) -> usize {
        page.query.shelves.len()
    }

    fn rows<'q>(&self, page: &'q Page, group: usize) -> &'q [u32] {
        page.shelf(group).map_or(&[], |shelf| &shelf.rows)
    }

    fn key(&self, page: &Page, row: u32) -> u64 {
        page.query.table.items.get(row as usize).map_or(u64::MAX, |key| key.0)
    }

    fn blend(&self, page: &Page, group: usize, predictions: &Predictions) -> Option<Score> {
        objective::blend(page.shelf(group)?.objective, predictions)
    }

    fn order(&self, page: &Page, ranked: &[Vec<Scored>]) -> Vec<usize> {
        order::order(&page.query.shelves, ranked, page.query.table.len(), page.query.order)
    }

    fn select(
        &self,
        page: &Page,
        group: usize,
        ranked: &[Scored],
        predictions: &[Predictions],
        unscored: u32,
    ) -> Option<Slate> {
        let shelf = page.shelf(group)?;
        let rules = Rules {
            plan: &shelf.slate,
            table: &page.query.table,
            units: &page.gathered.candidates,
            crowd: page.gathered.crowd.as_deref(),
        };
        let mut rng = page.query.context.seed.stream(&format!("explore/{}", shelf.shelf));
        let chosen = slate::select(rules, ranked, &mut rng);
        if let (Some(counts), Some(newcomers)) = (&self.counts, slate::newcomers(rules, ranked)) {
            let shown = chosen.iter().filter(|chosen| chosen.newcomer).count();
            counts.new_items(Tally { shown: u32::try_from(shown).unwrap_or(u32::MAX), ..newcomers.tally(ranked) });
        }
        let cards: Vec<RankedCard> = chosen.into_iter().map(|chosen| card(page, shelf, predictions, chosen)).collect();
        let given = u32::try_from(shelf.rows.len()).unwrap_or(u32::MAX);
        let shown = u32::try_from(cards.len()).unwrap_or(u32::MAX);
        Some(Slate {
            shelf: shelf.shelf.clone(),
            score: order::worth(cards.iter().map(|card| card.score)),
            // What a shelf above took was scored here too, and is not shown here.
            reserve: given.saturating_sub(unscored).saturating_sub(shown),
            cards,
            unscored,
        })
    }

    fn chosen(&self, slate: &Option<Slate>) -> Vec<u32> {
        slate.iter().flat_map(|slate| &slate.cards).map(|card| card.row).collect()
    }
}

fn card(page: &Page, shelf: &ShelfRankPlan, predictions: &[Predictions], chosen: Chosen) -> RankedCard {
    let row = chosen.scored.row;
    RankedCard {
        row,
        score: chosen.scored.score.value(),
        propensity: chosen.propensity.value,
        propensity_error: chosen.propensity.error,
        predictions: predictions.get(row as usize).copied().unwrap_or_default(),
        explored: chosen.explored,
        reason: if chosen.pinned {
            reasons::pinned()
        } else {
            reasons::reason(&page.query, &page.gathered, &shelf.sources, row)
        },
    }
}
