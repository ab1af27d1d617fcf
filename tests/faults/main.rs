//! What is promised when parts fail, in short form, on real clusters: `scripts/faults --long` is the long form, and
//! docs/faults.md what it saw. Those that need root (R2, R4) are in no test target: they are tried by `scripts/faults`.
//!
//! Clusters are started one after the other: each is a dozen processes on the machine's few cores.

use std::sync::Arc;

use anyhow::{Result, ensure};
use testkit::cluster::Shape;
use tests::{
    faults::{self, Row, Size, Stand, clocks, cold, kills},
    stock::Stock,
};
use tokio::sync::{Mutex, OnceCell};

const SEED: u64 = 1;

static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// What all clusters of this process serve: learned once.
async fn stock() -> Result<Arc<Stock>> {
    static STOCK: OnceCell<Arc<Stock>> = OnceCell::const_new();
    STOCK.get_or_try_init(|| async { Stock::small(SEED).await.map(Arc::new) }).await.cloned()
}

async fn stand() -> Result<Stand> {
    Stand::start(Shape::default(), stock().await?, SEED, Size::Short).await
}

fn judge(rows: &[Row]) -> Result<()> {
    for row in rows {
        println!("{row}");
    }
    let failed: Vec<String> = rows.iter().filter(|row| !row.failures.is_empty()).map(|row| format!("{row}")).collect();
    ensure!(failed.is_empty(), "\n{}", failed.join("\n"));
    Ok(())
}

/// All promises of one cluster are tried before any is judged.
async fn try_all(promises: &[&str]) -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut stand = stand().await?;
    let mut rows = Vec::new();
    for promise in promises {
        let began = std::time::Instant::now();
        rows.extend(faults::run(promise, &mut stand).await?);
        println!("{promise} took {:.1} s", began.elapsed().as_secs_f64());
        stand.mend().await?;
    }
    judge(&rows)?;
    stand.cluster.shut_down().await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_kept_and_counted_once() -> Result<()> {
    try_all(&["R1", "R3", "R5"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_answered_whatever_is_away() -> Result<()> {
    try_all(&["R7", "R8", "R10", "R16", "R20"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_starts_alone() -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    judge(&cold::run(Shape::default(), stock().await?, SEED, Size::Short).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_may_stand_apart_and_jump() -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    judge(&clocks::run(Shape::default(), stock().await?, SEED, Size::Short).await?)
}

/// The test of the test: an oracle that finds nothing must be one that would have found it.
#[tokio::test(flavor = "multi_thread")]
async fn the_oracle_sees_what_is_counted_twice_and_what_is_lost() -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let small = Shape { edges: 1, candidates: 1, ranking: 1, learning: 0, nats: 1, ..Shape::default() };
    let mut stand = Stand::start(small, stock().await?, SEED, Size::Short).await?;
    let twice = kills::without_kept_ids(&mut stand).await?;
    ensure!(twice.counted_twice >= 1_900 && twice.lost == 0, "sent again under new ids: {twice}");
    let lost = kills::with_events_removed(&mut stand, 7).await?;
    ensure!(lost.lost == 7, "seven were removed: {lost}");
    stand.cluster.shut_down().await
}
