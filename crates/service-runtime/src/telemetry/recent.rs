//! The traces that ended last, kept in this process and drawn as text: to look at one request without a collector.
//!
//! Bounded in traces and in spans of a trace. In several processes each shows its own part of a trace; for the whole
//! of it there is OTLP. This file must not know what spans stand for.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context,
    trace::{SpanId, SpanKind, Status, TraceId},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

/// The most spans that are kept of one trace.
const MOST_SPANS: usize = 256;
/// How wide the picture of a trace's time is, in characters.
const WIDTH: usize = 32;

/// The traces that ended last.
#[derive(Clone, Debug)]
pub struct Recent {
    capacity: usize,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Oldest first.
    order: VecDeque<TraceId>,
    traces: HashMap<TraceId, Vec<SpanData>>,
}

impl Recent {
    /// Keeps this many traces.
    #[must_use]
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, kept: Arc::default() }
    }

    /// One line for each trace, the newest first.
    #[must_use]
    pub fn list(&self) -> String {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::from("trace                             spans        took  root\n");
        for id in kept.order.iter().rev() {
            let Some(spans) = kept.traces.get(id) else { continue };
            let Some(root) = roots(spans).first().copied() else { continue };
            let took = milliseconds(took(root));
            let _infallible = writeln!(text, "{id}  {:>5}  {took:>7} ms  {}", spans.len(), root.name);
        }
        text
    }

    /// A trace as a tree, with the traces that link to it below; `None` when it is not (or no longer) kept.
    #[must_use]
    pub fn draw(&self, trace: &str) -> Option<String> {
        let id = TraceId::from_hex(trace).ok()?;
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        draw(kept.traces.get(&id)?, &mut text);
        let links_here = |spans: &&Vec<SpanData>| {
            spans.iter().any(|span| span.links.links.iter().any(|link| link.span_context.trace_id() == id))
        };
        for (other, spans) in kept.traces.iter().filter(|(other, spans)| **other != id && links_here(spans)) {
            let _infallible = writeln!(text, "linked from {other}");
            draw(spans, &mut text);
        }
        Some(text)
    }
}

impl SpanProcessor for Recent {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let id = span.span_context.trace_id();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.traces.contains_key(&id) {
            if kept.order.len() >= self.capacity
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.traces.remove(&oldest);
            }
            kept.order.push_back(id);
        }
        let spans = kept.traces.entry(id).or_default();
        if spans.len() < MOST_SPANS {
            spans.push(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The spans whose parent is not here, in the order in which they began.
fn roots(spans: &[SpanData]) -> Vec<&SpanData> {
    let here = |id: SpanId| spans.iter().any(|span| span.span_context.span_id() == id);
    let mut roots: Vec<_> = spans.iter().filter(|span| !here(span.parent_span_id)).collect();
    roots.sort_by_key(|span| span.start_time);
    roots
}

fn draw(spans: &[SpanData], text: &mut String) {
    let began = spans.iter().map(|span| span.start_time).min().unwrap_or(SystemTime::UNIX_EPOCH);
    let ended = spans.iter().map(|span| span.end_time).max().unwrap_or(began);
    let frame = Frame { began, whole: ended.duration_since(began).unwrap_or_default() };
    for root in roots(spans) {
        branch(spans, root, 0, &frame, text);
    }
}

/// The time of a whole trace.
struct Frame {
    began: SystemTime,
    whole: Duration,
}

fn branch(spans: &[SpanData], span: &SpanData, depth: usize, frame: &Frame, text: &mut String) {
    // Stages of one kind share a name; which one it is stands beside it.
    let stage = span.attributes.iter().find(|pair| pair.key.as_str() == "stage.name");
    let stage = stage.map_or_else(String::new, |pair| format!(" {}", pair.value));
    let label = format!("{:indent$}{}{stage}", "", span.name, indent = 2 * depth);
    let mut told: Vec<String> = span.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    if let Status::Error { description } = &span.status {
        told.insert(0, format!("ERROR {description}"));
    }
    let _infallible = writeln!(
        text,
        "{label:<58} {:<8} {:>8} ms  |{}|  {}",
        kind(&span.span_kind),
        milliseconds(took(span)),
        bar(span, frame),
        told.join(" ")
    );
    let id = span.span_context.span_id();
    let mut children: Vec<_> = spans.iter().filter(|child| child.parent_span_id == id).collect();
    children.sort_by_key(|child| child.start_time);
    for child in children {
        branch(spans, child, depth + 1, frame, text);
    }
}

/// When the span was, within the whole trace.
fn bar(span: &SpanData, frame: &Frame) -> String {
    let whole = frame.whole.as_secs_f64().max(1e-9);
    let place = |moment: SystemTime| {
        let share = moment.duration_since(frame.began).unwrap_or_default().as_secs_f64() / whole;
        ((share * WIDTH as f64).round() as usize).min(WIDTH)
    };
    let from = place(span.start_time).min(WIDTH - 1);
    let to = place(span.end_time).max(from + 1);
    format!("{}{}{}", " ".repeat(from), "=".repeat(to - from), " ".repeat(WIDTH - to))
}

fn took(span: &SpanData) -> Duration {
    span.end_time.duration_since(span.start_time).unwrap_or_default()
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}

fn kind(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "",
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    fn traced(recent: &Recent, name: &'static str) -> String {
        let provider = SdkTracerProvider::builder().with_span_processor(recent.clone()).build();
        let tracer = provider.tracer("test");
        tracer.in_span(name, |context| {
            use opentelemetry::trace::TraceContextExt as _;
            tracer.in_span("inner", |_| ());
            context.span().span_context().trace_id().to_string()
        })
    }

    #[test]
    fn a_trace_is_drawn_as_a_tree() {
        let recent = Recent::new(2);
        let id = traced(&recent, "outer");
        let drawn = recent.draw(&id).unwrap();
        let lines: Vec<_> = drawn.lines().collect();
        assert_eq!(lines.len(), 2, "{drawn}");
        assert!(lines[0].starts_with("outer ") && lines[1].starts_with("  inner "), "{drawn}");
        assert!(recent.list().lines().nth(1).unwrap().starts_with(&id), "{}", recent.list());
    }

    #[test]
    fn only_the_last_traces_are_kept() {
        let recent = Recent::new(2);
        let ids: Vec<_> = ["a", "b", "c"].into_iter().map(|name| traced(&recent, name)).collect();
        assert!(recent.draw(&ids[0]).is_none());
        assert!(recent.draw(&ids[1]).is_some() && recent.draw(&ids[2]).is_some());
        assert!(recent.draw("no trace").is_none());
    }
}
