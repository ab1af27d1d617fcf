//! Problem details (RFC 9457): the only place where a refusal becomes a body, and is logged.
//!
//! Handlers and layers return a [`Problem`]; it travels in the response's extensions, and `render`
//! writes the body, because only there the path and the trace are known. Must not know any route.

use std::{borrow::Cow, time::Duration};

use axum::response::{IntoResponse, Response};
use contracts::Failure;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Serialize;
use shared_models::ErrorCode;

use crate::request_id::RequestId;

/// One thing that is wrong in a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// Where: a JSON pointer (RFC 6901) into the body, or `?name` for a query parameter, or a header's name.
    #[schema(example = "/market")]
    pub field: Cow<'static, str>,
    /// What is there, shortened.
    #[schema(example = "\"Sweden\"")]
    pub given: String,
    /// What would be right.
    #[schema(example = "an ISO 3166-1 alpha-2 code such as \"SE\"")]
    pub expected: Cow<'static, str>,
}

impl FieldError {
    /// A field, what is in it, and what would be right.
    #[must_use]
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        given: impl AsRef<str>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: field.into(), given: shortened(given.as_ref()), expected: expected.into() }
    }
}

/// At most 80 characters of what a stranger sent.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A refusal, before it has a body.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: ErrorCode,
    reason: Cow<'static, str>,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: HeaderMap,
    /// For the log only; never in a body.
    cause: Option<String>,
}

/// The body of every error.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// Identifies the kind of problem: `urn:setlist:problem:` and the reason.
    #[serde(rename = "type")]
    #[schema(example = "urn:setlist:problem:invalid_field")]
    pub kind: &'a str,
    /// The kind of problem in words.
    #[schema(example = "Bad Request")]
    pub title: &'a str,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// What happened here.
    #[schema(example = "1 field is wrong")]
    pub detail: &'a str,
    /// The path of the request.
    #[schema(example = "/v1/surfaces/home:page")]
    pub instance: &'a str,
    /// One of a closed list of codes, for retry logic.
    #[schema(example = "invalid_argument")]
    pub code: &'a str,
    /// A stable name to match on.
    #[schema(example = "invalid_field")]
    pub reason: &'a str,
    /// The trace id of the request: quote it when asking for help.
    #[schema(example = "4bf92f3577b34da6a3ce929d0e0e4736")]
    pub request_id: &'a str,
    /// What is wrong in the request, field by field.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub errors: &'a [FieldError],
}

impl Problem {
    /// A problem of a code, with a stable reason and a detail that is safe to show.
    #[must_use]
    pub fn new(code: ErrorCode, reason: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status: status_of(code),
            code,
            reason: reason.into(),
            detail: detail.into(),
            errors: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
        }
    }

    /// Fields that are wrong.
    #[must_use]
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.len() {
            1 => Cow::Borrowed("1 field is wrong"),
            count => Cow::Owned(format!("{count} fields are wrong")),
        };
        Self { errors, ..Self::new(ErrorCode::InvalidArgument, "invalid_field", detail) }
    }

    /// A thing that does not exist.
    #[must_use]
    pub fn not_found(reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::NotFound, reason, detail)
    }

    /// A defect of ours; the cause goes to the log alone.
    #[must_use]
    pub fn internal(cause: impl Into<String>) -> Self {
        Self {
            cause: Some(cause.into()),
            ..Self::new(ErrorCode::Internal, "internal", "something went wrong on our side")
        }
    }

    /// Another status than the code's own, where HTTP has a more exact one (405, 413, 415).
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Adds a header, such as `allow` or `www-authenticate`.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// When to come back.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Adds what the log should say beside the detail.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds fields that are wrong.
    #[must_use]
    pub fn with_errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// Whether it is a problem of a code.
    #[must_use]
    pub fn is(&self, code: ErrorCode) -> bool {
        self.code == code
    }

    /// What is wrong, field by field.
    #[must_use]
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The stable reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// The detail.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

/// The total map from codes to statuses; the other one, to gRPC, lives in `contracts`.
#[must_use]
pub fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::Conflict => StatusCode::CONFLICT,
        ErrorCode::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
    }
}

impl From<Failure> for Problem {
    /// Translates a service's failure. What a service says of *our* request to it is our defect unless
    /// it is about something the client named; 5xx carry no internals.
    fn from(failure: Failure) -> Self {
        let cause = format!("{}: {}", failure.reason, failure.message);
        match failure.code {
            ErrorCode::InvalidArgument | ErrorCode::NotFound | ErrorCode::Conflict => {
                Self::new(failure.code, failure.reason, failure.message)
            }
            ErrorCode::ResourceExhausted => Self::new(failure.code, "overloaded", "too many requests at once")
                .retry_after(failure.retry_after.unwrap_or(Duration::from_secs(1)))
                .because(cause),
            ErrorCode::Unavailable => {
                Self::new(failure.code, "dependency_unavailable", "a part of the service is away; try again")
                    .retry_after(failure.retry_after.unwrap_or(Duration::from_secs(1)))
                    .because(cause)
            }
            ErrorCode::DeadlineExceeded => {
                Self::new(failure.code, "deadline_exceeded", "a part of the service took too long; try again")
                    .because(cause)
            }
            ErrorCode::Internal | ErrorCode::Unauthenticated | ErrorCode::PermissionDenied => Self::internal(cause),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(Box::new(self));
        response
    }
}

/// Writes the body of a problem, when the answer is one, and logs it once: 5xx as errors, the rest for debugging.
pub(crate) fn render(mut response: Response, path: &str, id: &RequestId) -> Response {
    let Some(problem) = response.extensions_mut().remove::<Box<Problem>>() else {
        return response;
    };
    if problem.status.is_server_error() {
        tracing::error!(
            error.code = problem.code.as_str(),
            error.reason = %problem.reason,
            error.cause = problem.cause.as_deref().unwrap_or_default(),
            request_id = id.as_str(),
            "request failed"
        );
    } else {
        tracing::debug!(error.code = problem.code.as_str(), error.reason = %problem.reason, status = problem.status.as_u16(), "request refused");
    }
    let kind = format!("urn:setlist:problem:{}", problem.reason);
    let body = ProblemBody {
        kind: &kind,
        title: problem.status.canonical_reason().unwrap_or("Error"),
        status: problem.status.as_u16(),
        detail: &problem.detail,
        instance: path,
        code: problem.code.as_str(),
        reason: &problem.reason,
        request_id: id.as_str(),
        errors: &problem.errors,
    };
    // Plain data with string keys always serialises.
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    parts.headers.extend(problem.headers);
    Response::from_parts(parts, axum::body::Body::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_status() {
        let statuses: std::collections::HashSet<_> = ErrorCode::ALL.into_iter().map(status_of).collect();
        assert_eq!(statuses.len(), ErrorCode::ALL.len());
    }

    #[test]
    fn what_a_stranger_sent_is_shortened() {
        assert_eq!(FieldError::new("/a", "é".repeat(500), "less").given.chars().count(), 81);
    }
}
