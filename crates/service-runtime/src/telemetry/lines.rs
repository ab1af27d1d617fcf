//! How a line of the log looks, in both formats: every line carries the trace and span it belongs to.
//!
//! This file must not know what is logged.

use std::fmt;

use serde_json::{Map, Value};
use shared_models::{Clock as _, SystemClock};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::Format;
use crate::trace::{self, TraceParent};

/// Writes one line per event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lines(pub(super) Format);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        // OpenTelemetry warns while it changes the current context: to look at it then would be a panic.
        let is_its_own = event.metadata().target().starts_with("opentelemetry");
        let place = if is_its_own { TraceParent::default() } else { trace::current() };
        for (name, id) in [("trace_id", trace::trace_id(&place)), ("span_id", trace::span_id(&place))] {
            if let Some(id) = id {
                fields.0.push((name, Value::String(id)));
            }
        }
        match self.0 {
            Format::Json => json(writer, event, fields),
            Format::Text => text(writer, event, &fields),
        }
    }
}

fn json(mut writer: Writer<'_>, event: &Event<'_>, fields: Fields) -> fmt::Result {
    let mut line = Map::new();
    line.insert("timestamp".into(), SystemClock.now().to_string().into());
    line.insert("level".into(), event.metadata().level().as_str().into());
    line.insert("target".into(), event.metadata().target().into());
    for (name, value) in fields.0 {
        line.insert(name.into(), value);
    }
    writeln!(writer, "{}", Value::Object(line))
}

fn text(mut writer: Writer<'_>, event: &Event<'_>, fields: &Fields) -> fmt::Result {
    let metadata = event.metadata();
    write!(writer, "{} {:>5} {}:", SystemClock.now(), metadata.level().as_str(), metadata.target())?;
    for (_, message) in fields.0.iter().filter(|(name, _)| *name == MESSAGE) {
        write!(writer, " {}", message.as_str().unwrap_or_default())?;
    }
    for (name, value) in fields.0.iter().filter(|(name, _)| *name != MESSAGE) {
        match value {
            // Quotes only where the end of the value would be in doubt.
            Value::String(plain) if !plain.contains([' ', '"', '\n']) => write!(writer, " {name}={plain}")?,
            other => write!(writer, " {name}={other}")?,
        }
    }
    writeln!(writer)
}

const MESSAGE: &str = "message";

#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push((field.name(), Value::String(format!("{value:?}"))));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.push((field.name(), value.into()));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.0.push((field.name(), crate::tasks::chain(value).into()));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: Format) -> String {
        // Without a subscriber of the whole process, a thread that listens to nothing and is the first to come by a span
        // switches it off for all: `tracing` then asks only the thread at hand.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let page = Page::default();
        let writer = page.clone();
        let lines = tracing_subscriber::fmt::layer().with_writer(move || writer.clone()).event_format(Lines(format));
        let provider = SdkTracerProvider::builder().build();
        let subscriber = tracing_subscriber::registry().with(super::super::spans(&provider, "test")).with(lines);
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!("request");
            let _entered = span.enter();
            let error = io::Error::other("disk is gone");
            tracing::info!(count = 3, name = "two words", %error, "rows written");
        });
        let bytes = page.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn a_json_line_carries_fields_and_trace() {
        let line: Value = serde_json::from_str(&logged(Format::Json)).expect("one JSON object");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "rows written");
        assert_eq!(line["count"], 3);
        assert_eq!(line["error"], "disk is gone");
        assert_eq!(line["trace_id"].as_str().expect("there").len(), 32);
        assert_eq!(line["span_id"].as_str().expect("there").len(), 16);
    }

    #[test]
    fn a_text_line_reads_from_left_to_right() {
        let line = logged(Format::Text);
        assert!(
            line.contains("INFO service_runtime::telemetry::lines::tests: rows written count=3 name=\"two words\""),
            "{line}"
        );
        assert!(line.contains(" trace_id="), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
    }
}
