//! R1: an event that was acknowledged is kept, and counted once, whatever is killed meanwhile.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use testkit::cluster::Kind;

use super::{
    Row, Size, Stand,
    balancer::Balancer,
    events::{Plan, Sending, Sent, Target},
    nemesis::Nemesis,
    oracle,
};

/// How long the rest of the events may take to be folded.
const SETTLE: Duration = Duration::from_secs(60);

/// Sends events while edges, candidate generation, nats-servers and PostgreSQL are killed in a drawn order.
///
/// # Errors
/// When the cluster cannot be broken, brought back or asked.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    // The short form is in the test target, built without optimisation and beside others.
    let (events, kills) = stand.size.of((10_000, 10), (1_000_000, 200));
    let (events, kills) =
        if stand.size == Size::Short && !cfg!(debug_assertions) { (50_000, 20) } else { (events, kills) };
    let mut row =
        Row::new("R1", format!("{kills} strikes of kill -9 while events are sent and sent again"), stand.seed);
    let before = oracle::before(stand).await?;
    let (sent, seen) =
        under_kills(stand, Plan::new(format!("kills-{}", stand.seed), events, stand.seed), kills).await?;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, SETTLE).await?;
    row.tried = verdict.acknowledged;
    row.failures = verdict.failures();
    row.expect(verdict.acknowledged == events, || format!("{} events were given up", events - verdict.acknowledged));
    row.failures.extend(sent.tally.wrong.lock().iter().cloned());
    row.seen = format!("{verdict}; {}; killed: {seen}", sent.text());
    Ok(vec![row])
}

/// What the oracle says of a client that sends again under new ids: it must see plays that are counted twice.
///
/// # Errors
/// As [`run`].
pub async fn without_kept_ids(stand: &mut Stand) -> Result<oracle::Verdict> {
    let before = oracle::before(stand).await?;
    // With new ids a copy is a new event: as if nothing knew that it came again.
    let plan =
        Plan { keep_ids: false, copies: (2, 2), ..Plan::new(format!("new-ids-{}", stand.seed), 2_000, stand.seed) };
    let sent = Sending::start(plan, &target(stand)?).finish().await;
    oracle::judge(&stand.cluster, &before, &sent, SETTLE / 4).await
}

/// What the oracle says when acknowledged events are taken out of the database: it must miss them.
///
/// # Errors
/// As [`run`].
pub async fn with_events_removed(stand: &mut Stand, count: usize) -> Result<oracle::Verdict> {
    let before = oracle::before(stand).await?;
    let plan = Plan::new(format!("removed-{}", stand.seed), 2_000, stand.seed);
    let sent = Sending::start(plan, &target(stand)?).finish().await;
    let whole = oracle::judge(&stand.cluster, &before, &sent, SETTLE).await?;
    anyhow::ensure!(whole.failures().is_empty(), "before anything was removed: {whole}");
    oracle::remove(&stand.cluster, &sent, count).await?;
    oracle::judge(&stand.cluster, &before, &sent, Duration::from_secs(2)).await
}

/// Where a stand's events go.
///
/// # Errors
/// When its world has no tracks.
pub fn target(stand: &Stand) -> Result<Target> {
    Ok(Target {
        balancer: Balancer::start(stand.cluster.edges()),
        key: stand.cluster.key().to_owned(),
        tracks: Arc::new(stand.tracks()?),
    })
}

async fn under_kills(stand: &mut Stand, plan: Plan, kills: u32) -> Result<(Sent, String)> {
    let sending = Sending::start(plan, &target(stand)?);
    let struck = [Kind::Edge, Kind::Candidates, Kind::Nats, Kind::Postgres];
    let parts = stand.cluster.parts().into_iter().filter(|part| struck.contains(&part.kind)).collect();
    let mut nemesis = Nemesis::new(parts, stand.seed);
    for kill in 0..kills {
        // Strikes are spread over the events: each has its share to break into.
        sending.allow(f64::from(kill + 1) / f64::from(kills + 1));
        sending.reached((f64::from(kill) + 0.5) / f64::from(kills + 1)).await;
        let victims = nemesis.strike(&mut stand.cluster).await?;
        let names: Vec<String> = victims.iter().map(ToString::to_string).collect();
        println!("R1   strike {} of {kills}: {}", kill + 1, names.join(" and "));
    }
    stand.mend().await?;
    Ok((sending.finish().await, nemesis.text()))
}
