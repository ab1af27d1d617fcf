//! The configuration of learning as a process of its own. `config.default.toml` documents every key.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};
use service_runtime::{
    client,
    config::{Problem, Validate, within},
    ops,
    process::{Settings, StopConfig},
    telemetry,
};

use crate::archive;

/// The defaults, documented.
pub const DEFAULTS: &str = include_str!("../config.default.toml");

/// Everything that can be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where logs and traces go.
    pub telemetry: telemetry::Config,
    /// The operators' listener.
    pub ops: ops::Config,
    /// How the process stops.
    pub stop: StopConfig,
    /// Where the other services are.
    pub services: Services,
    /// The archive.
    pub archive: archive::Config,
    /// Where releases are written.
    pub releases: Releases,
    /// When to learn.
    pub learn: Learn,
    /// The event bus.
    pub bus: event_bus::Config,
}

/// Where the other services are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Services {
    /// Candidate generation, which has the catalogue.
    pub candidates: String,
}

/// Where releases are written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Releases {
    /// The folder.
    pub path: PathBuf,
}

/// When to learn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    /// How often; nothing is never.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = within("telemetry", &self.telemetry)
            .chain(within("ops", &self.ops))
            .chain(within("stop", &self.stop))
            .chain(within("archive", &self.archive))
            .chain(within("bus", &self.bus))
            .collect();
        let mut check = |sound: bool, key: &str, given: Duration, expected: &str| {
            if !sound {
                problems.push(Problem {
                    key: key.to_owned(),
                    given: format!("{given:?}"),
                    expected: expected.to_owned(),
                });
            }
        };
        let learn = self.learn.every;
        let second = Duration::from_secs(1);
        check(learn.is_zero() || learn >= second, "learn.every", learn, "0s for never, or 1s or longer");
        let places = &self.services.candidates;
        if client::check(places).is_err() {
            problems.push(Problem::new("services.candidates", places, client::EXPECTED));
        }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_what_is_wrong_is_named() {
        let load = |set: &[(&str, &str)]| {
            let set: Vec<_> = set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
            service_runtime::config::load::<Config>(DEFAULTS, None, "SETLIST_TEST_NOTHING", &set)
        };
        assert!(load(&[]).unwrap().learn.every.is_zero());
        assert!(load(&[("learn.evry", "6h")]).unwrap_err().to_string().contains("every"));
        assert!(load(&[("archive.compact_every", "0s")]).unwrap_err().to_string().contains("archive.compact_every"));
    }
}
