//! Puts the layers together and finds every problem, not just the first.
//!
//! The type itself is the judge of a value: each leaf is tried alone on top of the defaults, so one wrong value does
//! not hide another. A leaf that leaves no trace in the result is a key nobody knows.

use std::collections::BTreeSet;

use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use super::{
    Error, Found, Problem, Validate, keys,
    layer::{Leaf, find},
};

pub(super) fn assemble<C: DeserializeOwned + Serialize + Validate>(
    defaults: &Table,
    known: &BTreeSet<String>,
    mut leaves: Vec<Leaf>,
) -> Result<C, Error> {
    parse::<C>(defaults).map_err(|message| Error::Defaults { message })?;
    let mut found = Vec::new();
    let config = match parse::<C>(&merge(defaults, &leaves)) {
        Ok(config) => {
            // A type that forgot to deny unknown fields ignores them: they are the leaves without a trace.
            let shown = shown(&config);
            let strange = |leaf: &&Leaf| find(&shown, &leaf.path).is_none() && !known.contains(&leaf.key());
            found.extend(leaves.iter().filter(strange).map(|leaf| unknown(leaf, known)));
            config
        }
        Err(message) => {
            leaves.retain_mut(|leaf| match try_alone::<C>(defaults, known, leaf) {
                Ok(()) => true,
                Err(problem) => {
                    found.push(problem);
                    false
                }
            });
            match parse::<C>(&merge(defaults, &leaves)) {
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

/// Tries one leaf on top of the defaults. A text whose type was guessed wrongly is taken as a text.
fn try_alone<C: DeserializeOwned + Serialize>(
    defaults: &Table,
    known: &BTreeSet<String>,
    leaf: &mut Leaf,
) -> Result<(), Found> {
    let mut outcome = parse::<C>(&merge(defaults, std::slice::from_ref(leaf)));
    if outcome.is_err()
        && !leaf.value.is_str()
        && let Some(text) = leaf.text.clone()
    {
        let guessed = std::mem::replace(&mut leaf.value, Value::String(text));
        match parse::<C>(&merge(defaults, std::slice::from_ref(leaf))) {
            Ok(config) => outcome = Ok(config),
            Err(_) => leaf.value = guessed,
        }
    }
    match outcome {
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

fn merge(defaults: &Table, leaves: &[Leaf]) -> Table {
    let mut merged = defaults.clone();
    for leaf in leaves {
        leaf.apply(&mut merged);
    }
    merged
}

fn parse<C: DeserializeOwned>(table: &Table) -> Result<C, String> {
    table.clone().try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

fn shown<C: Serialize>(config: &C) -> Table {
    Table::try_from(config).unwrap_or_default()
}
