//! What can be compared: an engine learns from a [`Training`] and gives a [`Scorer`].
//!
//! To add one, implement [`Engine`] beside the model and add a line to `ENGINES`. An engine must not know the
//! protocol it is measured by, nor the held-out part: it sees what a live system would see.

use std::str::FromStr;

use shared_models::ErrorCode;

use super::{
    Scorer,
    engines::{
        Blend, Content, Contrast, Ease, Factors, Graph, ItemToItem, Popularity, Segments, Sequential, Transitions,
    },
    training::Training,
};
use crate::progress::Progress;

/// The engines there are, each with its default settings, in the order of reports.
const ENGINES: &[fn() -> Box<dyn Engine>] = &[
    || Box::new(Popularity),
    || Box::<Segments>::default(),
    || Box::<Factors>::default(),
    || Box::<Contrast>::default(),
    || Box::<Content>::default(),
    || Box::<Graph>::default(),
    || Box::<Ease>::default(),
    || Box::<Transitions>::default(),
    || Box::<Sequential>::default(),
    || Box::<ItemToItem>::default(),
    || Box::<Blend>::default(),
];

/// One number or word of an engine that can be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, as in `--set name=value`.
    pub name: &'static str,
    /// Its value.
    pub value: String,
    /// What it does, in a few words.
    pub about: &'static str,
}

impl Setting {
    /// A setting with its present value.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "a number or a word stands in the call")]
    pub fn new(name: &'static str, value: impl ToString, about: &'static str) -> Self {
        Self { name, value: value.to_string(), about }
    }
}

/// A way to recommend.
pub trait Engine: Send + Sync {
    /// What it is called on the command line and in reports.
    fn name(&self) -> &'static str;

    /// What it does, in one line.
    fn about(&self) -> &'static str;

    /// Its settings with their present values.
    fn settings(&self) -> Vec<Setting> {
        Vec::new()
    }

    /// Changes a setting. Use [`read`] for the value and [`Error::unknown`] for a name that is none.
    ///
    /// # Errors
    /// When there is no such setting, or the value is none of it.
    fn set(&mut self, name: &str, value: &str) -> Result<(), Error>;

    /// Learns. The scorer's users are rows of [`Training::given`], its items the columns.
    ///
    /// # Errors
    /// When the data lack what the engine needs, or a setting is out of range.
    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error>;
}

/// Why an engine gave no scorer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such engine.
    #[error("engine {given:?} is not known; the engines are {known}")]
    Engine {
        /// What was asked for.
        given: String,
        /// The names there are.
        known: String,
    },
    /// The engine has no such setting.
    #[error("{engine} has no setting {given:?}; it has {known}")]
    Setting {
        /// Which engine.
        engine: &'static str,
        /// What was given.
        given: String,
        /// The names there are, joined with commas.
        known: String,
    },
    /// A value is none of the setting.
    #[error("{name} is {given:?}; give {expected}")]
    Value {
        /// Which setting.
        name: String,
        /// What was given.
        given: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The data do not have what the engine learns from.
    #[error("{engine} needs {needs}, which this data set does not have")]
    Needs {
        /// Which engine.
        engine: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// The training failed.
    #[error("{engine} could not be trained")]
    Train {
        /// Which engine.
        engine: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Engine { .. } => ErrorCode::NotFound,
            Self::Setting { .. } | Self::Value { .. } | Self::Needs { .. } => ErrorCode::InvalidArgument,
            Self::Train { .. } => ErrorCode::Internal,
        }
    }

    /// The engine has no setting of this name.
    #[must_use]
    pub fn unknown(engine: &dyn Engine, given: &str) -> Self {
        let names: Vec<&str> = engine.settings().iter().map(|setting| setting.name).collect();
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Self::Setting { engine: engine.name(), given: given.to_owned(), known }
    }

    /// The training of an engine failed.
    #[must_use]
    pub fn training(engine: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Train { engine, source: source.into() }
    }
}

/// A value of a setting.
///
/// # Errors
/// When the text is none.
pub fn read<T: FromStr>(name: &str, value: &str, expected: &'static str) -> Result<T, Error> {
    value.parse().map_err(|_| Error::Value { name: name.to_owned(), given: value.to_owned(), expected })
}

/// All engines, with their defaults.
#[must_use]
pub fn engines() -> Vec<Box<dyn Engine>> {
    ENGINES.iter().map(|make| make()).collect()
}

/// An engine by its name, with its defaults.
///
/// # Errors
/// When there is none of that name.
pub fn engine(name: &str) -> Result<Box<dyn Engine>, Error> {
    engines().into_iter().find(|engine| engine.name() == name).ok_or_else(|| Error::Engine {
        given: name.to_owned(),
        known: engines().iter().map(|engine| engine.name()).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_stand_once_and_every_setting_takes_its_own_value() {
        let mut names: Vec<&str> = engines().iter().map(|engine| engine.name()).collect();
        for mut engine in engines() {
            assert!(engine.name().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            assert!(!engine.about().is_empty() && !engine.about().contains('\n'), "{}", engine.name());
            for Setting { name, value, about } in engine.settings() {
                assert!(!about.is_empty(), "{} {name}", engine.name());
                engine.set(name, &value).unwrap();
                assert!(engine.settings().contains(&Setting { name, value, about }), "{} {name}", engine.name());
            }
            let error = engine.set("no such thing", "1").unwrap_err();
            assert!(matches!(error, Error::Setting { .. }), "{error}");
        }
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "{names:?}");
    }

    #[test]
    fn an_unknown_engine_is_refused_with_those_there_are() {
        let error = engine("magic").err().unwrap();
        assert!(error.to_string().starts_with("engine \"magic\" is not known; the engines are popularity, segments"));
        assert_eq!(engine("factors").unwrap().name(), "factors");
    }
}
