//! Authorisation as a layer: no route is reached without a declared scope, and none twice.
//!
//! Must not know what a route does.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use shared_models::{Clock, ErrorCode};

use super::{Keys, Refusal};
use crate::{
    problem::Problem,
    routes::access::{self, Access, RouteTemplate},
};

/// What the layer needs.
#[derive(Clone)]
pub(crate) struct Guard {
    pub(crate) keys: Arc<Keys>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Lets a request through when its route is public, or its key has the route's scope.
pub(crate) async fn authorise(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    // Without a template no route matched: the fallback answers 404.
    let Some(RouteTemplate(template)) = request.extensions().get().copied() else {
        return next.run(request).await;
    };
    match access::of(request.method(), template) {
        Some(Access::Public) => next.run(request).await,
        Some(Access::Key(scope)) => {
            match bearer(&request).and_then(|text| guard.keys.check(text, scope, guard.clock.as_ref())) {
                Ok(caller) => {
                    let caller = caller.clone();
                    request.extensions_mut().insert(caller);
                    next.run(request).await
                }
                Err(refusal) => refused(refusal, scope.as_str()).into_response(),
            }
        }
        // Deny by default: a route that nobody declared is closed, whatever its handler would say.
        None => method_not_allowed(template).into_response(),
    }
}

fn bearer(request: &Request) -> Result<&str, Refusal> {
    let header = request.headers().get(header::AUTHORIZATION).ok_or(Refusal::Missing)?;
    let text = header.to_str().map_err(|_| Refusal::Malformed)?;
    let (scheme, key) = text.split_once(' ').ok_or(Refusal::Malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(key.trim()) } else { Err(Refusal::Malformed) }
}

fn refused(refusal: Refusal, scope: &'static str) -> Problem {
    let unauthenticated = |reason, detail, challenge| {
        Problem::new(ErrorCode::Unauthenticated, reason, detail)
            .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
    };
    match refusal {
        Refusal::Missing => {
            unauthenticated("missing_key", "send `Authorization: Bearer <API key>`", "Bearer realm=\"setlist\"")
        }
        Refusal::Malformed => unauthenticated(
            "malformed_key",
            "this is no API key of ours; send `Authorization: Bearer <API key>`",
            INVALID,
        ),
        Refusal::Unknown => unauthenticated("unknown_key", "nobody has this API key", INVALID),
        Refusal::Expired => unauthenticated("expired_key", "this API key has expired", INVALID),
        Refusal::Scope => Problem::new(
            ErrorCode::PermissionDenied,
            "missing_scope",
            format!("this needs a key with the scope `{scope}`"),
        ),
    }
}

const INVALID: &str = "Bearer realm=\"setlist\", error=\"invalid_token\"";

/// The refusal of a method that the route does not have.
pub(crate) fn method_not_allowed(template: &'static str) -> Problem {
    let allowed = access::methods(template).join(", ");
    let problem =
        Problem::new(ErrorCode::InvalidArgument, "method_not_allowed", format!("this path answers {allowed}"))
            .with_status(StatusCode::METHOD_NOT_ALLOWED);
    match HeaderValue::from_str(&allowed) {
        Ok(value) => problem.with_header(header::ALLOW, value),
        Err(_) => problem,
    }
}
