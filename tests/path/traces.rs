//! What must be seen in the traces of a page and of an event, in every shape.

use anyhow::{Context, Result, ensure};
use testkit::otlp::{Collector, Kind, Span, Trace};

use crate::story::{Left, PATIENCE};

const EDGE: &str = "POST /v1/surfaces/{surface}:page";
const GENERATE: &str = "setlist.candidates.v1.CandidatesService/Generate";
const RANK: &str = "setlist.ranking.v1.RankingService/Rank";
const STAGES: [&str; 6] = [
    "pipeline.source",
    "pipeline.hydrate",
    "pipeline.filter",
    "pipeline.features",
    "pipeline.predict",
    "pipeline.select",
];

/// How many sources a page has.
const SOURCES: usize = 8;
/// A span this short is one of those that may not be many, in nanoseconds.
const SHORT: u64 = 5_000_000;

/// One page is one trace: the edge's server span above both calls, each call above its stages, counts on the stages,
/// no orphan, and few enough spans to read.
pub async fn check_page(collector: &Collector, told: &Left, remote: bool) -> Result<()> {
    let names: Vec<&str> = [EDGE, GENERATE, RANK].into_iter().chain(STAGES).collect();
    let end = std::time::Instant::now() + PATIENCE;
    let trace = loop {
        let trace = collector.trace(&told.page_trace, &names, PATIENCE).await?;
        // The spans of one process may come in two exports.
        let sources = trace.spans.iter().filter(|span| span.name == "pipeline.source").count();
        if sources == SOURCES || std::time::Instant::now() > end {
            break trace;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    };
    trace.assert_whole()?;
    let roots = trace.roots();
    ensure!(roots.len() == 1 && roots[0].name == EDGE && roots[0].kind == Kind::Server, "the roots are {roots:?}");
    // The limit of the Instrumentation Score (SPA-005): spans under 5 ms.
    let names: Vec<&str> = trace.spans.iter().map(|span| span.name.as_str()).collect();
    let short = trace.spans.iter().filter(|span| span.time.1.saturating_sub(span.time.0) < SHORT).count();
    ensure!(short <= 20, "{short} short spans: {names:?}");
    for (attribute, expected) in [
        ("http.request.method", "POST"),
        ("http.route", EDGE.trim_start_matches("POST ")),
        ("http.response.status_code", "200"),
        ("setlist.degraded", "none"),
    ] {
        let told = roots[0].attribute(attribute);
        ensure!(told == expected, "{attribute} of the page is {told:?}, not {expected:?}");
    }

    let calls =
        |name: &str, kind: Kind| trace.spans.iter().filter(|span| span.name == name && span.kind == kind).count();
    for call in [GENERATE, RANK] {
        if remote {
            ensure!(
                calls(call, Kind::Client) == 1 && calls(call, Kind::Server) == 1,
                "{call} is not one client and one server span"
            );
            for span in trace.spans.iter().filter(|span| span.name == call) {
                ensure!(span.attribute("rpc.system.name") == "grpc", "{span:?}");
                ensure!(span.attribute("rpc.method") == call, "{span:?}");
            }
        } else {
            ensure!(calls(call, Kind::Internal) == 1, "{call} is not one span");
        }
    }
    let sources: Vec<_> = trace.spans.iter().filter(|span| span.name == "pipeline.source").collect();
    let named: Vec<&str> = sources.iter().map(|source| source.attribute("stage.name")).collect();
    ensure!(sources.len() == SOURCES, "the sources are {named:?}, of {names:?}");
    for source in sources {
        ensure!(!source.attribute("stage.name").is_empty() && !source.attribute("stage.out").is_empty(), "{source:?}");
        ensure!(under(&trace, &source.id, GENERATE)?, "{source:?} does not hang under {GENERATE}");
    }
    let filter = trace.only("pipeline.filter")?;
    let count = |span: &Span, name: &str| {
        span.attribute(name).parse::<u64>().with_context(|| format!("{} does not count {name}: {span:?}", span.name))
    };
    let (given, kept) = (count(filter, "stage.in")?, count(filter, "stage.out")?);
    // Dropped by reason, such as `not_recently_played=12 explicit_content=3`: nothing is lost between in and out.
    let told = filter.attribute("stage.dropped");
    let dropped: u64 = told.split_whitespace().filter_map(|part| part.split_once('=')?.1.parse::<u64>().ok()).sum();
    ensure!(given == kept + dropped, "{given} given, {kept} kept, dropped: {told:?}");
    for stage in ["pipeline.features", "pipeline.predict", "pipeline.select"] {
        let span = trace.only(stage)?;
        ensure!(under(&trace, &span.id, RANK)?, "{stage} does not hang under {RANK}");
        ensure!(count(span, "stage.in")? > 0 && count(span, "stage.out")? > 0, "{stage} counts nothing: {span:?}");
    }
    Ok(())
}

/// One event's way: the request at the edge, the message it travelled in, the intake that processed it, the commit. It is
/// one that was taken: a cluster that has just begun may refuse the first for now.
pub async fn check_event(collector: &Collector, system: &str, database: &str) -> Result<()> {
    let taken = |span: &Span| {
        let status = span.attribute("http.response.status_code");
        span.name == "POST /v1/events" && span.kind == Kind::Server && status == "202"
    };
    let request = collector.span(PATIENCE, taken).await?;
    let carried = |span: &Span| {
        let is_kept = !span.attribute("setlist.stream.sequence").is_empty();
        span.kind == Kind::Producer && is_kept && (span.trace == request.trace || span.links_to(&request))
    };
    let send = collector.span(PATIENCE, carried).await.context("no message carries the event")?;
    ensure!(send.name.starts_with("send events.") && send.attribute("messaging.system") == system, "{send:?}");
    let process = collector
        .span(PATIENCE, |span| {
            let is_intake = span.attribute("messaging.consumer.group.name").contains("candidates-intake");
            span.kind == Kind::Consumer && is_intake && (span.links_to(&send) || span.trace == send.trace)
        })
        .await
        .context("no intake processed the message")?;
    let trace = collector.trace(&process.trace, &[], PATIENCE).await?;
    let commit = trace
        .spans
        .iter()
        .find(|span| {
            span.attribute("db.system.name") == database && under(&trace, &span.id, &process.name).unwrap_or(false)
        })
        .context("no SQL span below the intake")?;
    ensure!(!commit.attribute("db.operation.name").is_empty(), "{commit:?}");
    Ok(())
}

/// Whether a span hangs, at any depth, under one of that name.
fn under(trace: &Trace, id: &str, name: &str) -> Result<bool> {
    let mut span = trace.spans.iter().find(|span| span.id == id).context("the span is not of the trace")?;
    while let Some(parent) = trace.parent_of(span) {
        if parent.name == name {
            return Ok(true);
        }
        span = parent;
    }
    Ok(false)
}
