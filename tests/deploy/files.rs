//! Every file parses, and every folder for Kubernetes names files that exist.

use std::{fs, path::Path, process::Command};

use tests::{files, relative, root};

use crate::yaml::{documents, list, text};

fn deploy() -> std::path::PathBuf {
    root().join("deploy")
}

#[test]
fn every_file_parses() {
    for path in files(&deploy(), &[".yaml"]) {
        assert!(!documents(&path).is_empty(), "{} is empty", relative(&path));
    }
    for path in files(&deploy(), &[".json"]) {
        let text = fs::read_to_string(&path).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{}: {error}", relative(&path)));
    }
    for path in files(&deploy(), &[".toml"]) {
        let text = fs::read_to_string(&path).unwrap();
        text.parse::<toml::Table>().unwrap_or_else(|error| panic!("{}: {error}", relative(&path)));
    }
}

#[test]
fn every_kustomization_names_what_exists() {
    let mut wrong = Vec::new();
    let kustomizations = files(&deploy(), &["kustomization.yaml"]);
    assert!(kustomizations.len() >= 5);
    for path in kustomizations {
        let (kustomization, folder) = (documents(&path).remove(0), path.parent().unwrap());
        let generated = |kind: &str| {
            list(&kustomization, kind).iter().flat_map(|one| list(one, "files")).cloned().collect::<Vec<_>>()
        };
        let patches: Vec<_> = list(&kustomization, "patches").iter().filter(|one| !one["path"].is_null()).collect();
        let named = list(&kustomization, "resources")
            .iter()
            .cloned()
            .chain(patches.iter().map(|patch| patch["path"].clone()))
            .chain(generated("configMapGenerator"))
            .chain(generated("secretGenerator"));
        for name in named {
            let name = name.as_str().unwrap();
            let target = folder.join(name);
            let there = target.is_file() || target.join("kustomization.yaml").is_file();
            // A generator may not read outside of its own folder.
            if !there || (target.is_file() && name.contains("..")) {
                wrong.push(format!("{}: {name}", relative(&path)));
            }
        }
        // What lies in the folder is named: a forgotten manifest is not applied.
        for other in fs::read_dir(folder).unwrap().flatten() {
            let name = other.file_name().to_string_lossy().into_owned();
            let manifest = name.ends_with(".yaml") && name != "kustomization.yaml";
            let resources = list(&kustomization, "resources").iter().any(|resource| *resource == *name);
            if manifest && !resources && !patches.iter().any(|patch| patch["path"] == *name) {
                wrong.push(format!("{}: {name} is not named", relative(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The nats-server reads its own files; a name that it does not know would be refused at the start only.
#[test]
fn nats_takes_its_configuration_and_syncs_every_message() {
    let server = testkit::tools::find("nats-server", testkit::nats::VARIABLE);
    let server = server.first().expect("no nats-server: run scripts/nats-server");
    let configurations = files(&deploy(), &["nats.conf"]);
    assert_eq!(configurations.len(), 2);
    for path in configurations {
        let output = Command::new(server).arg("-t").arg("-c").arg(&path).env("NATS_SERVER_NAME", "nats-0").output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}: {}", relative(&path), String::from_utf8_lossy(&output.stderr));
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("\n  sync_interval: always\n"), "{} loses acknowledged events", relative(&path));
    }
}

/// What the streams may keep fits into the store, and the store into the volume.
#[test]
fn streams_fit_into_the_store_and_the_store_into_the_volume() {
    const GIB: u64 = 1 << 30;
    let text_of = |path: &str| fs::read_to_string(deploy().join(path)).unwrap();
    let store = text_of("kubernetes/base/nats/nats.conf");
    let store = store.split_once("max_file_store: ").unwrap().1.split_once("GiB").unwrap().0.parse::<u64>().unwrap();
    let nats = documents(&deploy().join("kubernetes/base/nats/nats.yaml"));
    let set = nats.iter().find(|object| object["kind"] == "StatefulSet").unwrap();
    let volume = text(set, "spec.volumeClaimTemplates.0.spec.resources.requests.storage");
    let volume = volume.strip_suffix("Gi").unwrap().parse::<u64>().unwrap();
    assert!(store < volume);
    for file in files(&deploy().join("kubernetes/base/config"), &[".toml"]) {
        let config: toml::Table = fs::read_to_string(&file).unwrap().parse().unwrap();
        let Some(bus) = config.get("bus") else { continue };
        let streams = u64::try_from(bus["max_bytes"].as_integer().unwrap()).unwrap();
        assert!(streams < store * GIB * 3 / 4, "{}: bus.max_bytes", relative(&file));
    }
}

/// The two shapes run the same versions.
#[test]
fn versions_are_the_workspaces() {
    let version = env!("CARGO_PKG_VERSION");
    let base = documents(&deploy().join("kubernetes/base/kustomization.yaml")).remove(0);
    let compose = documents(&deploy().join("compose.yaml")).remove(0);
    let mut seen = 0;
    for image in list(&base, "images") {
        let (name, tag) = (text(image, "name"), text(image, "newTag"));
        if name.starts_with("setlist/") {
            assert_eq!(tag, version, "{name}");
        }
        let wanted = format!("{name}:{tag}");
        let in_compose = compose["services"].as_object().unwrap().values().map(|service| text(service, "image"));
        for image in in_compose.filter(|image| image.split(':').next() == Some(name)) {
            assert_eq!(image, wanted);
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} images are compared");
    assert!(Path::new(&root().join("deploy/images/Dockerfile")).exists());
}
