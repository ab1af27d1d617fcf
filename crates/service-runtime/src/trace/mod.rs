//! W3C trace context: the one door to OpenTelemetry for every other crate.
//!
//! A [`TraceParent`] is what crosses a process border. It has three carriers: HTTP headers and gRPC metadata (see
//! `layers`), and message headers (see `inject` and `extract`, used by `event-bus`). This file must not know a
//! transport.
//!
//! # Which service made a span
//! OpenTelemetry describes a *process* by its resource, so `service.name` is set once, at [`crate::telemetry::init`].
//! When several of our services live in one process, the entry span of each (server span, or the in-process span
//! that stands for it) carries [`names::COMPONENT`]; spans below it belong to the same component.

pub mod names;

use http::HeaderMap;
use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _, TraceState},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use shared_models::ErrorCode;
use tracing::{Span, field};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::Deadline;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

/// The place in a trace that something hangs under: opaque, local or remote. The default is no place at all.
#[derive(Clone, Debug, Default)]
pub struct TraceParent(Option<SpanContext>);

impl PartialEq for TraceParent {
    /// Equal when they name the same span; where the context came from does not matter.
    fn eq(&self, other: &Self) -> bool {
        let key = |parent: &Self| parent.0.as_ref().map(|span| (span.trace_id(), span.span_id(), span.trace_flags()));
        key(self) == key(other)
    }
}

impl TraceParent {
    /// Whether there is no trace to hang under.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the trace is kept by whoever started it.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.0.as_ref().is_some_and(SpanContext::is_sampled)
    }

    fn from_context(context: &Context) -> Self {
        let span = context.span();
        let span = span.span_context();
        Self(span.is_valid().then(|| span.clone()))
    }
}

/// The current span's place in its trace.
#[must_use]
pub fn current() -> TraceParent {
    // Not by way of tracing's current span: that one may be too detailed to be traced, its parent is not.
    Context::map_current(TraceParent::from_context)
}

/// The place of `span` in its trace. Reading it starts the span: set its parent before.
#[must_use]
pub fn of(span: &Span) -> TraceParent {
    TraceParent::from_context(&span.context())
}

/// Hangs `span` under `parent`. It must be called before the span is entered or read; no parent changes nothing.
pub fn set_parent(span: &Span, parent: &TraceParent) {
    if let Some(remote) = &parent.0
        && let Err(error) = span.set_parent(Context::new().with_remote_span_context(remote.clone()))
    {
        // Without telemetry (in tests of other crates) there is nothing to hang; it is not worth a warning.
        tracing::trace!(%error, "span keeps its own parent");
    }
}

/// Links `span` to another place, as a batch links to each of its messages.
pub fn add_link(span: &Span, parent: &TraceParent) {
    if let Some(other) = &parent.0 {
        span.add_link(other.clone());
    }
}

/// The trace id as 32 hexadecimal digits.
#[must_use]
pub fn trace_id(parent: &TraceParent) -> Option<String> {
    parent.0.as_ref().map(|span| span.trace_id().to_string())
}

/// The span id as 16 hexadecimal digits.
#[must_use]
pub fn span_id(parent: &TraceParent) -> Option<String> {
    parent.0.as_ref().map(|span| span.span_id().to_string())
}

/// The current trace id as 32 hexadecimal digits.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    trace_id(&current())
}

/// What a span can be told beside its fields.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A text.
    Text(String),
    /// Several texts.
    Texts(Vec<String>),
    /// A whole number.
    Count(usize),
}

impl From<Attribute> for Value {
    fn from(attribute: Attribute) -> Self {
        match attribute {
            Attribute::Text(text) => text.into(),
            Attribute::Texts(texts) => Self::Array(Array::String(texts.into_iter().map(StringValue::from).collect())),
            Attribute::Count(count) => i64::try_from(count).unwrap_or(i64::MAX).into(),
        }
    }
}

/// Adds attributes to the current span: for what only the handler of a request knows of it, on the span that a layer
/// opened. Nothing is made where nobody records.
pub fn annotate<const N: usize>(attributes: impl FnOnce() -> [(&'static str, Attribute); N]) {
    Context::map_current(|context| {
        let span = context.span();
        if span.is_recording() {
            span.set_attributes(attributes().map(|(name, attribute)| KeyValue::new(name, Value::from(attribute))));
        }
    });
}

/// A span for a call to a service that lives in this process: it stands where the client and server spans of a remote
/// call would stand. `method` is the full name of the call, as over gRPC.
#[must_use]
pub fn in_process_span(component: &'static str, method: &'static str, deadline: Deadline) -> Span {
    tracing::info_span!(
        "in_process",
        otel.name = method,
        otel.kind = "internal",
        otel.status_code = field::Empty,
        rpc.system.name = "in_process",
        rpc.method = method,
        error.type = field::Empty,
        setlist.component = component,
        setlist.deadline.remaining_ms = deadline.remaining().as_secs_f64() * 1e3,
    )
}

/// Says on an in-process span that the call failed: like a client, it sees every failure as its own error.
pub fn in_process_failed(span: &Span, code: ErrorCode) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", code.as_str());
}

/// Writes `parent` to a carrier, one header at a time.
pub fn inject(parent: &TraceParent, set: &mut dyn FnMut(&'static str, String)) {
    if let Some(span) = &parent.0 {
        let flags = u8::from(span.is_sampled());
        set(TRACEPARENT, format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id()));
        if *span.trace_state() != TraceState::NONE {
            set(TRACESTATE, span.trace_state().header());
        }
    }
}

/// Reads a place from a carrier, given a look-up by lower-case header name.
#[must_use]
pub fn extract(get: &dyn Fn(&str) -> Option<String>) -> TraceParent {
    let Some(parent) = get(TRACEPARENT) else { return TraceParent::default() };
    let state = get(TRACESTATE);
    parse(&Fields { parent: &parent, state: state.as_deref() })
}

/// Writes `parent` to HTTP headers or gRPC metadata, in place of what was there.
pub(crate) fn inject_headers(parent: &TraceParent, headers: &mut HeaderMap) {
    inject(parent, &mut |name, value| {
        if let Ok(value) = value.parse() {
            headers.insert(name, value);
        }
    });
}

/// Reads a place from HTTP headers or gRPC metadata.
pub(crate) fn extract_headers(headers: &HeaderMap) -> TraceParent {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    match text(TRACEPARENT) {
        Some(parent) => parse(&Fields { parent, state: text(TRACESTATE) }),
        None => TraceParent::default(),
    }
}

fn parse(fields: &Fields<'_>) -> TraceParent {
    TraceParent::from_context(&TraceContextPropagator::new().extract_with_context(&Context::new(), fields))
}

struct Fields<'a> {
    parent: &'a str,
    state: Option<&'a str>,
}

impl Extractor for Fields<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => Some(self.parent),
            TRACESTATE => self.state,
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn extracted(parent: &str, state: &str) -> TraceParent {
        extract(&|name| match name {
            "traceparent" => Some(parent.to_owned()),
            "tracestate" => Some(state.to_owned()),
            _ => None,
        })
    }

    #[test]
    fn a_place_survives_a_message_carrier() {
        let mut headers = HashMap::new();
        let parent = extracted(PARENT, "vendor=1,other=2");
        inject(&parent, &mut |name, value| {
            headers.insert(name, value);
        });
        assert_eq!(headers["traceparent"], PARENT);
        assert_eq!(headers["tracestate"], "vendor=1,other=2");
        assert_eq!(extract(&|name| headers.get(name).cloned()), parent);
        assert_eq!(trace_id(&parent).as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        assert_eq!(span_id(&parent).as_deref(), Some("00f067aa0ba902b7"));
        assert!(parent.is_sampled());
    }

    #[test]
    fn a_place_survives_http_headers() {
        let parent = extracted(PARENT, "");
        let mut headers = HeaderMap::new();
        inject_headers(&parent, &mut headers);
        assert_eq!(headers["traceparent"], PARENT);
        assert!(!headers.contains_key("tracestate"));
        assert_eq!(extract_headers(&headers), parent);
    }

    #[test]
    fn an_unsampled_place_stays_unsampled() {
        let unsampled = PARENT.replace("-01", "-00");
        let parent = extracted(&unsampled, "");
        assert!(!parent.is_sampled());
        let mut headers = HeaderMap::new();
        inject_headers(&parent, &mut headers);
        assert_eq!(headers["traceparent"], unsampled);
    }

    #[test]
    fn nonsense_is_no_place() {
        for nonsense in ["", "00", "00-0-0-0", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "é"] {
            assert!(extracted(nonsense, "").is_none(), "{nonsense}");
        }
        let mut calls = 0;
        inject(&TraceParent::default(), &mut |_, _| calls += 1);
        assert_eq!(calls, 0);
    }
}
