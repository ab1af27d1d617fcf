//! The identity of one request: its trace id, in answers, problems and headers.
//!
//! Must not know routes or bodies.

use std::sync::Arc;

use axum::{extract::Request, middleware::Next, response::Response};
use http::{HeaderName, HeaderValue};
use service_runtime::trace;

/// The trace id of a request; where no trace is recorded, a new id of the same form.
#[derive(Clone, Debug, Default)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id of the current request.
    fn current() -> Self {
        let id = trace::current_trace_id().unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
        Self(Arc::from(id))
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Gives the request its id, and the answer the headers that carry it.
pub(crate) async fn identify(mut request: Request, next: Next) -> Response {
    let id = RequestId::current();
    request.extensions_mut().insert(id.clone());
    let context = trace::current();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
    trace::inject(&context, &mut |name, value| {
        if name == "traceparent"
            && let Ok(value) = HeaderValue::from_str(&value)
        {
            headers.insert(HeaderName::from_static("traceparent"), value);
        }
    });
    response
}
