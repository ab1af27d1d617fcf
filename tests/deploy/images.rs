//! Images: one a service, small, without root, and with a health check that is inside.

use std::{collections::BTreeMap, fs};

use tests::root;

/// The stages of the image definition that can be built: name, and its lines.
fn stages() -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(root().join("deploy/images/Dockerfile")).unwrap().replace("\\\n", " ");
    let mut stages: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with("FROM ") {
            name = line.rsplit(' ').next().unwrap().to_owned();
        }
        stages.entry(name.clone()).or_default().push(line.to_owned());
    }
    stages
}

/// Every binary of the workspace.
fn binaries() -> Vec<String> {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .unwrap();
    let targets = metadata.packages.iter().flat_map(|package| &package.targets);
    targets.filter(|target| target.is_bin()).map(|target| target.name.clone()).collect()
}

#[test]
fn every_service_has_an_image_with_its_binary_and_a_health_check() {
    let (stages, binaries) = (stages(), binaries());
    let build = stages["build"].join("\n");
    for image in ["edge-api", "candidate-generation", "ranking", "setlist"] {
        assert!(binaries.iter().any(|binary| binary == image), "{image} is no binary of the workspace");
        assert!(build.contains(&format!("--bin {image}")), "{image} is not built");
        let lines = &stages[image];
        let has = |start: &str| lines.iter().find(|line| line.starts_with(start)).cloned().unwrap_or_default();
        let binary = format!("/usr/local/bin/{image}");
        assert!(has("FROM").starts_with("FROM runtime AS "), "{image} does not start from the runtime stage");
        assert_eq!(has("COPY"), format!("COPY --from=build /out/{image} {binary}"));
        assert_eq!(has("ENTRYPOINT"), format!("ENTRYPOINT [\"{binary}\"]"));
        let health = has("HEALTHCHECK");
        assert!(health.contains(&format!("CMD [\"{binary}\"")) && health.contains("\"--health\""), "{image}: {health}");
    }
}

#[test]
fn nobody_is_root_and_nothing_is_left_of_the_build() {
    let stages = stages();
    let user = stages["runtime"].iter().find_map(|line| line.strip_prefix("USER ")).unwrap();
    for id in user.split(':') {
        assert!(id.parse::<u32>().unwrap() >= 10_000, "user {user}");
    }
    assert!(stages["runtime"][0].contains("distroless"), "{}", stages["runtime"][0]);
    for (name, lines) in stages.iter().filter(|(name, _)| !name.is_empty() && *name != "build") {
        let wrong =
            lines.iter().find(|line| line.starts_with("RUN ") || (line.starts_with("USER ") && name != "runtime"));
        assert_eq!(wrong, None, "{name}");
    }
    assert!(stages["build"].iter().any(|line| line.contains("cargo build --locked --release")));
}
