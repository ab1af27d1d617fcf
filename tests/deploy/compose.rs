//! The platform on one machine: what is in it, how it is held, and that its configuration loads.

use serde_json::Value;

use crate::{
    configs,
    yaml::{at, document, entries, list, text},
};

fn services() -> Value {
    document("compose.yaml")["services"].clone()
}

/// `${NAME}` and `${NAME:-default}` as Compose reads them, defaults within defaults too.
fn interpolate(given: &str, lookup: &dyn Fn(&str) -> Option<String>) -> String {
    let Some((before, rest)) = given.split_once("${") else { return given.to_owned() };
    let mut depth = 1;
    let end = rest.char_indices().find_map(|(index, letter)| {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(index)
    });
    let end = end.unwrap_or_else(|| panic!("a brace is open in {given}"));
    let (name, default) = rest[..end].split_once(":-").unwrap_or((&rest[..end], ""));
    let value = lookup(name).unwrap_or_else(|| interpolate(default, lookup));
    format!("{before}{value}{}", interpolate(&rest[end + 1..], lookup))
}

/// What an operator sets, where the file's own default is no sample.
fn set(name: &str) -> Option<String> {
    match name {
        "SETLIST_API_KEYS" => Some(configs::secret("setlist-api-keys", "keys")),
        "SETLIST_CURSOR_SECRET" => Some(configs::secret("setlist-cursors", "secret")),
        "SETLIST_STORE_URL" => Some(configs::secret("setlist-store", "url")),
        _ => None,
    }
}

#[test]
fn variables_are_read_as_compose_does() {
    let lookup = |name: &str| (name == "A").then(|| "a".to_owned());
    for (given, meant) in
        [("x", "x"), ("<${A}>", "<a>"), ("${B:-b}${A}", "ba"), ("${B:-x${C:-${A}}y}.", "xay."), ("${B:-[]}", "[]")]
    {
        assert_eq!(interpolate(given, &lookup), meant, "{given}");
    }
}

#[test]
fn every_service_loads_its_configuration() {
    let services = services();
    for service in ["edge-api", "candidate-generation", "ranking", "learning"] {
        let one = &services[service];
        let environment: Vec<_> = entries(one, "environment")
            .into_iter()
            .map(|(name, value)| (name.to_owned(), interpolate(value.as_str().unwrap(), &set)))
            .collect();
        let deployed = configs::load(service, &environment);
        let file = format!("/etc/setlist/{service}.toml");
        assert!(list(one, "command").iter().any(|word| *word == *file), "{service} does not read {file}");
        assert!(list(one, "healthcheck.test").iter().any(|word| *word == *file), "{service} is not asked by {file}");
        assert!(list(one, "healthcheck.test").iter().any(|word| *word == "--health=ready"), "{service}");
        let patience: u64 = text(one, "stop_grace_period").trim_end_matches('s').parse().unwrap();
        assert!(patience > deployed.leaves_within().as_secs(), "{service} is killed while it drains");
        for call in deployed.calls {
            let host = call.split(':').next().unwrap().to_owned();
            let alias = |service: &Value| list(service, "networks.default.aliases").iter().any(|name| *name == *host);
            let known = services.as_object().unwrap().iter().any(|(name, service)| *name == host || alias(service));
            assert!(known, "{service} calls {call}, which is no service");
        }
    }
}

#[test]
fn there_are_two_of_each_and_three_of_nats() {
    let services = services();
    for service in ["edge-api", "candidate-generation", "ranking"] {
        assert_eq!(at(&services[service], "deploy.replicas"), 2, "{service}");
    }
    for nats in ["nats-0", "nats-1", "nats-2"] {
        assert_eq!(text(&services[nats], "environment.NATS_SERVER_NAME"), nats);
        assert!(list(&services[nats], "networks.default.aliases").iter().any(|name| *name == "nats"));
    }
    let postgresql = list(&services["postgresql"], "command");
    assert!(postgresql.iter().any(|word| *word == "synchronous_commit=on"));
    for other in ["otel-collector", "prometheus", "grafana", "learning"] {
        assert!(services[other].is_object(), "{other}");
    }
}

#[test]
fn nobody_of_ours_is_root_or_writes_to_the_image() {
    for (name, service) in services().as_object().unwrap() {
        if ["postgresql", "own-volumes"].contains(&name.as_str()) {
            continue;
        }
        assert_eq!(list(service, "cap_drop"), ["ALL"], "{name}");
        assert!(list(service, "security_opt").iter().any(|word| *word == "no-new-privileges:true"), "{name}");
        if text(service, "image").starts_with("setlist/") || text(service, "image").starts_with("nats:") {
            assert_eq!(service["read_only"], true, "{name}");
            assert_eq!(text(service, "user"), "65532:65532", "{name}");
        }
    }
}

/// What is published is for this machine alone.
#[test]
fn ports_are_open_to_this_machine_only() {
    for (name, service) in services().as_object().unwrap() {
        for port in list(service, "ports") {
            assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
}
