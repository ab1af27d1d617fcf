//! R4: the disk of the streams is full. Nothing is acknowledged that is not kept, pages stay answered, and events are
//! taken again once there is room and the server was started anew. It mounts a small file system, which needs root.

use std::{path::Path, process::Command, sync::Arc, sync::atomic::Ordering, time::Duration};

use anyhow::{Context, Result, ensure};
use testkit::{
    Folder,
    cluster::{PATIENCE, Part, Shape},
};
use tokio::time::Instant;

use super::{
    Row, Size, Stand,
    events::{Plan, Sending},
    kills, oracle,
};
use crate::stock::Stock;

/// How large the disk is, and how large it becomes.
const FULL: &str = "24m";
const ROOMY: &str = "512m";
/// How soon events are taken again.
const RECOVERY: Duration = Duration::from_secs(10);

/// A file system in memory, as large as told.
struct Disk(Folder);

impl Disk {
    fn mount() -> Result<Self> {
        let folder = Folder::new()?;
        mount(&["-t", "tmpfs", "-o", &format!("size={FULL}"), "tmpfs"], folder.path())?;
        Ok(Self(folder))
    }

    fn grow(&self) -> Result<()> {
        mount(&["-o", &format!("remount,size={ROOMY}")], self.0.path())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still writes there ends with the cluster.
        let _left = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn mount(arguments: &[&str], folder: &Path) -> Result<()> {
    let said = Command::new("mount").args(arguments).arg(folder).output().context("mount does not start")?;
    ensure!(said.status.success(), "mount: {}", String::from_utf8_lossy(&said.stderr).trim());
    Ok(())
}

/// Fills the disk of one nats-server with events.
///
/// # Errors
/// When the cluster cannot be started, broken or asked.
pub async fn run(shape: Shape, stock: Arc<Stock>, seed: u64, size: Size) -> Result<Vec<Row>> {
    let mut row = Row::new("R4", format!("the disk of nats-server ({FULL}) is full"), seed);
    let disk = match Disk::mount() {
        Ok(disk) => disk,
        Err(error) => {
            eprintln!("R4   SKIPPED: no small disk can be mounted here ({error:#}); run it as root");
            row.seen = "skipped: it needs root to mount a small disk".to_owned();
            return Ok(vec![row]);
        }
    };
    let shape = Shape { nats: 1, streams: Some(disk.0.path().to_owned()), ..shape };
    let mut stand = Stand::start(shape, stock, seed, size).await?;
    let before = oracle::before(&stand).await?;
    let plan = Plan { batch: 500, ..Plan::new(format!("full-{seed}"), 400_000, seed) };
    let load = stand.pages();
    let sending = Sending::start(plan, &kills::target(&stand)?);
    sending.allow(1.0);
    let end = Instant::now() + PATIENCE * 2;
    while sending.tally.refused.load(Ordering::Relaxed) < 100 {
        ensure!(Instant::now() < end, "the disk is never full");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let full = load.now();
    let at = sending.acknowledged();
    load.run_for(Duration::from_secs(10)).await;
    disk.grow()?;
    // Room alone does not help: an I/O error freezes the stream until the server is started anew.
    stand.cluster.kill(Part::nats(0))?;
    stand.cluster.start_part(Part::nats(0)).await?;
    let (roomy, back) = (load.now(), Instant::now());
    let stuck = sending.acknowledged();
    while sending.acknowledged() == stuck && back.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let resumed = back.elapsed();
    let sent = sending.finish().await;
    let samples = load.finish().await;
    let verdict = oracle::judge(&stand.cluster, &before, &sent, PATIENCE * 2).await?;

    row.tried = verdict.acknowledged;
    row.failures.extend(verdict.failures());
    row.failures.extend(sent.tally.wrong.lock().iter().cloned());
    for (answer, count) in samples.failed() {
        row.failures.push(format!("{count} pages: {answer:?}"));
    }
    row.expect(resumed <= RECOVERY, || format!("events are taken again only {resumed:?} after"));
    let parts = [(Duration::ZERO, full), (full, roomy), (roomy, Duration::MAX)];
    row.p99 = parts.map(|(from, to)| samples.between(from, to).p99());
    row.seen = format!(
        "{verdict}; full after {at} requests, {} more acknowledged while full, taken again after {:.1} s; {}",
        stuck - at,
        resumed.as_secs_f64(),
        sent.text(),
    );
    drop(stand);
    drop(disk);
    Ok(vec![row])
}
