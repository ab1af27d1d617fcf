//! A comparison: a task, the engines, one after another.

use std::time::Instant;

use super::{
    Interval, beyond, bootstrap,
    engine::{self, Engine},
    memory, metrics,
    protocol::{self, Measure, Metric, Options, Protocol, Task},
    rank::{Lists, rank},
    report::{Point, Report, Row, Size, published},
};
use crate::progress::{Progress, Unit};

/// How often users are drawn again for the intervals.
const BOOTSTRAP: usize = 1_000;
/// The list lengths of the curve of recall.
const CURVE: [usize; 9] = [1, 2, 3, 5, 10, 20, 30, 50, 100];
/// The steps of the curve of exposure.
const STEPS: usize = 200;

/// Why a comparison failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data cannot be read.
    #[error("could not read the protocol's data")]
    Protocol(#[from] protocol::Error),
    /// An engine failed.
    #[error("an engine failed")]
    Engine(#[from] engine::Error),
    /// There is nothing to measure on.
    #[error("nobody has anything held out: there is nothing to measure on")]
    Nothing,
    /// A grid has too many points.
    #[error("{given} combinations are to be tried; give at most {most}")]
    Grid {
        /// How many.
        given: usize,
        /// How many may be.
        most: usize,
    },
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> shared_models::ErrorCode {
        match self {
            Self::Protocol(source) => source.code(),
            Self::Engine(source) => source.code(),
            Self::Nothing | Self::Grid { .. } => shared_models::ErrorCode::InvalidArgument,
        }
    }
}

/// What is measured of the lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Lengths {
    /// The measures; the first decides.
    pub measures: Vec<Measure>,
    /// Whether recall is measured at many lengths, for a picture.
    pub curve: bool,
}

impl Lengths {
    /// The protocol's measures, or its metrics at other lengths where some are given.
    #[must_use]
    pub fn of(protocol: &Protocol, lengths: &[usize], curve: bool) -> Self {
        if lengths.is_empty() {
            return Self { measures: protocol.measures.to_vec(), curve };
        }
        let mut metrics: Vec<Metric> = Vec::new();
        for measure in protocol.measures {
            if !metrics.contains(&measure.metric) {
                metrics.push(measure.metric);
            }
        }
        let measures = lengths.iter().flat_map(|k| metrics.iter().map(|metric| Measure { metric: *metric, k: *k }));
        Self { measures: measures.collect(), curve }
    }

    /// The length that coverage and the like are measured at: that of the first measure.
    #[must_use]
    pub fn k(&self) -> usize {
        self.measures.first().map_or(0, |measure| measure.k)
    }

    fn longest(&self) -> usize {
        let of_curve = if self.curve { CURVE[CURVE.len() - 1] } else { 0 };
        self.measures.iter().map(|measure| measure.k).max().unwrap_or(0).max(of_curve)
    }
}

/// How large a task is.
#[must_use]
pub fn size(task: &Task) -> Size {
    Size {
        users: task.training.users(),
        items: task.training.items(),
        learned: task.training.learn.seen.len(),
        held_out: task.held_out.len(),
        measured: (0..task.held_out.rows()).filter(|user| !task.held_out.row(*user).0.is_empty()).count(),
    }
}

/// Reads a protocol's data, with the seed of the options for every draw.
///
/// # Errors
/// When the data cannot be read or nothing is held out.
pub fn read(
    protocol: &Protocol,
    folder: &std::path::Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Task, Error> {
    let mut task = (protocol.read)(folder, options, progress)?;
    if task.held_out.is_empty() {
        return Err(Error::Nothing);
    }
    task.training.seed = options.seed;
    task.training.checkpoints.clone_from(&options.checkpoints);
    Ok(task)
}

/// Trains and measures engines on a task.
///
/// # Errors
/// When an engine fails.
pub fn compare(
    protocol: &Protocol,
    options: &Options,
    task: &Task,
    engines: &[Box<dyn Engine>],
    lengths: &Lengths,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let mut rows = Vec::with_capacity(engines.len());
    for engine in engines {
        rows.push(measure(&**engine, task, lengths, progress)?);
    }
    behind(&mut rows, options);
    Ok(Report {
        protocol: protocol.name,
        about: protocol.about,
        part: options.part,
        seed: options.seed.0,
        size: size(task),
        measures: lengths.measures.clone(),
        k: lengths.k(),
        rows,
        published: published(protocol, &lengths.measures),
        tuning: Vec::new(),
        notes: task.notes.clone(),
        threads: rayon::current_num_threads(),
        version: env!("CARGO_PKG_VERSION"),
    })
}

/// Trains and measures one engine.
///
/// # Errors
/// When it fails.
pub fn measure(engine: &dyn Engine, task: &Task, lengths: &Lengths, progress: &dyn Progress) -> Result<Row, Error> {
    memory::reset_peak();
    let started = Instant::now();
    let scorer = engine.train(&task.training, progress)?;
    let train_seconds = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let given = &task.training.given().seen;
    let stage = progress.stage(&format!("{}, lists", engine.name()), Unit::Rows, Some(size(task).measured as u64));
    let lists = rank(&*scorer, given, &task.held_out, &task.candidates, lengths.longest(), &*stage);
    let rank_seconds = started.elapsed().as_secs_f64();
    let seed = task.training.seed;
    let interval = |values: &[f32]| bootstrap(values, BOOTSTRAP, seed);
    let (k, items, users) = (lengths.k(), task.training.items(), task.training.users());
    let holders = beyond::holders(given);
    let shown = beyond::exposure(&lists, items, k);
    let by_user = lengths.measures.first().map_or_else(Vec::new, |measure| judge(&lists, task, *measure));
    let curve = if lengths.curve { &CURVE[..] } else { &[] };
    let row = Row {
        values: lengths.measures.iter().map(|measure| interval(&judge(&lists, task, *measure))).collect(),
        coverage: metrics::coverage(&lists.lists, k, items),
        gini: beyond::gini(&shown),
        novelty: interval(&beyond::novelty(&lists, &holders, users, k)),
        popularity: interval(&beyond::popularity(&lists, &holders, k)),
        train_seconds,
        rank_seconds,
        peak_bytes: memory::peak(),
        curve: curve
            .iter()
            .map(|k| Point { k: *k, recall: interval(&judge(&lists, task, Measure::recall(*k))) })
            .collect(),
        exposure: beyond::exposure_curve(&shown, &holders, STEPS),
        by_user,
        space: if lengths.curve { scorer.item_vectors() } else { None },
        ..Row::of(engine)
    };
    stage.finish(&summary(&row, lengths));
    Ok(row)
}

fn summary(row: &Row, lengths: &Lengths) -> String {
    let values = lengths.measures.iter().zip(&row.values).take(2);
    values.map(|(measure, value)| format!("{measure} {:.4}", value.mean)).collect::<Vec<_>>().join(", ")
}

/// A measure of each measured user.
fn judge(lists: &Lists, task: &Task, measure: Measure) -> Vec<f32> {
    let metric = match measure.metric {
        Metric::Recall => metrics::recall,
        Metric::HitRate => metrics::hit_rate,
        Metric::Ndcg => metrics::ndcg,
    };
    let of = |(user, list): (&u32, &Vec<u32>)| metric(list, task.held_out.row(*user as usize).0, measure.k);
    lists.users.iter().zip(&lists.lists).map(of).collect()
}

/// How far each row is behind the best, user by user: two engines are measured on the same users, so their difference
/// is known far better than either.
fn behind(rows: &mut [Row], options: &Options) {
    let first = |row: &Row| row.values.first().map_or(f64::NEG_INFINITY, |value| value.mean);
    let Some(best) = rows.iter().max_by(|a, b| first(a).total_cmp(&first(b))) else { return };
    let (best, name) = (best.by_user.clone(), (best.engine.clone(), best.settings.clone()));
    for row in rows.iter_mut().filter(|row| (&row.engine, &row.settings) != (&name.0, &name.1)) {
        let differences: Vec<f32> = row.by_user.iter().zip(&best).map(|(a, b)| a - b).collect();
        row.behind = Some(bootstrap(&differences, BOOTSTRAP, options.seed)).filter(|d| *d != Interval::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluate::{
            engine::engine,
            protocol::{Candidates, Part, protocol},
            training::{History, Training},
        },
        progress::Silent,
    };

    /// Three users of five items. Item 0 is had by all, 1 by two, 2 by one; 3 and 4 by nobody.
    fn task() -> Task {
        let learn = History::of_sets(5, &[vec![0, 1], vec![0, 1], vec![0, 2]]).unwrap();
        let held_out = History::of_sets(5, &[vec![2], vec![3, 4], vec![]]).unwrap().seen;
        Task {
            training: Training { learn, ..Training::default() },
            held_out,
            candidates: Candidates::All,
            notes: vec![],
        }
    }

    #[test]
    fn popularity_by_hand() {
        // Lists of two: user 0 gets 2, 3; user 1 gets 2, 3; user 2 has nothing held out.
        let protocol = protocol("gowalla-lightgcn").unwrap();
        let lengths = Lengths::of(protocol, &[2], true);
        let options = Options::new(Part::Test);
        let engines = [engine("popularity").unwrap()];
        let report = compare(protocol, &options, &task(), &engines, &lengths, &Silent).unwrap();
        assert_eq!(report.size, Size { users: 3, items: 5, learned: 6, held_out: 3, measured: 2 });
        let row = &report.rows[0];
        assert_eq!(report.measures.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Recall@2", "NDCG@2"]);
        // Recall: 1 of 1 and 1 of 2. NDCG: 1 and, hit at place 2 of two possible, (1/log₂3) / (1 + 1/log₂3).
        assert!((row.values[0].mean - 0.75).abs() < 1e-6);
        let second = 1.0 / 3.0_f64.log2();
        assert!((row.values[1].mean - (1.0 + second / (1.0 + second)) / 2.0).abs() < 1e-6);
        // Items 2 and 3 are shown, twice each, of five. One user of three has item 2; 3 counts as if one had it.
        assert!((row.coverage - 0.4).abs() < 1e-9);
        assert!((row.gini - 0.6).abs() < 1e-9);
        assert!((row.novelty.mean - 3.0_f64.log2()).abs() < 1e-6);
        assert!((row.popularity.mean - 0.5).abs() < 1e-6);
        assert_eq!((row.curve.len(), row.curve[0].k), (CURVE.len(), 1));
        assert_eq!(row.curve[0].recall.mean, 0.5);
        assert!(report.published.is_empty(), "no row was published at 2");
    }

    #[test]
    fn rows_are_compared_user_by_user_with_the_best() {
        let protocol = protocol("gowalla-lightgcn").unwrap();
        let mut factors = engine("factors").unwrap();
        factors.set("dimensions", "2").unwrap();
        let engines = [engine("popularity").unwrap(), factors];
        let lengths = Lengths::of(protocol, &[1], false);
        let report = compare(protocol, &Options::new(Part::Test), &task(), &engines, &lengths, &Silent).unwrap();
        let best = report.rows.iter().filter(|row| row.behind.is_none()).count();
        assert!(best >= 1);
        for row in &report.rows {
            assert!(row.behind.is_none_or(|behind| behind.mean <= 0.0 && behind.low <= behind.high), "{row:?}");
            assert_eq!(row.by_user.len(), 2);
        }
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!((&json["part"], &json["measures"][0]["metric"]), (&"test".into(), &"recall".into()));
        assert!(json["rows"][0].get("by_user").is_none(), "users' numbers stay here");
    }
}
