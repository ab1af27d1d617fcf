//! Calling another service so that its failures stay its own: several endpoints, a breaker, and retries within a budget.
//!
//! ```text
//! a call -> breaker -> the less busy of two fit endpoints -> attempt -> an answer
//!             |                                                 |
//!             | open: refused at once                           | not sent, or repeatable and paid for:
//!             v                                                 v another attempt, elsewhere if there is one
//! ```
//!
//! | what happens | what follows |
//! |---|---|
//! | an endpoint cannot be connected, or says that it does not serve | it is not chosen while another can be |
//! | an endpoint fails in a row, or too large a share of its calls | it is ejected for a while, at most half of all |
//! | nothing succeeds, or too large a share of all calls fails | the breaker opens; single probes find out when it may close |
//! | a connection closes before a request was looked at | it is sent again, whatever it asks for |
//! | a connection breaks during a call, a replica refuses it | it is sent again if it is [`Repeatable`] and the budget allows |
//! | a deadline passes | it is not sent again: there is no time |
//!
//! Places are written as [`connect`] takes them. These files must not know any service or method.

mod attempt;
mod body;
mod breaker;
mod budget;
mod call;
mod circuit;
mod config;
mod dependency;
mod endpoint;
mod fault;
mod guard;
mod metrics;
mod pool;
mod resolve;
mod target;
mod watch;
mod window;

use std::{
    error::Error as StdError,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::body::Body as TonicBody;
use tower::{Layer as _, Service};

pub use body::Body;
pub use config::Config;
pub use guard::{Guard, Open, Unanswered};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use target::{EXPECTED, Malformed, check};

use dependency::Dependency;

use crate::{
    OnFailure, Runtime,
    grpc::{self, TracedChannel},
    layers::GrpcClientTrace,
};

/// The metadata key under which a status of ours says its stable reason.
pub const REASON_KEY: &str = "setlist-reason";
/// The metadata key under which a status of ours says when to come back, in milliseconds: the one gRPC's retry design
/// (A6) names, so that other clients understand it too.
pub const RETRY_AFTER_KEY: &str = "grpc-retry-pushback-ms";
/// The reason of a call that an open breaker refused.
pub const CIRCUIT_OPEN: &str = "circuit_open";

/// Put into a request's extensions, says that it may be worked on twice: it only reads.
#[derive(Clone, Copy, Debug)]
pub struct Repeatable;

/// What an attempt or a call says of who was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// It answered: also when the answer is that the caller is wrong, or asks too much.
    Answered,
    /// It failed, or did not answer in fair time.
    Failed,
    /// Nothing: the caller left, or nothing was sent.
    Unsaid,
}

/// A channel to the dependency `name`, whose endpoints are at `places`.
///
/// Places are joined with commas. `http://10.0.0.1:7101` is one endpoint; a name in it is resolved for each connection,
/// and one of its addresses is used until the connection ends. `dns://ranking.internal:7102` is an endpoint for each
/// address of the name, which is resolved again and again.
///
/// It waits for the first look-up of a name, but no longer than a second: a process starts without its dependencies.
///
/// # Errors
/// When a place does not parse.
pub async fn connect(
    name: &'static str,
    places: &str,
    config: &Config,
    runtime: &Runtime,
) -> Result<TracedChannel, grpc::Error> {
    connect_by(Arc::new(SystemResolver), name, places, config, runtime).await
}

/// [`connect`] with a resolver that is given.
///
/// # Errors
/// As [`connect`].
pub async fn connect_by(
    resolver: Arc<dyn Resolve>,
    name: &'static str,
    places: &str,
    config: &Config,
    runtime: &Runtime,
) -> Result<TracedChannel, grpc::Error> {
    let targets = target::parse(places)?;
    let metrics = metrics::ClientMetrics::new(&runtime.metrics, name);
    let health = runtime.health.component(format!("client.{name}"));
    let dependency = Arc::new(Dependency::new(name, config.clone(), metrics, health));
    let watch = watch::Watch::begin(Arc::clone(&dependency), targets, resolver).await?;
    // Calls are made until the work is drained: the watch belongs to those who stay longer.
    let observers = &runtime.tasks.observers;
    observers.spawn("endpoints", OnFailure::Log, watch.follow(observers.token()));
    Ok(GrpcClientTrace::default().with_metrics(&runtime.metrics).layer(Channel(Kind::Balanced(dependency))))
}

/// A way to a service: one connection, or a dependency with everything around it.
#[derive(Clone, Debug)]
pub struct Channel(Kind);

#[derive(Clone)]
enum Kind {
    Direct(tonic::transport::Channel),
    Balanced(Arc<Dependency>),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(_) => f.write_str("Direct"),
            Self::Balanced(dependency) => dependency.fmt(f),
        }
    }
}

impl Channel {
    /// One connection and nothing around it, for tools, tests and the loopback interface.
    pub(crate) fn direct(channel: tonic::transport::Channel) -> Self {
        Self(Kind::Direct(channel))
    }
}

impl Service<Request<TonicBody>> for Channel {
    type Response = Response<Body>;
    /// A status, or what the transport says.
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &mut self.0 {
            Kind::Direct(channel) => channel.poll_ready(cx).map_err(Into::into),
            // An endpoint is chosen, and waited for, when there is a request.
            Kind::Balanced(_) => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, request: Request<TonicBody>) -> Self::Future {
        match &mut self.0 {
            Kind::Direct(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { Ok(answer.await?.map(Body::plain)) })
            }
            Kind::Balanced(dependency) => {
                let answer = Arc::clone(dependency).call(request);
                Box::pin(async move { Ok(answer.await?) })
            }
        }
    }
}

/// `span`, a quarter more or less.
fn jittered(span: u64) -> u64 {
    span.saturating_sub(span / 4).saturating_add(rand::random_range(0..=span / 2))
}
