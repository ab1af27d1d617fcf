//! `setlist streams`: every stream of the event bus with its consumers, as they stand now.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use comfy_table::{Table, presets};
use event_bus::{
    Browse, Durability, StreamName,
    browse::{ConsumerStanding, StreamStanding},
    config::Kind,
    subjects::WhenFull,
};
use serde_json::{Value, json};
use service_runtime::Runtime;
use shared_models::{Clock, SystemClock, Timestamp};

use crate::{
    cli, client,
    config::{self, Config, Loaded},
};

/// Looks and draws.
#[must_use]
pub fn run(args: &cli::Streams) -> ExitCode {
    with_bus(&args.bus, async |bus| {
        let all = bus.standing().await?;
        let durability = bus.durability();
        Ok(if args.bus.json { document(&all, &durability).to_string() } else { page(&all, &durability) })
    })
}

/// Opens the bus that the command line names, and prints what comes of `work`.
pub(crate) fn with_bus(args: &cli::Bus, work: impl AsyncFnOnce(Arc<dyn Browse>) -> anyhow::Result<String>) -> ExitCode {
    let config = match config::load(&args.configuration, &args.data) {
        Loaded::Run(config) => config,
        Loaded::Exit(code) => return code,
    };
    client::command(async { work(open(&config).await?).await })
}

async fn open(config: &Config) -> anyhow::Result<Arc<dyn Browse>> {
    let embedded = config.bus.kind == Kind::Embedded;
    anyhow::ensure!(
        !embedded || config.bus.path.exists(),
        "{} is not there: name the data folder with --data, or NATS with --set bus.kind=nats --set bus.url=…",
        config.bus.path.display()
    );
    let runtime = Runtime::new(Arc::new(SystemClock));
    let opened = event_bus::look(&config.bus, &runtime).await;
    if embedded {
        opened.context("an embedded log belongs to one process at a time: stop `setlist serve` or `setlist demo` first")
    } else {
        opened.with_context(|| format!("NATS at {} cannot be looked at", config.bus.url))
    }
}

fn page(all: &[StreamStanding], durability: &Durability) -> String {
    let mut streams = Table::new();
    streams.load_style(presets::UTF8_BORDERS_ONLY);
    streams.set_header(["stream", "messages", "MiB", "of MiB", "when full", "first", "last", "oldest", "kept by"]);
    let mut consumers = Table::new();
    consumers.load_style(presets::UTF8_BORDERS_ONLY);
    consumers.set_header(["stream", "consumer", "sees", "lag", "unanswered", "dealt with up to"]);
    for stream in all {
        streams.add_row([
            stream.name.to_string(),
            stream.messages.to_string(),
            mebibytes(stream.bytes),
            mebibytes(stream.max_bytes),
            when_full(stream.name).to_owned(),
            stream.first.to_string(),
            stream.last.to_string(),
            stream.first_at.map_or_else(|| "-".to_owned(), age),
            keepers(stream),
        ]);
        for consumer in &stream.consumers {
            consumers.add_row([
                stream.name.to_string(),
                consumer.name.clone(),
                consumer.filter.clone().unwrap_or_else(|| "all".to_owned()),
                consumer.lag().to_string(),
                consumer.unanswered.to_string(),
                consumer.floor.to_string(),
            ]);
        }
    }
    format!("durability: {durability}\n{streams}\n{consumers}")
}

fn document(all: &[StreamStanding], durability: &Durability) -> Value {
    let consumer = |consumer: &ConsumerStanding| {
        json!({
            "name": consumer.name, "filter": consumer.filter, "lag": consumer.lag(), "unseen": consumer.unseen,
            "unanswered": consumer.unanswered, "floor": consumer.floor,
        })
    };
    let streams: Vec<Value> = all
        .iter()
        .map(|stream| {
            json!({
                "name": stream.name.as_str(), "messages": stream.messages, "bytes": stream.bytes,
                "max_bytes": stream.max_bytes, "when_full": when_full(stream.name), "first": stream.first,
                "last": stream.last, "first_at_ms": stream.first_at.map(|at| at.0), "replicas": stream.replicas,
                "leader": stream.leader, "behind": stream.behind,
                "consumers": stream.consumers.iter().map(consumer).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "durability": durability.to_string(), "streams": streams })
}

fn when_full(name: StreamName) -> &'static str {
    match name.spec().when_full {
        WhenFull::Refuse => "refuse",
        WhenFull::Forget => "forget",
    }
}

fn keepers(stream: &StreamStanding) -> String {
    let led = stream.leader.as_ref().map_or_else(String::new, |leader| format!(", led by {leader}"));
    let behind =
        if stream.behind.is_empty() { String::new() } else { format!(", behind: {}", stream.behind.join(" ")) };
    format!("{}{led}{behind}", stream.replicas)
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / f64::from(1 << 20))
}

/// How long ago, in the largest unit that tells something.
pub(crate) fn age(at: Timestamp) -> String {
    let seconds = SystemClock.now().since(at).as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}
