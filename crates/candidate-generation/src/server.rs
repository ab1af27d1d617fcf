//! Convert, run, convert: the promises that candidate-generation keeps, on top of the pipeline, the
//! store and what is in memory. `admin.rs` keeps those about items, users and releases.
//!
//! It must not know whether the caller is in this process or behind a network.

mod admin;
mod listeners;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use contracts::{Candidates, Deadline, Failure};
use listeners::{Listeners, Unread};
use service_runtime::{OnFailure, TaskGroup, client::Guard, deadline};
use shared_models::{
    ItemKey, TenantId, UserKey,
    candidates::CandidateSet,
    degraded::{DegradedCause, DegradedStage},
    listener::ListenerContext,
    plan::CandidateQuery,
};
use tokio::sync::{OwnedMutexGuard, oneshot};
use tracing::Instrument as _;

use crate::{
    error::Error,
    metrics::{CandidatesMetrics, ProfileRead},
    pipeline::Pipeline,
    profiles::{
        context,
        memory::{ProfileMemory, ServingProfile},
    },
    query::PageQuery,
    store::Store,
    worlds::{World, Worlds},
};

/// The stage that `degraded` names when a listener's profile could not be read.
const PROFILE_STAGE: &str = "profile";
/// The stage that `degraded` names when another release answers than was asked for.
const PINNED_STAGE: &str = "release.pinned";

/// Everything this service promises.
pub struct Service {
    worlds: Arc<Worlds>,
    store: Arc<dyn Store>,
    memory: ProfileMemory,
    listeners: Listeners,
    pipeline: Pipeline,
    read_budget: Duration,
    clock: Arc<dyn shared_models::Clock>,
    tasks: TaskGroup,
    metrics: CandidatesMetrics,
}

/// What [`Service`] is made of.
pub struct Parts {
    /// The tenants' worlds.
    pub worlds: Arc<Worlds>,
    /// The catalogue and the profiles at rest.
    pub store: Arc<dyn Store>,
    /// The profiles in memory.
    pub memory: ProfileMemory,
    /// The breaker around a store that is another process.
    pub guard: Option<Guard>,
    /// The candidate pipeline.
    pub pipeline: Pipeline,
    /// How long a page waits for a profile that is not in memory.
    pub read_budget: Duration,
    /// Where the time of writes is read.
    pub clock: Arc<dyn shared_models::Clock>,
    /// Where blocking work runs.
    pub tasks: TaskGroup,
    /// The service's metrics.
    pub metrics: CandidatesMetrics,
}

impl Service {
    /// The service of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { worlds, store, memory, guard, pipeline, read_budget, clock, tasks, metrics } = parts;
        let listeners = Listeners::new(Arc::clone(&store), memory.clone(), guard);
        Self { worlds, store, memory, listeners, pipeline, read_budget, clock, tasks, metrics }
    }

    async fn gather(&self, query: CandidateQuery, deadline: Deadline) -> Result<CandidateSet, Error> {
        if deadline.is_past() {
            return Err(Error::Deadline);
        }
        let world = self.worlds.of(&query.tenant);
        let mut missing = Vec::new();
        let listener = match &query.user {
            None => Arc::default(),
            Some(user) => {
                let (listener, cause) = self.listener(&world, UserKey::of(user), deadline).await;
                missing.extend(cause.map(|cause| DegradedStage::new(PROFILE_STAGE, cause)));
                listener
            }
        };
        let (serving, is_pinned) = world.serving_of(query.release.as_ref());
        if !is_pinned {
            missing.push(DegradedStage::new(PINNED_STAGE, DegradedCause::Skipped));
        }
        let page = PageQuery::new(query, world.catalogue.snapshot(), serving, listener, world.trending.trends())
            .with_crowd(world.crowd());
        let gathered = self.pipeline.run(&page, deadline).await?;
        let release = page.serving.as_ref().map(|serving| serving.id().clone());
        Ok(gathered.answer(Arc::new(context_of(&page)), missing, release))
    }

    /// The listener as last committed. Where the store does not say so in time, the page is made with what is in
    /// memory, or cold, and the cause is told.
    async fn listener(
        &self,
        world: &World,
        user: UserKey,
        deadline: Deadline,
    ) -> (Arc<ServingProfile>, Option<DegradedCause>) {
        let read = self.listeners.read(world, user, deadline.capped(self.read_budget)).await;
        let (cause, error) = match read {
            Ok((listener, from)) => {
                self.metrics.profile_read(from);
                return (listener, None);
            }
            // Told once, when the breaker opened.
            Err(Unread::Open(_)) => (DegradedCause::Unavailable, None),
            Err(Unread::Elapsed(elapsed)) => (DegradedCause::Timeout, Some(elapsed.to_string())),
            Err(Unread::Store(error)) => (DegradedCause::Failed, Some(service_runtime::tasks::chain(&error))),
        };
        let remembered = self.listeners.remembered(world, user);
        self.metrics.profile_read(if remembered.is_some() { ProfileRead::Unchecked } else { ProfileRead::Failed });
        if let Some(error) = error {
            let with = if remembered.is_some() { "what is in memory" } else { "nothing" };
            tracing::warn!(tenant = %world.tenant, user = %user, error, with, "profile could not be read for a page");
        }
        (remembered.unwrap_or_default(), Some(cause))
    }
}

fn context_of(page: &PageQuery) -> ListenerContext {
    let popularity = |key: ItemKey| page.serving.as_ref().map_or(0.0, |serving| serving.popularity_of(key));
    context(&page.listener.profile, page.listener.recent(), page.vector.as_deref(), popularity, page.now())
}

#[async_trait]
impl Candidates for Service {
    async fn generate(&self, query: CandidateQuery, deadline: Deadline) -> Result<CandidateSet, Failure> {
        let started = Instant::now();
        let gathered = self.gather(query, deadline).await;
        self.metrics.page(gathered.as_ref().map(|_| ()).map_err(Error::code), started.elapsed());
        gathered.map_err(Failure::from)
    }
}

/// Work that must be done by its deadline.
async fn by<T>(deadline: Deadline, work: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
    match deadline::run(deadline, work).await {
        Ok(done) => done.map_err(Failure::from),
        Err(_) => Err(Error::Deadline.into()),
    }
}

impl Service {
    fn world(&self, tenant: &TenantId) -> Arc<World> {
        self.worlds.of(tenant)
    }

    /// Waits for the tenant's turn to write, then runs `write` to its end: from its commit to its effect
    /// in memory it is one piece of work, which no deadline and no caller that goes away cuts in two. A
    /// caller whose turn did not come has written nothing; one that went away later may find it written.
    async fn write<T, W>(
        &self,
        name: &'static str,
        world: &World,
        deadline: Deadline,
        write: impl FnOnce(OwnedMutexGuard<()>) -> W,
    ) -> Result<T, Failure>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let turn = by(deadline, async { Ok(Arc::clone(&world.writing).lock_owned().await) }).await?;
        let (tell, told) = oneshot::channel();
        let work = write(turn);
        let work = async move {
            // The caller may be gone.
            let _heard = tell.send(work.await);
            Ok::<(), Infallible>(())
        };
        self.tasks.spawn(name, OnFailure::Log, work.in_current_span());
        by(deadline, async { told.await.unwrap_or(Err(Error::Background)) }).await
    }
}
