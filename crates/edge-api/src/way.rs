//! The way of a request, from the outside in: one function, so that the order can be read.
//!
//! Outside of it stand the route's name and the server's span; inside, a net for panics and the handlers. Must not know
//! any route.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use shared_models::ErrorCode;

use crate::{
    auth::{Caller, Guard},
    limits::{Admission, Allowance, Bodies, Class, Quotas, Waited, Worked},
    metrics::Metrics,
    problem::{self, Problem},
    request_id::RequestId,
    routes::access::RouteTemplate,
};

/// Everything that stands in the way of a request.
pub(crate) struct Way {
    pub(crate) guard: Guard,
    pub(crate) quotas: Arc<Quotas>,
    pub(crate) bodies: Bodies,
    pub(crate) admission: Arc<Admission>,
    /// The longest that a request may take once its body is there.
    pub(crate) limit: Duration,
    pub(crate) metrics: Metrics,
}

/// Turns away what there is no seat for, before it gets a span and before its key and its body are read: the more there
/// is to refuse, the less a refusal may cost.
pub(crate) async fn glance(State(way): State<Arc<Way>>, request: Request, next: Next) -> Response {
    let class = request.extensions().get::<Class>().copied();
    let Some(Err(problem)) = class.map(|class| way.admission.glance(class)) else {
        return next.run(request).await;
    };
    let began = std::time::Instant::now();
    let id = RequestId::current();
    let route = request.extensions().get::<RouteTemplate>().map_or("none", |template| template.0);
    let mut answer = problem::render(problem.into_response(), request.uri().path(), &id);
    id.tell(answer.headers_mut());
    way.metrics.request(route, answer.status(), began.elapsed());
    answer
}

/// Leads a request in, and its answer out.
pub(crate) async fn lead(State(way): State<Arc<Way>>, mut request: Request, next: Next) -> Response {
    let began = std::time::Instant::now();
    // The trace id is the request's id, in every answer.
    let id = RequestId::current();
    request.extensions_mut().insert(id.clone());
    let route = request.extensions().get::<RouteTemplate>().map_or("none", |template| template.0);
    let uri = request.uri().clone();
    let mut allowance = None;
    let answer = way.inwards(request, next, &mut allowance).await;
    // Every refusal becomes a body here, and only here: a handler's, a panic's and those of the way.
    let mut answer = problem::render(answer.unwrap_or_else(Problem::into_response), uri.path(), &id);
    if let Some(allowance) = allowance {
        allowance.tell(answer.headers_mut());
    }
    id.tell(answer.headers_mut());
    // Everything that gets an answer is counted and timed, refusals too.
    way.metrics.request(route, answer.status(), began.elapsed());
    answer
}

impl Way {
    async fn inwards(
        &self,
        mut request: Request,
        next: Next,
        allowance: &mut Option<Allowance>,
    ) -> Result<Response, Problem> {
        // Nothing below runs for a caller without the route's scope.
        let caller = self.guard.authorise(&mut request)?;
        // Nobody asks more often than they may, whatever the process could bear.
        if let Some(caller) = &caller {
            let (left, outcome) = self.quotas.take(caller);
            *allowance = Some(left);
            outcome?;
        }
        // A body is there before anything is held for its request: a slow sender takes nobody's place.
        let (mut request, _room) = self.bodies.read(request).await?;
        // More than we can do is refused at once. A probe has no class: it must tell a busy process from a dead one.
        let class = request.extensions().get::<Class>().copied();
        let seat = class.map(|class| self.admission.admit(class, caller.as_ref().map(Caller::tenant))).transpose()?;
        let run = async |waited: Waited| {
            request.extensions_mut().insert(waited);
            next.run(request).await
        };
        let work = async {
            match &seat {
                Some(seat) => seat.work(run).await,
                None => run(Waited::default()).await,
            }
        };
        // Nobody waits for ever, whatever hangs below.
        let answer = tokio::time::timeout(self.limit, work)
            .await
            .map_err(|_| Problem::new(ErrorCode::DeadlineExceeded, "request_timeout", "the request took too long"))?;
        if let Some(seat) = seat {
            seat.done(answer.extensions().get::<Worked>().copied());
        }
        Ok(answer)
    }
}
