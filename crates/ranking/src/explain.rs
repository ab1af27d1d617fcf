//! Questions about an answer: the page ranked again with the release it was ranked with or with another, and what made
//! the scores of its rows. Pages are not disturbed by it: their counts and times stay as they are.
//!
//! It must not know whether the caller is in this process or behind a network.

use std::{sync::Arc, time::Duration};

use contracts::Deadline;
use pipeline::StageMetrics;
use service_runtime::{TaskGroup, deadline};
use shared_models::{
    ReleaseId, TenantId,
    degraded::{DegradedCause, DegradedStage},
    slate::{ExplainQuery, Explanation, Pinned, RankedPage, Slate},
};

use crate::{
    config::Pages,
    contributions, detail,
    error::Error,
    models::{Models, Serving},
    pipeline::{self as stages, Page, Pipeline},
    scorers::cold,
    server,
};

/// Ranks pages again and looks at them closely.
pub(crate) struct Explainer {
    models: Arc<Models>,
    pipeline: Pipeline,
    tasks: TaskGroup,
    max_candidates: usize,
}

impl Explainer {
    /// One that reads releases and does its sums in `tasks`.
    pub(crate) fn new(models: Arc<Models>, pages: &Pages, tasks: TaskGroup) -> Self {
        let unobserved = StageMetrics::register(&service_runtime::Metrics::new(), "ranking");
        // Nobody waits for a page: the scorer may take what the question may take.
        let pipeline = stages::build(Duration::MAX, unobserved);
        Self { models, pipeline, tasks, max_candidates: pages.max_candidates }
    }

    pub(crate) async fn explain(&self, query: ExplainQuery, deadline: Deadline) -> Result<Explanation, Error> {
        if deadline.is_past() {
            return Err(Error::Deadline);
        }
        let ExplainQuery { mut page, release, rows } = query;
        server::validate(&page, self.max_candidates)?;
        let known = page.table.len();
        if let Some(row) = rows.iter().find(|row| **row as usize >= known) {
            return Err(Error::Unknown { row: *row, rows: known });
        }
        page.whole = true;
        let serving = self.serving(&page.tenant, release, deadline).await?;
        let page = Page::new(page, serving);
        let ranked = self.pipeline.run(&page, known, deadline).await.map_err(Error::Stage)?;
        let slates: Vec<Slate> = ranked.slates.into_iter().filter_map(|(_, slate)| slate).collect();
        let mut degraded = ranked.degraded;
        let is_cold = degraded.iter().any(|stage| stage.stage.starts_with(server::SCORER));
        if !degraded.iter().any(|stage: &DegradedStage| stage.cause == DegradedCause::NoRelease) {
            degraded.extend(server::unpredicted(&page));
        }
        let answer = RankedPage {
            detail: Some(detail::of(&page.query, &ranked.matrix, &ranked.scored, &ranked.predictions, &slates)),
            release: page.serving.as_ref().map(|serving| serving.release.id().clone()),
            slates,
            degraded,
        };
        let matrix = ranked.matrix;
        let work = self.tasks.blocking("explain-scores", move || {
            let scorer = page.serving.as_ref().and_then(|serving| serving.scorer.as_ref()).filter(|_| !is_cold);
            match scorer {
                Some(scorer) => contributions::explain(scorer, &matrix, &rows),
                None => contributions::explain(cold::model(), &matrix, &rows),
            }
        });
        let rows = within(deadline, work).await?;
        Ok(Explanation { page: answer, features: contributions::features(), rows })
    }

    async fn serving(
        &self,
        tenant: &TenantId,
        release: Pinned,
        deadline: Deadline,
    ) -> Result<Option<Arc<Serving>>, Error> {
        match release {
            Pinned::Live => Ok(self.models.serving(tenant)),
            Pinned::Cold => Ok(None),
            Pinned::Release(id) => self.pinned(tenant, id, deadline).await.map(Some),
            Pinned::Unscored(id) => {
                let serving = self.pinned(tenant, id, deadline).await?;
                Ok(Some(Arc::new(Serving { release: Arc::clone(&serving.release), scorer: None })))
            }
        }
    }

    async fn pinned(&self, tenant: &TenantId, id: ReleaseId, deadline: Deadline) -> Result<Arc<Serving>, Error> {
        let (models, tenant) = (Arc::clone(&self.models), tenant.clone());
        let work = self.tasks.blocking("open-pinned-release", move || models.pinned(&tenant, &id));
        within(deadline, work).await?
    }
}

async fn within<T>(deadline: Deadline, work: impl Future<Output = Option<T>>) -> Result<T, Error> {
    match deadline::run(deadline, work).await {
        Err(_) => Err(Error::Deadline),
        Ok(None) => Err(Error::Background),
        Ok(Some(done)) => Ok(done),
    }
}
