//! R15: nobody starts work that its caller has given up on. Read off the traces of outages: a server span that begins
//! after its caller's own span has ended, and has spans of its own below it, is such work: one without is a refusal.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use anyhow::Result;
use testkit::otlp::Kind;

use super::{Row, Stand};

/// Clocks are the same; two processes read them a moment apart, a longer one without optimisation beside compilers.
const SLACK: u64 = if cfg!(debug_assertions) { 25_000_000 } else { 5_000_000 };
/// How long the last spans may take to arrive.
const ARRIVE: Duration = Duration::from_secs(2);

/// Judges every server span below a call that the collector holds.
///
/// # Errors
/// When the cluster's traces go elsewhere.
pub async fn judge(stand: &Stand) -> Result<Row> {
    tokio::time::sleep(ARRIVE).await;
    let spans = stand.collector()?.spans();
    let calls: HashMap<&str, u64> =
        spans.iter().filter(|span| span.kind == Kind::Client).map(|span| (span.id.as_str(), span.time.1)).collect();
    let parents: HashSet<&str> = spans.iter().map(|span| span.parent.as_str()).collect();
    let mut row = Row::new("R15", "work that starts after its caller gave up, in the traces of R7", stand.seed);
    let (mut latest, mut refused) = (0, 0_u64);
    let mut worked: Vec<&str> = Vec::new();
    for span in spans.iter().filter(|span| span.kind == Kind::Server) {
        let Some(given_up) = calls.get(span.parent.as_str()) else { continue };
        row.tried += 1;
        let late = span.time.0.saturating_sub(*given_up);
        if late > SLACK && !parents.contains(span.id.as_str()) {
            refused += 1;
        } else if late > SLACK {
            latest = latest.max(late);
            worked.push(span.name.as_str());
        }
    }
    row.expect(worked.is_empty(), || {
        format!("{} calls are worked on after, up to {:?}: {}", worked.len(), Duration::from_nanos(latest), worked[0])
    });
    row.expect(row.tried > 0, || "no server span hangs under a call".to_owned());
    row.seen = format!("{} spans; {refused} calls refused because they came too late", spans.len());
    Ok(row)
}
