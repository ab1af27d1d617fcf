//! Events as a careful client sends them: again with the same ids until an edge says that they are stored. What was
//! acknowledged is remembered, event by event. This file must not know what is broken meanwhile, nor who counts.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use rand::{RngExt as _, seq::SliceRandom as _};
use serde_json::{Value, json};
use shared_models::Seed;
use tokio::{sync::watch, time::Instant};
use tokio_util::task::TaskTracker;

use super::balancer::Balancer;

/// How long a client waits for an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it goes on sending the same events.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long it waits before it sends them again.
const PAUSE: Duration = Duration::from_millis(100);

/// What is sent.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What stands before the number in every id: no other run has it.
    pub run: String,
    /// How many events.
    pub events: u64,
    /// How many listeners have them, in turn.
    pub listeners: u64,
    /// How many go in one request.
    pub batch: u64,
    /// How many requests are in flight.
    pub workers: usize,
    /// How often each event is sent at least and at most; copies travel in other requests, in another order.
    pub copies: (u64, u64),
    /// Whether what is sent again keeps its ids. Without, it is what a client must not do: it shows that the oracle sees
    /// what is counted twice.
    pub keep_ids: bool,
    /// What draws copies and order.
    pub seed: Seed,
}

impl Plan {
    /// Each event once, by a client that keeps its ids.
    #[must_use]
    pub fn new(run: impl Into<String>, events: u64, seed: u64) -> Self {
        Self {
            run: run.into(),
            events,
            listeners: 200,
            batch: 100,
            workers: 8,
            copies: (1, 1),
            keep_ids: true,
            seed: Seed(seed),
        }
    }

    /// The id of an event.
    #[must_use]
    pub fn id(&self, event: u64) -> String {
        format!("{}-{event}", self.run)
    }

    /// The listener of an event.
    #[must_use]
    pub fn listener(&self, event: u64) -> String {
        format!("{}-listener-{}", self.run, event % self.listeners)
    }

    /// The first events of all requests, in the order in which they go out.
    fn requests(&self) -> Vec<u64> {
        let mut random = self.seed.stream("events/requests");
        let mut first = Vec::new();
        for start in (0..self.events).step_by(self.batch.max(1) as usize) {
            let copies = random.random_range(self.copies.0..=self.copies.1);
            // A copy begins elsewhere: its events do not travel together again.
            first.extend((0..copies).map(|copy| (start + copy * self.batch / 3) % self.events));
        }
        if self.copies.1 > 1 {
            first.shuffle(&mut random);
        }
        first
    }
}

/// What came of sending.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests that were answered 202.
    pub acknowledged: AtomicU64,
    /// Requests that were refused for now, with the word when to come again.
    pub refused: AtomicU64,
    /// Requests whose connection broke or whose answer did not come.
    pub broken: AtomicU64,
    /// Answers that promises do not allow.
    pub wrong: Mutex<BTreeSet<String>>,
    /// How long the acknowledged requests took.
    pub times: Mutex<Vec<Duration>>,
}

/// Events that are being sent.
#[derive(Debug)]
pub struct Sending {
    /// What is sent.
    pub plan: Arc<Plan>,
    /// What came of it so far.
    pub tally: Arc<Tally>,
    /// 1 for each event that an edge has said to be stored.
    acknowledged: Arc<Vec<AtomicU8>>,
    allowed: watch::Sender<usize>,
    requests: usize,
    done: Arc<AtomicUsize>,
    tasks: TaskTracker,
}

/// Where events go.
#[derive(Clone, Debug)]
pub struct Target {
    /// Which edges.
    pub balancer: Arc<Balancer>,
    /// With which key.
    pub key: String,
    /// What listeners play, in turn.
    pub tracks: Arc<Vec<String>>,
}

impl Sending {
    /// Starts to send. Nothing goes out before it is allowed ([`Sending::allow`]).
    #[must_use]
    pub fn start(plan: Plan, target: &Target) -> Self {
        let requests = Arc::new(plan.requests());
        let (allowed, _) = watch::channel(0);
        let sending = Self {
            acknowledged: Arc::new((0..plan.events).map(|_| AtomicU8::new(0)).collect()),
            plan: Arc::new(plan),
            tally: Arc::default(),
            allowed,
            requests: requests.len(),
            done: Arc::default(),
            tasks: TaskTracker::new(),
        };
        let next = Arc::new(AtomicUsize::new(0));
        for _ in 0..sending.plan.workers {
            let worker = Worker {
                plan: Arc::clone(&sending.plan),
                tally: Arc::clone(&sending.tally),
                acknowledged: Arc::clone(&sending.acknowledged),
                target: target.clone(),
                http: reqwest::Client::builder().timeout(ANSWER).build().unwrap_or_default(),
            };
            let (requests, next, done) = (Arc::clone(&requests), Arc::clone(&next), Arc::clone(&sending.done));
            let mut allowed = sending.allowed.subscribe();
            sending.tasks.spawn(async move {
                loop {
                    let turn = next.fetch_add(1, Ordering::Relaxed);
                    let Some(first) = requests.get(turn) else { return };
                    if allowed.wait_for(|allowed| turn < *allowed).await.is_err() {
                        return;
                    }
                    worker.send(*first, turn).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        sending.tasks.close();
        sending
    }

    /// Lets a share of all requests out, from 0 to 1.
    pub fn allow(&self, share: f64) {
        self.allowed.send_replace((self.requests as f64 * share).ceil() as usize);
    }

    /// How many requests were acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.tally.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until a share of all requests is answered.
    pub async fn reached(&self, share: f64) {
        let wanted = (self.requests as f64 * share) as usize;
        while self.done.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets everything out and waits until all of it is answered, or given up.
    pub async fn finish(self) -> Sent {
        self.allow(1.0);
        self.tasks.wait().await;
        let acknowledged = self.acknowledged.iter().map(|one| one.load(Ordering::Relaxed) == 1).collect();
        Sent { plan: Arc::clone(&self.plan), tally: Arc::clone(&self.tally), acknowledged }
    }
}

/// Events that were sent.
#[derive(Debug)]
pub struct Sent {
    /// What was sent.
    pub plan: Arc<Plan>,
    /// What came of it.
    pub tally: Arc<Tally>,
    acknowledged: Vec<bool>,
}

impl Sent {
    /// The numbers of the events that an edge has said to be stored.
    pub fn acknowledged(&self) -> impl Iterator<Item = u64> + '_ {
        (0..).zip(&self.acknowledged).filter(|(_, acknowledged)| **acknowledged).map(|(event, _)| event)
    }

    /// The 99th percentile of how long acknowledged requests took.
    #[must_use]
    pub fn p99(&self) -> Option<Duration> {
        let mut times = self.tally.times.lock().clone();
        times.sort_unstable();
        times.get((times.len() * 99).div_ceil(100).saturating_sub(1)).copied()
    }

    /// Requests by what came of them.
    #[must_use]
    pub fn text(&self) -> String {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Tally { acknowledged, refused, broken, .. } = &*self.tally;
        format!("{} requests acknowledged, {} refused, {} broken", of(acknowledged), of(refused), of(broken))
    }
}

struct Worker {
    plan: Arc<Plan>,
    tally: Arc<Tally>,
    acknowledged: Arc<Vec<AtomicU8>>,
    target: Target,
    http: reqwest::Client,
}

impl Worker {
    /// Sends some events until they are acknowledged.
    async fn send(&self, first: u64, turn: usize) {
        let events: Vec<u64> = (0..self.plan.batch).map(|n| (first + n) % self.plan.events).collect();
        let end = Instant::now() + PATIENCE;
        for attempt in 0.. {
            let began = Instant::now();
            let again = attempt > 0 || !first.is_multiple_of(self.plan.batch);
            let suffix = if again && !self.plan.keep_ids { format!("-again-{turn}-{attempt}") } else { String::new() };
            match self.attempt(&events, &suffix).await {
                Ok(Some(())) => {
                    self.tally.acknowledged.fetch_add(1, Ordering::Relaxed);
                    self.tally.times.lock().push(began.elapsed());
                    for event in events {
                        if let Some(one) = self.acknowledged.get(event as usize) {
                            one.store(1, Ordering::Relaxed);
                        }
                    }
                    return;
                }
                Ok(None) => self.tally.refused.fetch_add(1, Ordering::Relaxed),
                Err(_) => self.tally.broken.fetch_add(1, Ordering::Relaxed),
            };
            if Instant::now() > end {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Sends them once: acknowledged, or refused for now, or nobody knows.
    async fn attempt(&self, events: &[u64], suffix: &str) -> Result<Option<()>> {
        let tracks = &self.target.tracks;
        let body: Vec<Value> = events
            .iter()
            .map(|event| {
                let track = tracks.get(*event as usize % tracks.len());
                json!({
                    "event_id": format!("{}{suffix}", self.plan.id(*event)), "user_id": self.plan.listener(*event),
                    "type": "play", "item_id": track, "ms_played": 60_000,
                })
            })
            .collect();
        let [edge, _] = self.target.balancer.choose();
        let answer = self
            .http
            .post(format!("{edge}/v1/events"))
            .bearer_auth(&self.target.key)
            .json(&json!({ "events": body }))
            .send()
            .await?;
        let status = answer.status().as_u16();
        let wait = answer.headers().contains_key("retry-after");
        let text = answer.text().await?;
        match status {
            202 => {
                let answer: Value = serde_json::from_str(&text)?;
                let accepted = answer.get("accepted").and_then(Value::as_u64).context("no count of accepted events")?;
                if accepted != events.len() as u64 {
                    self.wrong(format!("202 that accepts {accepted} of {}", events.len()));
                }
                Ok(Some(()))
            }
            429 | 503 => {
                if !wait {
                    self.wrong(format!("{status} without Retry-After"));
                }
                Ok(None)
            }
            _ => {
                self.wrong(format!("{status}: {text}"));
                Ok(None)
            }
        }
    }

    fn wrong(&self, what: String) {
        let mut wrong = self.tally.wrong.lock();
        // A hundred of them tell enough.
        if wrong.len() < 100 {
            wrong.insert(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_in_some_request_and_copies_travel_elsewhere() {
        let plan = Plan { copies: (1, 5), ..Plan::new("run", 1_000, 3) };
        let requests = plan.requests();
        assert!(requests.len() > 15, "{} requests", requests.len());
        let sent: BTreeSet<u64> =
            requests.iter().flat_map(|first| (0..plan.batch).map(move |n| (first + n) % 1_000)).collect();
        assert_eq!(sent.len(), 1_000);
        assert!(requests.iter().any(|first| first % plan.batch != 0));
        assert_eq!(requests, plan.requests());
    }
}
