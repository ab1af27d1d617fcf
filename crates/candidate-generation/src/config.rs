//! The service's configuration: the sum of its modules' own. `config.default.toml` documents every key.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use service_runtime::{
    config::{Problem, Validate, within},
    grpc, ops,
    process::{Settings, StopConfig},
    telemetry,
};

use crate::{index::embedding, intake::partitions, store};

/// The defaults, documented.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where logs and traces go, where the service is a process of its own.
    pub telemetry: telemetry::Config,
    /// The operators' listener, where the service is a process of its own.
    pub ops: ops::Config,
    /// How the process stops.
    pub stop: StopConfig,
    /// The gRPC server, where the service is a process of its own.
    pub grpc: Grpc,
    /// The event bus, where the service is a process of its own.
    pub bus: event_bus::Config,
    /// Where the catalogue and the profiles are kept.
    pub store: store::Config,
    /// Where models come from.
    pub releases: Releases,
    /// The index of embeddings.
    pub embedding: embedding::Config,
    /// Profiles and what becomes of events.
    pub profiles: Profiles,
    /// How several processes share the events of one store.
    pub intake: partitions::Config,
    /// The trending index.
    pub trending: Trending,
}

/// The gRPC server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Where it listens.
    pub listen: SocketAddr,
    /// What one connection may do.
    pub limits: grpc::Limits,
}

/// Where releases lie, and how often to look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    /// The folder of releases.
    pub path: PathBuf,
    /// How often to look for a newly promoted release.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
}

/// Profiles and what becomes of events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// How many bytes of profiles stay in memory.
    pub memory_bytes: u64,
    /// How long a page waits for a profile that is not in memory.
    #[serde(with = "humantime_serde")]
    pub read_budget: Duration,
    /// For how long an event that comes again is known to be the same.
    #[serde(with = "humantime_serde")]
    pub remember_events: Duration,
}

/// The trending index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trending {
    /// After this long a play counts half.
    #[serde(with = "humantime_serde")]
    pub half_life: Duration,
    /// How often the top is made anew.
    #[serde(with = "humantime_serde")]
    pub refresh: Duration,
    /// How often the counts are saved.
    #[serde(with = "humantime_serde")]
    pub save: Duration,
    /// How often the counts are exchanged with the processes that share the store.
    #[serde(with = "humantime_serde")]
    pub exchange: Duration,
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        within("telemetry", &self.telemetry)
            .chain(within("ops", &self.ops))
            .chain(within("stop", &self.stop))
            .chain(within("grpc", &self.grpc))
            .chain(within("bus", &self.bus))
            .chain(within("store", &self.store))
            .chain(within("releases", &self.releases))
            .chain(within("embedding", &self.embedding))
            .chain(within("profiles", &self.profiles))
            .chain(within("intake", &self.intake))
            .chain(within("trending", &self.trending))
            .collect()
    }
}

impl Settings for Config {
    fn telemetry(&self) -> &telemetry::Config {
        &self.telemetry
    }

    fn ops(&self) -> &ops::Config {
        &self.ops
    }

    fn stop(&self) -> &StopConfig {
        &self.stop
    }
}

/// A problem unless `value` lies within the bounds.
fn bounded(
    key: &'static str,
    value: Duration,
    least: Duration,
    most: Duration,
    expected: &'static str,
) -> Option<Problem> {
    (!(least..=most).contains(&value)).then(|| Problem::new(key, humantime::format_duration(value), expected))
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);

impl Validate for Grpc {
    fn problems(&self) -> Vec<Problem> {
        within("limits", &self.limits).collect()
    }
}

impl Validate for store::Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| self.url.starts_with(scheme)) {
            let expected = "sqlite:// and a path, or postgres://user@host:port/database";
            problems.push(Problem::new("url", hide_password(&self.url), expected));
        }
        if !(2..=1_000).contains(&self.connections) {
            problems.push(Problem::new("connections", self.connections, "2 to 1000"));
        }
        let limits = (Duration::from_millis(100), SECOND * 60, "100ms to 1m");
        problems.extend(bounded("statement_timeout", self.statement_timeout, limits.0, limits.1, limits.2));
        problems.extend(bounded("follow", self.follow, Duration::from_millis(10), SECOND * 60, "10ms to 1m"));
        if !(1..=64).contains(&self.readers) {
            problems.push(Problem::new("readers", self.readers, "1 to 64"));
        }
        problems
    }
}

/// A URL as it may be shown.
fn hide_password(url: &str) -> String {
    let hidden = url.split_once("://").and_then(|(scheme, rest)| {
        let (who, place) = rest.rsplit_once('@')?;
        let (user, _) = who.split_once(':')?;
        Some(format!("{scheme}://{user}:<redacted>@{place}"))
    });
    hidden.unwrap_or_else(|| url.to_owned())
}

impl Validate for partitions::Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = [
            bounded("lease", self.lease, SECOND, SECOND * 60, "1s to 1m"),
            bounded("renew", self.renew, Duration::from_millis(50), SECOND * 20, "50ms to 20s"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if self.renew * 2 > self.lease {
            problems.push(Problem::new("renew", humantime::format_duration(self.renew), "at most half of lease"));
        }
        problems
    }
}

impl Validate for Releases {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> =
            bounded("poll", self.poll, Duration::from_millis(50), HOUR, "50ms to 1h").into_iter().collect();
        if self.path.as_os_str().is_empty() {
            problems.push(Problem::new("path", "\"\"", "the folder of releases"));
        }
        problems
    }
}

impl Validate for embedding::Config {
    fn problems(&self) -> Vec<Problem> {
        let fits = self.effort > 0.0 && self.effort <= 4.0;
        if fits { Vec::new() } else { vec![Problem::new("effort", self.effort, "more than 0, at most 4")] }
    }
}

impl Validate for Profiles {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = [
            bounded("read_budget", self.read_budget, Duration::from_millis(1), SECOND * 10, "1ms to 10s"),
            bounded("remember_events", self.remember_events, HOUR, HOUR * 24 * 3_650, "1h to 10years"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if self.memory_bytes < 1 << 20 {
            problems.push(Problem::new("memory_bytes", self.memory_bytes, "at least 1048576"));
        }
        problems
    }
}

impl Validate for Trending {
    fn problems(&self) -> Vec<Problem> {
        [
            bounded("half_life", self.half_life, SECOND * 60, HOUR * 24 * 365, "1m to 1year"),
            bounded("refresh", self.refresh, Duration::from_millis(10), HOUR, "10ms to 1h"),
            bounded("save", self.save, SECOND, HOUR, "1s to 1h"),
            bounded("exchange", self.exchange, Duration::from_millis(100), HOUR, "100ms to 1h"),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use service_runtime::config::{dump, load};

    use super::*;

    fn with(key: &str, value: &str) -> Result<Config, service_runtime::config::Error> {
        load(DEFAULTS, None, "CANDIDATES_CONFIG_TEST", &[(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn the_defaults_are_sound_and_name_every_field() {
        let config: Config = load(DEFAULTS, None, "CANDIDATES_CONFIG_TEST", &[]).unwrap();
        for line in dump(&config).lines().filter_map(|line| line.split_once(" = ")) {
            assert!(DEFAULTS.contains(&format!("\n{} = ", line.0)), "{} is not in the defaults", line.0);
        }
    }

    #[test]
    fn a_wrong_key_or_value_is_refused() {
        assert!(with("store.reader", "5").unwrap_err().to_string().contains("readers"));
        assert!(with("store.url", "mysql://x").unwrap_err().to_string().contains("sqlite://"));
        assert!(with("releases.poll", "1ms").unwrap_err().to_string().contains("50ms to 1h"));
        assert!(with("embedding.effort", "0").unwrap_err().to_string().contains("more than 0"));
        assert!(with("profiles.memory_bytes", "5").unwrap_err().to_string().contains("1048576"));
        assert!(with("trending.half_life", "1s").unwrap_err().to_string().contains("1m to 1year"));
    }
}
