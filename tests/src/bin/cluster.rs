//! `scripts/cluster`: starts a whole cluster on this machine, puts a small world into it, tells where everything is,
//! and stops it again.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use clap::Parser;
use learning::world;
use serde_json::json;
use shared_models::{Clock, Seed, SystemClock};
use testkit::cluster::{Cluster, Kind, Part, Shape};
use tests::stock::Stock;
use tokio::signal::unix::{SignalKind, signal};

/// A Setlist cluster on free ports of 127.0.0.1: nats-servers, PostgreSQL, and the services, each a process of its own.
#[derive(Debug, Parser)]
#[command(name = "scripts/cluster")]
struct Options {
    /// Edges.
    #[arg(long, default_value_t = 2)]
    edges: usize,
    /// Replicas of candidate generation.
    #[arg(long, default_value_t = 2)]
    candidates: usize,
    /// Replicas of ranking.
    #[arg(long, default_value_t = 2)]
    ranking: usize,
    /// nats-servers: 1, or 3 that keep everything three times.
    #[arg(long, default_value_t = 3)]
    nats: usize,
    /// Services that learn beside the others.
    #[arg(long, default_value_t = 1)]
    learning: usize,
    /// Send traces to an OTLP gRPC endpoint, such as `http://127.0.0.1:4317`.
    #[arg(long, value_name = "URL", default_value = "")]
    otlp: String,
    /// Stop after this long, such as `60s`, instead of at Ctrl-C.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// Tracks of the generated world.
    #[arg(long, default_value_t = 2_000)]
    tracks: usize,
    /// Listeners of the generated world.
    #[arg(long, default_value_t = 300)]
    listeners: usize,
    /// Events of the generated world, impressions not counted.
    #[arg(long, default_value_t = 40_000)]
    events: usize,
    /// The seed of the world.
    #[arg(long, default_value_t = 11)]
    seed: u64,
    /// A setting of one kind of service, as it reads in its TOML: `edge.limits.concurrency=64`.
    #[arg(long, value_name = "SERVICE.KEY=VALUE", value_parser = setting)]
    set: Vec<(Kind, String, String)>,
    /// Write where everything is to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

fn setting(text: &str) -> Result<(Kind, String, String), String> {
    let expected = || format!("{text:?} is no setting; give one such as edge.limits.concurrency=64");
    let (name, value) = text.split_once('=').ok_or_else(expected)?;
    let (service, key) = name.split_once('.').ok_or_else(expected)?;
    let services = [Kind::Edge, Kind::Candidates, Kind::Ranking, Kind::Learning];
    let kind = services.into_iter().find(|kind| kind.as_str() == service).ok_or_else(expected)?;
    Ok((kind, key.to_owned(), value.to_owned()))
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut asked = std::pin::pin!(async {
        tokio::select! {
            _ = interrupt.recv() => "Ctrl-C",
            _ = terminate.recv() => "SIGTERM",
        }
    });
    // Whoever asks it to stop while it starts does not wait for the start: what runs by then ends with its value.
    let cluster = tokio::select! {
        started = start(&options) => started?,
        why = &mut asked => {
            println!("{why}: stopped while it was starting");
            return Ok(());
        }
    };
    let why = match options.duration {
        Some(duration) => tokio::time::timeout(duration, &mut asked).await.unwrap_or("the time is over"),
        None => asked.await,
    };
    println!("{why}: stopping");
    cluster.shut_down().await?;
    println!("stopped");
    Ok(())
}

async fn start(options: &Options) -> Result<Cluster> {
    let shape = Shape {
        edges: options.edges,
        candidates: options.candidates,
        ranking: options.ranking,
        learning: options.learning,
        nats: options.nats,
        otlp: options.otlp.clone(),
        settings: options.set.clone(),
        ..Shape::default()
    };
    println!("a world of {} tracks and {} listeners by seed {}", options.tracks, options.listeners, options.seed);
    let world = world::Config {
        tracks: options.tracks,
        artists: (options.tracks / 8).max(1),
        listeners: options.listeners,
        interactions: options.events,
        impressions: options.events * 2 / 5,
        ..world::Config::demo(Seed(options.seed), SystemClock.now())
    };
    let (stock, cluster) = tokio::join!(Stock::make(&world), Cluster::start(shape));
    let (stock, cluster) = (stock?, cluster?);
    println!("{} processes are ready; putting the world in through the edge", cluster.parts().len());
    stock.put_release(&cluster.releases())?;
    let edge = cluster.url(Part::edge(0));
    stock.put_through(&edge, cluster.key(), usize::MAX).await?;
    let listener = stock.listeners().pop().context("an empty world")?;
    tell(&cluster, &listener);
    if let Some(path) = &options.write {
        write(&cluster, &listener, path)?;
    }
    Ok(cluster)
}

/// Where everything is, for a person.
fn tell(cluster: &Cluster, listener: &str) {
    println!("\nserving, a release is live:");
    for part in cluster.parts() {
        match part.kind {
            Kind::Postgres => println!("  {part:<14} {}", cluster.url(part)),
            _ => println!("  {part:<14} {:<28} ops {}", cluster.url(part), cluster.ops_url(part)),
        }
    }
    println!("\nconfigurations and logs: {}", cluster.folder().display());
    println!("\na page:\n  {}\n", page(cluster, listener));
}

fn page(cluster: &Cluster, listener: &str) -> String {
    format!(
        "curl -s {}/v1/surfaces/home:page -H 'authorization: Bearer {}' -H 'content-type: application/json' \
         -d '{{\"user_id\":\"{listener}\"}}'",
        cluster.url(Part::edge(0)),
        cluster.key(),
    )
}

/// The same, for a program.
fn write(cluster: &Cluster, listener: &str, path: &PathBuf) -> Result<()> {
    let parts: serde_json::Map<String, serde_json::Value> = cluster
        .parts()
        .into_iter()
        .map(|part| (part.to_string(), json!({ "url": cluster.url(part), "ops": cluster.ops_url(part) })))
        .collect();
    let all = json!({
        "edges": cluster.edges(), "nats": cluster.nats(), "postgres": cluster.url(Part::postgres()),
        "key": cluster.key(), "folder": cluster.folder(), "listener": listener, "parts": parts,
    });
    std::fs::write(path, serde_json::to_vec_pretty(&all)?).with_context(|| format!("{} is not written", path.display()))
}
