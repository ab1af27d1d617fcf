//! The edge put together: what it is given, what it starts, and the way of a request through it.
//!
//! Must not know where the services run: it holds their traits.

use std::{
    collections::{BTreeMap, HashSet},
    convert::Infallible,
    net::TcpListener,
    sync::Arc,
};

use arc_swap::ArcSwap;
use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
    routing::post,
};
use contracts::{Candidates, Catalogue, Profiles, Ranking};
use event_bus::EventBus;
use service_runtime::{OnFailure, Runtime, layers::HttpServerTrace};
use shared_models::{ErrorCode, TenantId};
use tower::{ServiceBuilder, util::MapRequestLayer};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::routes;

use crate::{
    accept::{self, Acceptor},
    auth::{Guard, Keys},
    conduct::{Conductor, Shares},
    config::Config,
    cursors::Cursors,
    event_sink::EventSink,
    explain::Explainer,
    fallback::{self, Fallbacks, Snapshot},
    limits::{Admission, Bodies, Quotas},
    metrics::Metrics,
    page::DisplayCache,
    plan::{Blueprint, Shape},
    problem::Problem,
    records::{Finder, Recorder, keep},
    routes::{
        Edge, Ready,
        access::{self, ADMIN_SURFACE_MATCHED, RECOMMENDATION, SURFACE_ACTION},
        admin, docs, events, health, items, openapi, recommendations, surfaces, users,
    },
    store::Store,
    surfaces::{self as surface_files, Surfaces},
    way::{self, Way},
};

/// Why the edge does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Surfaces cannot be served.
    #[error("surfaces are not usable")]
    Surfaces(#[source] surface_files::Error),
    /// The listener cannot be served.
    #[error("cannot listen")]
    Listen(#[source] std::io::Error),
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Surfaces(error) => error.code(),
            Self::Listen(_) => ErrorCode::Unavailable,
        }
    }
}

/// What the edge is given: the services, wherever they run.
#[derive(Clone)]
pub struct Backends {
    /// Gathers candidates.
    pub candidates: Arc<dyn Candidates>,
    /// Keeps items.
    pub catalogue: Arc<dyn Catalogue>,
    /// Keeps users.
    pub profiles: Arc<dyn Profiles>,
    /// Scores and arranges.
    pub ranking: Arc<dyn Ranking>,
    /// Keeps events.
    pub bus: Arc<dyn EventBus>,
    /// Keeps records of answers, for questions about them; without it there are none.
    pub records: Option<Arc<dyn Store>>,
}

/// The edge, built and not yet serving.
pub struct App {
    router: Router,
    acceptor: Acceptor,
    openapi: utoipa::openapi::OpenApi,
}

impl App {
    /// Builds the edge and starts what runs beside requests.
    ///
    /// # Errors
    /// When surface files are wrong.
    pub fn build(config: &Config, runtime: &Runtime, backends: Backends) -> Result<Self, Error> {
        let folder = Some(config.surfaces.folder.as_path()).filter(|folder| !folder.as_os_str().is_empty());
        let surfaces = Surfaces::load(folder).map_err(Error::Surfaces)?;
        let metrics = Metrics::new(&runtime.metrics);
        let keys = Arc::new(Keys::new(&config.auth.keys));
        let serving = &config.serving;
        let shares = Shares { candidates: serving.candidates_share, ranking: serving.ranking_share };
        let display = Arc::new(DisplayCache::new(
            Arc::clone(&backends.catalogue),
            serving.display_items,
            serving.display_ttl,
            metrics.clone(),
        ));
        let limits = fallback::Limits {
            pages: serving.last_good_pages,
            page_time_to_live: serving.last_good_ttl,
            popular_items: serving.popular_items,
            popular_refresh: serving.popular_refresh,
        };
        let snapshot = Snapshot::at(&serving.snapshot, serving.snapshot_ttl, runtime, metrics.clone());
        let tenants: HashSet<TenantId> = keys.tenants().cloned().collect();
        let fallbacks = Fallbacks::start(limits, snapshot, Arc::clone(&backends.catalogue), &tenants, runtime);
        let ready: BTreeMap<_, _> = surfaces
            .all()
            .enumerate()
            .map(|(number, served)| {
                let budget = shares.source_budget(served.surface.budget);
                let blueprint = |shape| Blueprint::compile(&served.surface, shape, budget);
                let ready = Ready {
                    served: Arc::clone(served),
                    page: blueprint(Shape::Page),
                    flat: blueprint(Shape::Flat),
                    kind: number * 2,
                };
                (served.surface.surface.clone(), ready)
            })
            .collect();

        let limits = &config.limits;
        let admission = Arc::new(Admission::new(limits, ready.len() * 2, &tenants, metrics.clone()));
        admission.start(limits, runtime);
        if let Some(store) = &backends.records {
            keep::start(Arc::clone(&backends.bus), store, config.store.keep, runtime);
        }
        let (routes, openapi) = declared();
        let edge = Arc::new(Edge {
            ready,
            surfaces,
            admission: Arc::clone(&admission),
            conductor: Conductor {
                candidates: Arc::clone(&backends.candidates),
                ranking: Arc::clone(&backends.ranking),
                display: Arc::clone(&display),
                fallbacks,
                shares,
            },
            recorder: Recorder::start(
                Arc::clone(&backends.bus),
                config.bus.partitions,
                &config.records,
                runtime,
                metrics.clone(),
            ),
            finder: Finder::new(backends.records.clone(), config.store.keep, Arc::clone(&runtime.clock)),
            explainer: Explainer {
                candidates: backends.candidates,
                catalogue: Arc::clone(&backends.catalogue),
                ranking: backends.ranking,
                display: Arc::clone(&display),
            },
            cursors: Cursors::new(&config.cursors),
            catalogue: backends.catalogue,
            profiles: backends.profiles,
            display,
            events: EventSink::new(backends.bus, &config.events, config.bus.partitions, runtime),
            clock: Arc::clone(&runtime.clock),
            health: runtime.health.clone(),
            metrics: metrics.clone(),
            call_budget: serving.call_timeout,
            documents: docs::Documents::new(&openapi),
        });
        let quotas = Arc::new(Quotas::new(&config.quota, keys.callers(), metrics.clone()));
        let keys = Arc::new(ArcSwap::from(keys));
        follow_keys(&keys, &quotas, tenants, runtime);
        let way = Way {
            quotas,
            bodies: Bodies::new(limits, metrics.clone()),
            admission,
            limit: limits.request_timeout,
            guard: Guard { keys, clock: Arc::clone(&runtime.clock) },
            metrics: metrics.clone(),
        };
        let router = layered(routes.with_state(edge), way, config.http.trust_traceparent);
        let component = runtime.health.component("edge");
        component.ready();
        let acceptor = Acceptor { http: config.http.clone(), runtime: runtime.clone(), metrics };
        Ok(Self { router, acceptor, openapi })
    }

    /// The edge as a service, for tests that need no socket.
    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// The OpenAPI document.
    #[must_use]
    pub fn openapi(&self) -> &utoipa::openapi::OpenApi {
        &self.openapi
    }

    /// Serves until the runtime's work is asked to stop, then finishes what is in hand.
    ///
    /// # Errors
    /// When the listener cannot be served.
    pub async fn serve(self, listener: TcpListener) -> Result<(), Error> {
        accept::serve(self.acceptor, self.router, listener).await.map_err(Error::Listen)
    }
}

/// Takes over the keys of a configuration that is read again: a key that is gone opens nothing from then on.
fn follow_keys(keys: &Arc<ArcSwap<Keys>>, quotas: &Arc<Quotas>, tenants: HashSet<TenantId>, runtime: &Runtime) {
    let (keys, quotas) = (Arc::clone(keys), Arc::clone(quotas));
    let mut follow = runtime.reloads.follow::<Config>();
    let stop = runtime.tasks.intake.token();
    runtime.tasks.intake.spawn("follow-keys", OnFailure::Stop, async move {
        while let Some(Some(config)) = stop.run_until_cancelled(follow.next()).await {
            // What the edge keeps for each tenant is made at the start.
            let (next, left_out) = Keys::new(&config.auth.keys).only_of(&tenants);
            for tenant in left_out {
                tracing::warn!(%tenant, "the keys of a tenant that had none open nothing before the next start");
            }
            quotas.serve(next.callers());
            keys.store(Arc::new(next));
        }
        Ok::<(), Infallible>(())
    });
}

/// Every route of `access::ROUTES`, and its documentation.
fn declared() -> (Router<Arc<Edge>>, utoipa::openapi::OpenApi) {
    let (router, mut document) = openapi::router()
        .routes(routes!(surfaces::similar))
        .routes(routes!(events::send))
        .routes(routes!(items::put, items::get, items::delete))
        .routes(routes!(items::batch))
        .routes(routes!(users::put, users::get))
        .routes(routes!(recommendations::list))
        .routes(routes!(recommendations::get))
        .routes(routes!(recommendations::explain))
        .routes(routes!(recommendations::explain_item))
        .routes(routes!(admin::list))
        .routes(routes!(docs::openapi))
        .routes(routes!(docs::surface_schema))
        .routes(routes!(docs::page))
        .routes(routes!(docs::style))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .split_for_parts();
    // The router matches whole segments: these are documented under their templates.
    let router = router
        .route(SURFACE_ACTION, post(surfaces::dispatch))
        .route(RECOMMENDATION, post(recommendations::replay))
        .route(ADMIN_SURFACE_MATCHED, axum::routing::get(admin::get));
    openapi::complete(&mut document);
    (router, document)
}

/// The routes within what stands around them, from the outside in.
fn layered(routes: Router<()>, way: Way, trust_traceparent: bool) -> Router {
    let way = Arc::new(way);
    let routes = routes.fallback(no_route).method_not_allowed_fallback(no_route);
    let trace = HttpServerTrace::new("edge-api");
    let trace = if trust_traceparent { trace } else { trace.linking_callers() };
    routes.layer(
        ServiceBuilder::new()
            // A name for the route, for the trace, the metrics and the guard.
            .layer(MapRequestLayer::new(access::name))
            // What there is no seat for goes no further.
            .layer(middleware::from_fn_with_state(Arc::clone(&way), way::glance))
            // The server's span: everything below is inside it.
            .layer(trace)
            // Who may come in, and how an answer comes out.
            .layer(middleware::from_fn_with_state(way, way::lead))
            // A panic is an answer, not a closed connection.
            .layer(CatchPanicLayer::custom(panicked)),
    )
}

async fn no_route() -> Problem {
    Problem::not_found("route_not_found", "nothing answers this path; see /docs")
}

#[expect(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Problem::internal(format!("panic: {}", text.unwrap_or("without a message"))).into_response()
}
