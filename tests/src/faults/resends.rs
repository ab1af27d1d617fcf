//! R3: sending events again is free. Each travels one to five times, in requests of other neighbours and in another
//! order, and is counted once.

use std::time::Duration;

use anyhow::Result;

use super::{
    Row, Stand,
    events::{Plan, Sending},
    kills, oracle,
};

/// How long the events may take to be folded.
const SETTLE: Duration = Duration::from_secs(60);

/// Sends every event one to five times.
///
/// # Errors
/// When the cluster cannot be asked.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    let events = stand.size.of(4_000, 200_000);
    let mut row = Row::new("R3", "every event sent one to five times, in other requests and another order", stand.seed);
    let before = oracle::before(stand).await?;
    let plan = Plan { copies: (1, 5), ..Plan::new(format!("resends-{}", stand.seed), events, stand.seed) };
    let sent = Sending::start(plan, &kills::target(stand)?).finish().await;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, SETTLE).await?;
    row.tried = verdict.acknowledged;
    row.failures = verdict.failures();
    row.expect(verdict.acknowledged == events, || format!("{} events were given up", events - verdict.acknowledged));
    row.failures.extend(sent.tally.wrong.lock().iter().cloned());
    row.seen = format!("{verdict}; {}", sent.text());
    Ok(vec![row])
}
