//! The streams by name. How each is kept stands in `streams.toml`; this file must not know buses.

use std::{fmt, time::Duration};

use serde::Deserialize;

use crate::declared;

/// A stream: an ordered, durable log of messages, numbered from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StreamName {
    /// What listeners did.
    Events,
    /// What was answered to them.
    Recommendations,
    /// What changed in the catalogues.
    Catalog,
    /// What operators and learning tell the services.
    Control,
    /// What no consumer could take.
    Dead,
}

impl StreamName {
    /// All streams.
    pub const ALL: [Self; 5] = [Self::Events, Self::Recommendations, Self::Catalog, Self::Control, Self::Dead];

    /// The name, as it stands on servers, in metrics and traces.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "EVENTS",
            Self::Recommendations => "RECOMMENDATIONS",
            Self::Catalog => "CATALOG",
            Self::Control => "CONTROL",
            Self::Dead => "DEAD",
        }
    }

    /// The first token of its subjects.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Recommendations => "recommendations",
            Self::Catalog => "catalog",
            Self::Control => "control",
            Self::Dead => "dead",
        }
    }

    /// The stream of a name, in capitals or not.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.as_str().eq_ignore_ascii_case(name))
    }

    /// How it is kept.
    #[must_use]
    pub fn spec(self) -> &'static StreamSpec {
        declared::stream(self)
    }

    /// Whether its subjects name partitions.
    #[must_use]
    pub const fn has_partitions(self) -> bool {
        matches!(self, Self::Events | Self::Recommendations | Self::Catalog)
    }

    /// The number that stands for it in the embedded log. It never changes.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Events => 1,
            Self::Recommendations => 2,
            Self::Catalog => 3,
            Self::Control => 4,
            Self::Dead => 5,
        }
    }

    pub(crate) fn of_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.token() == token)
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a stream is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Storage {
    /// On disk.
    File,
}

/// What happens when a stream has used its share of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// What every consumer has dealt with makes room; beyond it, publishing fails, and nothing unread is lost.
    Refuse,
    /// The oldest messages make room, read or not.
    Forget,
}

/// How a stream is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamSpec {
    /// Which stream.
    pub name: StreamName,
    /// The pattern of its subjects.
    pub subjects: String,
    /// How long messages are kept.
    #[serde(with = "humantime_serde")]
    pub max_age: Duration,
    /// Its share of the configured bytes.
    pub share_percent: u64,
    /// How long an envelope's id is remembered: within it, the same id is kept once.
    #[serde(with = "humantime_serde")]
    pub dedup_window: Duration,
    /// Where it is kept.
    pub storage: Storage,
    /// What happens beyond its share.
    pub when_full: WhenFull,
}

impl StreamSpec {
    /// How many of `total` bytes the stream may keep.
    #[must_use]
    pub const fn max_bytes(&self, total: u64) -> u64 {
        total / 100 * self.share_percent
    }
}
