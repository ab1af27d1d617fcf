//! Trees for each action, over borders that they share, so that a page is binned once for all of them. It must not know
//! how rows are made, nor how trees grow.

use ranking::{
    features::{COLUMNS, Matrix, SCHEMA},
    scorers::{
        Model,
        document::{Document, From, HeadForm, Heads},
        trees::{Borders, Definition, Ensemble, FORM, Level, Tree, Trees},
    },
};
use shared_models::component::Action;

use super::{Bias, Error, Fitted, Parts, Place, Rows, Settings, calibrate, logistic, position};
use crate::{
    progress::Silent,
    trees::{self, Objective, Report, Table, train},
};

/// From fewer rows trees learn noise, and a linear model says more.
const FEWEST_ROWS: usize = 5_000;
/// With fewer positives the action's rate alone is learnt.
const FEWEST_POSITIVES: usize = 100;
/// The share of the training rows, the latest of them, that says when to stop.
const WATCHED: f64 = 0.15;
/// How often what was wanted is expected anew.
const EXPECTED: usize = 2;

/// Grows the trees of all actions and fits their calibrations; `None` where there is too little to grow them from.
pub(super) fn fit(rows: &Rows, parts: &Parts, settings: &Settings) -> Result<Option<Fitted>, Error> {
    let trained = parts.trained.len();
    if trained < FEWEST_ROWS {
        return Ok(None);
    }
    let grown = trained - (trained as f64 * WATCHED) as usize;
    let orchard = Orchard {
        growing: rows.matrix(0..grown),
        watching: rows.matrix(grown..trained),
        places: rows.places.get(..trained).unwrap_or(&[]),
        grown,
        settings,
    };
    let mut definitions = Vec::with_capacity(Action::ALL.len());
    let mut reports = Vec::new();
    for (index, action) in Action::ALL.iter().enumerate() {
        let positives = rows.positives(&parts.trained, index);
        if positives < FEWEST_POSITIVES || trained - positives < FEWEST_POSITIVES {
            let head = Ensemble { bias: logistic::logit_of_rate(positives, trained), trees: Vec::new() };
            definitions.push(Definition { form: FORM, width: COLUMNS, columns: Vec::new(), heads: vec![head] });
            continue;
        }
        let labels: Vec<bool> = rows.labels[..trained].iter().map(|labels| labels[index]).collect();
        let (definition, report) = orchard.grow(&labels)?;
        definitions.push(definition);
        reports.extend(report.map(|report| (*action, report)));
    }
    let all = Trees::new(joined(&definitions)).map_err(|source| Error::Trees(trees::Error::Trees(source)))?;
    let head = |(head, action): (usize, &Action)| HeadForm {
        action: *action,
        from: From::Trees { head },
        calibration: Default::default(),
    };
    let document = Document::new(Some(all), Action::ALL.iter().enumerate().map(head).collect());
    Ok(Some(Fitted { reports, ..calibrated(document, rows, parts)? }))
}

/// What the trees of every action are grown from.
struct Orchard<'a> {
    growing: Matrix,
    watching: Matrix,
    /// Where the cards of all these rows stood; empty where that is not known.
    places: &'a [Place],
    /// How many rows are grown from; the rest says when to stop.
    grown: usize,
    settings: &'a Settings,
}

impl Orchard<'_> {
    /// The trees of one action, and how they were trained where that was asked for.
    fn grow(&self, labels: &[bool]) -> Result<(Definition, Option<Report>), Error> {
        let plain: Vec<f32> = labels.iter().map(|label| f32::from(u8::from(*label))).collect();
        match self.settings.bias {
            Bias::Expected if !self.places.is_empty() => {
                let mut wanted = plain;
                for _ in 0..EXPECTED {
                    let (trained, _) = self.train(&wanted, &[])?;
                    let scores = self.scores(&trained);
                    wanted = position::examination(self.places, &scores, labels).wanted;
                }
                let (trained, report) = self.train(&wanted, &[])?;
                Ok((trained.trees.into(), report))
            }
            Bias::Fixed if !self.places.is_empty() => {
                let (trained, report) = self.train(&plain, &position::columns(self.places))?;
                Ok((position::folded(&trained.trees.into()), report))
            }
            Bias::Ignored | Bias::Fixed | Bias::Expected => {
                let (trained, report) = self.train(&plain, &[])?;
                Ok((trained.trees.into(), report))
            }
        }
    }

    fn train(&self, labels: &[f32], added: &[Vec<f32>]) -> Result<(trees::Trained, Option<Report>), Error> {
        let settings = trees::Settings {
            objective: Objective::Logistic,
            trees: 300,
            learning_rate: 0.08,
            l2: 3.0,
            min_weight: 5.0,
            columns_per_level: 0.5,
            patience: 25,
            seed: self.settings.seed,
            ..trees::Settings::default()
        };
        let (given, watched) = labels.split_at(self.grown);
        let part = |matrix, labels, range: std::ops::Range<usize>| {
            let mut table = table(matrix, labels);
            table.columns.extend(added.iter().filter_map(|column| column.get(range.clone())));
            table
        };
        let growing = part(&self.growing, given, 0..self.grown);
        let watching = part(&self.watching, watched, self.grown..labels.len());
        let trained = train(&growing, Some(&watching), &settings, &Silent).map_err(Error::Trees)?;
        let report = self.settings.reports.then(|| {
            let features = SCHEMA.iter().map(|column| column.name);
            let names: Vec<String> = features.chain(position::NAMES).map(str::to_owned).collect();
            Report::of(&trained, &settings, self.grown, &names, &watching)
        });
        Ok((trained, report))
    }

    /// What trees over features say of all rows.
    fn scores(&self, trained: &trees::Trained) -> Vec<f32> {
        let of = |matrix| trained.scores(&table(matrix, &vec![0.0; Matrix::rows(matrix)]));
        [of(&self.growing), of(&self.watching)].concat()
    }
}

/// The heads with calibrations fitted to the rows that are for it.
pub(super) fn calibrated(mut document: Document, rows: &Rows, parts: &Parts) -> Result<Fitted, Error> {
    let read = |document: Document| Heads::new(document, |_| None).map_err(Error::Model);
    // Calibrated on the numbers that serving computes.
    let raw = read(document.clone())?.raw(&rows.matrix(parts.calibrated.clone()));
    let mut calibrations = Vec::with_capacity(Action::ALL.len());
    for head in &mut document.heads {
        let index = head.action as usize;
        let labels = &rows.labels[parts.calibrated.clone()];
        let examples: Vec<(f32, bool)> =
            raw.iter().zip(labels).map(|(raw, labels)| (raw[index] as f32, labels[index])).collect();
        let is_flat = examples.windows(2).all(|pair| matches!(pair, [one, other] if one.0 == other.0));
        let (kind, calibration) = if is_flat { ("rate only", Default::default()) } else { calibrate::fit(examples) };
        head.calibration = calibration;
        calibrations.push(kind);
    }
    Ok(Fitted { model: Model::Heads(read(document)?), calibrations, reports: Vec::new() })
}

fn table<'a>(matrix: &'a Matrix, labels: &'a [f32]) -> Table<'a> {
    Table { columns: matrix.columns().collect(), labels, weights: None, groups: None }
}

/// The heads of all definitions over the borders that any of them asks for. There are no more of a column than it was
/// divided by: all heads saw the same rows.
fn joined(definitions: &[Definition]) -> Definition {
    let mut columns: Vec<Borders> = Vec::new();
    for asked in definitions.iter().flat_map(|definition| &definition.columns) {
        match columns.binary_search_by_key(&asked.column, |known| known.column) {
            Ok(at) => {
                columns[at].borders.extend_from_slice(&asked.borders);
                columns[at].borders.sort_unstable_by(f32::total_cmp);
                columns[at].borders.dedup();
            }
            Err(at) => columns.insert(at, asked.clone()),
        }
    }
    let level = |definition: &Definition, level: &Level| {
        let asked = definition.columns.get(level.column)?;
        let border = asked.borders.get(level.border)?;
        let column = columns.binary_search_by_key(&asked.column, |known| known.column).ok()?;
        let border = columns.get(column)?.borders.iter().position(|known| known == border)?;
        Some(Level { column, border })
    };
    let head = |definition: &Definition| {
        let ensemble = definition.heads.first();
        let tree = |tree: &Tree| Tree {
            levels: tree.levels.iter().filter_map(|asked| level(definition, asked)).collect(),
            leaves: tree.leaves.clone(),
        };
        Ensemble {
            bias: ensemble.map_or(0.0, |ensemble| ensemble.bias),
            trees: ensemble.iter().flat_map(|ensemble| &ensemble.trees).map(tree).collect(),
        }
    };
    let heads = definitions.iter().map(head).collect();
    Definition { form: FORM, width: COLUMNS, columns, heads }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_heads_say_what_they_said_alone() {
        let tree = |column: usize, border: usize| Tree {
            levels: vec![Level { column, border }, Level { column: 0, border: 0 }],
            leaves: vec![0.25, -1.0, 2.0, 0.5],
        };
        let one = |columns: Vec<Borders>, tree: Tree, bias: f64| Definition {
            form: FORM,
            width: COLUMNS,
            columns,
            heads: vec![Ensemble { bias, trees: vec![tree] }],
        };
        let borders = |column: usize, borders: &[f32]| Borders { column, borders: borders.to_vec() };
        let alone = [
            one(vec![borders(2, &[0.5, 1.5]), borders(7, &[3.0])], tree(1, 0), 0.5),
            one(vec![borders(2, &[1.0, 1.5]), borders(5, &[-1.0, 1.0])], tree(1, 1), -0.5),
        ];
        let together = Trees::new(joined(&alone)).unwrap();
        assert_eq!(together.definition().columns[0], borders(2, &[0.5, 1.0, 1.5]));
        let numbers: Vec<f32> = (0..200 * COLUMNS).map(|n| ((n * 7919) % 97) as f32 / 16.0 - 2.0).collect();
        let matrix = Matrix::from_rows(&numbers).unwrap();
        for (head, definition) in alone.into_iter().enumerate() {
            let trees = Trees::new(definition).unwrap();
            let (mut expected, mut found) = (vec![0.0; 200], vec![0.0; 200]);
            trees.raw(0, &trees.bin_matrix(&matrix), &mut expected);
            together.raw(head, &together.bin_matrix(&matrix), &mut found);
            assert_eq!(found, expected, "head {head}");
        }
    }
}
