//! R16, between releases: every service is replaced by another release's under load, one process after the other, and
//! back again. On the way down the edges call older services, on the way up older edges call newer ones.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use testkit::{
    cluster::{PATIENCE, Part},
    tools,
};

use super::{
    Row, Stand,
    events::{Plan, Sending},
    kills, oracle,
    rolling::BREATH,
};

/// Another release of Setlist.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its binary.
    pub program: PathBuf,
    /// What it is called in the table.
    pub name: String,
}

/// Goes down to the other release and up again.
///
/// # Errors
/// When the other release is not there, or a process does not stop in order or does not become ready.
pub async fn run(stand: &mut Stand, other: &Other) -> Result<Vec<Row>> {
    ensure!(other.program.is_file(), "there is no release at {}", other.program.display());
    let ours = tools::setlist()?;
    let down = format!("rolled down from this release to {}", other.name);
    let up = format!("rolled up from {} to this release", other.name);
    Ok(vec![roll(stand, &other.program, down).await?, roll(stand, &ours, up).await?])
}

async fn roll(stand: &mut Stand, program: &Path, what: String) -> Result<Row> {
    let events = stand.size.of(4_000, 100_000);
    let before = oracle::before(stand).await?;
    let plan = Plan::new(format!("{}-{}", what.replace(' ', "-"), stand.seed), events, stand.seed);
    let mut row = Row::new("R16", what, stand.seed);
    let services: Vec<Part> = stand.cluster.parts().into_iter().filter(|part| part.kind.is_service()).collect();
    let load = stand.pages();
    load.run_for(Duration::from_secs(1)).await;
    let began = load.now();
    let sending = Sending::start(plan, &kills::target(stand)?);
    for (replaced, part) in services.iter().enumerate() {
        stand.cluster.stop(*part).await?;
        stand.cluster.replace(*part, program)?;
        stand.cluster.start_part(*part).await?;
        stand.cluster.ready(*part, PATIENCE).await?;
        tokio::time::sleep(BREATH).await;
        // Every mixture takes its share of the events.
        let share = (replaced + 1) as f64 / services.len() as f64;
        sending.allow(share);
        sending.reached(share).await;
    }
    let ended = load.now();
    load.run_for(Duration::from_secs(1)).await;
    let samples = load.finish().await;
    let sent = sending.finish().await;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, PATIENCE).await?;

    row.tried = samples.count();
    for (answer, count) in samples.failed() {
        row.failures.push(format!("{count} pages: {answer:?}"));
    }
    row.failures.extend(verdict.failures());
    row.expect(verdict.acknowledged == events, || format!("events were given up: {verdict}"));
    row.failures.extend(sent.tally.wrong.lock().iter().cloned());
    let during = samples.between(began, ended);
    row.p99 = [samples.between(Duration::ZERO, began).p99(), during.p99(), samples.between(ended, Duration::MAX).p99()];
    row.seen = format!("during: {}; {verdict}; {}", during.levels_text(), sent.text());
    Ok(row)
}
