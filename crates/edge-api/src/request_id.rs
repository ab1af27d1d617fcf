//! The identity of one request: its trace id, in answers, problems and headers.
//!
//! Must not know routes or bodies.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use service_runtime::trace;

/// The trace id of a request; where no trace is recorded, a new id of the same form.
#[derive(Clone, Debug, Default)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id of the current request.
    pub(crate) fn current() -> Self {
        let id = trace::current_trace_id().unwrap_or_else(|| uuid::Uuid::now_v7().simple().to_string());
        Self(Arc::from(id))
    }

    /// 32 hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells it in an answer, and the place in the trace beside it.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(HeaderName::from_static("x-request-id"), value);
        }
        trace::inject(&trace::current(), &mut |name, value| {
            if name == "traceparent"
                && let Ok(value) = HeaderValue::from_str(&value)
            {
                headers.insert(HeaderName::from_static("traceparent"), value);
            }
        });
    }
}
