//! The metrics of the bus and of its consumers.
//!
//! | name | labels | meaning |
//! |---|---|---|
//! | `setlist_bus_publish_seconds` | stream | from publish to the word that it is kept |
//! | `setlist_bus_published_messages_total` | stream, outcome | `kept`, `duplicate`, `failed` |
//! | `setlist_bus_durability_strong` | | 1 when what is acknowledged survives a power loss, else 0 |
//! | `setlist_bus_sent_again_total` | | publishes that NATS did not acknowledge at first and that were sent again |
//! | `setlist_bus_dropped_unread_total` | stream | messages the embedded log forgot before every consumer had read them |
//! | `setlist_bus_commit_messages` | | messages in one commit of the embedded log |
//! | `setlist_bus_group_items` | stream | items in one message of a group commit |
//! | `setlist_bus_consumed_messages_total` | stream, consumer, outcome | `done`, `retry`, `paused`, `rejected` |
//! | `setlist_bus_handle_seconds` | stream, consumer | a handler's time for a batch |
//! | `setlist_bus_redelivered_messages_total` | stream, consumer | deliveries after the first |
//! | `setlist_bus_lag_messages` | stream, consumer | messages not answered yet |
//! | `setlist_bus_lag_seconds` | stream, consumer | age of the oldest of them |

use std::{sync::atomic::AtomicU64, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
};
use service_runtime::metrics::{Metrics, seconds_buckets};

use crate::{
    bus::{Ack, Durability, Lag},
    error::Error,
    subjects::{ConsumerSpec, StreamName},
};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfStream {
    stream: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfPublish {
    stream: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfConsumer {
    stream: &'static str,
    consumer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfOutcome {
    stream: &'static str,
    consumer: String,
    outcome: &'static str,
}

fn seconds() -> Histogram {
    Histogram::new(seconds_buckets())
}

fn counts() -> Histogram {
    Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0])
}

type Seconds<Label> = Family<Label, Histogram, fn() -> Histogram>;
type GaugeSeconds = Gauge<f64, AtomicU64>;

/// What a bus counts.
#[derive(Clone, Debug)]
pub(crate) struct BusMetrics {
    publish_seconds: Seconds<OfStream>,
    published: Family<OfPublish, Counter>,
    pub(crate) commit_messages: Histogram,
    pub(crate) sent_again: Counter,
    dropped_unread: Family<OfStream, Counter>,
    durability: Gauge,
}

impl BusMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self {
            publish_seconds: metrics.shared(
                "setlist_bus_publish_seconds",
                "Time from publish to the word that the message is kept",
                || Family::new_with_constructor(seconds as fn() -> Histogram),
            ),
            published: metrics.shared(
                "setlist_bus_published_messages",
                "Messages published, by what became of them",
                Family::default,
            ),
            commit_messages: metrics.shared(
                "setlist_bus_commit_messages",
                "Messages in one commit of the embedded log",
                counts,
            ),
            sent_again: metrics.shared(
                "setlist_bus_sent_again",
                "Publishes that NATS did not acknowledge at first and that were sent again",
                Counter::default,
            ),
            dropped_unread: metrics.shared(
                "setlist_bus_dropped_unread",
                "Messages the embedded log forgot before every consumer had read them",
                Family::default,
            ),
            durability: metrics.shared(
                "setlist_bus_durability_strong",
                "Whether what the bus acknowledges survives a power loss",
                Gauge::default,
            ),
        }
    }

    pub(crate) fn durability(&self, durability: &Durability) {
        self.durability.set(i64::from(*durability == Durability::Strong));
    }

    /// Messages were forgotten before everybody had read them. Told of none, the counter shows that it is none.
    pub(crate) fn dropped_unread(&self, stream: StreamName, count: u64) {
        self.dropped_unread.get_or_create(&OfStream { stream: stream.as_str() }).inc_by(count);
    }

    pub(crate) fn published(&self, stream: StreamName, took: Duration, outcome: &Result<Ack, Error>) {
        let stream = stream.as_str();
        self.publish_seconds.get_or_create(&OfStream { stream }).observe(took.as_secs_f64());
        let outcome = match outcome {
            Ok(ack) if ack.duplicate => "duplicate",
            Ok(_) => "kept",
            Err(_) => "failed",
        };
        self.published.get_or_create(&OfPublish { stream, outcome }).inc();
    }
}

/// What a group commit counts.
#[derive(Clone, Debug)]
pub(crate) struct GroupMetrics(Seconds<OfStream>);

impl GroupMetrics {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        Self(metrics.shared("setlist_bus_group_items", "Items in one message of a group commit", || {
            Family::new_with_constructor(counts as fn() -> Histogram)
        }))
    }

    pub(crate) fn group(&self, stream: StreamName, items: usize) {
        self.0.get_or_create(&OfStream { stream: stream.as_str() }).observe(items as f64);
    }
}

/// What [`crate::consume()`] counts. All consumers of a process share the metrics and differ in labels.
#[derive(Clone, Debug)]
pub struct ConsumerMetrics {
    consumed: Family<OfOutcome, Counter>,
    redelivered: Family<OfConsumer, Counter>,
    handle_seconds: Seconds<OfConsumer>,
    lag_messages: Family<OfConsumer, Gauge>,
    lag_seconds: Family<OfConsumer, GaugeSeconds>,
}

impl ConsumerMetrics {
    /// The metrics of consumers in this process.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            consumed: metrics.shared(
                "setlist_bus_consumed_messages",
                "Messages answered by a consumer, by its answer",
                Family::default,
            ),
            redelivered: metrics.shared(
                "setlist_bus_redelivered_messages",
                "Deliveries of a message after its first",
                Family::default,
            ),
            handle_seconds: metrics.shared("setlist_bus_handle_seconds", "A handler's time for a batch", || {
                Family::new_with_constructor(seconds as fn() -> Histogram)
            }),
            lag_messages: metrics.shared(
                "setlist_bus_lag_messages",
                "Messages that a consumer has not answered yet",
                Family::default,
            ),
            lag_seconds: metrics.shared(
                "setlist_bus_lag_seconds",
                "Age of the oldest message that a consumer has not answered yet",
                Family::default,
            ),
        }
    }

    pub(crate) fn of(&self, spec: &ConsumerSpec) -> OneConsumer {
        let label = OfConsumer { stream: spec.stream.as_str(), consumer: spec.name.to_string() };
        let outcome = |outcome| {
            self.consumed
                .get_or_create(&OfOutcome { stream: label.stream, consumer: label.consumer.clone(), outcome })
                .clone()
        };
        OneConsumer {
            done: outcome("done"),
            retry: outcome("retry"),
            paused: outcome("paused"),
            rejected: outcome("rejected"),
            redelivered: self.redelivered.get_or_create(&label).clone(),
            handle_seconds: self.handle_seconds.get_or_create(&label).clone(),
            lag_messages: self.lag_messages.get_or_create(&label).clone(),
            lag_seconds: self.lag_seconds.get_or_create(&label).clone(),
        }
    }
}

/// The metrics of one consumer, looked up once.
#[derive(Clone, Debug)]
pub(crate) struct OneConsumer {
    pub(crate) done: Counter,
    pub(crate) retry: Counter,
    pub(crate) paused: Counter,
    pub(crate) rejected: Counter,
    pub(crate) redelivered: Counter,
    pub(crate) handle_seconds: Histogram,
    lag_messages: Gauge,
    lag_seconds: GaugeSeconds,
}

impl OneConsumer {
    pub(crate) fn lag(&self, lag: Lag) {
        self.lag_messages.set(i64::try_from(lag.pending).unwrap_or(i64::MAX));
        self.lag_seconds.set(lag.oldest_age.as_secs_f64());
    }
}
