//! The gates of size and of time: what a release may take of a process that serves it.

use std::time::{Duration, Instant};

use candidate_generation::index::EmbeddingIndex;
use ranking::{
    features::Matrix,
    scorers::{Model, Scorer},
};
use releases::{Error, Manifest, Release, golden::Golden};
use serde::{Deserialize, Serialize};
use service_runtime::config::{Problem, Validate};

use super::Found;

/// How many items a listener is answered with: as many as the home surface asks of its nearest.
const ANSWER: usize = 300;
/// How many cards are scored: as many as a page may hold.
const CARDS: usize = 1_000;
/// Each request is made so often, and its fastest time counts: the machine may be busy with something else.
const TRIES: usize = 3;
/// A build without optimisation is slow by itself: what it takes says so much less of a release.
const UNOPTIMISED: u32 = if cfg!(debug_assertions) { 20 } else { 1 };
/// A release of at most so many bytes may be any multiple of the live one's.
const SMALL: u64 = 64 << 20;

/// What a release may take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most bytes of all its files.
    pub max_bytes: u64,
    /// The most bytes, as a multiple of the live release's.
    pub max_growth: f64,
    /// The longest that it may take to be read, verified and indexed.
    #[serde(with = "humantime_serde")]
    pub load_within: Duration,
    /// The longest that it may take to find what is near a listener, and to score a page.
    #[serde(with = "humantime_serde")]
    pub answer_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bytes: 4 << 30,
            max_growth: 4.0,
            load_within: Duration::from_secs(60),
            answer_within: Duration::from_millis(50),
        }
    }
}

impl Validate for Limits {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.max_bytes == 0 {
            problems.push(Problem::new("max_bytes", "0", "more than nothing"));
        }
        if self.max_growth.is_nan() || self.max_growth < 1.0 {
            problems.push(Problem::new("max_growth", self.max_growth.to_string(), "1 or more"));
        }
        for (key, given) in [("load_within", self.load_within), ("answer_within", self.answer_within)] {
            if given.is_zero() {
                problems.push(Problem::new(key, "0s", "more than nothing, such as \"50ms\""));
            }
        }
        problems
    }
}

pub(super) fn size(manifest: &Manifest, live: Option<&Result<Manifest, Error>>, limits: &Limits) -> Found {
    let bytes = of(manifest);
    if bytes > limits.max_bytes {
        return Found::No(format!("{}, at most {} are allowed", mebibytes(bytes), mebibytes(limits.max_bytes)));
    }
    let Some(Ok(live)) = live else {
        return Found::Yes(format!("{} of {}", mebibytes(bytes), mebibytes(limits.max_bytes)));
    };
    let before = of(live);
    let growth = bytes as f64 / before.max(1) as f64;
    let told = format!("{}, {growth:.2} times the live release's {}", mebibytes(bytes), mebibytes(before));
    if bytes > SMALL && growth > limits.max_growth {
        Found::No(format!("{told}, at most {} times are allowed", limits.max_growth))
    } else {
        Found::Yes(told)
    }
}

pub(super) fn latency(
    release: &Release,
    index: Option<&EmbeddingIndex>,
    golden: Option<&Golden>,
    load: Duration,
    indexed: Duration,
    limits: &Limits,
) -> Found {
    let (ready, load_within) = (load + indexed, limits.load_within * UNOPTIMISED);
    let answer_within = limits.answer_within * UNOPTIMISED;
    let mut told = vec![format!("ready in {} of {}", milliseconds(ready), milliseconds(load_within))];
    let mut slow = ready > load_within;
    let mut add = |what: &str, took: Option<Duration>| {
        let Some(took) = took else { return };
        told.push(format!("{what} in {} of {}", milliseconds(took), milliseconds(answer_within)));
        slow |= took > answer_within;
    };
    add("a listener's nearest", golden.and_then(|golden| nearest(release, index, golden)));
    add("a page's scores", scores(release));
    let told = told.join(", ");
    if slow { Found::No(told) } else { Found::Yes(told) }
}

/// The time that 95 of 100 golden listeners are answered in.
fn nearest(release: &Release, index: Option<&EmbeddingIndex>, golden: &Golden) -> Option<Duration> {
    release.factors.as_ref()?;
    let mut times: Vec<Duration> = golden
        .listeners
        .iter()
        .filter_map(|listener| {
            fastest(|| candidate_generation::golden::nearest(release, index, listener, ANSWER).len())
        })
        .collect();
    times.sort_unstable();
    times.get((times.len() * 95 / 100).min(times.len().checked_sub(1)?)).copied()
}

/// The time that a page of cards is scored in.
fn scores(release: &Release) -> Option<Duration> {
    let model = Model::of(release).ok()??;
    let matrix = Matrix::of_defaults(CARDS);
    fastest(|| model.predict(&matrix).len())
}

fn fastest<T>(work: impl Fn() -> T) -> Option<Duration> {
    let times = (0..TRIES).map(|_| {
        let started = Instant::now();
        std::hint::black_box(work());
        started.elapsed()
    });
    times.min()
}

/// How many bytes all files of a release have.
pub(super) fn of(manifest: &Manifest) -> u64 {
    manifest.files.values().map(|file| file.bytes).sum()
}

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
