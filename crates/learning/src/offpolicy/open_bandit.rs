//! Logs in the form of the Open Bandit data set: Saito, Aihara, Matsutani and Narita, "Open Bandit Dataset and Pipeline:
//! Towards Realistic and Reproducible Off-Policy Evaluation" (2021). A folder for each policy, in it one for each campaign,
//! in it `<campaign>.csv` (what was shown where, with its true probability, and whether it was clicked) and
//! `item_context.csv`.
//!
//! The files have no listener: each row is taken as independent of the others. Two policies ran side by side, so that what
//! one is worth by the other's log can be held against what it brought.

use std::path::{Path, PathBuf};

use csv::StringRecord;
use rustc_hash::FxHashMap;

use super::{
    Error,
    reward::Context,
    single::{ByPosition, Log, Round},
};

/// Positions of a page of the data set.
pub const POSITIONS: usize = 3;

/// One policy's log of a campaign.
#[derive(Clone, Debug, Default)]
pub struct Logged {
    /// The log.
    pub log: Log,
    /// What was known before each choice.
    pub context: Context,
}

/// The campaigns that a folder has for both of two policies.
///
/// # Errors
/// When the folder cannot be read, or has none.
pub fn campaigns(folder: &Path, policies: [&str; 2]) -> Result<Vec<String>, Error> {
    let place = folder.join(policies[0]);
    let listed = std::fs::read_dir(&place).map_err(|source| Error::File { path: place, source })?;
    let mut names: Vec<String> = listed
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| policies.iter().all(|policy| file(folder, policy, name).exists()))
        .collect();
    names.sort_unstable();
    if names.is_empty() {
        let what = folder.display().to_string();
        return Err(Error::Empty { what, expected: "give a folder with <policy>/<campaign>/<campaign>.csv for both" });
    }
    Ok(names)
}

fn file(folder: &Path, policy: &str, campaign: &str) -> PathBuf {
    folder.join(policy).join(campaign).join(format!("{campaign}.csv"))
}

/// Reads a log.
///
/// # Errors
/// When a file is not there, or a row of it cannot be used.
pub fn read(folder: &Path, policy: &str, campaign: &str) -> Result<Logged, Error> {
    let actions = items(&folder.join(policy).join(campaign).join("item_context.csv"))?;
    let path = file(folder, policy, campaign);
    let mut table = Rows::open(&path)?;
    let (item, position) = (table.column("item_id")?, table.column("position")?);
    let (click, propensity) = (table.column("click")?, table.column("propensity_score")?);
    let features = table.columns("user_feature_");
    let affinities = table.columns("user-item_affinity_");
    let count = actions.first().map_or(0, Vec::len);
    let mut log = Log { actions: count, rounds: Vec::new() };
    let mut codes: Vec<FxHashMap<String, f32>> = vec![FxHashMap::default(); features.len()];
    let (mut known, mut both) = (vec![Vec::new(); features.len()], Vec::new());
    while table.next()? {
        let unit = log.rounds.len() as u32;
        let (action, place) = (table.number(item)?, table.number(position)?);
        if !(action >= 0.0 && (action as usize) < count) {
            return Err(table.wrong(format!("item_id is {action}, expected one of the {count} of item_context.csv")));
        }
        if !(1.0..=POSITIONS as f64).contains(&place) {
            return Err(table.wrong(format!("position is {place}, expected 1 to {POSITIONS}")));
        }
        log.rounds.push(Round {
            unit,
            action: action as u32,
            position: place as u16 - 1,
            reward: table.number(click)?,
            propensity: table.number(propensity)?,
        });
        for ((at, codes), known) in features.iter().zip(&mut codes).zip(&mut known) {
            let next = codes.len() as f32;
            known.push(*codes.entry(table.text(*at).to_owned()).or_insert(next));
        }
        for action in 0..count {
            both.push(affinities.get(action).map_or(Ok(0.0), |at| table.number(*at))? as f32);
        }
    }
    log.check()?;
    Ok(Logged { log, context: Context { rounds: known, actions, both: vec![both] } })
}

/// The features of the items, column after column; words as numbers in the order in which they come.
fn items(path: &Path) -> Result<Vec<Vec<f32>>, Error> {
    let mut table = Rows::open(path)?;
    let id = table.column("item_id")?;
    let features = table.columns("item_feature_");
    let mut codes: Vec<FxHashMap<String, f32>> = vec![FxHashMap::default(); features.len()];
    let mut columns = vec![Vec::new(); features.len() + 1];
    while table.next()? {
        let (given, expected) = (table.number(id)?, columns[features.len()].len());
        if given != expected as f64 {
            return Err(table.wrong(format!("item_id is {given}, expected {expected}: items stand in order")));
        }
        columns[features.len()].push(expected as f32);
        for ((at, codes), column) in features.iter().zip(&mut codes).zip(&mut columns) {
            let text = table.text(*at);
            let next = codes.len() as f32;
            column.push(text.parse().unwrap_or_else(|_| *codes.entry(text.to_owned()).or_insert(next)));
        }
    }
    Ok(columns)
}

/// What a log's policy does at each position: exactly, where every choice had the same probability; else by how often it
/// did it, which is the mean of its probabilities over the log whatever they depended on.
#[must_use]
pub fn policy(log: &Log) -> ByPosition {
    let even = 1.0 / log.actions.max(1) as f64;
    if log.rounds.iter().all(|round| (round.propensity - even).abs() < 1e-9) {
        return ByPosition { actions: log.actions, rows: vec![even; POSITIONS * log.actions] };
    }
    let mut rows = vec![0.0; POSITIONS * log.actions];
    let mut counts = [0.0; POSITIONS];
    for round in &log.rounds {
        rows[usize::from(round.position) * log.actions + round.action as usize] += 1.0;
        counts[usize::from(round.position)] += 1.0;
    }
    for (position, count) in counts.iter().enumerate() {
        let row = &mut rows[position * log.actions..(position + 1) * log.actions];
        row.iter_mut().for_each(|share| *share = if *count > 0.0 { *share / count } else { even });
    }
    ByPosition { actions: log.actions, rows }
}

/// How likely each position is looked at, up to a factor: what actions bring there when all are shown alike.
#[must_use]
pub fn examined(log: &Log) -> Vec<f64> {
    let mut sums = [(0.0, 0.0); POSITIONS];
    for round in &log.rounds {
        let (above, below) = &mut sums[usize::from(round.position)];
        *above += round.reward / round.propensity;
        *below += 1.0 / round.propensity;
    }
    sums.iter().map(|(above, below)| if *below > 0.0 { above / below } else { 0.0 }).collect()
}

/// A CSV file, row by row.
struct Rows {
    path: PathBuf,
    reader: csv::Reader<std::fs::File>,
    head: StringRecord,
    row: StringRecord,
}

impl Rows {
    fn open(path: &Path) -> Result<Self, Error> {
        let path = path.to_owned();
        let file = std::fs::File::open(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        let mut reader = csv::Reader::from_reader(file);
        let head = reader.headers().map_err(|error| line(&path, 1, error.to_string()))?.clone();
        Ok(Self { path, reader, head, row: StringRecord::new() })
    }

    fn next(&mut self) -> Result<bool, Error> {
        let at = self.reader.position().line();
        self.reader.read_record(&mut self.row).map_err(|error| line(&self.path, at, error.to_string()))
    }

    fn column(&self, name: &str) -> Result<usize, Error> {
        let found = self.head.iter().position(|column| column == name);
        found.ok_or_else(|| line(&self.path, 1, format!("there is no column {name}")))
    }

    fn columns(&self, prefix: &str) -> Vec<usize> {
        (0..).map_while(|n| self.head.iter().position(|column| column == format!("{prefix}{n}"))).collect()
    }

    fn text(&self, column: usize) -> &str {
        self.row.get(column).unwrap_or("")
    }

    fn number(&self, column: usize) -> Result<f64, Error> {
        let text = self.text(column);
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| {
            self.wrong(format!("{} is {text:?}, expected a number", self.head.get(column).unwrap_or("")))
        })
    }

    fn wrong(&self, what: String) -> Error {
        line(&self.path, self.row.position().map_or(0, csv::Position::line), what)
    }
}

fn line(path: &Path, line: u64, what: String) -> Error {
    Error::Line { path: path.to_owned(), line, what }
}
