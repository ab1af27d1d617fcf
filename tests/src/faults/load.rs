//! Pages at an even rate, whether or not the earlier ones have come back (open loop), each timed from the moment it was
//! due. This file must not know what is broken meanwhile.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    balancer::Balancer,
    samples::{Answer, Sample, Samples},
};

/// How long a client waits for a page.
const PATIENCE: Duration = Duration::from_secs(5);

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    start: Instant,
    samples: Arc<Mutex<Vec<Sample>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Who asks for pages, and how.
#[derive(Clone, Debug)]
pub struct Asking {
    /// Where.
    pub balancer: Arc<Balancer>,
    /// With which key.
    pub key: String,
    /// For whom, in turn.
    pub listeners: Arc<Vec<String>>,
    /// How many a second.
    pub rate: f64,
}

impl Load {
    /// Starts to ask.
    #[must_use]
    pub fn start(asking: Asking) -> Self {
        let load = Self {
            start: Instant::now(),
            samples: Arc::default(),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let (start, samples, stop) = (load.start, Arc::clone(&load.samples), load.stop.clone());
        let tasks = load.tasks.clone();
        load.tasks.spawn(async move {
            let http = reqwest::Client::builder().timeout(PATIENCE).build().unwrap_or_default();
            for n in 0_u32.. {
                let due = Duration::from_secs_f64(f64::from(n) / asking.rate);
                tokio::select! {
                    () = tokio::time::sleep_until(start + due) => {}
                    () = stop.cancelled() => return,
                }
                let (http, asking, samples) = (http.clone(), asking.clone(), Arc::clone(&samples));
                tasks.spawn(async move {
                    let listener = &asking.listeners[n as usize % asking.listeners.len()];
                    let answer = ask(&http, &asking, listener).await;
                    samples.lock().push(Sample { due, took: (start + due).elapsed(), answer });
                });
            }
        });
        load
    }

    /// How long it has run: marks a moment.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Goes on for a while, and marks its end.
    pub async fn run_for(&self, time: Duration) -> Duration {
        tokio::time::sleep(time).await;
        self.now()
    }

    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> Samples {
        in_order(self.samples.lock().clone())
    }

    /// Stops asking, waits for what is in flight, and gives what was seen, in the order in which it was due.
    pub async fn finish(self) -> Samples {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        in_order(std::mem::take(&mut *self.samples.lock()))
    }
}

fn in_order(mut samples: Vec<Sample>) -> Samples {
    samples.sort_by_key(|sample| sample.due);
    Samples(samples)
}

async fn ask(http: &reqwest::Client, asking: &Asking, listener: &str) -> Answer {
    let mut last = None;
    for edge in asking.balancer.choose() {
        let request = http
            .post(format!("{edge}/v1/surfaces/home:page"))
            .bearer_auth(&asking.key)
            .json(&json!({ "user_id": listener }));
        match request.send().await {
            // Nothing was sent yet: what stands before the edges asks another.
            Err(error) if error.is_connect() => last = Some(error),
            Err(error) => return Answer::Broken(words(&error)),
            Ok(answer) if answer.status() != 200 => return Answer::Status(answer.status().as_u16()),
            Ok(answer) => {
                return match answer.json::<Value>().await {
                    Ok(page) => read(&page),
                    Err(error) => Answer::Broken(words(&error)),
                };
            }
        }
    }
    Answer::Broken(last.map(|error| words(&error)).unwrap_or_default())
}

/// A page says how far down the ladder it stands. One with nothing on it says `empty`.
fn read(page: &Value) -> Answer {
    let Some(level) = page.pointer("/degraded/level").and_then(Value::as_str) else {
        return Answer::Odd("no word of how degraded it is".to_owned());
    };
    let shelves = page.get("shelves").and_then(Value::as_array).map_or(0, Vec::len);
    if shelves == 0 && level != "empty" {
        return Answer::Odd(format!("no shelf, and it says {level}"));
    }
    Answer::Page(level.to_owned())
}

/// The innermost cause: what really happened.
fn words(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
