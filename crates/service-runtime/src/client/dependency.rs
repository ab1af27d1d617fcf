//! A dependency as its callers see it: the breaker in front, the endpoints behind, and between them the decision
//! whether a failed attempt is followed by another.
//!
//! What a second attempt needs: time, and that it does no harm. A request that was never sent, or never looked at, can
//! always be sent again; one that may have been worked on only if its caller said that it is [`Repeatable`]. What the
//! server's side has not looked at costs nothing; everything else is paid for from the budget. This file must not know
//! any method.

use std::{error::Error as StdError, future::poll_fn, sync::Arc, time::Duration};

use http::{Request, Response};
use tonic::{Code, Status, body::Body as TonicBody, metadata::MetadataValue};
use tower::Service as _;
use tracing::Span;

use super::{
    Body, Outcome, Repeatable,
    attempt::Attempt,
    body::Outgoing,
    breaker::Pass,
    budget::Budget,
    call::Call,
    circuit::Circuit,
    config::Config,
    endpoint::{Endpoint, Reach},
    fault::Fault,
    metrics::ClientMetrics,
    pool::Pool,
};
use crate::{Deadline, grpc, health, layers::grpc_timeout};

/// The least time that is worth another attempt.
const LEAST_TIME: Duration = Duration::from_millis(5);

/// A dependency. Its channels share it.
pub(super) struct Dependency {
    pub(super) circuit: Circuit,
    pub(super) config: Config,
    pub(super) pool: Pool,
    budget: Budget,
    health: health::Component,
}

impl std::fmt::Debug for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dependency").field("name", &self.circuit.name).field("pool", &self.pool).finish_non_exhaustive()
    }
}

/// A request's head, for as many attempts as it takes.
struct Head {
    request: http::request::Parts,
    deadline: Option<Deadline>,
}

/// What may still be tried.
struct Chances {
    /// One more attempt at what was not sent, or not looked at: it costs nobody anything.
    free: bool,
    /// One more attempt that is paid for.
    paid: bool,
}

impl Dependency {
    pub(super) fn new(name: &'static str, config: Config, metrics: ClientMetrics, health: health::Component) -> Self {
        let circuit = Circuit::new(name, &config, metrics);
        let budget = Budget::new(config.retry_share, config.retry_floor);
        // A dependency that is away degrades pages; it does not make this process unfit for traffic.
        health.ready();
        Self { circuit, pool: Pool::default(), budget, health, config }
    }

    /// An endpoint at `key`, a URL.
    pub(super) fn endpoint(&self, key: String) -> Result<Endpoint, grpc::Error> {
        let (channel, host, port) = grpc::connection(&key)?;
        Ok(Endpoint::new(key, host, port, channel, &self.config))
    }

    /// Makes a call.
    pub(super) async fn call(self: Arc<Self>, request: Request<TonicBody>) -> Result<Response<Body>, Status> {
        let pass = self.circuit.admit().map_err(|wait| self.refuse(wait))?;
        self.budget.deposit();
        let (request, body) = request.into_parts();
        let deadline = request.extensions.get::<Deadline>().copied();
        let repeatable = request.extensions.get::<Repeatable>().is_some();
        let mut head = Head { request, deadline };
        let mut call = Call::begin(&self, pass, deadline);
        // A request that cannot be had says nothing of who would have got it: the call is dropped.
        let mut body = Outgoing::read(body)?;
        let mut chances = Chances { free: true, paid: true };
        let mut tried = None;
        loop {
            let Some(endpoint) = self.pool.pick(tried.as_ref(), self.circuit.now()) else {
                call.end(Outcome::Failed);
                return Err(Status::unavailable(format!("{}: no endpoint is known", self.circuit.name)));
            };
            call.attempt(&endpoint);
            let again = body.is_whole();
            let attempt = Attempt::begin(&self, Arc::clone(&endpoint), deadline);
            let request = head.next(again, tried.is_some()).map(|()| body.take());
            let fault = match send(&endpoint, request).await {
                Ok(answer) => {
                    let Some(status) = answer.headers().get("grpc-status") else {
                        return Ok(answer.map(|body| Body::ending(body, attempt, call)));
                    };
                    let code = Code::from_bytes(status.as_bytes());
                    let outcome = attempt.end(code);
                    // A replica that says so at once may have siblings that can.
                    let elsewhere = code == Code::Unavailable && again && repeatable;
                    if elsewhere && self.may_pay(&mut chances, &endpoint, true, deadline) {
                        tried = Some(endpoint);
                        continue;
                    }
                    call.end(outcome);
                    return Ok(answer.map(Body::plain));
                }
                Err(error) => Fault::of(error.as_ref()),
            };
            let (outcome, retried) = match fault {
                Fault::Overdue => (attempt.end(Code::DeadlineExceeded), false),
                Fault::Unreachable => {
                    endpoint.reached(Reach::Away);
                    (attempt.end(Code::Unavailable), again && self.may_repeat(&mut chances, &endpoint, true, deadline))
                }
                Fault::Unprocessed => {
                    attempt.forget();
                    (Outcome::Failed, again && self.may_repeat(&mut chances, &endpoint, false, deadline))
                }
                Fault::Broken => {
                    let paid = again && repeatable && self.may_pay(&mut chances, &endpoint, false, deadline);
                    (attempt.end(Code::Unavailable), paid)
                }
            };
            if !retried {
                call.end(outcome);
                return Err(fault.status(self.circuit.name));
            }
            tried = Some(endpoint);
        }
    }

    /// Whether what was not sent, or not looked at, can be tried again: once for nothing, then it is paid for.
    fn may_repeat(
        &self,
        chances: &mut Chances,
        failed: &Arc<Endpoint>,
        elsewhere: bool,
        end: Option<Deadline>,
    ) -> bool {
        if !std::mem::take(&mut chances.free) {
            return self.may_pay(chances, failed, elsewhere, end);
        }
        let can = self.can_follow(failed, elsewhere, end);
        if can {
            self.circuit.metrics.retried.inc();
        }
        can
    }

    /// Whether another attempt can be made and paid for.
    fn may_pay(&self, chances: &mut Chances, failed: &Arc<Endpoint>, elsewhere: bool, end: Option<Deadline>) -> bool {
        if !std::mem::take(&mut chances.paid) || !self.can_follow(failed, elsewhere, end) {
            return false;
        }
        let paid = self.budget.withdraw(self.circuit.now());
        if paid {
            self.circuit.metrics.retried.inc();
        } else {
            self.circuit.metrics.budget_exhausted.inc();
        }
        paid
    }

    /// Whether there is time for another attempt and, where it must go `elsewhere`, somewhere to go.
    fn can_follow(&self, failed: &Arc<Endpoint>, elsewhere: bool, end: Option<Deadline>) -> bool {
        if end.is_some_and(|end| end.remaining() < LEAST_TIME) {
            self.circuit.metrics.no_time.inc();
            return false;
        }
        let nowhere = || self.pool.pick(Some(failed), self.circuit.now()).is_none_or(|next| Arc::ptr_eq(&next, failed));
        if elsewhere && nowhere() {
            self.circuit.metrics.no_other_endpoint.inc();
            return false;
        }
        true
    }

    fn refuse(&self, wait: Duration) -> Status {
        Span::current().record("setlist.breaker", "open");
        let text = format!("{}: circuit open, next probe in {} ms", self.circuit.name, wait.as_millis());
        let mut status = Status::unavailable(text);
        status.metadata_mut().insert(super::REASON_KEY, MetadataValue::from_static(super::CIRCUIT_OPEN));
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        status.metadata_mut().insert(super::RETRY_AFTER_KEY, MetadataValue::from(wait));
        status
    }

    /// An attempt at `endpoint` ended.
    pub(super) fn attempted(&self, endpoint: &Endpoint, outcome: Outcome) {
        let now = self.circuit.now();
        if endpoint.record(outcome, now, &self.config) && self.pool.eject(endpoint, now, &self.config) {
            self.circuit.breaker.spare();
            self.circuit.metrics.ejections.inc();
            self.circuit.metrics.endpoints(self.pool.counted(now));
            tracing::warn!(dependency = self.circuit.name, endpoint = endpoint.key, "endpoint is ejected");
        }
    }

    /// A call ended.
    pub(super) fn called(&self, pass: Pass, outcome: Outcome) {
        if self.circuit.ended(pass, outcome) {
            self.tell();
        }
    }

    /// Tells operators how things stand.
    pub(super) fn tell(&self) {
        let counted = self.pool.counted(self.circuit.now());
        self.circuit.metrics.endpoints(counted);
        let state = self.circuit.breaker.state();
        // Two changes at once may have been written in the wrong order.
        self.circuit.metrics.breaker(state, false);
        self.health.detail(format!(
            "circuit {}, {} of {} endpoints usable, {} ejected",
            state.as_str(),
            counted.usable,
            counted.known,
            counted.ejected
        ));
    }
}

impl Head {
    /// The head for the next attempt; a copy where there may be another one. A later attempt gets the time that is left.
    fn next(&mut self, again: bool, later: bool) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = self.request.method.clone();
        *request.uri_mut() = self.request.uri.clone();
        *request.version_mut() = self.request.version;
        *request.headers_mut() =
            if again { self.request.headers.clone() } else { std::mem::take(&mut self.request.headers) };
        if let Some(deadline) = self.deadline.filter(|_| later) {
            grpc_timeout::give(request.headers_mut(), deadline);
        }
        request
    }
}

async fn send(
    endpoint: &Endpoint,
    request: Request<TonicBody>,
) -> Result<Response<TonicBody>, Box<dyn StdError + Send + Sync>> {
    let mut channel = endpoint.channel.clone();
    poll_fn(|cx| channel.poll_ready(cx)).await?;
    Ok(channel.call(request).await?)
}
