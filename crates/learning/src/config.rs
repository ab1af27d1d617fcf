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

use crate::{archive, gates::Limits};

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
    /// What a release may be to be promoted.
    pub gates: Limits,
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learn {
    /// How often; nothing is never.
    #[serde(with = "humantime_serde")]
    pub every: Duration,
    /// The share by which a wait is shorter or longer, at most.
    pub jitter: f64,
    /// How long to wait after a failure; twice as long after each further one, up to `every`.
    #[serde(with = "humantime_serde")]
    pub retry: Duration,
    /// After how many epochs a training writes down where it stands; 0 is never.
    pub checkpoint_every: usize,
    /// After this long a play counts half for what is popular in a segment; nothing is never.
    #[serde(with = "humantime_serde")]
    pub popularity_half_life: Duration,
    /// How many releases are kept; the live one and the one before are kept in any case.
    pub keep: usize,
}

impl Validate for Learn {
    fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let second = Duration::from_secs(1);
        if !self.every.is_zero() && self.every < second {
            problems.push(Problem::new("every", format!("{:?}", self.every), "0s for never, or 1s or longer"));
        }
        if !(0.0..=0.5).contains(&self.jitter) {
            problems.push(Problem::new("jitter", self.jitter.to_string(), "0 to 0.5"));
        }
        if self.retry < second {
            problems.push(Problem::new("retry", format!("{:?}", self.retry), "1s or longer"));
        }
        let half_life = self.popularity_half_life;
        if !half_life.is_zero() && half_life < Duration::from_secs(3_600) {
            problems.push(Problem::new(
                "popularity_half_life",
                format!("{half_life:?}"),
                "0s for never, or 1h or longer",
            ));
        }
        if self.keep == 0 {
            problems.push(Problem::new("keep", "0", "1 or more"));
        }
        problems
    }
}

impl Validate for Config {
    fn problems(&self) -> Vec<Problem> {
        let mut problems: Vec<Problem> = within("telemetry", &self.telemetry)
            .chain(within("ops", &self.ops))
            .chain(within("stop", &self.stop))
            .chain(within("archive", &self.archive))
            .chain(within("bus", &self.bus))
            .chain(within("learn", &self.learn))
            .chain(within("gates", &self.gates))
            .collect();
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
        let half_life = load(&[]).unwrap().learn.popularity_half_life;
        assert_eq!(half_life, crate::segments::Settings::default().half_life);
        let brief = load(&[("learn.popularity_half_life", "1s")]).unwrap_err().to_string();
        assert!(brief.contains("learn.popularity_half_life"), "{brief}");
        assert!(load(&[("learn.jitter", "2.0")]).unwrap_err().to_string().contains("learn.jitter"));
        assert_eq!(load(&[]).unwrap().gates, Limits::default());
        assert!(load(&[("gates.max_growth", "0.5")]).unwrap_err().to_string().contains("gates.max_growth"));
        assert!(load(&[("archive.compact_every", "0s")]).unwrap_err().to_string().contains("archive.compact_every"));
    }
}
