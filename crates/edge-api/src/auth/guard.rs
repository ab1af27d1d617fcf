//! Authorisation before every handler: no route is reached without a declared scope.
//!
//! Must not know what a route does.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::Request;
use http::{HeaderValue, StatusCode, header};
use shared_models::{Clock, ErrorCode};

use super::{Caller, Keys, Refusal};
use crate::{
    problem::Problem,
    routes::access::{self, Access, RouteTemplate},
};

/// What stands before every handler.
#[derive(Clone)]
pub(crate) struct Guard {
    /// The keys, which may change while the edge runs.
    pub(crate) keys: Arc<ArcSwap<Keys>>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Guard {
    /// Lets a request through when its route is public, or its key has the route's scope; says who asks.
    pub(crate) fn authorise(&self, request: &mut Request) -> Result<Option<Caller>, Problem> {
        // Without a template no route matched: the fallback answers 404.
        let Some(RouteTemplate(template)) = request.extensions().get().copied() else {
            return Ok(None);
        };
        match access::of(request.method(), template) {
            Some(Access::Public) => Ok(None),
            Some(Access::Key(scope)) => {
                let keys = self.keys.load();
                let caller = bearer(request).and_then(|text| keys.check(text, scope, self.clock.as_ref()));
                let caller = caller.map_err(|refusal| refused(refusal, scope.as_str()))?.clone();
                request.extensions_mut().insert(caller.clone());
                Ok(Some(caller))
            }
            // Deny by default: a route that nobody declared is closed, whatever its handler would say.
            None => Err(method_not_allowed(template)),
        }
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
fn method_not_allowed(template: &'static str) -> Problem {
    let allowed = access::methods(template).join(", ");
    let problem =
        Problem::new(ErrorCode::InvalidArgument, "method_not_allowed", format!("this path answers {allowed}"))
            .with_status(StatusCode::METHOD_NOT_ALLOWED);
    match HeaderValue::from_str(&allowed) {
        Ok(value) => problem.with_header(header::ALLOW, value),
        Err(_) => problem,
    }
}
