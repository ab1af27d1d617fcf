//! Catches what would be exported, for the tests of the layers.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use service_runtime::trace::names;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{Layer as _, filter::LevelFilter, layer::SubscriberExt as _};

/// Spans of this thread, for as long as it lives. Tests run on one thread each, servers included.
pub(crate) struct Caught {
    exporter: InMemorySpanExporter,
    _guard: DefaultGuard,
}

impl Caught {
    pub(crate) fn start() -> Self {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("test"))
            .with_threads(false)
            .with_location(false)
            .with_tracked_inactivity(false)
            .with_target(false)
            .with_filter(LevelFilter::INFO);
        // Without a subscriber of the whole process, a thread that listens to nothing and is the first to come by a span
        // switches it off for all: `tracing` then asks only the thread at hand.
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry());
        let guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        Self { exporter, _guard: guard }
    }

    /// The finished spans called `name`.
    pub(crate) fn named(&self, name: &str) -> Vec<SpanData> {
        let spans = self.exporter.get_finished_spans().expect("the exporter works");
        spans.into_iter().filter(|span| span.name == name).collect()
    }
}

/// One attribute as text.
pub(crate) fn attribute(span: &SpanData, key: &str) -> Option<String> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
}

/// Holds a span to the pinned names: span macros need literals, so a slip would not be seen by the compiler.
pub(crate) fn assert_only_pinned_names(span: &SpanData) {
    let pinned = [
        names::HTTP_REQUEST_METHOD,
        names::HTTP_ROUTE,
        names::HTTP_RESPONSE_STATUS_CODE,
        names::URL_PATH,
        names::URL_SCHEME,
        names::SERVER_ADDRESS,
        names::SERVER_PORT,
        names::ERROR_TYPE,
        names::RPC_SYSTEM_NAME,
        names::RPC_METHOD,
        names::RPC_STATUS_CODE,
        names::COMPONENT,
        names::DEADLINE_REMAINING,
        names::ATTEMPTS,
        names::BREAKER,
    ];
    for pair in &span.attributes {
        assert!(pinned.contains(&pair.key.as_str()), "{} is not pinned", pair.key);
    }
}
