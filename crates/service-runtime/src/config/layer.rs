//! One layer of configuration as a list of leaves, each with the place it came from.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

use config::{ConfigError, Map, Source, ValueKind};
use toml::{
    Spanned, Table, Value,
    de::{DeTable, DeValue},
};

use super::Error;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// `--set` on the command line.
    Option,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment { name } => write!(f, "variable {name}"),
            Self::Option => f.write_str("--set"),
        }
    }
}

/// One value of one layer.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// The segments of its key.
    pub(super) path: Vec<String>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

impl Leaf {
    pub(super) fn key(&self) -> String {
        self.path.join(".")
    }
}

/// A leaf is a layer of its own: a table with nothing but its value.
impl Source for Leaf {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, config::Value>, ConfigError> {
        let Some((first, inner)) = self.path.split_first() else { return Ok(Map::new()) };
        let value = inner.iter().rev().fold(kind(&self.value), |value, key| {
            ValueKind::Table(Map::from_iter([(key.clone(), config::Value::new(None, value))]))
        });
        Ok(Map::from_iter([(first.clone(), config::Value::new(None, value))]))
    }
}

fn kind(value: &Value) -> ValueKind {
    let whole = |value| config::Value::new(None, kind(value));
    match value {
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Integer(number) => ValueKind::I64(*number),
        Value::Float(number) => ValueKind::Float(*number),
        Value::Boolean(yes) => ValueKind::Boolean(*yes),
        Value::Datetime(moment) => ValueKind::String(moment.to_string()),
        Value::Array(values) => ValueKind::Array(values.iter().map(whole).collect()),
        Value::Table(table) => ValueKind::Table(table.iter().map(|(key, value)| (key.clone(), whole(value))).collect()),
    }
}

/// The value under `path`.
pub(super) fn find<'a>(table: &'a Table, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value = table.get(first)?;
    if rest.is_empty() { Some(value) } else { find(value.as_table()?, rest) }
}

pub(super) fn from_file(path: &Path) -> Result<Vec<Leaf>, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let syntax = |error: toml::de::Error| Error::Syntax {
        path: path.to_owned(),
        line: line_of(&text, &error.span().unwrap_or_default()),
        message: error.message().to_owned(),
    };
    // Read twice: once for the values, once for where they stand.
    let values: Table = text.parse().map_err(syntax)?;
    let spans = DeTable::parse(&text).map_err(syntax)?;
    let mut leaves = Vec::new();
    walk(&mut Vec::new(), &values, spans.get_ref(), &mut |key, value, span| {
        let origin = Origin::File { path: path.to_owned(), line: line_of(&text, &span) };
        leaves.push(Leaf { path: key.to_vec(), value: value.clone(), origin });
    });
    Ok(leaves)
}

/// Variables `PREFIX__SECTION__KEY`. A single underscore belongs to a name, so other variables of ours are left alone.
pub(super) fn from_environment(
    prefix: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    defaults: &Table,
) -> Vec<Leaf> {
    let prefix = format!("{prefix}__");
    let mut leaves: Vec<Leaf> = environment
        .into_iter()
        .filter_map(|(name, text)| {
            let path = path_from(name.strip_prefix(&prefix)?.split("__").map(str::to_lowercase))?;
            Some(leaf_of(path, text, Origin::Environment { name }, defaults))
        })
        .collect();
    // The environment has no order of its own; problems are listed in a stable one.
    leaves.sort_by(|left, right| left.path.cmp(&right.path));
    leaves
}

/// Options `--set section.key=value`, already split at the first equals sign.
pub(super) fn from_options(options: &[(String, String)], defaults: &Table) -> Vec<Leaf> {
    options
        .iter()
        .filter_map(|(key, text)| {
            let path = path_from(key.split('.').map(str::to_owned))?;
            Some(leaf_of(path, text.clone(), Origin::Option, defaults))
        })
        .collect()
}

fn path_from(segments: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let path: Vec<String> = segments.collect();
    (!path.is_empty() && path.iter().all(|segment| !segment.is_empty())).then_some(path)
}

/// A text becomes what the default is; without a default, what it looks like, if that is written just so: `1.10` stays.
fn leaf_of(path: Vec<String>, text: String, origin: Origin, defaults: &Table) -> Leaf {
    let default = find(defaults, &path);
    let parsed = || format!("value = {text}").parse::<Table>().ok()?.remove("value");
    let value = if default.is_some_and(Value::is_str) { None } else { parsed() };
    let value = value.filter(|value| default.is_some() || !value.is_float() || value.to_string() == text);
    Leaf { path, value: value.unwrap_or(Value::String(text)), origin }
}

fn walk(
    path: &mut Vec<String>,
    values: &Table,
    spans: &DeTable<'_>,
    visit: &mut impl FnMut(&[String], &Value, Range<usize>),
) {
    for (name, span) in spans.iter() {
        let name: &Spanned<_> = name;
        let Some(value) = values.get(name.get_ref().as_ref()) else { continue };
        path.push(name.get_ref().clone().into_owned());
        match (value, span.get_ref()) {
            (Value::Table(values), DeValue::Table(spans)) if !values.is_empty() => walk(path, values, spans, visit),
            _ => visit(path, value, name.span()),
        }
        path.pop();
    }
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
}
