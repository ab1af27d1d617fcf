//! R5: who counts events is hung. Taking them goes on, and what has waited is counted after; what nobody can read goes
//! to the dead letters and holds up nothing.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use event_bus::{Envelope, subjects};
use service_runtime::Runtime;
use shared_models::{Clock, SystemClock, TenantId};
use testkit::cluster::{Kind, PATIENCE, Part, TENANT};
use tokio::time::Instant;

use super::{
    Row, Stand,
    events::{Plan, Sending},
    kills, oracle,
};

/// How many messages nobody can read.
const POISON: u64 = 10;

/// Hangs all of candidate generation while events are sent; then puts poison between them.
///
/// # Errors
/// When the cluster cannot be broken, brought back or asked.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    Ok(vec![hung(stand).await?, poisoned(stand).await?])
}

async fn hung(stand: &mut Stand) -> Result<Row> {
    let events = stand.size.of(4_000, 200_000);
    let mut row = Row::new("R5", "who counts events is hung while they are sent", stand.seed);
    let parts: Vec<Part> = stand.cluster.parts().into_iter().filter(|part| part.kind == Kind::Candidates).collect();
    let before = oracle::before(stand).await?;
    let sending = Sending::start(Plan::new(format!("hung-{}", stand.seed), events, stand.seed), &kills::target(stand)?);
    sending.allow(0.3);
    sending.reached(0.3).await;
    for part in &parts {
        stand.cluster.freeze(*part)?;
    }
    let frozen = Instant::now();
    sending.allow(1.0);
    let taken = tokio::time::timeout(PATIENCE, sending.reached(1.0)).await;
    row.expect(taken.is_ok(), || "events are not taken while nobody counts them".to_owned());
    let took = frozen.elapsed();
    tokio::time::sleep(stand.size.of(Duration::from_secs(1), Duration::from_secs(60)).saturating_sub(took)).await;
    for part in &parts {
        stand.cluster.thaw(*part)?;
    }
    let thawed = Instant::now();
    let sent = sending.finish().await;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, PATIENCE).await?;
    row.tried = verdict.acknowledged;
    row.failures.extend(verdict.failures());
    row.expect(verdict.acknowledged == events, || format!("events were given up: {verdict}"));
    row.failures.extend(sent.tally.wrong.lock().iter().cloned());
    row.seen = format!(
        "{verdict}; 70 % of them taken in {:.1} s meanwhile, p99 of a request {:?}, all counted within {:.1} s after",
        took.as_secs_f64(),
        sent.p99().unwrap_or_default(),
        thawed.elapsed().as_secs_f64(),
    );
    Ok(row)
}

async fn poisoned(stand: &mut Stand) -> Result<Row> {
    let mut row = Row::new("R5", format!("{POISON} messages that nobody can read between events"), stand.seed);
    let before = oracle::before(stand).await?;
    let dead_before = dead(stand).await?;
    let sending =
        Sending::start(Plan::new(format!("poison-{}", stand.seed), 2_000, stand.seed), &kills::target(stand)?);
    sending.allow(0.5);
    publish(stand).await?;
    let sent = sending.finish().await;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, PATIENCE).await?;
    row.tried = POISON;
    row.failures.extend(verdict.failures());
    let end = Instant::now() + PATIENCE;
    let mut buried = 0;
    while buried < POISON && Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(200)).await;
        buried = dead(stand).await?.saturating_sub(dead_before);
    }
    row.expect(buried >= POISON, || format!("{buried} of {POISON} are in the dead letters"));
    row.seen = format!("{verdict}; {buried} dead letters");
    Ok(row)
}

/// Puts messages between the events whose payload is none.
async fn publish(stand: &Stand) -> Result<()> {
    let runtime = Runtime::new(Arc::new(SystemClock));
    let config = event_bus::Config {
        kind: event_bus::config::Kind::Nats,
        url: stand.cluster.nats(),
        synced_always: true,
        replicas: if stand.cluster.shape().nats > 1 { 3 } else { 1 },
        ..event_bus::Config::default()
    };
    let bus = event_bus::open(&config, &runtime).await.context("the streams cannot be reached")?;
    let tenant = TenantId::new(TENANT)?;
    for n in 0..POISON {
        let subject = subjects::events(&tenant, (n % u64::from(config.partitions)) as u16);
        let envelope =
            Envelope::new(contracts::events::KIND, contracts::events::VERSION, SystemClock.now(), vec![0xff; 40]);
        bus.publish(&subject, envelope).await.context("the poison was not taken")?;
    }
    drop(bus);
    runtime.drain(Duration::from_secs(5)).await;
    Ok(())
}

/// How many dead letters there are, as a nats-server tells: the most that one of them knows of.
async fn dead(stand: &Stand) -> Result<u64> {
    let mut most = 0;
    for part in stand.cluster.parts().into_iter().filter(|part| part.kind == Kind::Nats) {
        let url = format!("{}/jsz?streams=true", stand.cluster.ops_url(part));
        let told: serde_json::Value = reqwest::get(url).await?.json().await?;
        let streams = told.pointer("/account_details/0/stream_detail").and_then(serde_json::Value::as_array);
        for stream in streams.into_iter().flatten().filter(|stream| stream["name"] == "DEAD") {
            most = most.max(stream.pointer("/state/messages").and_then(serde_json::Value::as_u64).unwrap_or_default());
        }
    }
    Ok(most)
}
