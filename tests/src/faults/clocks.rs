//! R6: the wall clocks of the services stand hours apart and jump, forward and back. No event is lost or counted twice,
//! no page fails, and no moment that is kept lies further off than the clocks did.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use rand::RngExt as _;
use shared_models::{Clock, Seed, SystemClock};
use testkit::cluster::{DATABASE, PATIENCE, Part, Shape};

use super::{
    Row, Size, Stand,
    events::{Plan, Sending},
    kills, oracle,
    outage::RECOVERY,
};
use crate::stock::Stock;

/// How far a clock is off, in seconds: ahead or behind.
const HOUR: i64 = 3_600;
/// What a clock's reading may be off beside that: a service looks at its clock's hand once a second.
const SLACK: i64 = 60;
/// How long a clock stands before the next one jumps.
const BETWEEN: Duration = Duration::from_millis(1_200);
/// The rungs that pages may stand on.
const RUNGS: [&str; 2] = ["none", "partial"];

/// Starts a cluster with clocks that are an hour ahead and an hour behind, lets them jump while events are sent and
/// pages asked for, and sets them right in the end.
///
/// # Errors
/// When there is no libfaketime; when the cluster cannot be started or asked.
pub async fn run(shape: Shape, stock: Arc<Stock>, seed: u64, size: Size) -> Result<Vec<Row>> {
    let (events, jumps) = size.of((4_000, 12), (200_000, 200));
    let what = format!("clocks of services an hour ahead and an hour behind, and {jumps} jumps of them");
    let mut row = Row::new("R6", what, seed);
    let from = SystemClock.now().0;
    let mut stand = Stand::start(Shape { clocks: vec![HOUR, -HOUR], ..shape }, stock, seed, size).await?;
    let before = oracle::before(&stand).await?;
    let load = stand.pages();
    let sending = Sending::start(Plan::new(format!("clocks-{seed}"), events, seed), &kills::target(&stand)?);
    let (forward, back) = jump(&stand, &sending, jumps, seed).await?;
    // One of each service on a page's way starts anew where its clock stands.
    for part in [Part::edge(0), Part::candidates(0), Part::ranking(0)] {
        stand.cluster.stop(part).await?;
        stand.cluster.start_part(part).await?;
        stand.cluster.ready(part, PATIENCE).await?;
    }
    let apart = load.now();
    for part in services(&stand) {
        stand.cluster.set_clock(part, 0)?;
    }
    let sent = sending.finish().await;
    load.run_for(RECOVERY).await;
    let samples = load.finish().await;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, PATIENCE).await?;

    row.tried = verdict.acknowledged;
    row.failures = verdict.failures();
    row.expect(verdict.acknowledged == events, || format!("{} events were given up", events - verdict.acknowledged));
    row.failures.extend(sent.tally.wrong.lock().iter().cloned());
    for (answer, count) in samples.failed() {
        row.failures.push(format!("{count} pages: {answer:?}"));
    }
    let during = samples.between(Duration::ZERO, apart);
    let after = samples.between(apart, Duration::MAX);
    row.p99 = [None, during.p99(), after.p99()];
    let budget = size.budget();
    let p99 = during.p99().unwrap_or(Duration::MAX);
    row.expect(p99 <= budget, || format!("p99 is {p99:?}, the budget {budget:?}"));
    for part in [&during, &after] {
        let odd: usize = part.levels().iter().filter(|(level, _)| !RUNGS.contains(level)).map(|(_, count)| count).sum();
        let allowed = (part.count() as f64 * size.noise()).ceil() as usize;
        row.expect(odd <= allowed, || {
            format!("{odd} pages stand on other rungs than {RUNGS:?}: {}", part.levels_text())
        });
    }
    let windows = windows(&stand, from, &mut row).await?;
    row.seen = format!(
        "{verdict}; {}; {} pages: {}; jumps: {forward} forward, {back} back; {windows}",
        sent.text(),
        samples.count(),
        samples.levels_text(),
    );
    stand.cluster.shut_down().await?;
    Ok(vec![row])
}

fn services(stand: &Stand) -> Vec<Part> {
    stand.cluster.parts().into_iter().filter(|part| part.kind.is_service()).collect()
}

/// Lets drawn clocks jump while events go out: how many went forward, and how many back.
async fn jump(stand: &Stand, sending: &Sending, jumps: u32, seed: u64) -> Result<(u32, u32)> {
    let parts = services(stand);
    let mut random = Seed(seed).stream("clocks");
    let started = &stand.cluster.shape().clocks;
    let mut clocks: BTreeMap<Part, i64> =
        parts.iter().map(|part| (*part, started[part.number % started.len()])).collect();
    let (mut forward, mut back) = (0, 0);
    for number in 0..jumps {
        let part = parts[random.random_range(0..parts.len())];
        let stands = clocks.get(&part).copied().unwrap_or_default();
        let others: Vec<i64> = [-HOUR, 0, HOUR].into_iter().filter(|ahead| *ahead != stands).collect();
        let ahead = others[random.random_range(0..others.len())];
        stand.cluster.set_clock(part, ahead)?;
        clocks.insert(part, ahead);
        *if ahead > stands { &mut forward } else { &mut back } += 1;
        sending.allow(f64::from(number + 1) / f64::from(jumps + 1));
        tokio::time::sleep(BETWEEN).await;
        sending.reached((f64::from(number) + 0.5) / f64::from(jumps + 1)).await;
    }
    Ok((forward, back))
}

/// Whether everything that the database keeps with a moment lies where some clock stood, and no trend counts more plays
/// than there were.
async fn windows(stand: &Stand, from: i64, row: &mut Row) -> Result<String> {
    let now = SystemClock.now().0;
    // Plays of the world lie in the past: only the furthest ahead of them tells something.
    let furthest = "SELECT MAX(at) FROM (SELECT MAX(folded_at) AS at FROM folded_events UNION ALL \
                    SELECT MAX(folded_at) FROM folded_positions UNION ALL SELECT MAX(updated_at) FROM profiles UNION ALL \
                    SELECT MAX(at) FROM trends) AS moments";
    let oldest = "SELECT MIN(at) FROM (SELECT MIN(folded_at) AS at FROM folded_events UNION ALL \
                  SELECT MIN(folded_at) FROM folded_positions UNION ALL SELECT MIN(updated_at) FROM profiles) AS moments";
    let ahead = (ask(stand, furthest).await? - now) / 1_000;
    let behind = (from - ask(stand, oldest).await?) / 1_000;
    row.expect(ahead <= HOUR + SLACK, || format!("a moment is kept that lies {ahead} s ahead"));
    row.expect(behind <= HOUR + SLACK, || format!("a moment is kept that lies {behind} s behind the start"));
    // Trends halve within a day, and are kept as they stood at a moment of their own.
    let trending = format!(
        "SELECT COALESCE(CEIL(SUM(plays * POWER(2::float8, GREATEST(-1000, (at - {now})::float8 / 86400000)))), 0)::bigint \
         FROM trends"
    );
    let trending = ask(stand, &trending).await?;
    let folded = ask(stand, "SELECT COUNT(*) FROM folded_events").await?;
    // A play that is told by a clock an hour ahead counts a little more until then.
    row.expect(trending <= folded + folded / 20, || format!("{trending} plays trend after {folded} events"));
    Ok(format!("moments kept from {behind} s before to {ahead} s ahead; {trending} plays trend of {folded} events"))
}

async fn ask(stand: &Stand, question: &str) -> Result<i64> {
    let rows = stand.cluster.postgres().bytes(DATABASE, &format!("SELECT int8send(({question}))")).await?;
    let bytes = rows.first().and_then(|bytes| bytes.first_chunk::<8>()).context("no number came back")?;
    Ok(i64::from_be_bytes(*bytes))
}
