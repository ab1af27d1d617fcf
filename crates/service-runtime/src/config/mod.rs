//! Configuration in layers: embedded defaults, one file, environment, command line; later layers win.
//!
//! The crate `config` merges them and reads the result; what it cannot say is found here: the line of each value.
//! The defaults text is the list of valid keys and documents each. A key nobody knows is refused with the nearest one
//! that exists; all problems are reported at once, each with the file and line, variable or option it came from. This
//! file must not know any service's keys.

mod check;
mod keys;
mod layer;
mod secret;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use shared_models::ErrorCode;

pub use layer::Origin;
pub use secret::Secret;

use layer::Leaf;

/// A configuration that can say what is wrong with itself.
pub trait Validate {
    /// Every problem, not just the first; none when the configuration can be used.
    fn problems(&self) -> Vec<Problem>;
}

/// One value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The dotted key, such as `grpc.listen`.
    pub key: String,
    /// What was given.
    pub given: String,
    /// What is expected instead.
    pub expected: String,
}

impl Problem {
    /// The value `given` under `key` cannot be used; `expected` says what can.
    #[must_use]
    pub fn new(key: impl Into<String>, given: impl fmt::Display, expected: impl Into<String>) -> Self {
        Self { key: key.into(), given: given.to_string(), expected: expected.into() }
    }

    /// The same problem, seen from the configuration that holds its section.
    #[must_use]
    pub fn under(mut self, section: &str) -> Self {
        self.key = if self.key.is_empty() { section.to_owned() } else { format!("{section}.{}", self.key) };
        self
    }
}

/// The problems of a section, seen from the configuration that holds it.
pub fn within(section: &str, inner: &impl Validate) -> impl Iterator<Item = Problem> {
    inner.problems().into_iter().map(move |problem| problem.under(section))
}

/// A problem and where the value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is wrong.
    pub problem: Problem,
    /// Which layer gave the value; none when it is the default.
    pub origin: Option<Origin>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { key, given, expected } = &self.problem;
        match &self.origin {
            Some(origin) => write!(f, "{origin}: ")?,
            None => f.write_str("default: ")?,
        }
        match key.as_str() {
            "" => write!(f, "{expected}"),
            key => write!(f, "{key} = {given}: {expected}"),
        }
    }
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("configuration file {} cannot be read", path.display())]
    Read {
        /// The file that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: not valid TOML: {message}", path.display())]
    Syntax {
        /// The file that was read.
        path: PathBuf,
        /// The line where reading failed, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// The program's own defaults do not fit its own type.
    #[error("the built-in defaults are wrong: {message}")]
    Defaults {
        /// What is wrong with them.
        message: String,
    },
    /// Values that cannot be used, all of them.
    #[error("{} in the configuration{}", count(.0), list(.0))]
    Invalid(Vec<Found>),
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Read { .. } | Self::Syntax { .. } | Self::Invalid(_) => ErrorCode::InvalidArgument,
            Self::Defaults { .. } => ErrorCode::Internal,
        }
    }
}

fn count(found: &[Found]) -> String {
    match found.len() {
        1 => String::from("1 problem"),
        many => format!("{many} problems"),
    }
}

fn list(found: &[Found]) -> String {
    found.iter().map(|one| format!("\n  {one}")).collect()
}

/// Loads a configuration: `defaults`, then `file`, then variables `PREFIX__SECTION__KEY`, then `overrides`.
///
/// # Errors
/// When the file cannot be read, a key is unknown, or a value cannot be used: all such problems at once.
pub fn load<C: DeserializeOwned + Serialize + Validate>(
    defaults: &'static str,
    file: Option<&Path>,
    env_prefix: &str,
    overrides: &[(String, String)],
) -> Result<C, Error> {
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    load_from(defaults, file, env_prefix, environment, overrides)
}

/// [`load`] with an environment that is given.
///
/// # Errors
/// As [`load`].
pub fn load_from<C: DeserializeOwned + Serialize + Validate>(
    defaults: &str,
    file: Option<&Path>,
    env_prefix: &str,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &[(String, String)],
) -> Result<C, Error> {
    let base: toml::Table =
        defaults.parse().map_err(|error: toml::de::Error| Error::Defaults { message: error.to_string() })?;
    let mut leaves: Vec<Leaf> = Vec::new();
    if let Some(path) = file {
        leaves.extend(layer::from_file(path)?);
    }
    leaves.extend(layer::from_environment(env_prefix, environment, &base));
    leaves.extend(layer::from_options(overrides, &base));
    check::assemble(defaults, &keys::known(defaults, &base), leaves)
}

/// The whole configuration as TOML that [`load`] reads back; secrets are left out.
#[must_use]
pub fn dump<C: Serialize>(config: &C) -> String {
    // By way of a value, so that plain keys stand before sections whatever the order of the fields.
    match toml::Value::try_from(config).and_then(|value| toml::to_string_pretty(&value)) {
        Ok(text) => text,
        Err(error) => format!("# this configuration cannot be written as TOML: {error}\n"),
    }
}
