//! R16: every service is restarted in order under page load, and no page fails.

use std::time::Duration;

use anyhow::Result;
use testkit::cluster::PATIENCE;

use super::{Row, Stand};

/// Between two restarts: what stands before an edge has seen that it is back.
pub(super) const BREATH: Duration = Duration::from_millis(500);

/// Stops (SIGTERM) and starts each process of each service, one after the other.
///
/// # Errors
/// When a service does not stop in order, or does not come back.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    let restarts = stand.size.of(3, 100);
    let mut rows = Vec::new();
    let kinds: std::collections::BTreeSet<_> =
        stand.cluster.parts().into_iter().map(|part| part.kind).filter(|kind| kind.is_service()).collect();
    for kind in kinds {
        let parts: Vec<_> = stand.cluster.parts().into_iter().filter(|part| part.kind == kind).collect();
        let mut row = Row::new("R16", format!("rolling restarts of {} {}", parts.len(), kind.as_str()), stand.seed);
        let load = stand.pages();
        load.run_for(Duration::from_secs(1)).await;
        let began = load.now();
        for part in parts.iter().cycle().take(restarts) {
            stand.cluster.stop(*part).await?;
            stand.cluster.start_part(*part).await?;
            stand.cluster.ready(*part, PATIENCE).await?;
            tokio::time::sleep(BREATH).await;
        }
        let ended = load.now();
        load.run_for(Duration::from_secs(1)).await;
        let samples = load.finish().await;
        row.tried = restarts as u64;
        for (answer, count) in samples.failed() {
            row.failures.push(format!("{count} pages: {answer:?}"));
        }
        let during = samples.between(began, ended);
        row.p99 =
            [samples.between(Duration::ZERO, began).p99(), during.p99(), samples.between(ended, Duration::MAX).p99()];
        row.seen = format!("{} pages; during: {}", samples.count(), during.levels_text());
        rows.push(row);
    }
    Ok(rows)
}
