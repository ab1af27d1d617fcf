//! The configuration of the whole platform in one process: the services' own sections side by side.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::Path,
    sync::LazyLock,
};

use serde::{Deserialize, Serialize};
use service_runtime::{
    config::{Problem, Validate, within},
    grpc::Limits,
    ops,
    process::{Settings, StopConfig},
    telemetry,
};

const OWN: &str = include_str!("../config.default.toml");

/// What stands where a service alone has an address: in one process nobody reads it.
const UNUSED: &str = "http://127.0.0.1:0";
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0));
/// How the address of an embedded store begins.
const SQLITE: &str = "sqlite://";

/// The sections of the services that a process shared by all of them has only once.
const PROCESS: [&str; 6] = ["telemetry", "ops", "stop", "bus", "services", "grpc"];

/// The defaults, as they are documented: ours, and each service's below its name.
pub static DEFAULTS: LazyLock<&'static str> = LazyLock::new(|| {
    let mut text = OWN.to_owned();
    text.push_str(&sections(edge_api::config::DEFAULTS, "", |section| section == "bus"));
    // The platform has a data folder: what is popular is kept in it.
    let edge = edge_api::config::DEFAULTS.replace("\nsnapshot = \"\"\n", "\nsnapshot = \"data/edge\"\n");
    text.push_str(&sections(&edge, "edge.", served));
    text.push_str(&sections(candidate_generation::config::DEFAULTS, "candidates.", served));
    text.push_str(&sections(ranking::config::DEFAULTS, "ranking.", served));
    text.push_str(&sections(learning::config::DEFAULTS, "", |section| matches!(section, "learn" | "gates")));
    // The defaults live as long as the process: they are read once.
    Box::leak(text.into_boxed_str())
});

fn served(section: &str) -> bool {
    !PROCESS.contains(&section)
}

/// The wanted sections of a service's defaults with `prefix` before their names. `data/`, where the
/// services alone keep things, is left to the data folder.
fn sections(text: &str, prefix: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            let top = name.split(['.', ']']).next().unwrap_or(name);
            inside = wanted(top);
            if inside {
                out.push('\n');
                out.push('[');
                out.push_str(prefix);
                out.push_str(name);
                out.push('\n');
            }
        } else if inside && !line.is_empty() {
            out.push_str(&line.replace("\"data/", "\"").replace("\"sqlite://data/", "\"sqlite://"));
            out.push('\n');
        }
    }
    out
}

/// The configuration of the whole platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where logs and traces go.
    pub telemetry: telemetry::Config,
    /// Where the operators' listener is.
    pub ops: ops::Config,
    /// How the process stops.
    pub stop: StopConfig,
    /// The archive.
    pub archive: learning::archive::Config,
    /// The event bus.
    pub bus: event_bus::Config,
    /// The edge.
    pub edge: Edge,
    /// Candidate generation.
    pub candidates: Candidates,
    /// Ranking.
    pub ranking: Ranking,
    /// When `setlist learn` trains.
    pub learn: learning::config::Learn,
    /// What a release may be to be promoted.
    pub gates: learning::gates::Limits,
}

/// The edge's own sections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Edge {
    /// Where clients connect.
    pub http: edge_api::config::Http,
    /// What a client may use of this process.
    pub limits: edge_api::config::Limits,
    /// How often keys and tenants may ask.
    pub quota: edge_api::config::Quota,
    /// Who may call.
    pub auth: edge_api::config::Auth,
    /// Where surfaces come from.
    pub surfaces: edge_api::config::SurfaceFiles,
    /// How pages are made.
    pub serving: edge_api::config::Serving,
    /// How events are taken.
    pub events: edge_api::config::Events,
    /// How decisions are recorded.
    pub records: edge_api::config::Records,
    /// Where decisions are kept for questions about answers.
    pub store: edge_api::store::Config,
    /// How cursors are made.
    pub cursors: edge_api::cursors::Config,
}

/// Candidate generation's own sections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidates {
    /// Where the catalogue and the profiles are kept.
    pub store: candidate_generation::store::Config,
    /// Where models come from.
    pub releases: candidate_generation::config::Releases,
    /// The index of embeddings.
    pub embedding: candidate_generation::index::embedding::Config,
    /// Profiles and what becomes of events.
    pub profiles: candidate_generation::config::Profiles,
    /// How several processes share the events of one store.
    pub intake: candidate_generation::intake::partitions::Config,
    /// The trending index.
    pub trending: candidate_generation::config::Trending,
}

/// Ranking's own sections.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ranking {
    /// Where models come from.
    pub releases: ranking::models::Config,
    /// How pages are ranked.
    pub pages: ranking::config::Pages,
}

/// What came of loading.
pub enum Loaded {
    /// Run with this.
    Run(Box<Config>),
    /// Everything that was asked for is done.
    Exit(std::process::ExitCode),
}

/// Loads the configuration of a platform whose relative paths lie below `data`.
#[must_use]
pub fn load(options: &service_runtime::cli::Options, data: &Path) -> Loaded {
    match service_runtime::cli::load::<Config>(options, *DEFAULTS, "SETLIST") {
        service_runtime::cli::Loaded::Run(config) => Loaded::Run(Box::new(config.below(data))),
        service_runtime::cli::Loaded::Exit(code) => Loaded::Exit(code),
    }
}

impl Config {
    /// The same with its relative paths below `data`.
    #[must_use]
    pub fn below(mut self, data: &Path) -> Self {
        for path in [
            &mut self.archive.path,
            &mut self.bus.path,
            &mut self.candidates.releases.path,
            &mut self.ranking.releases.path,
        ] {
            *path = data.join(&*path);
        }
        // Empty is none.
        for path in [&mut self.edge.serving.snapshot, &mut self.archive.history] {
            if !path.as_os_str().is_empty() {
                *path = data.join(&*path);
            }
        }
        for url in [&mut self.candidates.store.url, &mut self.edge.store.url] {
            if let Some(path) = url.strip_prefix(SQLITE) {
                *url = format!("{SQLITE}{}", data.join(path).display());
            }
        }
        self
    }

    /// The same for a command whose own words matter more than its log: only what needs a person.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        "warn".clone_into(&mut self.telemetry.log);
        self.telemetry.log_format = telemetry::Format::Text;
        self
    }

    /// The edge's configuration.
    #[must_use]
    pub fn edge(&self) -> edge_api::Config {
        let Edge { http, limits, quota, auth, surfaces, serving, events, records, cursors, store } = self.edge.clone();
        edge_api::Config {
            telemetry: self.telemetry.clone(),
            ops: self.ops.clone(),
            stop: self.stop.clone(),
            services: edge_api::config::Services {
                candidates: UNUSED.to_owned(),
                ranking: UNUSED.to_owned(),
                resilience: service_runtime::client::Config::default(),
            },
            bus: self.bus.clone(),
            http,
            limits,
            quota,
            auth,
            surfaces,
            serving,
            events,
            records,
            store,
            cursors,
        }
    }
}

impl Config {
    /// Candidate generation's configuration.
    #[must_use]
    pub fn candidates(&self) -> candidate_generation::Config {
        let Candidates { store, releases, embedding, profiles, intake, trending } = self.candidates.clone();
        candidate_generation::Config {
            telemetry: self.telemetry.clone(),
            ops: self.ops.clone(),
            stop: self.stop.clone(),
            bus: self.bus.clone(),
            grpc: candidate_generation::config::Grpc { listen: NOWHERE, limits: Limits::default() },
            store,
            releases,
            embedding,
            profiles,
            intake,
            trending,
        }
    }

    /// Ranking's configuration.
    #[must_use]
    pub fn ranking(&self) -> ranking::Config {
        let Ranking { releases, pages } = self.ranking.clone();
        ranking::Config {
            telemetry: self.telemetry.clone(),
            ops: self.ops.clone(),
            stop: self.stop.clone(),
            grpc: ranking::config::Grpc { listen: NOWHERE, limits: Limits::default() },
            releases,
            pages,
        }
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
        // Each service checks its own sections as it does alone; what the process holds once is checked once.
        let mut own = |service: &str, all: Vec<Problem>| {
            let section = |problem: &Problem| problem.key.split('.').next().unwrap_or_default().to_owned();
            problems.extend(
                all.into_iter().filter(|problem| served(&section(problem))).map(|problem| problem.under(service)),
            );
        };
        own("edge", self.edge().problems());
        own("candidates", self.candidates().problems());
        own("ranking", self.ranking().problems());
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
    fn defaults_are_the_services_own_below_the_data_folder() {
        let config: Config = service_runtime::config::load(*DEFAULTS, None, "SETLIST_TEST_NOTHING", &[]).unwrap();
        let config = config.below(Path::new("/srv/setlist"));
        assert_eq!(config.bus.path, Path::new("/srv/setlist/events.db"));
        assert_eq!(config.candidates.store.url, "sqlite:///srv/setlist/candidates.db");
        assert_eq!(config.edge.store.url, "sqlite:///srv/setlist/edge.db");
        assert_eq!(config.edge.serving.snapshot, Path::new("/srv/setlist/edge"));
        assert_eq!(config.candidates.releases.path, config.ranking.releases.path);
    }

    #[test]
    fn a_wrong_key_names_the_nearest_and_a_wrong_value_its_section() {
        let set = |key: &str, value: &str| {
            let set = [(key.to_owned(), value.to_owned())];
            service_runtime::config::load::<Config>(*DEFAULTS, None, "SETLIST_TEST_NOTHING", &set)
                .unwrap_err()
                .to_string()
        };
        assert!(set("edge.http.lisen", "127.0.0.1:1").contains("listen"));
        assert!(set("ranking.pages.max_candidates", "0").contains("ranking.pages.max_candidates"));
    }
}
