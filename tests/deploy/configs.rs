//! Every configuration that is deployed loads through its service's own loader, without a problem. This file must not know
//! where a configuration is deployed.

use std::time::Duration;

use service_runtime::{
    config::load_from,
    process::{Settings, StopConfig},
};
use tests::root;

/// What stands in the place of a secret: its name, its key, a sample.
pub const SECRETS: [(&str, &str, &str); 3] = [
    (
        "setlist-api-keys",
        "keys",
        "[{ id = \"4f1d2c3b4a59\", sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\", \
         tenant = \"demo\", scopes = [\"serve\", \"events\", \"catalog\", \"admin\"] }]",
    ),
    ("setlist-cursors", "secret", "a sample that is long enough"),
    ("setlist-store", "url", "postgres://setlist:sample@postgresql:5432/setlist"),
];

/// The sample for a secret.
pub fn secret(name: &str, key: &str) -> String {
    let found = SECRETS.iter().find(|(secret, of, _)| (*secret, *of) == (name, key));
    found.map(|(.., sample)| (*sample).to_owned()).unwrap_or_else(|| panic!("no sample for {name}/{key}"))
}

/// What a deployed configuration says that manifests must agree with.
pub struct Deployed {
    /// The operators' port.
    pub ops: u16,
    /// The port that others call; none where nobody does.
    pub serves: Option<u16>,
    /// How the process stops.
    pub stop: StopConfig,
    /// The addresses it calls, as `host:port`.
    pub calls: Vec<String>,
}

impl Deployed {
    /// How long the process takes to leave at most: not ready, draining, the last spans.
    pub fn leaves_within(&self) -> Duration {
        self.stop.probe_interval + self.stop.grace + Duration::from_secs(3)
    }
}

/// Loads the configuration of `service` from its deployed file and `environment`, as its process would.
pub fn load(service: &str, environment: &[(String, String)]) -> Deployed {
    let file = root().join(format!("deploy/kubernetes/base/config/{service}.toml"));
    let (file, environment) = (Some(file.as_path()), environment.iter().cloned());
    let told = |error: service_runtime::config::Error| -> ! { panic!("{service}: {error}") };
    match service {
        "edge-api" => {
            let defaults = edge_api::config::DEFAULTS;
            let config: edge_api::Config =
                load_from(defaults, file, "SETLIST", environment, &[]).unwrap_or_else(|error| told(error));
            let services = [&config.services.candidates, &config.services.ranking];
            let calls = services.into_iter().flat_map(|endpoints| endpoints.split(','));
            deployed(&config, Some(config.http.listen.port()), calls.chain(bus(&config.bus)))
        }
        "candidate-generation" => {
            let defaults = candidate_generation::config::DEFAULTS;
            let config: candidate_generation::Config =
                load_from(defaults, file, "SETLIST", environment, &[]).unwrap_or_else(|error| told(error));
            deployed(&config, Some(config.grpc.listen.port()), bus(&config.bus))
        }
        "ranking" => {
            let defaults = ranking::config::DEFAULTS;
            let config: ranking::Config =
                load_from(defaults, file, "SETLIST", environment, &[]).unwrap_or_else(|error| told(error));
            deployed(&config, Some(config.grpc.listen.port()), std::iter::empty())
        }
        "learning" => {
            let defaults = learning::config::DEFAULTS;
            let config: learning::config::Config =
                load_from(defaults, file, "SETLIST", environment, &[]).unwrap_or_else(|error| told(error));
            let calls = std::iter::once(config.services.candidates.as_str());
            deployed(&config, None, calls.chain(bus(&config.bus)))
        }
        other => panic!("{other} is no service"),
    }
}

fn bus(config: &event_bus::Config) -> impl Iterator<Item = &str> {
    assert_eq!(config.kind, event_bus::config::Kind::Nats);
    config.url.split(',').chain([config.monitor_url.as_str()])
}

fn deployed<'a>(config: &'a impl Settings, serves: Option<u16>, calls: impl Iterator<Item = &'a str>) -> Deployed {
    let ops = config.ops().listen;
    assert!(ops.ip().is_unspecified(), "probes do not reach {ops}");
    let host = |url: &str| url.split("//").last().unwrap_or(url).trim_end_matches('/').to_owned();
    let calls = calls.chain([config.telemetry().otlp_endpoint.as_str()]).map(host).collect();
    Deployed { ops: ops.port(), serves, stop: config.stop().clone(), calls }
}
