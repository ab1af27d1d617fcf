//! The manifests: every workload is probed, bounded, unprivileged and spread, and agrees with its configuration.

use serde_json::Value;

use crate::{
    configs,
    yaml::{all, at, document, list, of_kind, text, title},
};

/// The services of ours, and the object of their configuration.
const SERVICES: [&str; 4] = ["edge-api", "candidate-generation", "ranking", "learning"];

fn workloads(objects: &[Value]) -> impl Iterator<Item = &Value> {
    of_kind(objects, "Deployment").chain(of_kind(objects, "StatefulSet"))
}

/// Whether `labels` has all of `wanted`.
pub fn selects(wanted: &Value, labels: &Value) -> bool {
    wanted.as_object().is_some_and(|wanted| wanted.iter().all(|(key, value)| labels.get(key) == Some(value)))
}

#[test]
fn every_workload_is_probed_and_bounded() {
    let objects = all("kubernetes");
    assert_eq!(workloads(&objects).count(), 7);
    for workload in workloads(&objects) {
        for container in list(workload, "spec.template.spec.containers") {
            let name = format!("{} {}", title(workload), text(container, "name"));
            // What stands beside the service is not what its readiness is about.
            if text(container, "name") != "exporter" {
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    assert!(container[probe].is_object(), "{name} has no {probe}");
                }
            }
            for bound in ["requests.cpu", "requests.memory", "limits.memory"] {
                assert!(at(&container["resources"], bound).is_string(), "{name} has no {bound}");
            }
        }
    }
}

#[test]
fn every_container_is_unprivileged() {
    for workload in workloads(&all("kubernetes")) {
        let name = title(workload);
        let pod = at(workload, "spec.template.spec");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        let security = &pod["securityContext"];
        assert_eq!(security["runAsNonRoot"], true, "{name}");
        assert!(security["runAsUser"].as_u64().is_some_and(|user| user >= 10_000), "{name}");
        assert_eq!(text(security, "seccompProfile.type"), "RuntimeDefault", "{name}");
        for container in list(pod, "containers") {
            let security = &container["securityContext"];
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(list(security, "capabilities.drop"), ["ALL"], "{name}");
        }
    }
}

#[test]
fn every_deployment_is_spread_scaled_and_not_emptied_at_once() {
    let objects = all("kubernetes/base");
    for workload in workloads(&objects) {
        let (name, labels) = (text(workload, "metadata.name"), at(workload, "spec.template.metadata.labels"));
        assert_eq!(at(workload, "spec.selector.matchLabels"), labels, "{name}");
        assert!(!list(workload, "spec.template.spec.topologySpreadConstraints").is_empty(), "{name} is not spread");
        let budgets = of_kind(&objects, "PodDisruptionBudget");
        let budgets = budgets.filter(|budget| selects(at(budget, "spec.selector.matchLabels"), labels)).count();
        assert_eq!(budgets, 1, "disruption budgets of {name}");
        let scaled = of_kind(&objects, "HorizontalPodAutoscaler")
            .find(|scaler| text(scaler, "spec.scaleTargetRef.name") == name)
            .map(|scaler| at(scaler, "spec.minReplicas").as_u64().unwrap());
        // A number of replicas beside an autoscaler would undo its work at each rollout.
        let fixed = at(workload, "spec.replicas").as_u64();
        assert!(fixed.is_some() != scaled.is_some(), "{name} is scaled by {scaled:?} and by {fixed:?}");
        if ["edge-api", "candidate-generation", "ranking"].contains(&name) {
            assert!(scaled >= Some(2), "{name}");
        }
    }
}

/// The environment of a service's container, with samples for secrets.
fn environment(container: &Value) -> Vec<(String, String)> {
    let value = |entry: &Value| match entry["value"].as_str() {
        Some(value) => value.to_owned(),
        None => configs::secret(text(entry, "valueFrom.secretKeyRef.name"), text(entry, "valueFrom.secretKeyRef.key")),
    };
    list(container, "env").iter().map(|entry| (text(entry, "name").to_owned(), value(entry))).collect()
}

#[test]
fn every_configuration_loads_and_agrees_with_its_manifest() {
    let objects = all("kubernetes/base");
    let base = document("kubernetes/base/kustomization.yaml");
    for service in SERVICES {
        let deployment = of_kind(&objects, "Deployment").find(|one| text(one, "metadata.name") == service).unwrap();
        let (container, pod) =
            (at(deployment, "spec.template.spec.containers.0"), at(deployment, "spec.template.spec"));
        let deployed = configs::load(service, &environment(container));
        // The file it reads is the one that the generator puts where it is mounted.
        let file = format!("/etc/setlist/{service}.toml");
        assert!(list(container, "args").iter().any(|word| *word == *file), "{service} does not read {file}");
        let generated = list(&base, "configMapGenerator").iter().find(|map| text(map, "name") == service).unwrap();
        assert_eq!(list(generated, "files"), [format!("config/{service}.toml")]);
        let volume = list(pod, "volumes").iter().find(|volume| text(volume, "configMap.name") == service).unwrap();
        let mount = list(container, "volumeMounts").iter().find(|mount| mount["name"] == volume["name"]).unwrap();
        assert_eq!(text(mount, "mountPath"), "/etc/setlist");
        // Ports are those it listens on, and probes ask its operators' listener.
        let port = |name: &str| {
            let found = list(container, "ports").iter().find(|port| text(port, "name") == name);
            found.and_then(|port| port["containerPort"].as_u64())
        };
        assert_eq!(port("ops"), Some(u64::from(deployed.ops)), "{service}");
        assert_eq!(port("http").or_else(|| port("grpc")), deployed.serves.map(u64::from), "{service}");
        let annotations = at(deployment, "spec.template.metadata.annotations");
        assert_eq!(annotations["prometheus.io/port"], deployed.ops.to_string(), "{service}");
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(text(&container[probe], "httpGet.path"), path, "{service} {probe}");
            assert_eq!(text(&container[probe], "httpGet.port"), "ops", "{service} {probe}");
        }
        // It has the time to leave: one probe sees it not ready, and nobody kills it while it drains.
        let period = at(container, "readinessProbe.periodSeconds").as_u64().unwrap();
        let misses = at(container, "readinessProbe.failureThreshold").as_u64().unwrap();
        assert!(deployed.stop.probe_interval.as_secs() >= period * misses, "{service}");
        let patience = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
        assert!(patience > deployed.leaves_within().as_secs(), "{service} is killed while it drains");
        // Whom it calls, there is.
        for call in &deployed.calls {
            let (host, port) = call.rsplit_once(':').unwrap();
            let known = of_kind(&objects, "Service").any(|one| {
                let ports = list(one, "spec.ports");
                text(one, "metadata.name") == host && ports.iter().any(|one| one["port"].as_u64() == port.parse().ok())
            });
            assert!(known, "{service} calls {call}, which is no service");
        }
    }
}

#[test]
fn what_overlays_add_to_an_environment_loads_too() {
    let objects = all("kubernetes/base");
    let mut loaded = 0;
    for overlay in ["dev", "production"] {
        let overlay = document(&format!("kubernetes/overlays/{overlay}/kustomization.yaml"));
        for patch in list(&overlay, "patches").iter().filter(|patch| text(patch, "patch").contains("SETLIST__")) {
            let operations: Vec<Value> = serde_saphyr::from_str(text(patch, "patch")).unwrap();
            for service in text(patch, "target.name").split('|') {
                let deployment = of_kind(&objects, "Deployment").find(|one| text(one, "metadata.name") == service);
                let mut environment = environment(at(deployment.unwrap(), "spec.template.spec.containers.0"));
                for added in operations.iter().map(|operation| &operation["value"]) {
                    let added = added.as_array().cloned().unwrap_or_else(|| vec![added.clone()]);
                    environment.extend(added.iter().map(|one| {
                        (text(one, "name").to_owned(), one["value"].as_str().unwrap_or_default().to_owned())
                    }));
                }
                configs::load(service, &environment);
                loaded += 1;
            }
        }
    }
    assert!(loaded >= 3, "{loaded}");
}
