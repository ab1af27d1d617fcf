//! `scorer.json`: which model says how likely each action is.
//!
//! # Forms
//! Form 1 is one linear model of all actions: see [`super::linear`]. Form 2 has a head for each action, each from what
//! suits it, and each with a calibration of its own:
//! ```json
//! {
//!   "form": 2,
//!   "feature_schema": "0123456789abcdef",
//!   "trees": { "form": 1, "width": 109, "columns": ["…"], "heads": ["…"] },
//!   "heads": [
//!     { "action": "play", "from": { "kind": "trees", "head": 0 }, "calibration": { "kind": "platt", "slope": 1.0, "offset": 0.0 } },
//!     { "action": "skip", "from": { "kind": "file", "format": "lightgbm", "file": "skip.txt" } }
//!   ]
//! }
//! ```
//! Heads from `trees` share its borders, so that a page is binned once. A `file` is another artefact of the release. An
//! action without a head is predicted as 0, and whoever weighs it is told (`missing`).

use std::{fmt, sync::Arc};

use releases::Release;
use serde::{Deserialize, Serialize};
use shared_models::{ErrorCode, component::Action};

use super::{
    ACTIONS, Head, LinearModel, Predictions, Scorer, Trees, calibration::Calibration, imported, linear, trees,
};
use crate::features::{COLUMNS, Column, Matrix, SCHEMA, schema_hash};

/// The version of the form with heads.
pub const FORM: u32 = 2;
/// How many borders of a column are tried to see whether it says anything.
const TRIED: usize = 8;

/// Where a head's raw numbers come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum From {
    /// One head of the document's trees.
    Trees {
        /// Its place.
        head: usize,
    },
    /// A model that another tool trained.
    File {
        /// Which tool wrote it.
        format: imported::Format,
        /// The artefact of the release that holds it.
        file: String,
        /// Which of several outputs; needed where there are several.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<usize>,
    },
}

/// What says how likely one action is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadForm {
    /// Which action.
    pub action: Action,
    /// From what.
    pub from: From,
    /// From the raw number to a probability.
    #[serde(default)]
    pub calibration: Calibration,
}

/// A document of form 2, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`FORM`].
    pub form: u32,
    /// [`schema_hash`] in hexadecimal.
    pub feature_schema: String,
    /// The trees that heads come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trees: Option<Trees>,
    /// At most one for each action, at least one in all.
    pub heads: Vec<HeadForm>,
}

impl Document {
    /// A document of the present schema.
    #[must_use]
    pub fn new(trees: Option<Trees>, heads: Vec<HeadForm>) -> Self {
        Self { form: FORM, feature_schema: format!("{:016x}", schema_hash()), trees, heads }
    }

    /// Writes `scorer.json`.
    ///
    /// # Errors
    /// When the numbers cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::Json)
    }
}

/// Why a scorer is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are no JSON of a known form.
    #[error("scorer does not read as JSON of form {} or {FORM}", linear::FORM)]
    Json(#[source] serde_json::Error),
    /// The form is another one.
    #[error("scorer has form {given}, this service reads forms {} and {FORM}", linear::FORM)]
    Form {
        /// What the file says.
        given: u32,
    },
    /// The features it was trained on are others.
    #[error("scorer was trained on feature schema {given}, this service computes {expected}")]
    Schema {
        /// What this code computes.
        expected: String,
        /// What the file says.
        given: String,
    },
    /// The linear model cannot be used.
    #[error(transparent)]
    Linear(#[from] linear::Error),
    /// The trees cannot be used.
    #[error("trees of the scorer")]
    Trees(#[source] trees::Error),
    /// There is no head at all.
    #[error("heads is empty, expected one for each action that is predicted")]
    NoHead,
    /// An action has two heads.
    #[error("heads has two for {action}, expected one")]
    Twice {
        /// Which action.
        action: Action,
    },
    /// A head names trees that are not there.
    #[error("the head of {action} is number {head} of the trees, which have {heads}")]
    NoTrees {
        /// Which action.
        action: Action,
        /// What is asked for.
        head: usize,
        /// How many there are.
        heads: usize,
    },
    /// A head names a file that the release does not have.
    #[error("the head of {action} is in {file:?}, which the release does not have")]
    NoFile {
        /// Which action.
        action: Action,
        /// Which file.
        file: String,
    },
    /// A file cannot be used.
    #[error("the head of {action}, {file:?}")]
    File {
        /// Which action.
        action: Action,
        /// Which file.
        file: String,
        /// What is wrong with it.
        #[source]
        source: imported::Error,
    },
    /// A calibration is not monotone or not finite.
    #[error("the calibration of {action} is unusable: {problem}")]
    Calibration {
        /// Which action.
        action: Action,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Error {
    /// What kind of failure this is.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

/// A scorer that has been read and checked.
#[derive(Clone, Debug)]
pub enum Model {
    /// Of form 1.
    Linear(LinearModel),
    /// Of form 2.
    Heads(Heads),
}

/// The heads of a scorer, ready to be asked.
#[derive(Clone)]
pub struct Heads {
    document: Document,
    /// The models that came from files, in the order of the document's heads.
    files: Vec<Option<Arc<dyn Head>>>,
}

impl fmt::Debug for Heads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heads").field("heads", &self.document.heads).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct AnyForm {
    form: u32,
}

impl Model {
    /// The scorer of a release, when it has one.
    ///
    /// # Errors
    /// When the scorer is not one that this code can use.
    pub fn of(release: &Release) -> Result<Option<Self>, Error> {
        let file = |name: &str| release.blobs.get(name).map(|bytes| &bytes[..]);
        release.scorer.as_deref().map(|bytes| Self::read(bytes, file)).transpose()
    }

    /// Reads and checks `scorer.json`; `file` finds the other artefacts that it names.
    ///
    /// # Errors
    /// When the scorer is not one that this code can use.
    pub fn read<'a>(bytes: &[u8], file: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, Error> {
        let AnyForm { form } = serde_json::from_slice(bytes).map_err(Error::Json)?;
        match form {
            linear::FORM => Ok(Self::Linear(LinearModel::from_json(bytes)?)),
            FORM => Heads::new(serde_json::from_slice(bytes).map_err(Error::Json)?, file).map(Self::Heads),
            given => Err(Error::Form { given }),
        }
    }

    /// Writes `scorer.json`.
    ///
    /// # Errors
    /// When the numbers cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, Error> {
        match self {
            Self::Linear(model) => Ok(model.to_json()?),
            Self::Heads(heads) => heads.document.to_json(),
        }
    }

    /// What kind of model it is, for manifests and logs.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Heads(heads) if heads.files.iter().all(Option::is_none) => "trees",
            Self::Heads(_) => "imported",
        }
    }

    /// Rows that differ in one feature each, by as much as the model could mind: where all are predicted alike, the
    /// model orders nothing.
    #[must_use]
    pub fn probes(&self) -> Vec<f32> {
        let defaults: Vec<f32> = SCHEMA.iter().map(|feature| feature.default).collect();
        let mut rows = defaults.clone();
        let mut probe = |column: usize, value: f32| {
            let start = rows.len();
            rows.extend_from_slice(&defaults);
            if let Some(place) = rows.get_mut(start + column) {
                *place = value;
            }
        };
        match self {
            Self::Linear(model) => {
                for (column, (mean, scale)) in model.means.iter().zip(&model.scales).enumerate() {
                    probe(column, mean - 4.0 * scale);
                    probe(column, mean + 4.0 * scale);
                }
            }
            Self::Heads(heads) => {
                for column in heads.document.trees.iter().flat_map(|trees| &trees.definition().columns) {
                    let step = column.borders.len().div_ceil(TRIED).max(1);
                    column.borders.iter().step_by(step).for_each(|border| probe(column.column, border.next_up()));
                    column.borders.iter().take(1).for_each(|border| probe(column.column, *border));
                }
                for column in Column::ALL {
                    let [low, high] = column.feature().range;
                    let (low, high) = (low.max(-1e6), high.min(1e6));
                    for share in [0.0, 0.25, 0.5, 1.0] {
                        probe(*column as usize, low + share * (high - low));
                    }
                }
            }
        }
        rows
    }
}

impl Heads {
    /// Checks a document, and reads what it names.
    ///
    /// # Errors
    /// When something in it cannot be used.
    pub fn new<'a>(document: Document, file: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, Error> {
        if document.form != FORM {
            return Err(Error::Form { given: document.form });
        }
        let expected = format!("{:016x}", schema_hash());
        if document.feature_schema != expected {
            return Err(Error::Schema { expected, given: document.feature_schema });
        }
        if let Some(width) = document.trees.as_ref().map(|trees| trees.definition().width).filter(|w| *w != COLUMNS) {
            return Err(Error::Trees(trees::Error::Width { expected: COLUMNS, given: width }));
        }
        if document.heads.is_empty() {
            return Err(Error::NoHead);
        }
        let mut files = Vec::with_capacity(document.heads.len());
        for (at, head) in document.heads.iter().enumerate() {
            let action = head.action;
            if document.heads.iter().take(at).any(|before| before.action == action) {
                return Err(Error::Twice { action });
            }
            if let Some(problem) = head.calibration.problem() {
                return Err(Error::Calibration { action, problem });
            }
            files.push(match &head.from {
                From::Trees { head } => {
                    let heads = document.trees.as_ref().map_or(0, Trees::heads);
                    if *head >= heads {
                        return Err(Error::NoTrees { action, head: *head, heads });
                    }
                    None
                }
                From::File { format, file: name, output } => {
                    let bytes = file(name).ok_or_else(|| Error::NoFile { action, file: name.clone() })?;
                    let unusable = |source| Error::File { action, file: name.clone(), source };
                    let head = match output {
                        Some(output) => imported::read_output(*format, bytes, *output).map_err(unusable)?,
                        None => imported::read(*format, bytes).map_err(unusable)?,
                    };
                    Some(Arc::from(head))
                }
            });
        }
        Ok(Self { document, files })
    }

    /// The document that this was made of.
    #[must_use]
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The raw numbers of all rows, before calibration: what a trainer fits calibrations to. NaN where there is no head.
    #[must_use]
    pub fn raw(&self, matrix: &Matrix) -> Vec<[f64; ACTIONS]> {
        let mut all = vec![[f64::NAN; ACTIONS]; matrix.rows()];
        self.each(matrix, |head, raw| {
            for (row, raw) in all.iter_mut().zip(raw) {
                row[head.action as usize] = *raw;
            }
        });
        all
    }

    fn each(&self, matrix: &Matrix, mut take: impl FnMut(&HeadForm, &[f64])) {
        let binned = self.document.trees.as_ref().map(|trees| (trees, trees.bin_matrix(matrix)));
        let mut raw = vec![0.0; matrix.rows()];
        for (head, file) in self.document.heads.iter().zip(&self.files) {
            match (&head.from, file, &binned) {
                (From::Trees { head }, _, Some((trees, binned))) => trees.raw(*head, binned, &mut raw),
                (_, Some(file), _) => file.raw(matrix, &mut raw),
                _ => raw.fill(f64::NAN),
            }
            take(head, &raw);
        }
    }
}

impl Scorer for Heads {
    fn predict(&self, matrix: &Matrix) -> Vec<Predictions> {
        // A feature that is no number leaves its row unscored, whatever a tree would make of it: 0 · NaN is NaN, and so
        // is 0 · ∞.
        let mut unusable = vec![0.0_f32; matrix.rows()];
        for column in matrix.columns() {
            for (sum, value) in unusable.iter_mut().zip(column) {
                *sum += value * 0.0;
            }
        }
        let mut predictions: Vec<Predictions> = unusable.iter().map(|nothing| [*nothing; ACTIONS]).collect();
        self.each(matrix, |head, raw| {
            for (row, raw) in predictions.iter_mut().zip(raw) {
                row[head.action as usize] += head.calibration.apply(*raw as f32);
            }
        });
        predictions
    }

    fn missing(&self) -> [bool; ACTIONS] {
        let mut missing = [true; ACTIONS];
        for head in &self.document.heads {
            missing[head.action as usize] = false;
        }
        missing
    }
}

impl Scorer for Model {
    fn predict(&self, matrix: &Matrix) -> Vec<Predictions> {
        match self {
            Self::Linear(model) => model.predict(matrix),
            Self::Heads(heads) => heads.predict(matrix),
        }
    }

    fn missing(&self) -> [bool; ACTIONS] {
        match self {
            Self::Linear(model) => model.missing(),
            Self::Heads(heads) => heads.missing(),
        }
    }
}

#[cfg(test)]
mod tests;
