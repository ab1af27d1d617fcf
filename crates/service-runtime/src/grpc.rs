//! How a gRPC server and a gRPC channel of ours are set up: limits, health, reflection, traces, deadlines.
//!
//! This file must not know any service; a service hands over its [`Services`].

use std::{convert::Infallible, net::TcpListener, time::Duration};

use http::Uri;
use serde::{Deserialize, Serialize};
use shared_models::ErrorCode;
use tokio_util::sync::CancellationToken;
use tonic::{
    Request,
    body::Body,
    server::NamedService,
    service::Routes,
    transport::{Channel, Endpoint, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::{Layer as _, Service};

use crate::{
    Deadline, Health, OnFailure, Runtime, client,
    config::{Problem, Validate},
    layers::{GrpcClient, GrpcClientTrace, GrpcServerTrace},
    metrics::Metrics,
    pulse::Pulse,
};

/// A channel whose calls are traced and carry the deadline; generated clients take it as it is.
pub type TracedChannel = GrpcClient<client::Channel>;

/// How long a server lets a lost connection go unnoticed: a ping each interval, and this long for its answer.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// The same for a client, which has calls that wait: where a network is cut, or a process stopped, no reset comes.
const CLIENT_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(2);
const CLIENT_KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Flow-control windows. A page's candidates take one or two hundred kilobytes: they must not wait for an update.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;

/// The limits of a server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// How many calls one connection may have open.
    pub max_concurrent_streams: u32,
    /// How large the headers of a call may be, in bytes.
    pub max_header_bytes: u32,
    /// How many resets a client may leave unread before its connection is closed (rapid reset).
    pub max_pending_resets: usize,
    /// When a connection is asked to go, so that clients spread over new instances.
    #[serde(with = "humantime_serde")]
    pub max_connection_age: Duration,
    /// The longest a call may take, whatever the caller says.
    #[serde(with = "humantime_serde")]
    pub max_call: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 512,
            max_header_bytes: 16 * 1024,
            max_pending_resets: 20,
            max_connection_age: Duration::from_secs(300),
            max_call: Duration::from_secs(30),
        }
    }
}

impl Validate for Limits {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.max_concurrent_streams == 0 {
            problems.push(Problem::new("max_concurrent_streams", 0, "at least 1"));
        }
        if self.max_header_bytes < 4_096 {
            problems.push(Problem::new("max_header_bytes", self.max_header_bytes, "at least 4096"));
        }
        for (key, given) in [("max_connection_age", self.max_connection_age), ("max_call", self.max_call)] {
            if given.is_zero() {
                problems.push(Problem::new(key, "0s", "more than nothing, such as \"30s\""));
            }
        }
        problems
    }
}

/// A server or channel could not be set up or broke down.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The endpoint is not a URL.
    #[error("endpoint {endpoint} is not a URL such as http://localhost:7101")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: http::uri::InvalidUri,
    },
    /// The endpoint cannot be used.
    #[error("endpoint {endpoint} cannot be used")]
    Channel {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: tonic::transport::Error,
    },
    /// The places of a dependency do not parse.
    #[error("places of a dependency do not parse")]
    Places {
        /// Which one, and what is expected.
        #[from]
        source: client::Malformed,
    },
    /// The descriptors of the services do not parse.
    #[error("service descriptors cannot be read")]
    Descriptors {
        /// What is wrong with them.
        #[source]
        source: tonic_reflection::server::Error,
    },
    /// The listener cannot be used.
    #[error("listener cannot be used")]
    Listener {
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server broke down.
    #[error("gRPC server failed")]
    Serve {
        /// Why.
        #[source]
        source: tonic::transport::Error,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Endpoint { .. } | Self::Channel { .. } | Self::Places { .. } => ErrorCode::InvalidArgument,
            Self::Descriptors { .. } | Self::Serve { .. } => ErrorCode::Internal,
            Self::Listener { .. } => ErrorCode::Unavailable,
        }
    }
}

/// What a server offers: generated services and their descriptors.
#[derive(Clone, Debug, Default)]
pub struct Services {
    routes: Routes,
    names: Vec<&'static str>,
    descriptors: Vec<&'static [u8]>,
}

impl Services {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a generated service. Its message size limits are its own (see `contracts`).
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "a list is added to; nobody takes it for arithmetic")]
    pub fn add<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Error = Infallible> + NamedService + Clone + Send + Sync + 'static,
        S::Response: axum::response::IntoResponse,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes = self.routes.add_service(service);
        self
    }

    /// Adds an encoded file descriptor set for reflection.
    #[must_use]
    pub fn describe(mut self, descriptors: &'static [u8]) -> Self {
        self.descriptors.push(descriptors);
        self
    }
}

/// A gRPC server on a port that is already bound.
#[derive(Debug)]
pub struct Server {
    component: &'static str,
    listener: TcpListener,
    services: Services,
    limits: Limits,
    runtime: Runtime,
}

impl Server {
    /// A server of `services` for `component`, on a listener from [`crate::listen::bind`].
    #[must_use]
    pub fn new(
        component: &'static str,
        listener: TcpListener,
        services: Services,
        limits: Limits,
        runtime: &Runtime,
    ) -> Self {
        Self { component, listener, services, limits, runtime: runtime.clone() }
    }

    /// Serves until `stop`; then takes no new connection, finishes the calls in hand and returns.
    ///
    /// # Errors
    /// When the listener or the descriptors cannot be used, or the server breaks down.
    pub async fn serve_until(self, stop: CancellationToken) -> Result<(), Error> {
        let Self { component, listener, services, limits, runtime } = self;
        let mut reflection = tonic_reflection::server::Builder::configure();
        for descriptors in &services.descriptors {
            reflection = reflection.register_encoded_file_descriptor_set(descriptors);
        }
        let reflection = reflection.build_v1().map_err(|source| Error::Descriptors { source })?;
        let (reporter, health) = tonic_health::server::health_reporter();
        let names = services.names;
        let follow = follow(runtime.health.clone(), reporter, names, stop.clone());
        runtime.tasks.observers.spawn("grpc health", OnFailure::Log, async move {
            follow.await;
            Ok::<(), Infallible>(())
        });
        let pulse = Pulse::new();
        let observers = &runtime.tasks.observers;
        observers.spawn("pulse", OnFailure::Log, pulse.clone().beat_until(observers.token()));
        // Only the services are traced: a probe every second is no trace worth keeping.
        let trace = GrpcServerTrace::new(component).with_metrics(&runtime.metrics).with_pulse(pulse);
        let traced = services.routes.into_axum_router().layer(trace);
        let routes = Routes::from(traced).add_service(health).add_service(reflection);
        let listener = tokio::net::TcpListener::from_std(listener).map_err(|source| Error::Listener { source })?;
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(KEEP_ALIVE_INTERVAL));
        tonic::transport::Server::builder()
            .timeout(limits.max_call)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(limits.max_concurrent_streams)
            .http2_max_header_list_size(limits.max_header_bytes)
            .http2_max_pending_accept_reset_streams(Some(limits.max_pending_resets))
            .http2_keepalive_interval(Some(KEEP_ALIVE_INTERVAL))
            .http2_keepalive_timeout(Some(KEEP_ALIVE_TIMEOUT))
            .max_connection_age(limits.max_connection_age)
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
            .await
            .map_err(|source| Error::Serve { source })
    }
}

/// Tells gRPC health checks what the process says of itself, for the server as a whole and for each service.
async fn follow(health: Health, reporter: HealthReporter, names: Vec<&'static str>, stop: CancellationToken) {
    let mut ready = health.watch();
    loop {
        let status = if *ready.borrow_and_update() { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in std::iter::once("").chain(names.iter().copied()) {
            reporter.set_service_status(name, status).await;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = ready.changed() => if changed.is_err() { return },
        }
    }
}

/// A channel to `endpoint`, such as `http://localhost:7101`. It connects on first use and again after a loss.
///
/// # Errors
/// When the endpoint is not a URL.
pub fn channel(endpoint: &str) -> Result<TracedChannel, Error> {
    traced(endpoint, GrpcClientTrace::new)
}

/// [`channel`], measured.
///
/// # Errors
/// As [`channel`].
pub fn measured_channel(endpoint: &str, metrics: &Metrics) -> Result<TracedChannel, Error> {
    traced(endpoint, |host, port| GrpcClientTrace::new(host, port).with_metrics(metrics))
}

fn traced(endpoint: &str, layer: impl FnOnce(String, u16) -> GrpcClientTrace) -> Result<TracedChannel, Error> {
    let (connection, host, port) = connection(endpoint)?;
    Ok(layer(host, port).layer(client::Channel::direct(connection)))
}

/// A connection to `endpoint`, its host and its port. It is made on first use and again after a loss.
pub(crate) fn connection(endpoint: &str) -> Result<(Channel, String, u16), Error> {
    let uri: Uri = endpoint.parse().map_err(|source| Error::Endpoint { endpoint: endpoint.to_owned(), source })?;
    let host = uri.host().unwrap_or_default().to_owned();
    let port = uri.port_u16().unwrap_or_else(|| if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let connection = Endpoint::new(uri)
        .map_err(|source| Error::Channel { endpoint: endpoint.to_owned(), source })?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(CLIENT_KEEP_ALIVE_INTERVAL))
        .http2_keep_alive_interval(CLIENT_KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(CLIENT_KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .connect_lazy();
    Ok((connection, host, port))
}

/// The caller's deadline, or `default` from now when it gave none.
#[must_use]
pub fn deadline_of<T>(request: &Request<T>, default: Duration) -> Deadline {
    request.extensions().get::<Deadline>().copied().unwrap_or_else(|| Deadline::within(default))
}

/// A request whose answer must stand by `deadline`.
#[must_use]
pub fn with_deadline<T>(message: T, deadline: Deadline) -> Request<T> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(deadline);
    request
}

/// [`with_deadline`], for what may be worked on twice because it only reads.
#[must_use]
pub fn repeatable<T>(message: T, deadline: Deadline) -> Request<T> {
    let mut request = with_deadline(message, deadline);
    request.extensions_mut().insert(client::Repeatable);
    request
}
