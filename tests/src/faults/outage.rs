//! One outage under page load, and how it is judged: no page fails, pages stay fast and say how degraded they are, and
//! they are whole again soon after. This file must not know which part is out.

use std::time::Duration;

use anyhow::Result;
use testkit::cluster::{Kind, PATIENCE, Part};

use super::{Row, Size, Stand, load::Load, samples::Samples};

/// How soon pages are whole again.
pub const RECOVERY: Duration = Duration::from_secs(5);
/// How soon pages stand on the rung that the outage leaves.
const ONSET: Duration = Duration::from_secs(1);

/// How a part is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Killed: connections are refused.
    Down,
    /// Stopped where it stands: connections stay open, and nobody answers.
    Hung,
}

impl How {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Down, Self::Hung];

    /// As a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Hung => "hung",
        }
    }
}

/// An outage.
#[derive(Clone, Debug)]
pub struct Outage {
    /// The promise.
    pub promise: &'static str,
    /// What is done, for the table.
    pub what: String,
    /// What is out.
    pub parts: Vec<Part>,
    /// How.
    pub how: How,
    /// The rungs that pages may stand on meanwhile.
    pub rungs: &'static [&'static str],
    /// The rungs that show the outage: some page stands on one meanwhile, and none does once it is over.
    pub shows: &'static [&'static str],
}

/// The moments of an outage, from the start of its load.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// When it began.
    pub began: Duration,
    /// When its parts were told to come back.
    pub over: Duration,
    /// When everything was ready again.
    pub ended: Duration,
}

/// A service behind the edge, and what pages stand on without it.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The promise.
    pub promise: &'static str,
    /// Its parts.
    pub kind: Kind,
    /// What the table calls it.
    pub name: &'static str,
    /// The rungs without any of its replicas: they show the outage.
    pub rungs: &'static [&'static str],
    /// The rungs without one of several.
    pub of_one: &'static [&'static str],
}

/// Goes through the outages of a service, both ways: all of its replicas, then one of several.
///
/// # Errors
/// When a part cannot be broken or brought back.
pub async fn of_service(stand: &mut Stand, service: &Service) -> Result<Vec<Row>> {
    let Service { promise, kind, name, rungs, of_one } = *service;
    let all: Vec<Part> = stand.cluster.parts().into_iter().filter(|part| part.kind == kind).collect();
    let mut outages: Vec<Outage> = How::ALL
        .into_iter()
        .map(|how| {
            let what = format!("all of {name} {}", how.as_str());
            Outage { promise, what, parts: all.clone(), how, rungs, shows: rungs }
        })
        .collect();
    if let [first, _, ..] = all[..] {
        outages.extend(How::ALL.into_iter().map(|how| {
            let what = format!("one {name} of {} {}", all.len(), how.as_str());
            Outage { promise, what, parts: vec![first], how, rungs: of_one, shows: &[] }
        }));
    }
    let mut rows = Vec::with_capacity(outages.len());
    for outage in &outages {
        rows.push(run(stand, outage).await?);
    }
    Ok(rows)
}

/// Goes through an outage under page load.
///
/// # Errors
/// When a part cannot be broken or brought back.
pub async fn run(stand: &mut Stand, outage: &Outage) -> Result<Row> {
    let load = stand.pages();
    load.run_for(stand.size.of(Duration::from_secs(2), Duration::from_secs(15))).await;
    let began = load.now();
    break_all(stand, outage)?;
    load.run_for(stand.size.of(Duration::from_secs(3), Duration::from_secs(30))).await;
    let over = load.now();
    bring_back(stand, outage).await?;
    let moments = Moments { began, over, ended: load.now() };
    let samples = whole_again(stand, load, moments, outage.shows).await;
    let mut row = Row::new(outage.promise, outage.what.clone(), stand.seed);
    judge(&mut row, &samples, moments, outage, stand.size);
    Ok(row)
}

/// Breaks every part of an outage.
///
/// # Errors
/// When one cannot be broken.
pub fn break_all(stand: &mut Stand, outage: &Outage) -> Result<()> {
    for part in &outage.parts {
        match outage.how {
            How::Down => stand.cluster.kill(*part)?,
            How::Hung => stand.cluster.freeze(*part)?,
        }
    }
    Ok(())
}

/// Brings every part of an outage back, and waits until it says that it is ready.
///
/// # Errors
/// When one does not come back.
pub async fn bring_back(stand: &mut Stand, outage: &Outage) -> Result<()> {
    for part in &outage.parts {
        match outage.how {
            How::Down => stand.cluster.start_part(*part).await?,
            How::Hung => stand.cluster.thaw(*part)?,
        }
    }
    for part in &outage.parts {
        stand.cluster.ready(*part, PATIENCE).await?;
    }
    Ok(())
}

/// Goes on until nothing shows the outage any more, or for as long as that may take.
pub async fn whole_again(stand: &Stand, load: Load, moments: Moments, shows: &[&str]) -> Samples {
    let end = moments.ended + RECOVERY + Duration::from_secs(1);
    loop {
        let now = load.run_for(stand.size.of(Duration::from_millis(1_500), RECOVERY * 2)).await;
        let last = load.seen().between(now.saturating_sub(Duration::from_secs(1)), now);
        if last.recovered_after(Duration::ZERO, shows, stand.size.noise()).is_zero() || now > end {
            return load.finish().await;
        }
    }
}

/// Fills a row with what was seen, and with what went against the promise.
pub fn judge(row: &mut Row, samples: &Samples, moments: Moments, outage: &Outage, size: Size) {
    let Moments { began, over, ended } = moments;
    let budget = size.budget();
    let parts = [(Duration::ZERO, began), (began, ended), (ended, Duration::MAX)];
    let [before, during, after] = parts.map(|(from, to)| samples.between(from, to));
    row.tried += samples.count();
    for (answer, count) in samples.failed() {
        row.failures.push(format!("{count} pages: {answer:?}"));
    }
    row.p99 = [before.p99(), during.p99(), after.p99()];
    for (when, p99) in [("before", before.p99()), ("during", during.p99())] {
        let p99 = p99.unwrap_or(Duration::MAX);
        row.expect(p99 <= budget, || format!("p99 {when} is {p99:?}, the budget {budget:?}"));
    }
    let set_in = samples.between(began + ONSET, over);
    let levels = set_in.levels();
    let odd: usize = levels.iter().filter(|(level, _)| !outage.rungs.contains(level)).map(|(_, count)| count).sum();
    // A page that took longer than its budget falls further, whatever is out.
    let allowed = (set_in.count() as f64 * size.noise()).ceil() as usize;
    row.expect(odd <= allowed, || {
        format!("{odd} pages stand on other rungs than {:?}: {}", outage.rungs, set_in.levels_text())
    });
    let shown = levels.into_keys().any(|level| outage.shows.contains(&level));
    row.expect(outage.shows.is_empty() || shown, || format!("no page says {:?}", outage.shows));
    let recovery = samples.recovered_after(ended, outage.shows, size.noise());
    row.expect(recovery <= RECOVERY, || format!("pages are whole again only {recovery:?} after"));
    row.seen = format!("during: {}; whole again after {:.1} s", during.levels_text(), recovery.as_secs_f64());
}
