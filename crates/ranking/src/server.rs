//! Convert, run, convert: the two promises that ranking keeps, on top of the pipeline and the models.
//!
//! It must not know whether the caller is in this process or behind a network.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use contracts::{Deadline, Failure, Ranking, ReleaseControl, ServingRelease};
use service_runtime::TaskGroup;
use shared_models::{
    ReleaseId, TenantId,
    component::Action,
    degraded::{DegradedCause, DegradedStage},
    plan::{RankQuery, ShelfRankPlan},
    slate::{ExplainQuery, Explanation, RankedPage, Slate},
};
use tracing::field;

use crate::{
    config::Pages,
    detail,
    error::Error,
    explain::Explainer,
    features::Matrix,
    first_pass::{self, Pace},
    metrics::RankingMetrics,
    models::Models,
    pipeline::{Page, Pipeline},
    scorers::{ACTIONS, Scorer},
    skew::Skew,
};

/// Ranks pages.
pub struct Ranker {
    models: Arc<Models>,
    pipeline: Pipeline,
    pages: Pages,
    pace: Pace,
    skew: Skew,
    explainer: Explainer,
    metrics: RankingMetrics,
}

impl Ranker {
    /// A ranker of the pages that `pages` allows; questions about pages are answered in `tasks`.
    #[must_use]
    pub fn new(
        models: Arc<Models>,
        pipeline: Pipeline,
        pages: Pages,
        tasks: TaskGroup,
        metrics: RankingMetrics,
    ) -> Self {
        let skew = Skew::new(pages.sampled_one_in, metrics.features.clone());
        let explainer = Explainer::new(Arc::clone(&models), &pages, tasks);
        Self { models, pipeline, pages, pace: Pace::default(), skew, explainer, metrics }
    }

    async fn run(&self, query: RankQuery, deadline: Deadline) -> Result<RankedPage, Error> {
        if deadline.is_past() {
            return Err(Error::Deadline);
        }
        validate(&query, self.pages.max_candidates)?;
        let (serving, is_pinned) = self.models.serving_of(&query.tenant, query.release.as_ref());
        let release = serving.as_ref().map(|serving| serving.release.id().clone());
        let kept = self.kept(&query, deadline);
        let given = query.table.len();
        let (kept, query) = match kept {
            Some((kept, narrowed)) => (Some(kept), narrowed),
            None => (None, query),
        };
        let page = Page::new(query, serving);
        let rows = page.query.table.len();
        let started = Instant::now();
        let ranked = self.pipeline.run(&page, rows, deadline).await.map_err(Error::Stage)?;
        self.pace.observe(rows, started.elapsed());
        let mut slates: Vec<Slate> = ranked.slates.into_iter().filter_map(|(_, slate)| slate).collect();
        if self.skew.wants(page.query.context.seed) {
            self.sample(&page, &ranked.matrix, &slates);
        }
        let mut degraded = ranked.degraded;
        if !degraded.iter().any(|stage| stage.cause == DegradedCause::NoRelease) {
            degraded.extend(unpredicted(&page));
        }
        let mut detail = page
            .query
            .whole
            .then(|| detail::of(&page.query, &ranked.matrix, &ranked.scored, &ranked.predictions, &slates));
        if !is_pinned {
            degraded.push(DegradedStage::new(PINNED, DegradedCause::Skipped));
        }
        if let Some(kept) = kept {
            degraded.push(DegradedStage::new(FIRST_PASS, DegradedCause::Skipped));
            for card in slates.iter_mut().flat_map(|slate| &mut slate.cards) {
                card.row = kept.get(card.row as usize).copied().unwrap_or(card.row);
            }
            if let Some(detail) = &mut detail {
                detail::renumber(detail, &kept, given);
            }
        }
        Ok(RankedPage { slates, release, degraded, detail })
    }

    /// Looks at the features of a page's cards.
    fn sample(&self, page: &Page, matrix: &Matrix, slates: &[Slate]) {
        let cards = slates.iter().flat_map(|slate| &slate.cards).map(|card| card.row);
        let span = tracing::info_span!(
            "pipeline.feature_sample",
            stage.name = "feature_sample",
            features.moved_most = field::Empty,
            features.skew = field::Empty
        );
        let _entered = span.enter();
        let release = page.serving.as_ref().map(|serving| &*serving.release);
        if let Some(worst) = self.skew.observe(&page.query.tenant, release, matrix, cards) {
            span.record("features.moved_most", worst.feature);
            span.record("features.skew", worst.index);
        }
    }

    /// The rows that go on and the question about them, where there are more than the deadline lets the scorer
    /// look at.
    fn kept(&self, query: &RankQuery, deadline: Deadline) -> Option<(Vec<u32>, RankQuery)> {
        let time = deadline.remaining().min(LONGEST).mul_f32(self.pages.spend);
        let most = self.pace.rows_in(time).max(self.pages.least_scored);
        let rows = query.table.len();
        if rows <= most {
            return None;
        }
        let span = tracing::info_span!(
            "pipeline.first_pass",
            stage.name = "first_pass",
            stage.r#in = rows,
            stage.out = field::Empty
        );
        let _entered = span.enter();
        let kept = first_pass::likeliest(query, most);
        span.record("stage.out", kept.len());
        self.metrics.passed_over(rows - kept.len());
        let narrowed = first_pass::narrowed(query, &kept);
        Some((kept, narrowed))
    }
}

/// The actions that a shelf weighs and the scorer says nothing of.
pub(crate) fn unpredicted(page: &Page) -> impl Iterator<Item = DegradedStage> {
    let scorer = page.serving.as_ref().and_then(|serving| serving.scorer.as_ref());
    let missing = scorer.map_or([false; ACTIONS], Scorer::missing);
    let is_weighed = |action: usize| page.query.shelves.iter().any(|shelf| shelf.objective.weights()[action] != 0.0);
    Action::ALL
        .iter()
        .zip(missing)
        .filter(move |(action, missing)| *missing && is_weighed(**action as usize))
        .map(|(action, _)| DegradedStage::new(format!("{SCORER}{action}"), DegradedCause::NoRelease))
}

/// No page takes longer, whatever its caller allows.
const LONGEST: Duration = Duration::from_secs(60);
/// What `degraded` calls the scorer's parts begin with this.
pub(crate) const SCORER: &str = "scorer.";
/// What `degraded` says when another release answers than was asked for.
const PINNED: &str = "release.pinned";
/// What `degraded` calls the first pass.
const FIRST_PASS: &str = "scorer.first_pass";

#[async_trait]
impl Ranking for Ranker {
    async fn rank(&self, query: RankQuery, deadline: Deadline) -> Result<RankedPage, Failure> {
        let started = Instant::now();
        match self.run(query, deadline).await {
            Ok(page) => {
                self.metrics.ranked(&page, started.elapsed());
                Ok(page)
            }
            Err(error) => {
                self.metrics.failed(error.code());
                Err(error.into())
            }
        }
    }

    async fn explain(&self, query: ExplainQuery, deadline: Deadline) -> Result<Explanation, Failure> {
        let explained = self.explainer.explain(query, deadline).await;
        self.metrics.explained(explained.as_ref().err().map(Error::code));
        Ok(explained?)
    }
}

/// Shows and changes which release serves.
pub struct Releases {
    models: Arc<Models>,
    tasks: TaskGroup,
}

impl Releases {
    /// Control over `models`, with blocking work in `tasks`.
    #[must_use]
    pub fn new(models: Arc<Models>, tasks: TaskGroup) -> Self {
        Self { models, tasks }
    }
}

#[async_trait]
impl ReleaseControl for Releases {
    async fn status(&self, tenant: &TenantId, _: Deadline) -> Result<ServingRelease, Failure> {
        let status = self.models.status(tenant);
        Ok(ServingRelease { live: status.live, previous: status.previous, since: status.since })
    }

    async fn activate(&self, tenant: &TenantId, id: &ReleaseId, deadline: Deadline) -> Result<(), Failure> {
        let (models, tenant, id) = (Arc::clone(&self.models), tenant.clone(), id.clone());
        // Past the deadline the load goes on and may still swap: the caller asks `status`.
        let work = self.tasks.blocking("activate-release", move || models.activate(&tenant, &id));
        match service_runtime::deadline::run(deadline, work).await {
            Err(_) => Err(Error::Deadline.into()),
            Ok(None) => Err(Error::Background.into()),
            Ok(Some(outcome)) => outcome.map_err(|error| Error::Release(error).into()),
        }
    }
}

/// Everything the stages take for granted.
pub(crate) fn validate(query: &RankQuery, max_candidates: usize) -> Result<(), Error> {
    let rows = query.table.len();
    if rows > max_candidates {
        return Err(Error::TooMany { given: rows, limit: max_candidates });
    }
    if let Some(detail) = query.table.inconsistency() {
        return Err(Error::Table { detail });
    }
    let mut named_by = vec![0_usize; rows];
    for (index, shelf) in query.shelves.iter().enumerate() {
        if query.shelves.iter().take(index).any(|before| before.shelf == shelf.shelf) {
            return Err(Error::Shelf { shelf: shelf.shelf.clone() });
        }
        for row in &shelf.rows {
            match named_by.get_mut(*row as usize) {
                Some(last) if *last != index + 1 => *last = index + 1,
                _ => return Err(Error::Row { shelf: shelf.shelf.clone(), row: *row, rows }),
            }
        }
        if let Some(source_index) =
            shelf.sources.iter().find(|source| usize::from(**source) >= query.table.sources.len())
        {
            return Err(Error::Source {
                shelf: shelf.shelf.clone(),
                source_index: *source_index,
                sources: query.table.sources.len(),
            });
        }
        validate_plan(shelf)?;
    }
    Ok(())
}

fn validate_plan(shelf: &ShelfRankPlan) -> Result<(), Error> {
    let problem = |key, given: String, expected| Err(Error::Plan { shelf: shelf.shelf.clone(), key, given, expected });
    let slate = &shelf.slate;
    if !(1..=100).contains(&slate.size) {
        return problem("size", slate.size.to_string(), "1 to 100");
    }
    if !(0.0..=1.0).contains(&slate.diversity) {
        return problem("diversity", slate.diversity.to_string(), "0 to 1");
    }
    if let Some((key, given, expected)) = slate.explore.out_of_range() {
        return problem(key, given.to_string(), expected);
    }
    if let Some((key, given, expected)) = slate.new_items.and_then(|rule| rule.out_of_range()) {
        return problem(key, given, expected);
    }
    match shelf.objective.weights().iter().find(|weight| !weight.is_finite()) {
        Some(weight) => problem("objective", weight.to_string(), "finite weights"),
        None => Ok(()),
    }
}
