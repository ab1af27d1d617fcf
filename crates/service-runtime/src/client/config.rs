//! How a client of a dependency bears its failures: every knob and its range.
//!
//! This file must not know any dependency.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::{Problem, Validate};

/// How a client of a dependency bears its failures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How often each endpoint is asked whether it serves.
    #[serde(with = "humantime_serde")]
    pub health_interval: Duration,
    /// How often a `dns://` name is resolved again.
    #[serde(with = "humantime_serde")]
    pub resolve_interval: Duration,
    /// The window over which shares of failures are counted, for endpoints and for the breaker.
    #[serde(with = "humantime_serde")]
    pub window: Duration,
    /// How many failures of an endpoint in a row eject it.
    pub eject_after: u32,
    /// Which share of an endpoint's calls in a window must fail to eject it.
    pub eject_share: f64,
    /// How many calls a window must hold for its share to count.
    pub eject_calls: u32,
    /// How long an endpoint is ejected the first time; each further time it is twice as long.
    #[serde(with = "humantime_serde")]
    pub eject_base: Duration,
    /// The longest that an endpoint is ejected.
    #[serde(with = "humantime_serde")]
    pub eject_most: Duration,
    /// How many calls in a row must fail, while none succeeds, to open the breaker.
    pub open_after: u32,
    /// Which share of all calls in a window must fail to open the breaker.
    pub open_share: f64,
    /// How many calls a window must hold for its share to count.
    pub open_calls: u32,
    /// How often an open breaker lets a single call through.
    #[serde(with = "humantime_serde")]
    pub probe_interval: Duration,
    /// How many such calls in a row must succeed to close the breaker.
    pub close_after: u32,
    /// How many retries the calls pay for: this share of them.
    pub retry_share: f64,
    /// How many retries a second are free of charge.
    pub retry_floor: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            health_interval: Duration::from_millis(500),
            resolve_interval: Duration::from_secs(5),
            window: Duration::from_secs(2),
            eject_after: 5,
            eject_share: 0.5,
            eject_calls: 20,
            eject_base: Duration::from_secs(5),
            eject_most: Duration::from_secs(60),
            open_after: 5,
            open_share: 0.5,
            open_calls: 20,
            probe_interval: Duration::from_millis(500),
            close_after: 2,
            retry_share: 0.1,
            retry_floor: 3,
        }
    }
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |fits: bool, key: &str, given: String, expected: &str| {
            if !fits {
                problems.push(Problem::new(key, given, expected));
            }
        };
        let spans = [
            ("health_interval", self.health_interval, 50, 60_000, "50ms to 1m"),
            ("resolve_interval", self.resolve_interval, 100, 3_600_000, "100ms to 1h"),
            ("window", self.window, 100, 60_000, "100ms to 1m"),
            ("eject_base", self.eject_base, 10, 600_000, "10ms to 10m"),
            ("eject_most", self.eject_most, 10, 3_600_000, "10ms to 1h"),
            ("probe_interval", self.probe_interval, 10, 60_000, "10ms to 1m"),
        ];
        for (key, given, least, most, expected) in spans {
            let fits = (Duration::from_millis(least)..=Duration::from_millis(most)).contains(&given);
            check(fits, key, format!("{given:?}"), expected);
        }
        check(
            self.eject_most >= self.eject_base,
            "eject_most",
            format!("{:?}", self.eject_most),
            "at least eject_base: it is where the doubling ends",
        );
        for (key, given) in [
            ("eject_after", self.eject_after),
            ("eject_calls", self.eject_calls),
            ("open_after", self.open_after),
            ("open_calls", self.open_calls),
        ] {
            check((1..=10_000).contains(&given), key, given.to_string(), "1 to 10000");
        }
        check((1..=100).contains(&self.close_after), "close_after", self.close_after.to_string(), "1 to 100");
        for (key, given) in [("eject_share", self.eject_share), ("open_share", self.open_share)] {
            check((0.05..=1.0).contains(&given), key, given.to_string(), "0.05 to 1");
        }
        check((0.0..=0.5).contains(&self.retry_share), "retry_share", self.retry_share.to_string(), "0 to 0.5");
        check(self.retry_floor <= 1_000, "retry_floor", self.retry_floor.to_string(), "0 to 1000");
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_range() {
        assert_eq!(Config::default().problems(), []);
        let wrong = Config {
            health_interval: Duration::ZERO,
            resolve_interval: Duration::ZERO,
            window: Duration::ZERO,
            eject_after: 0,
            eject_share: 0.0,
            eject_calls: 0,
            eject_base: Duration::from_secs(3_600),
            eject_most: Duration::from_secs(7_200),
            open_after: 0,
            open_share: 1.5,
            open_calls: 0,
            probe_interval: Duration::ZERO,
            close_after: 0,
            retry_share: f64::NAN,
            retry_floor: 1_001,
        };
        let found: std::collections::BTreeSet<String> =
            wrong.problems().into_iter().map(|problem| problem.key).collect();
        let written = toml::Table::try_from(Config::default()).expect("plain values");
        let keys: std::collections::BTreeSet<String> = written.keys().cloned().collect();
        assert_eq!(found, keys);
        let crossed = Config { eject_most: Duration::from_secs(1), ..Config::default() };
        assert_eq!(crossed.problems()[0].key, "eject_most");
    }
}
