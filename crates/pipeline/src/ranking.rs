//! The ranking runner: features → predict → blend → order → select.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use service_runtime::deadline::{self, Deadline};
use shared_models::degraded::{DegradedCause, DegradedStage};
use tracing::{Instrument, field};

use crate::{
    metrics::StageMetrics,
    score::Score,
    stage::{Failure, StageResult, Step},
};

/// Computes the features of every row of a page at once.
pub trait Features<Q, M>: Send + Sync {
    /// The name in spans and metrics.
    fn name(&self) -> &'static str;

    /// One matrix for the page.
    ///
    /// # Errors
    /// When the query is inconsistent.
    fn compute(&self, query: &Q) -> StageResult<M>;
}

/// Predicts what the listener would do with each row.
#[async_trait]
pub trait Predictor<Q, M, P>: Send + Sync {
    /// The name in spans, metrics and `degraded`.
    fn name(&self) -> &'static str;

    /// One prediction per row of the matrix.
    ///
    /// # Errors
    /// When the model cannot answer.
    async fn predict(&self, query: &Q, matrix: &M) -> StageResult<Vec<P>>;
}

/// One row with its blended score.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scored {
    /// The row.
    pub row: u32,
    /// Its score by the group's objective.
    pub score: Score,
}

/// The rules of arrangement: pure, one decision a method.
pub trait Arrange<Q, P>: Send + Sync {
    /// What one group (a shelf) becomes.
    type Slate: Send;

    /// How many groups the page has.
    fn groups(&self, query: &Q) -> usize;

    /// The rows of a group, each once.
    fn rows<'q>(&self, query: &'q Q, group: usize) -> &'q [u32];

    /// What orders rows of equal score: a key that does not depend on their place.
    fn key(&self, query: &Q, row: u32) -> u64;

    /// The score of a prediction by the group's objective; `None` cannot be scored.
    fn blend(&self, query: &Q, group: usize, prediction: &P) -> Option<Score>;

    /// The order in which groups choose, given each group's rows, best first. Every group once.
    fn order(&self, query: &Q, ranked: &[Vec<Scored>]) -> Vec<usize>;

    /// Chooses from the rows that no group before has taken, best first.
    fn select(&self, query: &Q, group: usize, ranked: &[Scored], predictions: &[P], unscored: u32) -> Self::Slate;

    /// The rows a slate shows.
    fn chosen(&self, slate: &Self::Slate) -> Vec<u32>;
}

/// What a run gives: slates in page order, with the index of their group.
#[derive(Debug)]
pub struct Ranked<S, M, P> {
    /// The slates.
    pub slates: Vec<(usize, S)>,
    /// Each group's rows that could be scored, best first, before any group chose.
    pub scored: Vec<Vec<Scored>>,
    /// The features of all rows.
    pub matrix: M,
    /// The predictions of all rows.
    pub predictions: Vec<P>,
    /// What was missing, slow or skipped.
    pub degraded: Vec<DegradedStage>,
}

/// The runner.
pub struct RankingPipeline<Q, M, P, A> {
    /// Features.
    pub features: Box<dyn Features<Q, M>>,
    /// The predictor; when it fails, `fallback` answers and `degraded` says so.
    pub predictor: Step<dyn Predictor<Q, M, P>>,
    /// A predictor that needs nothing and cannot fail in a way that matters.
    pub fallback: Box<dyn Predictor<Q, M, P>>,
    /// The rules of arrangement.
    pub arrange: A,
    /// Where counts go.
    pub metrics: StageMetrics,
}

impl<Q: Send + Sync, M: Send + Sync, P: Send + Sync, A: Arrange<Q, P>> RankingPipeline<Q, M, P, A> {
    /// Ranks one page of `rows` rows.
    ///
    /// # Errors
    /// When features cannot be computed, or not even the fallback predictor answers.
    pub async fn run(&self, query: &Q, rows: usize, deadline: Deadline) -> Result<Ranked<A::Slate, M, P>, Failure> {
        let mut degraded = Vec::new();
        let compute = || self.features.compute(query);
        let matrix = self.timed("features", self.features.name(), rows, compute, |_| rows)?;
        let predictions = self.predict(query, &matrix, rows, deadline, &mut degraded).await?;
        let arrange = || Ok(self.arrange(query, &predictions));
        let (slates, scored, _) = self.timed("select", "all", rows, arrange, |(.., chosen)| *chosen)?;
        Ok(Ranked { slates, scored, matrix, predictions, degraded })
    }

    fn timed<T>(
        &self,
        kind: &'static str,
        name: &'static str,
        rows: usize,
        work: impl FnOnce() -> StageResult<T>,
        given: impl FnOnce(&T) -> usize,
    ) -> StageResult<T> {
        let span = match kind {
            "features" => tracing::info_span!(
                "pipeline.features",
                stage.name = name,
                stage.r#in = rows,
                stage.out = field::Empty,
                stage.outcome = field::Empty
            ),
            _ => tracing::info_span!(
                "pipeline.select",
                stage.name = name,
                stage.r#in = rows,
                stage.out = field::Empty,
                stage.outcome = field::Empty
            ),
        };
        let _entered = span.enter();
        let started = Instant::now();
        let done = work();
        let outcome = done.as_ref().map_or_else(|failure| failure.cause.as_str(), |_| "ok");
        span.record("stage.out", done.as_ref().map_or(0, given));
        span.record("stage.outcome", outcome);
        self.metrics.ran(kind, name, outcome, started.elapsed(), rows);
        done
    }

    async fn predict(
        &self,
        query: &Q,
        matrix: &M,
        rows: usize,
        deadline: Deadline,
        degraded: &mut Vec<DegradedStage>,
    ) -> Result<Vec<P>, Failure> {
        let name = self.predictor.stage.name();
        let span = tracing::info_span!(
            "pipeline.predict",
            stage.name = name,
            stage.r#in = rows,
            stage.out = field::Empty,
            stage.outcome = field::Empty
        );
        let started = Instant::now();
        let first = predict_within(&*self.predictor.stage, query, matrix, rows, deadline.capped(self.predictor.budget))
            .instrument(span.clone())
            .await;
        let outcome = first.as_ref().map_or_else(|failure| failure.cause.as_str(), |_| "ok");
        span.record("stage.outcome", outcome);
        self.metrics.ran("predictor", name, outcome, started.elapsed(), rows);
        let predictions = match first {
            Ok(predictions) => Ok(predictions),
            Err(failure) => {
                degraded.push(DegradedStage::new(format!("scorer.{name}"), failure.cause));
                predict_within(&*self.fallback, query, matrix, rows, deadline.capped(Duration::MAX))
                    .instrument(span.clone())
                    .await
            }
        };
        span.record("stage.out", predictions.as_ref().map_or(0, Vec::len));
        predictions
    }

    /// The slates, each group's scored rows, and how many rows the slates show.
    fn arrange(&self, query: &Q, predictions: &[P]) -> (Vec<(usize, A::Slate)>, Vec<Vec<Scored>>, usize) {
        let groups = self.arrange.groups(query);
        let mut unscored = vec![0_u32; groups];
        let mut ranked: Vec<Vec<Scored>> = Vec::with_capacity(groups);
        for (group, missing) in unscored.iter_mut().enumerate() {
            let rows = self.arrange.rows(query, group);
            let mut scored: Vec<(Scored, u64)> = Vec::with_capacity(rows.len());
            for row in rows {
                match predictions.get(*row as usize).and_then(|prediction| self.arrange.blend(query, group, prediction))
                {
                    Some(score) => scored.push((Scored { row: *row, score }, self.arrange.key(query, *row))),
                    None => *missing += 1,
                }
            }
            scored.sort_unstable_by(|(a, key_a), (b, key_b)| b.score.cmp(&a.score).then(key_a.cmp(key_b)));
            ranked.push(scored.into_iter().map(|(scored, _)| scored).collect());
        }
        let mut taken = vec![false; predictions.len()];
        let mut slates = Vec::with_capacity(groups);
        let mut shown = 0;
        let mut free = Vec::new();
        for group in self.arrange.order(query, &ranked) {
            let Some(rows) = ranked.get(group) else { continue };
            free.clear();
            free.extend(rows.iter().filter(|scored| !taken.get(scored.row as usize).copied().unwrap_or(true)));
            let slate =
                self.arrange.select(query, group, &free, predictions, unscored.get(group).copied().unwrap_or(0));
            for row in self.arrange.chosen(&slate) {
                shown += 1;
                if let Some(slot) = taken.get_mut(row as usize) {
                    *slot = true;
                }
            }
            slates.push((group, slate));
        }
        (slates, ranked, shown)
    }
}

async fn predict_within<Q, M, P>(
    predictor: &dyn Predictor<Q, M, P>,
    query: &Q,
    matrix: &M,
    rows: usize,
    deadline: Deadline,
) -> StageResult<Vec<P>> {
    let predictions = deadline::run(deadline, predictor.predict(query, matrix))
        .await
        .unwrap_or_else(|_| Err(Failure::of(DegradedCause::Timeout)))?;
    // A model that answers for other rows than it was asked about has not answered.
    if predictions.len() == rows { Ok(predictions) } else { Err(Failure::of(DegradedCause::Failed)) }
}

#[cfg(test)]
mod tests;
