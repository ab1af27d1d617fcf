//! Logs and traces of a process: one set-up at the start, one flush at the end.
//!
//! Two filters stand side by side: `log` says what is written to standard error; what goes into a trace is fixed
//! (our spans at info and above, our events at warning and above). This file must not know which service runs.
//!
//! Without a collector there is still a tracer, so that answers and logs carry a trace id, but nothing is recorded
//! unless a caller's trace asks for it or the process keeps its last traces, and nothing is exported.

mod lines;
mod recent;

use std::{fmt, io, time::Duration};

use opentelemetry::{KeyValue, global, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{
    Resource,
    propagation::TraceContextPropagator,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use serde::{Deserialize, Serialize};
use shared_models::ErrorCode;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _,
};

pub use recent::Recent;

use crate::config::{Problem, Validate};

/// The version of the semantic conventions that our names follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Libraries whose spans describe our own transport, the exporter's included: in a trace they would trace themselves.
const FOREIGN: [&str; 8] =
    ["h2", "hyper", "hyper_util", "tonic", "tower", "opentelemetry", "opentelemetry_sdk", "opentelemetry_otlp"];

/// How long the last spans may take to leave.
const FLUSH: Duration = Duration::from_secs(3);

/// Where logs and traces go.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The collector, as `http://host:4317`; empty means that no trace leaves the process.
    pub otlp_endpoint: String,
    /// The share of new traces that is kept, 0 to 1. A caller's decision is honoured.
    pub sample_ratio: f64,
    /// How many of the last traces this process keeps, to be looked at under `/traces` of the operators' listener;
    /// 0 keeps none.
    pub recent_traces: usize,
    /// What is logged, such as `info` or `info,ranking=debug`.
    pub log: String,
    /// How a line of the log looks.
    pub log_format: Format,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// For machines: one JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            otlp_endpoint: String::new(),
            sample_ratio: 1.0,
            recent_traces: 0,
            log: String::from("info"),
            log_format: Format::Json,
        }
    }
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            problems.push(Problem::new("sample_ratio", self.sample_ratio, "a number from 0 to 1"));
        }
        if self.recent_traces > 10_000 {
            problems.push(Problem::new("recent_traces", self.recent_traces, "a whole number from 0 to 10000"));
        }
        if EnvFilter::try_new(&self.log).is_err() {
            problems.push(Problem::new("log", &self.log, "a log filter such as info or info,ranking=debug"));
        }
        let is_url = |uri: http::Uri| uri.scheme().is_some() && uri.host().is_some();
        if !self.otlp_endpoint.is_empty() && !self.otlp_endpoint.parse().is_ok_and(is_url) {
            problems.push(Problem::new(
                "otlp_endpoint",
                &self.otlp_endpoint,
                "empty, or a URL such as http://localhost:4317",
            ));
        }
        problems
    }
}

/// Telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log filter does not parse.
    #[error("log filter {filter} does not parse")]
    Filter {
        /// The filter that was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// The exporter refuses its endpoint.
    #[error("trace exporter for {endpoint} could not be made")]
    Exporter {
        /// The endpoint that was given.
        endpoint: String,
        /// What is wrong with it.
        #[source]
        source: opentelemetry_otlp::ExporterBuildError,
    },
    /// Somebody was here before us.
    #[error("telemetry is already set up in this process")]
    Twice {
        /// What the subscriber said.
        #[source]
        source: tracing_subscriber::util::TryInitError,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Filter { .. } | Self::Exporter { .. } => ErrorCode::InvalidArgument,
            Self::Twice { .. } => ErrorCode::Internal,
        }
    }
}

/// The telemetry of a running process; shut it down last.
#[must_use = "without a shutdown the last spans are lost"]
pub struct Telemetry {
    provider: SdkTracerProvider,
    recent: Option<Recent>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

/// Sets up logs and traces for the process `service`. Call it once, inside the runtime, before anything is traced.
///
/// # Errors
/// When the filter or the endpoint is wrong, or when it was called before.
pub fn init(config: &Config, service: &'static str) -> Result<Telemetry, Error> {
    let filter =
        EnvFilter::try_new(&config.log).map_err(|source| Error::Filter { filter: config.log.clone(), source })?;
    let builder = SdkTracerProvider::builder().with_resource(resource(service));
    let recent = (config.recent_traces > 0).then(|| Recent::new(config.recent_traces));
    let builder = match &recent {
        Some(recent) => builder.with_span_processor(recent.clone()),
        None => builder,
    };
    let new_traces = if config.otlp_endpoint.is_empty() && recent.is_none() {
        // Ids exist and are handed on; spans cost no recording.
        Sampler::AlwaysOff
    } else {
        Sampler::TraceIdRatioBased(config.sample_ratio)
    };
    let builder = builder.with_sampler(Sampler::ParentBased(Box::new(new_traces)));
    let builder = if config.otlp_endpoint.is_empty() {
        builder
    } else {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&config.otlp_endpoint)
            .with_timeout(FLUSH)
            .build()
            .map_err(|source| Error::Exporter { endpoint: config.otlp_endpoint.clone(), source })?;
        // A full queue drops spans rather than slowing an answer; what it holds is bounded.
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(16_384)
            .with_max_export_batch_size(1_024)
            .with_scheduled_delay(Duration::from_millis(500))
            .build();
        builder.with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batch).build())
    };
    let provider = builder.build();
    install(&provider, service, config.log_format, filter)?;
    Ok(Telemetry { provider, recent })
}

impl Telemetry {
    /// The traces that ended last, when they are kept.
    #[must_use]
    pub fn recent(&self) -> Option<Recent> {
        self.recent.clone()
    }

    /// Sends what is still held, at most for a few seconds.
    ///
    /// It runs on the blocking pool: the exporter waits for this very runtime, so a worker thread must not wait for it.
    pub async fn shutdown(self) {
        let provider = self.provider;
        match tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSH)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the last spans may be lost"),
            Err(error) => tracing::warn!(%error, "the flush of spans failed"),
        }
    }
}

fn resource(service: &'static str) -> Resource {
    let instance = std::env::var("HOSTNAME").unwrap_or_else(|_| String::from("local"));
    Resource::builder()
        .with_schema_url([], SCHEMA_URL)
        .with_attributes([
            KeyValue::new("service.name", service),
            KeyValue::new("service.namespace", "setlist"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", format!("{instance}-{}", std::process::id())),
        ])
        .build()
}

fn install(
    provider: &SdkTracerProvider,
    service: &'static str,
    format: Format,
    filter: EnvFilter,
) -> Result<(), Error> {
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(provider.clone());
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).event_format(lines::Lines(format));
    tracing_subscriber::registry()
        .with(spans(provider, service))
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(|source| Error::Twice { source })
}

/// The layer that turns tracing's spans into OpenTelemetry's.
pub(crate) fn spans<S>(provider: &SdkTracerProvider, service: &'static str) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    // Thread, file and inactivity would be five attributes on every span that nobody reads.
    tracing_opentelemetry::layer()
        .with_tracer(provider.tracer(service))
        .with_threads(false)
        .with_location(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(filter_fn(is_traced))
}

fn is_traced(metadata: &Metadata<'_>) -> bool {
    let root = metadata.target().split("::").next().unwrap_or_default();
    let level = if metadata.is_span() { Level::INFO } else { Level::WARN };
    *metadata.level() <= level && !FOREIGN.contains(&root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_named() {
        let config = Config {
            otlp_endpoint: "localhost".into(),
            sample_ratio: 2.0,
            recent_traces: 0,
            log: "a=b=c".into(),
            log_format: Format::Text,
        };
        let keys: Vec<String> = config.problems().into_iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["sample_ratio", "log", "otlp_endpoint"]);
        assert!(Config::default().problems().is_empty());
    }

    #[test]
    fn the_transport_does_not_trace_itself() {
        let traced = |target: &'static str| FOREIGN.contains(&target.split("::").next().unwrap_or_default());
        assert!(traced("h2::client") && traced("hyper_util") && traced("opentelemetry_sdk"));
        assert!(!traced("service_runtime::layers") && !traced("ranking"));
    }
}
