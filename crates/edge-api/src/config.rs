//! What an operator may set. `config.default.toml` documents every key and is the default.
//!
//! Must not know how values are layered.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use service_runtime::{
    client,
    config::{Problem, Validate, within},
    ops,
    process::{Settings, StopConfig},
    telemetry,
};

use crate::{auth::KeyConfig, cursors, store};

/// The defaults, as they are documented.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// The edge's configuration.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where logs and traces go.
    pub telemetry: telemetry::Config,
    /// Where the operators' listener is.
    pub ops: ops::Config,
    /// How the process stops.
    pub stop: StopConfig,
    /// Where clients connect.
    pub http: Http,
    /// What a client may use of this process.
    pub limits: Limits,
    /// How often keys and tenants may ask.
    pub quota: Quota,
    /// Who may call.
    pub auth: Auth,
    /// Where surfaces come from.
    pub surfaces: SurfaceFiles,
    /// How pages are made.
    pub serving: Serving,
    /// How events are taken.
    pub events: Events,
    /// How decisions are recorded.
    pub records: Records,
    /// Where decisions are kept for questions about answers.
    pub store: store::Config,
    /// How cursors are made.
    pub cursors: cursors::Config,
    /// Where the other services are, when they are not in this process.
    pub services: Services,
    /// The event bus.
    pub bus: event_bus::Config,
}

/// Where clients connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// The address.
    pub listen: SocketAddr,
    /// The most open connections; more are closed at once.
    pub max_connections: usize,
    /// How long a client may take to send the head of a request, and to stay silent between requests.
    #[serde(with = "humantime_serde")]
    pub header_read_timeout: Duration,
    /// Whether a caller's `traceparent` is continued; otherwise it is only linked.
    pub trust_traceparent: bool,
    /// How long requests in hand may take when the process stops.
    #[serde(with = "humantime_serde")]
    pub drain: Duration,
}

/// What a client may use of this process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most requests in flight, whatever the process can do; more are refused at once.
    pub concurrency: usize,
    /// As low as the limit falls when the process is overloaded.
    pub least_concurrency: usize,
    /// How long ready work may wait before the process counts as overloaded.
    #[serde(with = "humantime_serde")]
    pub target_wait: Duration,
    /// The most requests with events in flight: they wait for the bus, beside all others.
    pub events_concurrency: usize,
    /// The most requests of one tenant in flight where there are others; of a lower limit it is the same part.
    pub tenant_concurrency: usize,
    /// The longest that any request may take, once its body is there.
    #[serde(with = "humantime_serde")]
    pub request_timeout: Duration,
    /// The largest body, in bytes.
    pub body_bytes: usize,
    /// The longest that a body may take.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// The least speed of a body.
    pub body_bytes_per_second: u64,
    /// How many bytes the bodies of all requests in hand may take together.
    pub bodies_bytes: usize,
}

/// How often keys and tenants may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// The requests a second of one API key, in the long run.
    pub key_requests_per_second: u32,
    /// How many requests of a key may come at once.
    pub key_burst: u32,
    /// The requests a second of all keys of a tenant, in the long run.
    pub tenant_requests_per_second: u32,
    /// How many requests of a tenant may come at once.
    pub tenant_burst: u32,
}

/// Who may call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// The API keys.
    pub keys: Vec<KeyConfig>,
}

/// Where surfaces come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurfaceFiles {
    /// A folder of `*.yaml` files; empty is none but the built-in surfaces.
    pub folder: PathBuf,
}

/// How pages are made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serving {
    /// The share of a page's budget for candidates.
    pub candidates_share: f64,
    /// The share of a page's budget for ranking.
    pub ranking_share: f64,
    /// How long catalogue and user calls may take.
    #[serde(with = "humantime_serde")]
    pub call_timeout: Duration,
    /// How many items' titles are remembered for each tenant.
    pub display_items: usize,
    /// How long an item's title is remembered.
    #[serde(with = "humantime_serde")]
    pub display_ttl: Duration,
    /// How many listeners' last good pages are remembered.
    pub last_good_pages: u64,
    /// How long a last good page is remembered.
    #[serde(with = "humantime_serde")]
    pub last_good_ttl: Duration,
    /// How many popular items are remembered for each market.
    pub popular_items: usize,
    /// How often popular items are read anew.
    #[serde(with = "humantime_serde")]
    pub popular_refresh: Duration,
    /// A folder where popular items are kept for a start without services; empty is none.
    pub snapshot: PathBuf,
    /// How old popular items from that folder may be.
    #[serde(with = "humantime_serde")]
    pub snapshot_ttl: Duration,
}

/// How events are taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Events {
    /// How long the first event of a message waits for others.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// A message is full at this many bytes.
    pub max_bytes: usize,
    /// How long a client waits for the word that its events are stored.
    #[serde(with = "humantime_serde")]
    pub ack_timeout: Duration,
}

/// How decisions are recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// How many decisions may wait for the bus; more are dropped and counted.
    pub queue: usize,
    /// How long the first decision of a batch waits for others.
    #[serde(with = "humantime_serde")]
    pub linger: Duration,
    /// The share of decisions that are recorded with all candidates, so that they can be replayed.
    pub complete_share: f64,
}

/// Where the other services are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// candidate-generation.
    pub candidates: String,
    /// ranking.
    pub ranking: String,
    /// How their failures are borne.
    pub resilience: client::Config,
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |fits: bool, key: &str, given: String, expected: &str| {
            if !fits {
                problems.push(Problem::new(key, given, expected));
            }
        };
        let span = |given: Duration, least: u64, most: u64| {
            (Duration::from_millis(least)..=Duration::from_millis(most)).contains(&given)
        };
        let shown = |given: Duration| humantime_text(given);
        let Self { http, limits, quota, serving, events, records, cursors, services, .. } = self;
        check(
            (1..=1_000_000).contains(&http.max_connections),
            "http.max_connections",
            http.max_connections.to_string(),
            "1 to 1000000",
        );
        check(
            span(http.header_read_timeout, 100, 300_000),
            "http.header_read_timeout",
            shown(http.header_read_timeout),
            "100ms to 5m",
        );
        check(span(http.drain, 0, 300_000), "http.drain", shown(http.drain), "0s to 5m");
        check(
            (1..=100_000).contains(&limits.concurrency),
            "limits.concurrency",
            limits.concurrency.to_string(),
            "1 to 100000",
        );
        for (key, seats) in [
            ("limits.least_concurrency", limits.least_concurrency),
            ("limits.events_concurrency", limits.events_concurrency),
        ] {
            check((1..=100_000).contains(&seats), key, seats.to_string(), "1 to 100000");
        }
        check(span(limits.target_wait, 1, 1_000), "limits.target_wait", shown(limits.target_wait), "1ms to 1s");
        check(
            span(limits.request_timeout, 100, 120_000),
            "limits.request_timeout",
            shown(limits.request_timeout),
            "100ms to 2m",
        );
        check(
            (1_024..=64 << 20).contains(&limits.body_bytes),
            "limits.body_bytes",
            limits.body_bytes.to_string(),
            "1024 to 67108864",
        );
        check(
            (1..=100_000).contains(&limits.tenant_concurrency),
            "limits.tenant_concurrency",
            limits.tenant_concurrency.to_string(),
            "1 to 100000",
        );
        check(
            span(limits.body_timeout, 100, 120_000),
            "limits.body_timeout",
            shown(limits.body_timeout),
            "100ms to 2m",
        );
        check(
            (1..=1 << 30).contains(&limits.body_bytes_per_second),
            "limits.body_bytes_per_second",
            limits.body_bytes_per_second.to_string(),
            "1 to 1073741824",
        );
        check(
            limits.bodies_bytes >= limits.body_bytes,
            "limits.bodies_bytes",
            limits.bodies_bytes.to_string(),
            "at least limits.body_bytes",
        );
        for (key, number) in [
            ("quota.key_requests_per_second", quota.key_requests_per_second),
            ("quota.key_burst", quota.key_burst),
            ("quota.tenant_requests_per_second", quota.tenant_requests_per_second),
            ("quota.tenant_burst", quota.tenant_burst),
        ] {
            check((1..=1_000_000).contains(&number), key, number.to_string(), "1 to 1000000");
        }
        let shares = serving.candidates_share + serving.ranking_share;
        for (key, share) in
            [("serving.candidates_share", serving.candidates_share), ("serving.ranking_share", serving.ranking_share)]
        {
            check((0.05..=0.9).contains(&share), key, share.to_string(), "0.05 to 0.9");
        }
        check(
            shares <= 0.98,
            "serving.ranking_share",
            format!("{shares} with serving.candidates_share"),
            "at most 0.98 together: the edge needs the rest",
        );
        check(
            span(serving.call_timeout, 10, 60_000),
            "serving.call_timeout",
            shown(serving.call_timeout),
            "10ms to 1m",
        );
        check(span(serving.display_ttl, 0, 3_600_000), "serving.display_ttl", shown(serving.display_ttl), "0s to 1h");
        check(
            span(serving.last_good_ttl, 0, 86_400_000),
            "serving.last_good_ttl",
            shown(serving.last_good_ttl),
            "0s to 1d",
        );
        check(
            (1..=1_000).contains(&serving.popular_items),
            "serving.popular_items",
            serving.popular_items.to_string(),
            "1 to 1000",
        );
        check(
            span(serving.popular_refresh, 1_000, 86_400_000),
            "serving.popular_refresh",
            shown(serving.popular_refresh),
            "1s to 1d",
        );
        check(
            span(serving.snapshot_ttl, 1_000, 30 * 86_400_000),
            "serving.snapshot_ttl",
            shown(serving.snapshot_ttl),
            "1s to 30d",
        );
        check(span(events.window, 0, 100), "events.window", shown(events.window), "0ms to 100ms");
        check(
            (1_024..=768 << 10).contains(&events.max_bytes),
            "events.max_bytes",
            events.max_bytes.to_string(),
            "1024 to 786432: the bus takes messages of 1 MiB, and an envelope has its own bytes",
        );
        check(span(events.ack_timeout, 10, 60_000), "events.ack_timeout", shown(events.ack_timeout), "10ms to 1m");
        check(span(records.linger, 0, 5_000), "records.linger", shown(records.linger), "0ms to 5s");
        check((1..=1_000_000).contains(&records.queue), "records.queue", records.queue.to_string(), "1 to 1000000");
        check(
            (0.0..=1.0).contains(&records.complete_share),
            "records.complete_share",
            records.complete_share.to_string(),
            "0 to 1",
        );
        let characters = cursors.secret.expose().chars().count();
        check(
            characters == 0 || characters >= 16,
            "cursors.secret",
            format!("{characters} characters"),
            "16 characters or more, or none for a random key",
        );
        check(span(cursors.ttl, 1_000, 7 * 86_400_000), "cursors.ttl", shown(cursors.ttl), "1s to 7d");
        for (key, places) in [("services.candidates", &services.candidates), ("services.ranking", &services.ranking)] {
            check(client::check(places).is_ok(), key, places.clone(), client::EXPECTED);
        }
        for (index, key) in self.auth.keys.iter().enumerate() {
            for (field, given, expected) in key.problems() {
                check(false, &format!("auth.keys[{index}].{field}"), given, expected);
            }
            if self.auth.keys.iter().take(index).any(|other| other.id == key.id) {
                check(
                    false,
                    &format!("auth.keys[{index}].id"),
                    format!("{} again", key.id),
                    "an id that no other key has",
                );
            }
        }
        problems.extend(within("telemetry", &self.telemetry));
        problems.extend(within("ops", &self.ops));
        problems.extend(within("stop", &self.stop));
        problems.extend(within("services.resilience", &services.resilience));
        problems.extend(within("bus", &self.bus));
        problems.extend(within("store", &self.store));
        problems
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
    fn reloadable() -> &'static [&'static str] {
        &["auth"]
    }
}

fn humantime_text(span: Duration) -> String {
    format!("{span:?}")
}

impl Default for Config {
    /// The documented defaults.
    #[expect(clippy::expect_used, reason = "the defaults are part of the program, and a test reads them")]
    fn default() -> Self {
        toml::from_str(DEFAULTS).expect("the built-in defaults are valid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documented_defaults_are_complete_and_good() {
        let config = Config::default();
        assert!(config.problems().is_empty(), "{:?}", config.problems());
        // Every field is written out: what serialises is exactly what the file says.
        let written: toml::Table = DEFAULTS.parse().unwrap();
        assert_eq!(toml::Table::try_from(&config).unwrap(), written);
    }

    #[test]
    fn wrong_keys_and_values_are_refused_together() {
        let overrides = [("limits.concurrency", "0"), ("serving.ranking_share", "0.7"), ("limits.bodybytes", "1")];
        let overrides: Vec<_> = overrides.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let error = service_runtime::config::load_from::<Config>(DEFAULTS, None, "SETLIST", [], &overrides)
            .unwrap_err()
            .to_string();
        assert!(error.contains("limits.bodybytes"), "{error}");
        let error = service_runtime::config::load_from::<Config>(DEFAULTS, None, "SETLIST", [], &overrides[..2])
            .unwrap_err()
            .to_string();
        assert!(error.contains("limits.concurrency") && error.contains("serving.ranking_share"), "{error}");
    }
}
