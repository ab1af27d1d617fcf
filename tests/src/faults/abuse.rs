//! R20: connections that mean harm are closed soon, and honest clients do not feel them.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use testkit::abuse::Abuse;
use tokio::task::JoinSet;

use super::{Row, Stand};

/// By when every abuser is gone.
const GONE: Duration = Duration::from_secs(15);
/// How long a wave of abusers is waited for before the next one.
const PATIENCE: Duration = Duration::from_secs(60);
/// How much longer 99 of 100 pages may take meanwhile.
const SLOWER: f64 = 1.5;
/// Pages are not judged by less: a busy machine makes such differences by itself.
const FELT: Duration = Duration::from_millis(10);

/// Attacks every edge in every way while pages are asked for.
///
/// # Errors
/// When an edge cannot be reached.
pub async fn run(stand: &mut Stand) -> Result<Vec<Row>> {
    let (silent, floods) = stand.size.of((150, 1), (2_000, 4));
    let attacks: Vec<(Abuse, usize)> = [Abuse::Silence, Abuse::SlowLoris, Abuse::SilenceInHttp2]
        .map(|abuse| (abuse, silent))
        .into_iter()
        .chain(Abuse::FLOODS.map(|abuse| (abuse, floods)))
        .chain([(Abuse::NeverReads, floods)])
        .collect();
    let edges = stand.cluster.edges();
    let victims: Vec<SocketAddr> = edges
        .iter()
        .map(|edge| edge.trim_start_matches("http://").parse().with_context(|| format!("{edge} is no address")))
        .collect::<Result<_>>()?;
    let mut row = Row::new("R20", "silent, slow and flooding connections to every edge", stand.seed);
    let load = stand.pages();
    let began = load.run_for(stand.size.of(Duration::from_secs(3), Duration::from_secs(10))).await;
    let mut abusers = JoinSet::new();
    for victim in victims {
        for &(abuse, count) in &attacks {
            for _ in 0..count {
                abusers.spawn(abuse.run(victim, PATIENCE));
            }
        }
    }
    let (mut longest, mut late) = (Duration::ZERO, 0_u64);
    while let Some(abuser) = abusers.join_next().await {
        row.tried += 1;
        let took = abuser?.unwrap_or(PATIENCE);
        longest = longest.max(took);
        late += u64::from(took > GONE);
    }
    let ended = load.now();
    load.run_for(Duration::from_secs(2)).await;
    let samples = load.finish().await;
    row.expect(late == 0, || format!("{late} connections are open after {GONE:?}"));
    for (answer, count) in samples.failed() {
        row.failures.push(format!("{count} pages: {answer:?}"));
    }
    let (before, during) = (samples.between(Duration::ZERO, began), samples.between(began, ended));
    row.p99 = [before.p99(), during.p99(), samples.between(ended, Duration::MAX).p99()];
    if let [Some(calm), Some(attacked), _] = row.p99 {
        // A few seconds of pages have no 99th percentile to compare.
        let may = stand.size.of(stand.size.budget(), calm.mul_f64(SLOWER).max(calm + FELT));
        row.expect(attacked <= may, || format!("p99 {attacked:?} instead of {calm:?}"));
    }
    row.seen = format!("the last is gone after {:.1} s; during: {}", longest.as_secs_f64(), during.levels_text());
    Ok(vec![row])
}
