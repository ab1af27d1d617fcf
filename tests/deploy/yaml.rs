//! YAML files as values, and the way to what lies in them. This file must not know what the files say.

use std::{fs, path::Path};

use serde_json::Value;
use tests::{files, root};

/// Every document of a file.
pub fn documents(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The one document of a file below `deploy/`.
pub fn document(path: &str) -> Value {
    documents(&root().join("deploy").join(path)).remove(0)
}

/// Every document of every file below a folder of `deploy/`.
pub fn all(folder: &str) -> Vec<Value> {
    files(&root().join("deploy").join(folder), &[".yaml"]).iter().flat_map(|path| documents(path)).collect()
}

/// What lies at a path such as `spec.template.spec.containers.0.image`; nothing where it ends early.
pub fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, step| match step.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[step],
    })
}

/// The text at a path; empty where there is none.
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).as_str().unwrap_or_default()
}

/// The list at a path; empty where there is none.
pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).as_array().map_or(&[], Vec::as_slice)
}

/// The entries of a map at a path.
pub fn entries<'a>(value: &'a Value, path: &str) -> Vec<(&'a str, &'a Value)> {
    let map = at(value, path).as_object();
    map.map_or_else(Vec::new, |map| map.iter().map(|(key, value)| (key.as_str(), value)).collect())
}

/// What kind of object it is and its name: `Deployment/edge-api`.
pub fn title(object: &Value) -> String {
    format!("{}/{}", text(object, "kind"), text(object, "metadata.name"))
}

/// The objects of a kind.
pub fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| text(object, "kind") == kind)
}
