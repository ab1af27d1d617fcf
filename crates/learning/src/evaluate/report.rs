//! What a comparison found, as numbers: for JSON, for tables and for pictures.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Interval,
    engine::Engine,
    protocol::{Measure, Part, Protocol},
    scorers::ItemVectors,
};

/// How engines compare by a protocol.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The protocol's name.
    pub protocol: &'static str,
    /// What it does.
    pub about: &'static str,
    /// What was measured on.
    pub part: Part,
    /// The source of every draw.
    pub seed: u64,
    /// How large the data are.
    pub size: Size,
    /// What [`Row::values`] are, in order; the first is the one that decides.
    pub measures: Vec<Measure>,
    /// The list length of coverage, Gini, novelty and popularity.
    pub k: usize,
    /// The engines, in the order they were asked for.
    pub rows: Vec<Row>,
    /// Published rows of the same protocol.
    pub published: Vec<PublishedRow>,
    /// What was tried on the validation part before, when tuning was asked for.
    pub tuning: Vec<Tuning>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// How many threads worked.
    pub threads: usize,
    /// The version of this code.
    pub version: &'static str,
}

/// How large the data are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Users.
    pub users: usize,
    /// Items.
    pub items: usize,
    /// Pairs that are learned from.
    pub learned: usize,
    /// Pairs that are to be found.
    pub held_out: usize,
    /// Users who have something held out: those that are measured.
    pub measured: usize,
}

/// What one engine reached.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Row {
    /// The engine.
    pub engine: String,
    /// All its settings.
    pub settings: BTreeMap<&'static str, String>,
    /// The measures, as the report lists them.
    pub values: Vec<Interval>,
    /// The first measure minus that of the best engine, user by user; absent for the best.
    pub behind: Option<Interval>,
    /// The share of the catalogue that stands on anybody's list.
    pub coverage: f64,
    /// How unevenly the catalogue is shown ([`super::beyond`]).
    pub gini: f64,
    /// The lists' mean self-information, in bits.
    pub novelty: Interval,
    /// How many users have a recommended item.
    pub popularity: Interval,
    /// How long learning took.
    pub train_seconds: f64,
    /// How long all lists took.
    pub rank_seconds: f64,
    /// The most memory the process held meanwhile, data included; unknown off Linux.
    pub peak_bytes: Option<u64>,
    /// Recall by list length.
    pub curve: Vec<Point>,
    /// The share of exposure of the most popular share of the catalogue.
    pub exposure: Vec<(f64, f64)>,
    /// The first measure of each measured user.
    #[serde(skip)]
    pub by_user: Vec<f32>,
    /// The items as points, where the engine has a space.
    #[serde(skip)]
    pub space: Option<ItemVectors>,
}

impl Row {
    /// Of an engine, with its settings and nothing measured.
    #[must_use]
    pub fn of(engine: &dyn Engine) -> Self {
        let settings = engine.settings().into_iter().map(|setting| (setting.name, setting.value)).collect();
        Self { engine: engine.name().to_owned(), settings, ..Self::default() }
    }
}

/// Recall at a list length.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The length.
    pub k: usize,
    /// The recall.
    pub recall: Interval,
}

/// A row of a published table, in the order of the report's measures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PublishedRow {
    /// The method.
    pub method: &'static str,
    /// Its numbers, where they were published.
    pub values: Vec<Option<f64>>,
    /// Where they stand.
    pub source: &'static str,
}

/// Published rows in the order of other measures; those without any of them are left out.
#[must_use]
pub fn published(protocol: &Protocol, measures: &[Measure]) -> Vec<PublishedRow> {
    let place = |measure: &Measure| protocol.measures.iter().position(|other| other == measure);
    protocol
        .published
        .iter()
        .map(|row| PublishedRow {
            method: row.method,
            values: measures.iter().map(|m| place(m).and_then(|at| row.values.get(at).copied().flatten())).collect(),
            source: row.source,
        })
        .filter(|row| row.values.iter().any(Option::is_some))
        .collect()
}

/// One setting of an engine that was tried on the validation part.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tuning {
    /// The engine.
    pub engine: String,
    /// What was tried.
    pub settings: BTreeMap<String, String>,
    /// What it reached on the validation part, by the first measure.
    pub value: Interval,
    /// How long training took.
    pub train_seconds: f64,
    /// Whether it is what was measured afterwards.
    pub chosen: bool,
}
