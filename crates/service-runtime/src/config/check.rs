//! Puts the layers together and finds every problem, not just the first.
//!
//! The layering itself is the crate `config`'s. The type is the judge of a value: each leaf is tried alone on top of the
//! defaults, so one wrong value does not hide another. A leaf that leaves no trace in the result is a key nobody knows.

use std::{collections::BTreeSet, slice};

use ::config::{Config, ConfigError, File, FileFormat};
use serde::{Serialize, de::DeserializeOwned};
use toml::Table;

use super::{
    Error, Found, Problem, Validate, keys,
    layer::{Leaf, find},
};

pub(super) fn assemble<C: DeserializeOwned + Serialize + Validate>(
    defaults: &str,
    known: &BTreeSet<String>,
    mut leaves: Vec<Leaf>,
) -> Result<C, Error> {
    layered::<C>(defaults, &[]).map_err(|message| Error::Defaults { message })?;
    let mut found = Vec::new();
    let base: Table = defaults.parse().unwrap_or_default();
    leaves.retain(|leaf| same_kind(&base, leaf).map_err(|problem| found.push(problem)).is_ok());
    let config = match layered::<C>(defaults, &leaves) {
        Ok(config) => {
            // A type that forgot to deny unknown fields ignores them: they are the leaves without a trace.
            let shown = shown(&config);
            let strange = |leaf: &&Leaf| find(&shown, &leaf.path).is_none() && !known.contains(&leaf.key());
            found.extend(leaves.iter().filter(strange).map(|leaf| unknown(leaf, known)));
            config
        }
        Err(message) => {
            leaves.retain(|leaf| try_alone::<C>(defaults, known, leaf).map_err(|problem| found.push(problem)).is_ok());
            match layered::<C>(defaults, &leaves) {
                Ok(config) => config,
                // Each value is fine alone, but not all of them together.
                Err(together) => {
                    let message = if found.is_empty() { message } else { together };
                    found.push(Found { problem: Problem::new("", "", message), origin: None });
                    return Err(Error::Invalid(found));
                }
            }
        }
    };
    found.extend(config.problems().into_iter().map(|problem| locate(problem, &leaves)));
    if found.is_empty() { Ok(config) } else { Err(Error::Invalid(found)) }
}

/// Whether a value is of its default's kind: the layers would make a whole number of 1.5, and a text of a number.
fn same_kind(base: &Table, leaf: &Leaf) -> Result<(), Found> {
    let Some(default) = find(base, &leaf.path) else { return Ok(()) };
    if default.same_type(&leaf.value) || (default.is_float() && leaf.value.is_integer()) {
        return Ok(());
    }
    let expected = format!("invalid type: {}, expected {}", leaf.value.type_str(), default.type_str());
    let problem = Problem::new(leaf.key(), &leaf.value, expected);
    Err(Found { problem, origin: Some(leaf.origin.clone()) })
}

/// Tries one leaf on top of the defaults.
fn try_alone<C: DeserializeOwned + Serialize>(
    defaults: &str,
    known: &BTreeSet<String>,
    leaf: &Leaf,
) -> Result<(), Found> {
    match layered::<C>(defaults, slice::from_ref(leaf)) {
        Ok(config) if find(&shown(&config), &leaf.path).is_some() || known.contains(&leaf.key()) => Ok(()),
        Ok(_) => Err(unknown(leaf, known)),
        Err(message) if message.starts_with("unknown field") && !known.contains(&leaf.key()) => {
            Err(unknown(leaf, known))
        }
        Err(message) => {
            let problem = Problem::new(leaf.key(), &leaf.value, message);
            Err(Found { problem, origin: Some(leaf.origin.clone()) })
        }
    }
}

fn unknown(leaf: &Leaf, known: &BTreeSet<String>) -> Found {
    let key = leaf.key();
    let expected = match keys::nearest(&key, known) {
        Some(near) => format!("there is no such key; did you mean {near}?"),
        None => String::from("there is no such key; --dump-config shows all of them"),
    };
    Found { problem: Problem::new(key, &leaf.value, expected), origin: Some(leaf.origin.clone()) }
}

/// The layer that gave the value a problem speaks of: the last one at, above or below its key.
fn locate(problem: Problem, leaves: &[Leaf]) -> Found {
    let path: Vec<&str> = problem.key.split('.').collect();
    let touches = |leaf: &&Leaf| leaf.path.iter().zip(&path).all(|(left, right)| left == right);
    let origin = leaves.iter().rev().find(touches).map(|leaf| leaf.origin.clone());
    Found { problem, origin }
}

/// The defaults with the leaves on top, read as the type.
fn layered<C: DeserializeOwned>(defaults: &str, leaves: &[Leaf]) -> Result<C, String> {
    let base = Config::builder().add_source(File::from_str(defaults, FileFormat::Toml));
    let layers = leaves.iter().fold(base, |layers, leaf| layers.add_source(leaf.clone()));
    layers.build().and_then(Config::try_deserialize).map_err(told)
}

/// What is wrong, without the key and place that [`Found`] tells better.
fn told(error: ConfigError) -> String {
    match error {
        ConfigError::At { error, .. } => told(*error),
        ConfigError::Type { unexpected, expected, .. } => format!("invalid type: {unexpected}, expected {expected}"),
        other => other.to_string(),
    }
}

fn shown<C: Serialize>(config: &C) -> Table {
    Table::try_from(config).unwrap_or_default()
}
