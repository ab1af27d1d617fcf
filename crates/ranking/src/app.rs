//! The service put together: models, pipeline, promises, and the task that follows the live release.
//!
//! Building binds nothing: whoever builds it offers it in process or over gRPC.

use std::{convert::Infallible, sync::Arc, time::Duration};

use contracts::{
    Ranking, ReleaseControl,
    grpc::{DESCRIPTOR_SET, RankingServer, ReleaseControlServer},
};
use pipeline::StageMetrics;
use service_runtime::{OnFailure, Runtime, grpc::Services};

use crate::{
    config::Config,
    error::Error,
    metrics::RankingMetrics,
    models::Models,
    pipeline as stages,
    server::{Ranker, Releases},
};

/// The ranking service.
pub struct App {
    ranking: Arc<dyn Ranking>,
    release_control: Arc<dyn ReleaseControl>,
}

impl App {
    /// Opens the releases, takes each tenant's live one, and starts following them. Without any release
    /// the service is ready all the same: it answers with cold scores and says so.
    ///
    /// # Errors
    /// When the folder of releases cannot be opened.
    pub async fn build(config: Config, runtime: &Runtime) -> Result<Self, Error> {
        let Config { releases, pages, .. } = config;
        let metrics = RankingMetrics::register(&runtime.metrics);
        let intake = runtime.tasks.intake.clone();
        let (clock, ours) = (Arc::clone(&runtime.clock), metrics.clone());
        let poll = releases.poll;
        let open = move || {
            let models = Models::open(&releases, clock, ours)?;
            models.refresh();
            Ok(Arc::new(models))
        };
        let models = intake.blocking("open-releases", open).await.ok_or(Error::Background)?.map_err(Error::Release)?;
        follow(&models, poll, runtime);
        let mut pipeline = stages::build(pages.scorer_budget, StageMetrics::register(&runtime.metrics, "ranking"));
        pipeline.arrange.counts = Some(metrics.clone());
        let ranker = Ranker::new(Arc::clone(&models), pipeline, pages, intake.clone(), metrics);
        Ok(Self { ranking: Arc::new(ranker), release_control: Arc::new(Releases::new(models, intake)) })
    }

    /// Ranks pages.
    #[must_use]
    pub fn ranking(&self) -> Arc<dyn Ranking> {
        Arc::clone(&self.ranking)
    }

    /// Shows and changes which release serves.
    #[must_use]
    pub fn release_control(&self) -> Arc<dyn ReleaseControl> {
        Arc::clone(&self.release_control)
    }

    /// What a gRPC server offers of this service.
    #[must_use]
    pub fn grpc_services(&self) -> Services {
        Services::new()
            .add(RankingServer::new(self.ranking()))
            .add(ReleaseControlServer::new(self.release_control()))
            .describe(DESCRIPTOR_SET)
    }
}

/// Looks for promoted releases every so often, and tells operators what serves.
fn follow(models: &Arc<Models>, poll: Duration, runtime: &Runtime) {
    let health = runtime.health.component("ranking-releases");
    health.detail(models.summary());
    health.ready();
    let (models, group) = (Arc::clone(models), runtime.tasks.intake.clone());
    let stop = group.token();
    let watch = group.clone();
    group.spawn("release-watch", OnFailure::Stop, async move {
        while stop.run_until_cancelled(tokio::time::sleep(poll)).await.is_some() {
            let at_work = Arc::clone(&models);
            // A look that panicked is logged by the group; what serves goes on serving.
            let _looked = watch.blocking("look-for-releases", move || at_work.refresh()).await;
            health.detail(models.summary());
        }
        Ok::<(), Infallible>(())
    });
}
