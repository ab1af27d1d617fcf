//! What training reads: columns of numbers, labels, and perhaps weights and groups of rows.

use super::settings::{Error, Objective};

/// Rows to learn from or to measure by, column after column.
#[derive(Clone, Debug, Default)]
pub struct Table<'a> {
    /// The columns, all of the same length; NaN where a number is missing.
    pub columns: Vec<&'a [f32]>,
    /// What is to be predicted.
    pub labels: &'a [f32],
    /// How much each row counts; once when there are none.
    pub weights: Option<&'a [f32]>,
    /// How many rows each group has; groups stand one after another.
    pub groups: Option<&'a [u32]>,
}

impl Table<'_> {
    /// How many rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// Checks that all lists fit together and labels fit the objective.
    ///
    /// # Errors
    /// The first list or number that does not.
    pub fn validate(&self, objective: &Objective) -> Result<(), Error> {
        let (rows, columns) = (self.rows(), self.columns.len());
        if rows == 0 || columns == 0 {
            return Err(Error::Empty { columns, rows });
        }
        let length = |what: String, given: usize, expected: usize| {
            if given == expected { Ok(()) } else { Err(Error::Length { what, expected, given }) }
        };
        for (at, column) in self.columns.iter().enumerate() {
            length(format!("columns[{at}]"), column.len(), rows)?;
        }
        let (is_label, expected): (fn(f32) -> bool, _) = match objective {
            Objective::Logistic => (|label| (0.0..=1.0).contains(&label), "0 to 1"),
            Objective::Squared => (f32::is_finite, "a finite number"),
            Objective::Ranking { .. } | Objective::Disturbed { .. } => {
                (|label| (0.0..=31.0).contains(&label), "0 to 31")
            }
        };
        number("labels", self.labels, is_label, expected)?;
        if let Some(weights) = self.weights {
            length("weights".to_owned(), weights.len(), rows)?;
            number("weights", weights, |weight| weight >= 0.0 && weight.is_finite(), "0 or more")?;
        }
        match (self.groups, objective) {
            (Some(groups), _) => {
                let sum = groups.iter().map(|size| *size as usize).sum();
                length("the rows of all groups".to_owned(), sum, rows)
            }
            (None, objective) if objective.ranks() => Err(Error::NoGroups),
            (None, _) => Ok(()),
        }
    }

    /// Where each group's rows stand.
    pub(super) fn ranges(&self) -> Vec<std::ops::Range<usize>> {
        let mut end = 0;
        let groups = self.groups.unwrap_or(&[]).iter();
        groups
            .map(|size| {
                let start = end;
                end += *size as usize;
                start..end
            })
            .collect()
    }
}

fn number(what: &'static str, numbers: &[f32], fits: fn(f32) -> bool, expected: &'static str) -> Result<(), Error> {
    match numbers.iter().position(|number| !fits(*number)) {
        Some(row) => Err(Error::Number { what, row, given: numbers[row], expected }),
        None => Ok(()),
    }
}
