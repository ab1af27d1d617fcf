//! The service's configuration: the sum of its modules' own. `config.default.toml` documents every key.

use std::{net::SocketAddr, time::Duration};

use serde::{Deserialize, Serialize};
use service_runtime::{
    config::{Problem, Validate, within},
    grpc, ops,
    process::{Settings, StopConfig},
    telemetry,
};

use crate::models;

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
    /// Where models come from.
    pub releases: models::Config,
    /// How pages are ranked.
    pub pages: Pages,
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

/// How pages are ranked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pages {
    /// The most candidates of a page.
    pub max_candidates: usize,
    /// The longest a release's scorer may take.
    #[serde(with = "humantime_serde")]
    pub scorer_budget: Duration,
    /// The share of the time left to a page that its candidates may take; where that is too little for all of them, the
    /// likeliest are ranked.
    pub spend: f32,
    /// So many candidates are ranked however little time is left.
    pub least_scored: usize,
    /// The features of one page in so many are held against those that the scorer was trained on; 0 is none.
    pub sampled_one_in: u64,
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        within("telemetry", &self.telemetry)
            .chain(within("ops", &self.ops))
            .chain(within("stop", &self.stop))
            .chain(within("grpc", &self.grpc))
            .chain(within("releases", &self.releases))
            .chain(within("pages", &self.pages))
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

impl Validate for Grpc {
    fn problems(&self) -> Vec<Problem> {
        within("limits", &self.limits).collect()
    }
}

impl Validate for Pages {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if !(1..=100_000).contains(&self.max_candidates) {
            problems.push(Problem::new("max_candidates", self.max_candidates, "1 to 100000"));
        }
        if self.scorer_budget.is_zero() {
            problems.push(Problem::new("scorer_budget", "0s", "more than nothing, such as \"25ms\""));
        }
        if !(0.01..=1.0).contains(&self.spend) {
            problems.push(Problem::new("spend", self.spend, "0.01 to 1"));
        }
        if !(1..=self.max_candidates).contains(&self.least_scored) {
            problems.push(Problem::new("least_scored", self.least_scored, "1 to max_candidates"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use service_runtime::config::{dump, load};

    use super::*;

    fn with(key: &str, value: &str) -> Result<Config, service_runtime::config::Error> {
        load(DEFAULTS, None, "RANKING_CONFIG_TEST", &[(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn the_defaults_are_sound_and_name_every_field() {
        let config: Config = load(DEFAULTS, None, "RANKING_CONFIG_TEST", &[]).unwrap();
        for line in dump(&config).lines().filter_map(|line| line.split_once(" = ")) {
            assert!(DEFAULTS.contains(&format!("\n{} = ", line.0)), "{} is not in the defaults", line.0);
        }
    }

    #[test]
    fn a_wrong_key_or_value_is_refused() {
        assert!(with("pages.max_candidate", "5").unwrap_err().to_string().contains("max_candidates"));
        assert!(with("pages.max_candidates", "0").unwrap_err().to_string().contains("1 to 100000"));
        assert!(with("releases.poll", "1ms").unwrap_err().to_string().contains("50ms to 1h"));
        assert!(with("pages.spend", "0").unwrap_err().to_string().contains("0.01 to 1"));
        assert!(with("pages.least_scored", "0").unwrap_err().to_string().contains("1 to max_candidates"));
        assert!(with("pages.scorer_budget", "0s").unwrap_err().to_string().contains("more than nothing"));
    }
}
