//! A collector in this process: takes spans over OTLP/gRPC, waits until a trace is whole, and asserts about it.
//!
//! It is told the truth by the exporter like any collector would be. This file must not know who made a span.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use anyhow::{Result, bail};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, any_value::Value},
    trace::v1::{Span as WireSpan, span::SpanKind, status::StatusCode},
};
use parking_lot::Mutex;
use tokio::{sync::watch, time::Instant};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};

use crate::ports;

/// What a span stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Work inside a process.
    Internal,
    /// An answer to a remote caller.
    Server,
    /// A question to somebody remote.
    Client,
    /// A message that is sent.
    Producer,
    /// A message that is processed.
    Consumer,
    /// Not said.
    Unspecified,
}

/// A span as it arrived.
#[derive(Clone, Debug)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace: String,
    /// 16 hexadecimal digits.
    pub id: String,
    /// The span it hangs under; empty for a root.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// What it stands for.
    pub kind: Kind,
    /// Whether it says that it failed.
    pub failed: bool,
    /// When it began and ended, in nanoseconds since 1970.
    pub time: (u64, u64),
    /// The resource's `service.name`.
    pub service: String,
    /// The instrumentation scope.
    pub scope: String,
    /// Its attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// The spans it links to: trace and span id.
    pub links: Vec<(String, String)>,
}

impl Span {
    /// An attribute; empty when it is not there.
    #[must_use]
    pub fn attribute(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Whether it links to another.
    #[must_use]
    pub fn links_to(&self, other: &Span) -> bool {
        self.links.iter().any(|(trace, id)| *trace == other.trace && *id == other.id)
    }
}

/// A collector that remembers.
#[derive(Debug)]
pub struct Collector {
    endpoint: String,
    spans: Arc<Mutex<Vec<Span>>>,
    count: watch::Receiver<usize>,
    _server: Server,
}

#[derive(Debug)]
struct Server {
    stop: tokio_util::sync::CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[derive(Clone)]
struct Sink {
    spans: Arc<Mutex<Vec<Span>>>,
    count: Arc<watch::Sender<usize>>,
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let count = {
            let mut spans = self.spans.lock();
            spans.extend(read(request.into_inner()));
            spans.len()
        };
        self.count.send_replace(count);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Starts a collector on a free port.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start() -> Result<Self> {
        let listener = ports::listener()?;
        listener.set_nonblocking(true)?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let spans = Arc::new(Mutex::new(Vec::new()));
        let (sender, count) = watch::channel(0);
        let sink = Sink { spans: Arc::clone(&spans), count: Arc::new(sender) };
        let stop = tokio_util::sync::CancellationToken::new();
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            let served = tonic::transport::Server::builder()
                .add_service(TraceServiceServer::new(sink).max_decoding_message_size(64 << 20))
                .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped.cancelled_owned())
                .await;
            if let Err(error) = served {
                eprintln!("testkit: collector ended: {error}");
            }
        });
        Ok(Self { endpoint, spans, count, _server: Server { stop } })
    }

    /// Where to send spans.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().clone()
    }

    /// Forgets all spans so far.
    pub fn clear(&self) {
        self.spans.lock().clear();
    }

    /// Waits for a span that `wanted` wants.
    ///
    /// # Errors
    /// When none comes within `patience`, with what did come.
    pub async fn span(&self, patience: Duration, wanted: impl Fn(&Span) -> bool) -> Result<Span> {
        self.wait(patience, |spans| spans.iter().find(|span| wanted(span)).cloned()).await
    }

    /// Waits until the trace is whole (every parent of its spans is here) and holds a span of each of the names.
    ///
    /// # Errors
    /// When it is not whole within `patience`, with what is missing and what did come.
    pub async fn trace(&self, trace: &str, names: &[&str], patience: Duration) -> Result<Trace> {
        self.wait(patience, |spans| {
            let found = Trace::of(spans, trace);
            let whole = !found.spans.is_empty() && found.orphans().is_empty();
            let complete = names.iter().all(|name| found.spans.iter().any(|span| span.name == *name));
            (whole && complete).then_some(found)
        })
        .await
    }

    async fn wait<T>(&self, patience: Duration, look: impl Fn(&[Span]) -> Option<T>) -> Result<T> {
        let end = Instant::now() + patience;
        let mut count = self.count.clone();
        loop {
            count.borrow_and_update();
            if let Some(found) = look(&self.spans.lock()) {
                return Ok(found);
            }
            if tokio::time::timeout_at(end, count.changed()).await.is_err() {
                let spans = self.spans();
                let traces: BTreeSet<&str> = spans.iter().map(|span| span.trace.as_str()).collect();
                let all: String = traces.iter().map(|trace| Trace::of(&spans, trace).to_string()).collect();
                bail!("what was waited for did not come within {patience:?}; this did:\n{all}");
            }
        }
    }
}

/// The spans of one trace.
#[derive(Clone, Debug)]
pub struct Trace {
    /// Its id.
    pub id: String,
    /// Its spans, in the order in which they began.
    pub spans: Vec<Span>,
}

impl Trace {
    fn of(spans: &[Span], id: &str) -> Self {
        let mut spans: Vec<Span> = spans.iter().filter(|span| span.trace == id).cloned().collect();
        spans.sort_by_key(|span| (span.time.0, span.id.clone()));
        Self { id: id.to_owned(), spans }
    }

    /// The only span of the name.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn only(&self, name: &str) -> Result<&Span> {
        let mut found = self.spans.iter().filter(|span| span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => Ok(span),
            (None, _) => bail!("no span is called {name}:\n{self}"),
            (Some(_), Some(_)) => bail!("several spans are called {name}:\n{self}"),
        }
    }

    /// The span that another hangs under.
    #[must_use]
    pub fn parent_of(&self, span: &Span) -> Option<&Span> {
        self.spans.iter().find(|other| other.id == span.parent)
    }

    /// The spans whose parent is not here.
    #[must_use]
    pub fn orphans(&self) -> Vec<&Span> {
        self.spans.iter().filter(|span| !span.parent.is_empty() && self.parent_of(span).is_none()).collect()
    }

    /// The spans that hang under nothing.
    #[must_use]
    pub fn roots(&self) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.parent.is_empty()).collect()
    }

    /// Asserts that `child` (the only span of its name) hangs directly under `parent`.
    ///
    /// # Errors
    /// When it does not.
    pub fn assert_under(&self, child: &str, parent: &str) -> Result<()> {
        let span = self.only(child)?;
        match self.parent_of(span) {
            Some(found) if found.name == parent => Ok(()),
            Some(found) => bail!("{child} hangs under {}, not under {parent}:\n{self}", found.name),
            None => bail!("{child} hangs under nothing, not under {parent}:\n{self}"),
        }
    }

    /// Asserts the kind of the only span of a name.
    ///
    /// # Errors
    /// When it is of another kind.
    pub fn assert_kind(&self, name: &str, kind: Kind) -> Result<()> {
        let found = self.only(name)?.kind;
        if found != kind {
            bail!("{name} is {found:?}, not {kind:?}:\n{self}");
        }
        Ok(())
    }

    /// Asserts that there is one root and that every other span hangs under a span of the trace.
    ///
    /// # Errors
    /// When there is another root, or an orphan.
    pub fn assert_whole(&self) -> Result<()> {
        let (roots, orphans) = (self.roots().len(), self.orphans().len());
        if roots != 1 || orphans > 0 {
            bail!("the trace has {roots} roots and {orphans} orphans:\n{self}");
        }
        Ok(())
    }
}

impl fmt::Display for Trace {
    /// The trace as a tree.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "trace {}", self.id)?;
        let mut tree = String::new();
        for top in self.spans.iter().filter(|span| span.parent.is_empty() || self.parent_of(span).is_none()) {
            self.draw(top, 1, &mut tree);
        }
        f.write_str(&tree)
    }
}

impl Trace {
    fn draw(&self, span: &Span, depth: usize, tree: &mut String) {
        let orphan = if span.parent.is_empty() || self.parent_of(span).is_some() { "" } else { " (orphan)" };
        let failed = if span.failed { " (failed)" } else { "" };
        let micros = span.time.1.saturating_sub(span.time.0) / 1000;
        // Writing to a text does not fail.
        let _written = writeln!(
            tree,
            "{:indent$}{} [{:?}, {}, {micros} µs, {} links]{orphan}{failed}",
            "",
            span.name,
            span.kind,
            span.service,
            span.links.len(),
            indent = depth * 2
        );
        for child in self.spans.iter().filter(|child| child.parent == span.id) {
            self.draw(child, depth + 1, tree);
        }
    }
}

fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let service = resource
            .resource
            .iter()
            .flat_map(|resource| &resource.attributes)
            .find(|attribute| attribute.key == "service.name")
            .map(|attribute| text(attribute.value.as_ref()))
            .unwrap_or_default();
        for scope in resource.scope_spans {
            let name = scope.scope.map(|scope| scope.name).unwrap_or_default();
            spans.extend(scope.spans.into_iter().map(|span| read_span(span, &service, &name)));
        }
    }
    spans
}

fn read_span(span: WireSpan, service: &str, scope: &str) -> Span {
    Span {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        kind: match span.kind() {
            SpanKind::Unspecified => Kind::Unspecified,
            SpanKind::Internal => Kind::Internal,
            SpanKind::Server => Kind::Server,
            SpanKind::Client => Kind::Client,
            SpanKind::Producer => Kind::Producer,
            SpanKind::Consumer => Kind::Consumer,
        },
        failed: span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        service: service.to_owned(),
        scope: scope.to_owned(),
        attributes: span.attributes.iter().map(|each| (each.key.clone(), text(each.value.as_ref()))).collect(),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        name: span.name,
    }
}

fn text(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text does not fail.
        let _written = write!(text, "{byte:02x}");
        text
    })
}
