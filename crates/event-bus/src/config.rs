//! The settings of the bus: one section, the same in every service.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use service_runtime::config::{Problem, Validate};

/// Which bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A durable log in this process, on SQLite.
    #[default]
    Embedded,
    /// NATS JetStream.
    Nats,
}

/// The settings of the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `embedded` or `nats`.
    pub kind: Kind,
    /// Where the embedded log lies: a file, made when it is not there. One process at a time may open it.
    pub path: PathBuf,
    /// Where NATS is: `nats://host:4222`, several joined with commas.
    pub url: String,
    /// A NATS credentials file; empty for none.
    pub credentials: PathBuf,
    /// NATS's monitoring address, `http://host:8222`; there the bus reads whether every message is synced to
    /// disk before it is acknowledged. Empty when there is none.
    pub monitor_url: String,
    /// Says that NATS runs with `sync_interval: always`, where `monitor_url` cannot tell.
    pub synced_always: bool,
    /// Whether a bus that may lose acknowledged messages on power loss keeps the service from starting.
    pub require_strong: bool,
    /// How many NATS servers keep each stream.
    pub replicas: u8,
    /// Into how many partitions the users of a tenant are divided. It never changes once events are stored.
    pub partitions: u16,
    /// How long to wait for the word that a message is kept.
    #[serde(with = "humantime_serde")]
    pub publish_timeout: Duration,
    /// How many bytes all streams together may keep; each has its share, and forgets the oldest beyond it.
    pub max_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: Kind::Embedded,
            path: PathBuf::from("data/events.db"),
            url: "nats://127.0.0.1:4222".to_owned(),
            credentials: PathBuf::new(),
            monitor_url: String::new(),
            synced_always: false,
            require_strong: false,
            replicas: 1,
            partitions: 8,
            publish_timeout: Duration::from_secs(2),
            max_bytes: 4 << 30,
        }
    }
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |sound: bool, key: &str, given: String, expected: &str| {
            if !sound {
                problems.push(Problem { key: key.to_owned(), given, expected: expected.to_owned() });
            }
        };
        let embedded = self.kind == Kind::Embedded;
        check(!embedded || !self.path.as_os_str().is_empty(), "path", String::new(), "the file of the embedded log");
        check(embedded || !self.url.is_empty(), "url", self.url.clone(), "an address such as nats://127.0.0.1:4222");
        check(
            self.monitor_url.is_empty() || self.monitor_url.starts_with("http://"),
            "monitor_url",
            self.monitor_url.clone(),
            "empty, or an address such as http://127.0.0.1:8222",
        );
        check(matches!(self.replicas, 1 | 3 | 5), "replicas", self.replicas.to_string(), "1, 3 or 5");
        check((1..=1024).contains(&self.partitions), "partitions", self.partitions.to_string(), "1 to 1024");
        check(
            (Duration::from_millis(10)..=Duration::from_secs(60)).contains(&self.publish_timeout),
            "publish_timeout",
            format!("{:?}", self.publish_timeout),
            "10ms to 60s",
        );
        check(self.max_bytes >= 16 << 20, "max_bytes", self.max_bytes.to_string(), "at least 16777216");
        problems
    }
}
