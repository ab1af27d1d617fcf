//! Who may talk to whom in a cluster: the arrows of the architecture, each where it leaves and where it arrives.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    kubernetes::selects,
    yaml::{all, at, list, of_kind, text, title},
};

/// From, to, port.
type Arrow = (String, String, u64);

/// The arrows there are; whoever adds one adds it here, to the manifests and to docs/architecture.md.
const ARROWS: [(&str, &str, u64); 20] = [
    ("edge-api", "candidate-generation", 7101),
    ("edge-api", "ranking", 7102),
    ("edge-api", "nats", 4222),
    ("edge-api", "nats", 8222),
    ("edge-api", "postgresql", 5432),
    ("edge-api", "otel-collector", 4317),
    ("candidate-generation", "nats", 4222),
    ("candidate-generation", "nats", 8222),
    ("candidate-generation", "postgresql", 5432),
    ("candidate-generation", "otel-collector", 4317),
    ("ranking", "otel-collector", 4317),
    ("learning", "candidate-generation", 7101),
    ("learning", "nats", 4222),
    ("learning", "nats", 8222),
    ("learning", "otel-collector", 4317),
    ("nats", "nats", 6222),
    // From other namespaces: clients by an ingress, and Prometheus (the four ops ports and two more are looked at below).
    ("ingress", "edge-api", 8080),
    ("monitoring", "nats", 7777),
    ("monitoring", "otel-collector", 8888),
    ("monitoring", "edge-api", 9100),
];

/// What Prometheus asks of the services beside the edge.
const ASKED: [(&str, u64); 3] = [("candidate-generation", 9101), ("ranking", 9102), ("learning", 9103)];

fn policies() -> Vec<Value> {
    of_kind(&all("kubernetes"), "NetworkPolicy").cloned().collect()
}

/// Who is meant by a peer of a policy.
fn peer(peer: &Value) -> String {
    let labels = at(peer, "namespaceSelector.matchLabels");
    for (label, name) in [("setlist.dev/ingress", "ingress"), ("setlist.dev/monitoring", "monitoring")] {
        if labels[label] == "true" {
            return name.to_owned();
        }
    }
    let name = &at(peer, "podSelector.matchLabels")["app.kubernetes.io/name"];
    name.as_str().unwrap_or_else(|| panic!("{peer} names nobody")).to_owned()
}

/// The arrows that leave (`egress`, `to`) or arrive (`ingress`, `from`).
fn arrows(direction: &str, side: &str) -> BTreeSet<Arrow> {
    let mut found = BTreeSet::new();
    for policy in policies().iter().filter(|policy| text(policy, "metadata.name") != "names") {
        let own = &at(policy, "spec.podSelector.matchLabels")["app.kubernetes.io/name"];
        for rule in list(&policy["spec"], direction) {
            assert!(!list(rule, side).is_empty() && !list(rule, "ports").is_empty(), "{} is open", title(policy));
            for one in list(rule, side).iter().map(peer) {
                for port in list(rule, "ports").iter().map(|port| port["port"].as_u64().unwrap()) {
                    let own = own.as_str().unwrap().to_owned();
                    found.insert(if side == "to" { (own, one.clone(), port) } else { (one.clone(), own, port) });
                }
            }
        }
    }
    found
}

fn wanted() -> BTreeSet<Arrow> {
    let asked = ASKED.iter().map(|(service, port)| ("monitoring", *service, *port));
    ARROWS.into_iter().chain(asked).map(|(from, to, port)| (from.to_owned(), to.to_owned(), port)).collect()
}

#[test]
fn what_leaves_and_what_arrives_are_the_arrows_and_nothing_else() {
    let outside = |(from, ..): &Arrow| from == "ingress" || from == "monitoring";
    assert_eq!(arrows("ingress", "from"), wanted());
    assert_eq!(arrows("egress", "to"), wanted().into_iter().filter(|arrow| !outside(arrow)).collect());
}

#[test]
fn nobody_talks_without_a_policy() {
    let (objects, policies) = (all("kubernetes"), policies());
    let nobody = policies.iter().find(|policy| text(policy, "metadata.name") == "nobody").unwrap();
    assert_eq!(nobody["spec"]["podSelector"], serde_json::json!({}));
    assert_eq!(list(nobody, "spec.policyTypes"), ["Ingress", "Egress"]);
    assert!(nobody["spec"]["ingress"].is_null() && nobody["spec"]["egress"].is_null());
    for workload in of_kind(&objects, "Deployment").chain(of_kind(&objects, "StatefulSet")) {
        let labels = at(workload, "spec.template.metadata.labels");
        let own = policies.iter().any(|policy| {
            selects(at(policy, "spec.podSelector.matchLabels"), labels)
                && list(policy, "spec.policyTypes") == ["Ingress", "Egress"]
        });
        assert!(own, "{} has no policy", title(workload));
    }
}
