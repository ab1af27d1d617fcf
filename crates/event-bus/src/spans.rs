//! The spans of messages: PRODUCER where one is sent, CONSUMER where a batch is processed, and the trace context
//! that travels between them in message headers.
//!
//! Names follow OpenTelemetry's messaging conventions with the varying tokens of a subject left open, so that they
//! are few. This file must not know a bus.

use service_runtime::trace::{self, TraceParent};
use tracing::Span;

use crate::{
    bus::Delivery,
    error::Error,
    subjects::{ConsumerSpec, StreamName, Subject},
};

/// A span names at most this many others: more would be larger than what they tell.
const MOST_LINKS: usize = 128;

/// The span of sending `messages` messages that are published together, the first of which has the given id.
///
/// Its parent is the current span, or the first of `callers`; the other callers are links.
pub(crate) fn producer(
    system: &'static str,
    subject: &Subject,
    message_id: &str,
    messages: usize,
    bytes: usize,
    callers: &[TraceParent],
) -> Span {
    let name = send_name(subject.stream());
    macro_rules! span {
        ($($parent:tt)*) => {
            tracing::info_span!(
                $($parent)*
                "send",
                otel.name = name,
                otel.kind = "producer",
                otel.status_code = tracing::field::Empty,
                error.type = tracing::field::Empty,
                messaging.system = system,
                messaging.operation.name = "send",
                messaging.operation.type = "send",
                messaging.destination.name = subject.as_str(),
                messaging.destination.template = subject.template(),
                messaging.message.id = message_id,
                messaging.message.body.size = bytes,
                messaging.batch.message_count = messages,
                setlist.stream = subject.stream().as_str(),
                setlist.stream.sequence = tracing::field::Empty,
            )
        };
    }
    let Some((first, others)) = callers.split_first() else { return span!() };
    let span = span!(parent: None,);
    trace::set_parent(&span, first);
    link(&span, others.iter());
    span
}

/// The span of processing a batch: the child of its publisher for one message; for several, the root of a trace of
/// its own with a link to each publisher.
pub(crate) fn consumer(system: &'static str, spec: &ConsumerSpec, batch: &[Delivery]) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "process",
        otel.name = process_name(spec.stream),
        otel.kind = "consumer",
        otel.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
        messaging.system = system,
        messaging.operation.name = "process",
        messaging.operation.type = "process",
        messaging.destination.name = tracing::field::Empty,
        messaging.destination.template = crate::subjects::template(spec.stream),
        messaging.consumer.group.name = spec.name.as_ref(),
        messaging.message.id = tracing::field::Empty,
        messaging.batch.message_count = batch.len(),
        setlist.stream = spec.stream.as_str(),
        setlist.stream.sequence = batch.first().map(|delivery| delivery.sequence),
        setlist.delivery.attempt = batch.iter().map(|delivery| delivery.attempt).max(),
    );
    match batch {
        [only] => {
            trace::set_parent(&span, &only.trace);
            span.record("messaging.destination.name", only.subject.as_str());
            span.record("messaging.message.id", only.envelope.id.as_str());
        }
        several => link(&span, several.iter().map(|delivery| &delivery.trace)),
    }
    span
}

/// The span of a group commit of the embedded log: under the first publisher, linked to the others.
pub(crate) fn commit(rows: usize, publishers: &[&TraceParent]) -> Span {
    let span = tracing::info_span!(
        parent: None,
        "commit",
        otel.name = "INSERT messages",
        otel.kind = "client",
        otel.status_code = tracing::field::Empty,
        error.type = tracing::field::Empty,
        db.system.name = "sqlite",
        db.operation.name = "INSERT",
        db.collection.name = "messages",
        db.query.summary = "INSERT messages",
        db.operation.batch.size = rows,
    );
    if let Some((first, others)) = publishers.split_first() {
        trace::set_parent(&span, first);
        link(&span, others.iter().copied());
    }
    span
}

/// Says on a span that it failed.
pub(crate) fn failed(span: &Span, error: &Error) {
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error.code().as_str());
}

/// A trace context as header lines, `name: value`.
pub(crate) fn to_lines(parent: &TraceParent) -> String {
    let mut lines = String::new();
    trace::inject(parent, &mut |name, value| {
        lines.push_str(name);
        lines.push_str(": ");
        lines.push_str(&value);
        lines.push('\n');
    });
    lines
}

/// The trace context of header lines.
pub(crate) fn from_lines(lines: &str) -> TraceParent {
    if lines.is_empty() {
        return TraceParent::default();
    }
    trace::extract(&|wanted| {
        lines
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.to_owned())
    })
}

/// Links a span to others, as one that works for several callers.
pub(crate) fn link<'a>(span: &Span, others: impl Iterator<Item = &'a TraceParent>) {
    for other in others.take(MOST_LINKS) {
        trace::add_link(span, other);
    }
}

const fn send_name(stream: StreamName) -> &'static str {
    match stream {
        StreamName::Events => "send events.{tenant}",
        StreamName::Recommendations => "send recommendations.{tenant}",
        StreamName::Catalog => "send catalog.{tenant}",
        StreamName::Control => "send control.{kind}",
        StreamName::Dead => "send dead.{stream}",
    }
}

const fn process_name(stream: StreamName) -> &'static str {
    match stream {
        StreamName::Events => "process events.{tenant}",
        StreamName::Recommendations => "process recommendations.{tenant}",
        StreamName::Catalog => "process catalog.{tenant}",
        StreamName::Control => "process control.{kind}",
        StreamName::Dead => "process dead.{stream}",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_context_survives_header_lines() {
        let given = |name: &str| match name {
            "traceparent" => Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned()),
            "tracestate" => Some("vendor=a,other=b".to_owned()),
            _ => None,
        };
        let parent = trace::extract(&given);
        let lines = to_lines(&parent);
        assert_eq!(
            lines,
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\ntracestate: vendor=a,other=b\n"
        );
        assert_eq!(trace::trace_id(&from_lines(&lines)), trace::trace_id(&parent));
        assert_eq!(to_lines(&from_lines(&lines)), lines);
    }

    #[test]
    fn no_trace_context_is_no_header() {
        assert_eq!(to_lines(&TraceParent::default()), "");
        assert_eq!(trace::trace_id(&from_lines("")), None);
    }

    #[test]
    fn names_are_the_templates() {
        for stream in StreamName::ALL {
            assert_eq!(send_name(stream), format!("send {}", crate::subjects::template(stream)));
            assert_eq!(process_name(stream), format!("process {}", crate::subjects::template(stream)));
        }
    }
}
