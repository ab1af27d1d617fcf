//! R11: an edge starts while everything else is absent. It serves, says so, and is whole once the others are there.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use serde_json::json;
use testkit::{
    Cluster,
    cluster::{Part, Shape},
};
use tokio::time::Instant;

use super::{Row, Size, Stand};
use crate::stock::Stock;

/// How soon it serves.
const SOON: Duration = Duration::from_secs(5);

/// Starts an edge alone, asks for pages, then starts the rest.
///
/// # Errors
/// When the cluster cannot be started.
pub async fn run(shape: Shape, stock: Arc<Stock>, seed: u64, size: Size) -> Result<Vec<Row>> {
    let mut row = Row::new("R11", "an edge starts with everything else absent", seed);
    let mut cluster = Cluster::prepare(shape).await?;
    let edge = Part::edge(0);
    cluster.kill(Part::postgres())?;
    let began = Instant::now();
    cluster.start_part(edge).await?;
    let ready = cluster.ready(edge, SOON).await;
    let took = began.elapsed();
    match ready {
        Ok(()) => alone(&cluster, &mut row).await?,
        Err(error) => row.failures.push(format!("the edge alone does not serve: {error:#}")),
    }
    // The rest comes; what others need first, and nats-servers together: one alone has no majority.
    cluster.start_rest().await?;
    let stand = Stand::around(cluster, stock, seed, size);
    if let Err(error) = stand.fill().await {
        row.failures.push(format!("with the rest there, its pages are not whole: {error:#}"));
    }
    row.seen = format!("ready after {:.1} s; {}", took.as_secs_f64(), row.seen);
    Ok(vec![row])
}

async fn alone(cluster: &Cluster, row: &mut Row) -> Result<()> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let edge = cluster.url(Part::edge(0));
    let mut levels = std::collections::BTreeSet::new();
    for n in 0..20 {
        let body = json!({ "user_id": format!("listener-{n}") });
        let url = format!("{edge}/v1/surfaces/home:page");
        let answer = http.post(url).bearer_auth(cluster.key()).json(&body).send().await?;
        row.tried += 1;
        let status = answer.status().as_u16();
        let page: serde_json::Value = answer.json().await.unwrap_or_default();
        row.expect(status == 200, || format!("a page alone is answered {status}"));
        levels.extend(page.pointer("/degraded/level").and_then(|level| level.as_str()).map(str::to_owned));
    }
    let event =
        json!({ "events": [{ "event_id": "alone", "user_id": "listener", "type": "play", "item_id": "track" }] });
    let answer = http.post(format!("{edge}/v1/events")).bearer_auth(cluster.key()).json(&event).send().await?;
    let (status, wait) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
    row.expect(status == 503 && wait, || format!("an event alone is answered {status}, Retry-After {wait}"));
    row.seen = format!("pages alone: {levels:?}");
    Ok(())
}
