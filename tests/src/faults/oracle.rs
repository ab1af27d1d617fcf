//! Compares what clients were told with what was counted: the event ids that the database holds as folded, the plays in
//! the listeners' stored profiles, and the plays that an edge tells. This file must not know what was broken.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
    time::Duration,
};

use anyhow::{Context, Result};
use candidate_generation::store::{EventKey, decode};
use shared_models::{EventId, UserId, UserKey};
use testkit::{
    Cluster,
    cluster::{DATABASE, Part, TENANT},
};
use tokio::time::Instant;

use super::{Stand, events::Sent};

/// How often the database is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// Nothing more comes where nothing has changed for this long.
const STILL: Duration = Duration::from_secs(2);

/// What the comparison found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Events that a client was told to be stored.
    pub acknowledged: u64,
    /// Of them, those that the database does not hold.
    pub lost: u64,
    /// Plays that the profiles lack.
    pub uncounted: u64,
    /// Plays in profiles above the events that were sent for their listeners.
    pub counted_twice: u64,
    /// Events of this run in the database that nobody sent under that id.
    pub invented: u64,
    /// Listeners of whom an edge tells another count than their profile.
    pub told_otherwise: u64,
}

impl Verdict {
    /// What goes against the promise.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let all = [
            (self.lost, "acknowledged events are lost"),
            (self.uncounted, "plays are not counted"),
            (self.counted_twice, "plays are counted twice"),
            (self.invented, "events are invented"),
            (self.told_otherwise, "listeners are told another count than their profile's"),
        ];
        all.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, lost, uncounted, counted_twice, invented, told_otherwise } = self;
        write!(
            f,
            "acknowledged {acknowledged}, lost {lost}, not counted {uncounted}, counted twice {counted_twice}, \
             invented {invented}, told otherwise {told_otherwise}"
        )
    }
}

/// The keys of events that are none of a run: what the database held before it, and the world, which may still be on
/// its way.
#[derive(Clone, Debug)]
pub struct Before(HashSet<Vec<u8>>);

/// Looks at the database before a run.
///
/// # Errors
/// When it cannot be asked.
pub async fn before(stand: &Stand) -> Result<Before> {
    let mut known = folded(&stand.cluster).await?;
    known.extend(stand.stock.world.events.iter().map(|event| EventKey::of(&event.id).0.to_vec()));
    Ok(Before(known))
}

/// Waits until everything that was sent is folded, or nothing changes any more, and compares.
///
/// # Errors
/// When the database or the edges cannot be asked.
pub async fn judge(cluster: &Cluster, before: &Before, sent: &Sent, patience: Duration) -> Result<Verdict> {
    let acknowledged: Vec<u64> = sent.acknowledged().collect();
    let keys: Vec<Vec<u8>> = acknowledged.iter().map(|event| key(&sent.plan.id(*event))).collect::<Result<_>>()?;
    let all: HashSet<Vec<u8>> = (0..sent.plan.events).map(|event| key(&sent.plan.id(event))).collect::<Result<_>>()?;
    let end = Instant::now() + patience;
    let (mut changed, mut count) = (Instant::now(), 0);
    let folded = loop {
        let folded = folded(cluster).await?;
        if folded.len() != count {
            (changed, count) = (Instant::now(), folded.len());
        }
        let missing = keys.iter().any(|key| !folded.contains(key));
        // What is missing may still come; what was never acknowledged may come as well.
        if (!missing && changed.elapsed() > STILL) || Instant::now() > end {
            break folded;
        }
        tokio::time::sleep(LOOK).await;
    };

    let mut verdict = Verdict { acknowledged: acknowledged.len() as u64, ..Verdict::default() };
    verdict.lost = keys.iter().filter(|key| !folded.contains(*key)).count() as u64;
    verdict.invented = folded.iter().filter(|key| !before.0.contains(*key) && !all.contains(*key)).count() as u64;

    let mut least: BTreeMap<u64, u64> = BTreeMap::new();
    for event in &acknowledged {
        *least.entry(event % sent.plan.listeners).or_default() += 1;
    }
    let profiles = plays(cluster).await?;
    let mut own = BTreeMap::new();
    for listener in 0..sent.plan.listeners.min(sent.plan.events) {
        let name = sent.plan.listener(listener);
        let counted = profiles.get(&UserKey::of(&UserId::new(&name)?)).copied().unwrap_or_default();
        let least = least.get(&listener).copied().unwrap_or_default();
        // An event that was sent and never acknowledged may be counted or not, and once.
        let most = (sent.plan.events - listener).div_ceil(sent.plan.listeners);
        verdict.uncounted += least.saturating_sub(counted);
        verdict.counted_twice += counted.saturating_sub(most);
        own.insert(name, counted);
    }
    verdict.told_otherwise = told_otherwise(cluster, &own, end.max(Instant::now() + STILL)).await?;
    Ok(verdict)
}

/// Removes acknowledged events from the database: an oracle that does not see it sees nothing.
///
/// # Errors
/// When the database cannot be asked.
pub async fn remove(cluster: &Cluster, sent: &Sent, count: usize) -> Result<()> {
    for event in sent.acknowledged().take(count) {
        let hex: String = key(&sent.plan.id(event))?.iter().map(|byte| format!("{byte:02x}")).collect();
        let statement = format!("DELETE FROM folded_events WHERE event_key = '\\x{hex}'");
        cluster.postgres().execute(DATABASE, &statement).await?;
    }
    Ok(())
}

fn key(id: &str) -> Result<Vec<u8>> {
    Ok(EventKey::of(&EventId::new(id)?).0.to_vec())
}

async fn folded(cluster: &Cluster) -> Result<HashSet<Vec<u8>>> {
    let question = format!("SELECT event_key FROM folded_events WHERE tenant = '{TENANT}'");
    let keys = cluster.postgres().bytes(DATABASE, &question).await.context("the folded events cannot be read")?;
    Ok(keys.into_iter().collect())
}

/// The plays in every stored profile.
async fn plays(cluster: &Cluster) -> Result<BTreeMap<UserKey, u64>> {
    // Key, format and profile in one column: eight bytes, two, and the rest.
    let question =
        format!("SELECT int8send(user_key) || int2send(format) || profile FROM profiles WHERE tenant = '{TENANT}'");
    let rows = cluster.postgres().bytes(DATABASE, &question).await.context("the profiles cannot be read")?;
    rows.into_iter()
        .map(|row| {
            let (user, rest) = row.split_first_chunk::<8>().context("a profile without a key")?;
            let (format, profile) = rest.split_first_chunk::<2>().context("a profile without a format")?;
            let profile = decode(i16::from_be_bytes(*format), profile)?;
            Ok((UserKey(u64::from_be_bytes(*user)), profile.counters.plays))
        })
        .collect()
}

/// How many listeners an edge tells another count of, in the end: what serves may lie a moment behind what is stored.
async fn told_otherwise(cluster: &Cluster, own: &BTreeMap<String, u64>, end: Instant) -> Result<u64> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
    let edge = cluster.url(Part::edge(0));
    let mut otherwise = 0;
    for (listener, stored) in own {
        loop {
            let url = format!("{edge}/v1/users/{listener}");
            let told = match http.get(url).bearer_auth(cluster.key()).send().await {
                // A listener without events is nobody.
                Ok(answer) if answer.status() == 404 => Some(0),
                Ok(answer) => {
                    answer.json::<serde_json::Value>().await.ok().and_then(|user| user.get("plays")?.as_u64())
                }
                Err(_) => None,
            };
            if told == Some(*stored) {
                break;
            }
            if Instant::now() > end {
                otherwise += 1;
                break;
            }
            tokio::time::sleep(LOOK / 5).await;
        }
    }
    Ok(otherwise)
}
