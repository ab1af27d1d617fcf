//! The edge put together: what it is given, what it starts, and the way of a request through it.
//!
//! Must not know where the services run: it holds their traits.

use std::{convert::Infallible, net::TcpListener, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use contracts::{Candidates, Catalogue, Profiles, Ranking};
use event_bus::EventBus;
use service_runtime::{Runtime, layers::HttpServerTrace};
use shared_models::ErrorCode;
use tokio::sync::Semaphore;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa_axum::routes;

use crate::{
    accept::{self, Acceptor},
    auth::{Guard, Keys, authorise},
    conduct::{Conductor, Shares},
    config::Config,
    fallback::{self, Fallbacks},
    metrics::Metrics,
    page::DisplayCache,
    plan::{Blueprint, Shape},
    problem::{self, Problem},
    records::Recorder,
    request_id,
    routes::{
        Edge, Ready,
        access::{self, ADMIN_SURFACE_MATCHED, SURFACE_ACTION},
        admin, docs, events, health, items, openapi, surfaces, users,
    },
    surfaces::{self as surface_files, Surfaces},
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
        let fallbacks =
            Fallbacks::start(limits, Arc::clone(&backends.catalogue), keys.tenants().cloned().collect(), runtime);
        let ready = surfaces
            .all()
            .map(|served| {
                let budget = shares.source_budget(served.surface.budget);
                let blueprint = |shape| Blueprint::compile(&served.surface, shape, budget);
                let ready =
                    Ready { served: Arc::clone(served), page: blueprint(Shape::Page), flat: blueprint(Shape::Flat) };
                (served.surface.surface.clone(), ready)
            })
            .collect();

        let (routes, openapi) = declared();
        let edge = Arc::new(Edge {
            ready,
            surfaces,
            conductor: Conductor {
                candidates: backends.candidates,
                ranking: backends.ranking,
                display: Arc::clone(&display),
                fallbacks,
                shares,
            },
            recorder: Recorder::start(
                Arc::clone(&backends.bus),
                config.bus.partitions,
                config.records.queue,
                config.records.complete_share,
                runtime,
                metrics.clone(),
            ),
            catalogue: backends.catalogue,
            profiles: backends.profiles,
            display,
            events: events::EventSink::new(backends.bus, &config.events, config.bus.partitions, runtime),
            clock: Arc::clone(&runtime.clock),
            health: runtime.health.clone(),
            metrics: metrics.clone(),
            call_budget: serving.call_timeout,
            documents: docs::Documents::new(&openapi),
        });
        let guard = Guard { keys, clock: Arc::clone(&runtime.clock) };
        let router = layered(routes.with_state(edge), config, guard, metrics.clone());
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

/// Every route of `access::ROUTES`, and its documentation.
fn declared() -> (Router<Arc<Edge>>, utoipa::openapi::OpenApi) {
    let (router, mut document) = openapi::router()
        .routes(routes!(surfaces::similar))
        .routes(routes!(events::send))
        .routes(routes!(items::put, items::get, items::delete))
        .routes(routes!(items::batch))
        .routes(routes!(users::put, users::get))
        .routes(routes!(admin::list))
        .routes(routes!(docs::openapi))
        .routes(routes!(docs::surface_schema))
        .routes(routes!(docs::page))
        .routes(routes!(docs::style))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .split_for_parts();
    // The router matches whole segments: these two are documented under their templates.
    let router = router
        .route(SURFACE_ACTION, post(surfaces::dispatch))
        .route(ADMIN_SURFACE_MATCHED, axum::routing::get(admin::get));
    openapi::complete(&mut document);
    (router, document)
}

/// The way of a request, from the outside in.
fn layered(routes: Router<()>, config: &Config, guard: Guard, metrics: Metrics) -> Router {
    let routes = routes.fallback(no_route).method_not_allowed_fallback(no_route);
    let admission =
        Admission { permits: Arc::new(Semaphore::new(config.limits.concurrency)), metrics: metrics.clone() };
    let trace = HttpServerTrace::new("edge-api");
    let trace = if config.http.trust_traceparent { trace } else { trace.linking_callers() };
    routes.layer(
        ServiceBuilder::new()
            // A name for the route, for the trace, the metrics and the guard.
            .layer(middleware::from_fn(access::name))
            // The server's span: everything below is inside it.
            .layer(trace)
            // The trace id becomes the request's id, in every answer.
            .layer(middleware::from_fn(request_id::identify))
            // Counts and times everything that gets an answer, refusals too.
            .layer(middleware::from_fn_with_state(metrics, measured))
            // Every refusal below becomes a body here, and only here.
            .layer(middleware::from_fn(problem::render))
            // A panic is an answer, not a closed connection.
            .layer(CatchPanicLayer::custom(panicked))
            // More than we can do is refused at once: a queue would only make everybody late.
            .layer(middleware::from_fn_with_state(admission, admitted))
            // Nobody waits for ever, whatever hangs below: slow bodies count.
            .layer(middleware::from_fn_with_state(config.limits.request_timeout, timed))
            // A body is cut off before it fills memory.
            .layer(DefaultBodyLimit::max(config.limits.body_bytes))
            // Nothing below runs for a caller without the route's scope.
            .layer(middleware::from_fn_with_state(guard, authorise)),
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

async fn measured(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<access::RouteTemplate>().map_or("none", |template| template.0);
    let began = std::time::Instant::now();
    let response = next.run(request).await;
    metrics.request(route, response.status(), began.elapsed());
    response
}

#[derive(Clone)]
struct Admission {
    permits: Arc<Semaphore>,
    metrics: Metrics,
}

async fn admitted(State(admission): State<Admission>, request: Request, next: Next) -> Response {
    // A probe must tell a busy process from a dead one.
    if let Some(access::RouteTemplate("/livez" | "/readyz")) = request.extensions().get() {
        return next.run(request).await;
    }
    match admission.permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => {
            admission.metrics.shed();
            Problem::new(ErrorCode::ResourceExhausted, "overloaded", "too many requests at once")
                .retry_after(Duration::from_secs(1))
                .into_response()
        }
    }
}

async fn timed(State(limit): State<Duration>, request: Request, next: Next) -> Result<Response, Infallible> {
    let answer = tokio::time::timeout(limit, next.run(request)).await;
    Ok(answer.unwrap_or_else(|_| {
        Problem::new(ErrorCode::DeadlineExceeded, "request_timeout", "the request took too long").into_response()
    }))
}
