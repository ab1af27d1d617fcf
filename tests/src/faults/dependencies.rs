//! R10: database, streams or collector are down or hung. Pages stay answered; events are refused for now, and never
//! acknowledged for nothing.

use std::time::Duration;

use anyhow::Result;
use testkit::cluster::{Kind, PATIENCE, Part};

use super::{
    Row, Size, Stand,
    events::{Plan, Sending, Sent},
    kills, oracle,
    outage::{self, How, Moments, Outage},
};

/// What was on its way when an outage began may still be answered.
const IN_FLIGHT: Duration = Duration::from_millis(500);

/// Takes database, streams and collector away, each both ways.
///
/// # Errors
/// When the cluster cannot be broken, brought back or asked.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    let nats: Vec<Part> = stand.cluster.parts().into_iter().filter(|part| part.kind == Kind::Nats).collect();
    let mut rows = Vec::new();
    for how in How::ALL {
        // Whoever's profile is not in memory has a page all the same, without what is known of them.
        let database = Outage {
            promise: "R10",
            what: format!("PostgreSQL {}", how.as_str()),
            parts: vec![Part::postgres()],
            how,
            rungs: &["none", "partial"],
            shows: &[],
        };
        rows.push(with_events(stand, &database, true).await?);
        let streams = Outage {
            promise: "R10",
            what: format!("all nats-servers {}", how.as_str()),
            parts: nats.clone(),
            how,
            rungs: &["none", "partial"],
            shows: &[],
        };
        rows.push(with_events(stand, &streams, false).await?);
        // The short form leaves out the one whose outcome the two around it bound.
        if nats.len() > 1 && (how == How::Down || stand.size == Size::Long) {
            let one = Outage {
                what: format!("one nats-server of {} {}", nats.len(), how.as_str()),
                parts: vec![nats[0]],
                ..streams
            };
            rows.push(with_events(stand, &one, true).await?);
        }
        rows.push(collector(stand, how).await?);
    }
    Ok(rows)
}

/// An outage under pages and events. Whether events may be stored meanwhile decides what a 202 is.
async fn with_events(stand: &mut Stand, outage: &Outage, stored: bool) -> Result<Row> {
    let run = format!("r10-{}-{}", outage.what.replace(' ', "-"), stand.seed);
    let plan = Plan { batch: 5, workers: 2, listeners: 20, ..Plan::new(run, stand.size.of(1_000, 10_000), stand.seed) };
    let before = oracle::before(stand).await?;
    let load = stand.pages();
    let sending = Sending::start(plan, &kills::target(stand)?);
    sending.allow(0.3);
    load.run_for(stand.size.of(Duration::from_secs(1), Duration::from_secs(15))).await;
    let began = load.now();
    outage::break_all(stand, outage)?;
    load.run_for(IN_FLIGHT).await;
    let early = sending.acknowledged();
    sending.allow(0.6);
    load.run_for(stand.size.of(Duration::from_secs(3), Duration::from_secs(30))).await;
    let meanwhile = sending.acknowledged() - early;
    let over = load.now();
    outage::bring_back(stand, outage).await?;
    let moments = Moments { began, over, ended: load.now() };
    sending.allow(1.0);
    let samples = outage::whole_again(stand, load, moments, outage.shows).await;
    let sent: Sent = sending.finish().await;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, PATIENCE).await?;

    let mut row = Row::new(outage.promise, outage.what.clone(), stand.seed);
    outage::judge(&mut row, &samples, moments, outage, stand.size);
    row.expect(stored || meanwhile == 0, || {
        format!("{meanwhile} requests were acknowledged while nothing could be kept")
    });
    row.failures.extend(verdict.failures());
    row.failures.extend(sent.tally.wrong.lock().iter().cloned());
    row.expect(verdict.acknowledged == sent.plan.events, || format!("events were given up: {verdict}"));
    row.seen = format!("{}; events: {}, {meanwhile} of them meanwhile", row.seen, sent.text());
    Ok(row)
}

/// The collector is away: traces are lost, pages are not.
async fn collector(stand: &mut Stand, how: How) -> Result<Row> {
    let outage = Outage {
        promise: "R10",
        what: format!("the collector of traces {}", how.as_str()),
        parts: Vec::new(),
        how,
        rungs: &["none", "partial"],
        shows: &[],
    };
    let load = stand.pages();
    load.run_for(stand.size.of(Duration::from_secs(1), Duration::from_secs(15))).await;
    let began = load.now();
    match how {
        How::Down => stand.proxy()?.refuse(),
        How::Hung => stand.proxy()?.hang(),
    }
    load.run_for(stand.size.of(Duration::from_secs(3), Duration::from_secs(30))).await;
    stand.proxy()?.forward();
    let over = load.now();
    let moments = Moments { began, over, ended: over };
    let samples = outage::whole_again(stand, load, moments, outage.shows).await;
    let mut row = Row::new("R10", outage.what.clone(), stand.seed);
    outage::judge(&mut row, &samples, moments, &outage, stand.size);
    Ok(row)
}
