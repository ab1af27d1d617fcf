//! R2: the power of the whole rack is cut while events are sent. What was acknowledged is there when it is back, and is
//! counted once. nats-servers and PostgreSQL each have a disk of their own for it, which needs root.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use anyhow::Result;
use rand::RngExt as _;
use shared_models::Seed;
use testkit::{
    Volume,
    cluster::{Kind, PATIENCE, Part, Shape},
    nats::Sync,
};

use super::{
    Row, Size, Stand,
    events::{Plan, Sending},
    kills, oracle,
};
use crate::stock::Stock;

/// How large the disks are at most; only what is written takes room.
const STREAMS: u64 = 512;
const DATABASE: u64 = 512;
/// How long the comparison waits for what is lost.
const LOST: Duration = Duration::from_secs(10);

/// The disks of a rack: the nats-servers', which stand beside each other, and PostgreSQL's.
struct Disks {
    streams: Volume,
    database: Volume,
}

/// What loses its power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cut {
    Rack,
    Streams,
    Database,
}

impl Cut {
    const ALL: [Self; 3] = [Self::Streams, Self::Database, Self::Rack];

    /// Whether a part stands there.
    fn holds(self, part: Part) -> bool {
        match self {
            Self::Rack => true,
            Self::Streams => part.kind == Kind::Nats,
            Self::Database => part.kind == Kind::Postgres,
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rack => "everything",
            Self::Streams => "all nats-servers",
            Self::Database => "PostgreSQL",
        })
    }
}

/// Cuts the power while events are sent; then once more where nats-servers acknowledge what they have not synced, which
/// the comparison must see.
///
/// # Errors
/// When the machine has no disks for it, with what it lacks; when the cluster cannot be started, broken or asked.
pub async fn run(shape: Shape, stock: Arc<Stock>, seed: u64, size: Size) -> Result<Vec<Row>> {
    let kept = kept(shape.clone(), Arc::clone(&stock), seed, size).await?;
    Ok(vec![kept, unsynced(shape, stock, seed, size).await?])
}

async fn kept(shape: Shape, stock: Arc<Stock>, seed: u64, size: Size) -> Result<Row> {
    let (events, cuts) = size.of((4_000, 3), (200_000, 20));
    let servers = servers(&shape);
    let what = format!("{cuts} cuts of the power under {servers} and PostgreSQL while events are sent");
    let mut row = Row::new("R2", what, seed);
    let (disks, mut stand) = rack(shape, stock, seed, size).await?;
    let before = oracle::before(&stand).await?;
    // Requests enough that some are on their way whenever the power goes.
    let plan = Plan { batch: size.of(5, 100), ..Plan::new(format!("power-{seed}"), events, seed) };
    let sending = Sending::start(plan, &kills::target(&stand)?);
    let mut random = Seed(seed).stream("power");
    let mut seen: BTreeMap<Cut, u32> = BTreeMap::new();
    for number in 0..cuts {
        // Each of them is among the first three; after, they are drawn.
        let at = if number < Cut::ALL.len() { number } else { random.random_range(0..Cut::ALL.len()) };
        let cut = Cut::ALL[at];
        // One time in two nobody has counted yet what was just acknowledged: only the streams hold it.
        if number % 2 == 0 {
            hold(&mut stand)?;
        }
        sending.allow((number + 1) as f64 / (cuts + 1) as f64);
        sending.reached((number as f64 + random.random_range(0.3..0.9)) / (cuts + 1) as f64).await;
        disks.cut(&mut stand, cut, Duration::from_millis(random.random_range(50..500))).await?;
        *seen.entry(cut).or_default() += 1;
        println!("R2   cut {} of {cuts}: {cut}, after {} requests", number + 1, sending.acknowledged());
    }
    let sent = sending.finish().await;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, PATIENCE).await?;
    row.tried = verdict.acknowledged;
    row.failures = verdict.failures();
    row.expect(verdict.acknowledged == events, || format!("{} events were given up", events - verdict.acknowledged));
    row.failures.extend(sent.tally.wrong.lock().iter().cloned());
    let seen: Vec<String> = seen.iter().map(|(cut, count)| format!("{cut} {count}")).collect();
    row.seen = format!("{verdict}; {}; without power: {}", sent.text(), seen.join(", "));
    drop(stand);
    Ok(row)
}

/// The test of the test: nats-servers that sync every two minutes, as they do when nobody tells them, acknowledge what
/// the next cut takes away.
async fn unsynced(shape: Shape, stock: Arc<Stock>, seed: u64, size: Size) -> Result<Row> {
    let servers = servers(&shape);
    let what = format!("must lose: one cut under {servers} with the default sync instead of `always`");
    let mut row = Row::new("R2", what, seed);
    let (disks, mut stand) = rack(Shape { sync: Sync::Default, ..shape }, stock, seed, size).await?;
    let before = oracle::before(&stand).await?;
    // What is counted lies in the database, and that is synced.
    hold(&mut stand)?;
    let plan = Plan::new(format!("unsynced-{seed}"), 2_000, seed);
    let sent = Sending::start(plan, &kills::target(&stand)?).finish().await;
    disks.cut(&mut stand, Cut::Rack, Duration::from_millis(200)).await?;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, LOST).await?;
    row.tried = verdict.acknowledged;
    row.expect(verdict.lost > 0, || "nothing is lost: this cut would not be seen elsewhere either".to_owned());
    row.seen = format!("as it must: {verdict}");
    drop(stand);
    Ok(row)
}

/// The nats-servers in words, for the table.
fn servers(shape: &Shape) -> String {
    if shape.nats == 1 { "one nats-server".to_owned() } else { format!("{} nats-servers", shape.nats) }
}

/// A cluster whose streams and database lie on disks of their own.
async fn rack(shape: Shape, stock: Arc<Stock>, seed: u64, size: Size) -> Result<(Disks, Stand)> {
    let disks = Disks { streams: Volume::make(STREAMS)?, database: Volume::make(DATABASE)? };
    let (streams, database) = (disks.streams.path().to_owned(), disks.database.path().to_owned());
    let shape = Shape { streams: Some(streams), database: Some(database), ..shape };
    let stand = Stand::start(shape, stock, seed, size).await?;
    Ok((disks, stand))
}

/// Stops everybody who counts where they stand.
fn hold(stand: &mut Stand) -> Result<()> {
    for part in stand.cluster.parts().into_iter().filter(|part| part.kind == Kind::Candidates) {
        stand.cluster.freeze(part)?;
    }
    Ok(())
}

impl Disks {
    /// Cuts the power, and brings everything back after a while.
    async fn cut(&self, stand: &mut Stand, cut: Cut, dark: Duration) -> Result<()> {
        let volumes: Vec<&Volume> = [(Cut::Streams, &self.streams), (Cut::Database, &self.database)]
            .into_iter()
            .filter(|(which, _)| cut == Cut::Rack || cut == *which)
            .map(|(_, volume)| volume)
            .collect();
        // The disks first: what a server does between this and its end must reach nobody as done.
        for volume in &volumes {
            volume.cut()?;
        }
        for part in stand.cluster.parts().into_iter().filter(|part| cut.holds(*part)) {
            stand.cluster.kill(part)?;
        }
        tokio::time::sleep(dark).await;
        tokio::task::block_in_place(|| volumes.iter().try_for_each(|volume| volume.replug()))?;
        stand.mend().await
    }
}
