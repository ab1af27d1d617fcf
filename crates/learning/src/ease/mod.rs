//! Embarrassingly shallow autoencoders: every item's score as a weighted sum of the other items a user chose.
//!
//! It must not know events, catalogues or releases' files: a matrix of what users chose goes in, scores come out.
//!
//! # The model
//! With `A = D_u^-a R D_i^-b`, the matrix of what was chosen with some of its degrees taken out, the weights that lower
//! `|A - A B|² + λ |B|²` with nothing on the diagonal of B are, in closed form,
//!
//! `B_ij = -P_ij / P_jj` for `i ≠ j`, with `P = (Aᵀ A + λ I)⁻¹`
//!
//! (Steck, "Embarrassingly Shallow Autoencoders for Sparse Data", WWW 2019; a = b = 0 there). The scores of a user with
//! weights x are `D_i^e Bᵀ D_i^-b x`: b makes popular items explain less, and e gives some of what b took back to
//! their scores. λ is given in units of the mean square of A's entries, so that it keeps its meaning when a and b change.
//!
//! # Cost
//! Where items are fewer than users, P is computed as it stands: `I²` numbers, `7/3 I³` multiplications. Where users are
//! fewer, by Woodbury's identity with `M = (A Aᵀ + λ I)⁻¹`, which is as small as the users are few:
//!
//! `λ P = I - Aᵀ M A`,   `λ P_jj = 1 - a_jᵀ M a_j`,   so that   `x B = x - (x - x Aᵀ M A) / (λ diag P)`
//!
//! which takes `U²` and `U I` numbers and never holds B. [`Settings::largest`] guards the smaller side.

use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};
use releases::vectors::axpy;
use shared_models::ErrorCode;

use crate::{
    dense::{Factor, Matrix},
    evaluate::Scorer,
    factors::Interactions,
    progress::{Progress, Unit},
};

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// λ, in units of the mean square of A's entries.
    pub regularisation: f32,
    /// a: how much of a user's degree is taken out.
    pub user_exponent: f32,
    /// b: how much of an item's degree is taken out.
    pub item_exponent: f32,
    /// e: how much of an item's degree its scores are given.
    pub end_exponent: f32,
    /// The most users or items, whichever are fewer: memory grows with the square of that, time with the cube.
    pub largest: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { regularisation: 500.0, user_exponent: 0.0, item_exponent: 0.0, end_exponent: 0.0, largest: 12_000 }
    }
}

/// Why there is no model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is nothing to learn from.
    #[error("there are no interactions to learn from")]
    Nothing,
    /// Both sides are too long for a dense system.
    #[error("there are {users} users and {items} items, and one side may have {largest} at most; take graph instead")]
    TooLarge {
        /// How many users.
        users: usize,
        /// How many items.
        items: usize,
        /// How many of either may be.
        largest: usize,
    },
    /// The system cannot be solved.
    #[error(
        "the system is not positive definite with regularisation {regularisation}; give a number above 0, or a larger one"
    )]
    Unsolved {
        /// What was given.
        regularisation: f32,
    },
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing | Self::Unsolved { .. } => ErrorCode::InvalidArgument,
            Self::TooLarge { .. } => ErrorCode::ResourceExhausted,
        }
    }
}

/// The weights, in the form that is smaller.
#[derive(Clone, Debug)]
pub struct Model {
    form: Form,
    /// `D_i^-b` and `D_i^e`.
    before: Vec<f32>,
    behind: Vec<f32>,
}

#[derive(Clone, Debug)]
enum Form {
    /// B itself; its diagonal is 0.
    Items(Matrix),
    /// `A` by rows of items, `M A` by rows of users, and `λ diag P`.
    Users { by_item: Interactions, inner: Matrix, diagonal: Vec<f32> },
}

/// Learns from what was chosen, whatever the weights.
///
/// # Errors
/// When both sides are too long, or the system cannot be solved.
pub fn train(chosen: &Interactions, settings: &Settings, progress: &dyn Progress) -> Result<Model, Error> {
    let (users, items) = (chosen.rows(), chosen.columns());
    if chosen.is_empty() {
        return Err(Error::Nothing);
    }
    if users.min(items) > settings.largest {
        return Err(Error::TooLarge { users, items, largest: settings.largest });
    }
    let unsolved = Error::Unsolved { regularisation: settings.regularisation };
    if settings.regularisation.is_nan() || settings.regularisation <= 0.0 {
        return Err(unsolved);
    }
    let by_item = chosen.transpose();
    let of_users = powers(chosen, -settings.user_exponent);
    let before = powers(&by_item, -settings.item_exponent);
    let behind = powers(&by_item, settings.end_exponent);
    let by_user = scaled(chosen, &of_users, &before);
    let by_item = by_user.transpose();
    let squares: f64 = by_user.entries().map(|(_, _, weight)| f64::from(weight * weight)).sum();
    let lambda = settings.regularisation * (squares / by_user.len() as f64) as f32;

    let stage = progress.stage("item weights", Unit::Steps, Some(2));
    let form = if items <= users {
        let mut system = gram(&by_item, &by_user);
        stage.advance(1);
        system.add_to_diagonal(lambda);
        let mut weights = Factor::of(system).ok_or(unsolved)?.inverse();
        let diagonal: Vec<f32> = (0..items).map(|item| -weights.row(item)[item]).collect();
        weights.values.par_chunks_mut(items).enumerate().for_each(|(item, row)| {
            for (weight, diagonal) in row.iter_mut().zip(&diagonal) {
                *weight /= diagonal;
            }
            row[item] = 0.0;
        });
        Form::Items(weights)
    } else {
        let mut system = gram(&by_user, &by_item);
        stage.advance(1);
        system.add_to_diagonal(lambda);
        let mut right = Matrix::zeros(users, items);
        for (user, item, weight) in by_user.entries() {
            right.row_mut(user as usize)[item as usize] = weight;
        }
        let inner = Factor::of(system).ok_or(unsolved)?.solve(right);
        let mut diagonal = vec![1.0; items];
        for (user, item, weight) in by_user.entries() {
            diagonal[item as usize] -= weight * inner.row(user as usize)[item as usize];
        }
        Form::Users { by_item, inner, diagonal }
    };
    stage.finish(&format!("{users} users, {items} items, {} pairs", chosen.len()));
    Ok(Model { form, before, behind })
}

impl Model {
    /// How many items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.behind.len()
    }

    /// The scores of all items for what a user chose, into `scores`.
    pub fn score(&self, chosen: &[u32], weights: &[f32], scores: &mut [f32]) {
        scores.fill(0.0);
        let weigh = |(item, weight): (&u32, &f32)| (*item as usize, weight * self.before[*item as usize]);
        let given = || chosen.iter().zip(weights).map(weigh);
        match &self.form {
            Form::Items(matrix) => {
                for (item, weight) in given() {
                    axpy(weight, matrix.row(item), scores);
                }
            }
            Form::Users { by_item, inner, diagonal } => {
                let mut users = vec![0.0_f32; inner.rows];
                for (item, weight) in given() {
                    let (rows, values) = by_item.row(item);
                    for (user, value) in rows.iter().zip(values) {
                        users[*user as usize] += weight * value;
                    }
                }
                // `x Aᵀ M A - x`, then over the diagonal, then `+ x`.
                for (user, weight) in users.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
                    axpy(*weight, inner.row(user), scores);
                }
                for (item, weight) in given() {
                    scores[item] -= weight;
                }
                for (score, diagonal) in scores.iter_mut().zip(diagonal) {
                    *score /= diagonal.max(f32::MIN_POSITIVE);
                }
                for (item, weight) in given() {
                    scores[item] += weight;
                }
            }
        }
        for (score, behind) in scores.iter_mut().zip(&self.behind) {
            *score *= behind;
        }
    }
}

/// A model with the users it is asked about.
#[derive(Clone, Debug)]
pub struct EaseScorer<'a> {
    /// What was learned.
    pub model: Model,
    /// What each user chose.
    pub given: &'a Interactions,
}

impl Scorer for EaseScorer<'_> {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        let items = self.model.items().max(1);
        for (user, row) in users.iter().zip(scores.chunks_exact_mut(items)) {
            let (chosen, weights) = self.given.row(*user as usize);
            self.model.score(chosen, weights, row);
        }
    }
}

/// `degree^exponent` of each row; 0 of an empty one.
fn powers(of: &Interactions, exponent: f32) -> Vec<f32> {
    let power = |degree: usize| if degree > 0 { (degree as f32).powf(exponent) } else { 0.0 };
    (0..of.rows()).map(|row| power(of.row(row).0.len())).collect()
}

/// A, whose entries are `of_rows · of_columns`.
fn scaled(chosen: &Interactions, of_rows: &[f32], of_columns: &[f32]) -> Interactions {
    chosen.map(|row, column, _| of_rows[row as usize] * of_columns[column as usize])
}

/// `rows · rowsᵀ`, where `columns` is the same matrix by columns.
fn gram(rows: &Interactions, columns: &Interactions) -> Matrix {
    let mut gram = Matrix::zeros(rows.rows(), rows.rows());
    let n = gram.rows.max(1);
    gram.values.par_chunks_mut(n).enumerate().for_each(|(row, into)| {
        let (ends, weights) = rows.row(row);
        for (end, weight) in ends.iter().zip(weights) {
            let (others, values) = columns.row(*end as usize);
            for (other, value) in others.iter().zip(values) {
                into[*other as usize] += weight * value;
            }
        }
    });
    gram
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rand::RngExt;
    use releases::vectors::dot;
    use shared_models::Seed;

    fn random(users: usize, items: usize) -> Interactions {
        let mut random = Seed(5).stream("ease");
        let entries: Vec<_> = (0..users as u32)
            .flat_map(|user| (0..items as u32).map(move |item| (user, item, 1.0)))
            .filter(|_| random.random_bool(0.3))
            .collect();
        Interactions::from_entries(users, items, &entries).unwrap()
    }

    fn scores(chosen: &Interactions, settings: &Settings, user: u32) -> Vec<f32> {
        let model = train(chosen, settings, &Silent).unwrap();
        let mut scores = vec![0.0; chosen.columns()];
        EaseScorer { model, given: chosen }.score(&[user], &mut scores);
        scores
    }

    #[test]
    fn two_items_by_hand() {
        // Three users: both items, the first, both. Aᵀ A + I = [4 2; 2 3], P = [3 -2; -2 4] / 8,
        // so B₀₁ = 2 / 4 and B₁₀ = 2 / 3.
        let entries = [(0, 0, 1.0), (0, 1, 1.0), (1, 0, 1.0), (2, 0, 1.0), (2, 1, 1.0)];
        let chosen = Interactions::from_entries(3, 2, &entries).unwrap();
        let settings = Settings { regularisation: 1.0, ..Settings::default() };
        let found = scores(&chosen, &settings, 1);
        assert!(found[0].abs() < 1e-6 && (found[1] - 0.5).abs() < 1e-6, "{found:?}");
        assert!((scores(&chosen, &settings, 0)[0] - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn both_forms_give_the_same_scores() {
        let settings = Settings {
            regularisation: 3.0,
            user_exponent: 0.2,
            item_exponent: 0.3,
            end_exponent: 0.1,
            ..Settings::default()
        };
        // Empty users added make users the longer side, and change nothing else.
        let few = random(12, 20);
        let entries: Vec<_> = few.entries().collect();
        let many = Interactions::from_entries(25, 20, &entries).unwrap();
        for user in 0..12 {
            for (a, b) in scores(&few, &settings, user).iter().zip(scores(&many, &settings, user)) {
                assert!((a - b).abs() < 1e-4, "{a} {b}");
            }
        }
    }

    #[test]
    fn the_weights_are_where_the_gradient_is_zero() {
        // Off the diagonal, Aᵀ (A B - A) + λ B = 0: no small change of any weight lowers the sum.
        let chosen = random(40, 9);
        let model = train(&chosen, &Settings { regularisation: 2.0, ..Settings::default() }, &Silent).unwrap();
        let Form::Items(weights) = &model.form else { panic!("items are fewer") };
        let gram = gram(&chosen.transpose(), &chosen);
        for i in 0..9 {
            for j in (0..9).filter(|j| *j != i) {
                let column: Vec<f32> = (0..9).map(|k| weights.row(k)[j]).collect();
                let gradient = dot(gram.row(i), &column) - gram.row(i)[j] + 2.0 * column[i];
                assert!(gradient.abs() < 1e-3, "{i} {j} {gradient}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let chosen = random(4, 5);
        let refused = |settings: Settings| train(&chosen, &settings, &Silent).unwrap_err();
        assert_eq!(
            refused(Settings { largest: 3, ..Settings::default() }),
            Error::TooLarge { users: 4, items: 5, largest: 3 }
        );
        for regularisation in [0.0, -1.0, f32::NAN] {
            assert!(matches!(refused(Settings { regularisation, ..Settings::default() }), Error::Unsolved { .. }));
        }
        assert_eq!(train(&Interactions::default(), &Settings::default(), &Silent).unwrap_err(), Error::Nothing);
    }
}
