//! The item factors of implicit matrix factorisation, and how a listener is folded in.
//!
//! The model is that of Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback
//! Datasets" (ICDM 2008): the preference of user u for item i is 1 where there is an interaction and
//! 0 elsewhere, believed with confidence `1 + c_ui`; `x_u · y_i` approximates it. The regularisation
//! grows with the user's total confidence, after Rendle, Krichene, Zhang and Koren, "Revisiting the
//! Performance of iALS on Item Recommendation Benchmarks" (RecSys 2022), section 3.3.
//!
//! **Invariant:** training solves users by the same equations and the same [`Factors::confidence`];
//! so a listener folded in from the interactions of a training user gets that user's vector.

use std::time::Duration;

use pulp::{Arch, Simd, WithSimd};

use crate::{
    Error, Refusal,
    array::{Array, Content},
    format::{self, Decoder, Encoder, Kind},
    linear,
    vectors::simd::axpy,
};

/// The artefact's name in a release.
pub const FILE: &str = "factors.bin";

/// Rows are padded with zeros to a multiple of this many numbers.
pub const PADDING: usize = 8;

/// After this long an interaction weighs half.
pub const HALF_LIFE: Duration = Duration::from_secs(30 * 86_400);

/// No item weighs more than this in a profile, however often it was played.
pub const MAX_WEIGHT: f32 = 20.0;

/// The confidence `c` that an item's event weights give: `alpha · clamp(weight, 0, 20) · 2^(-age / 30 d)`.
///
/// `weight` is the sum of [`shared_models::event::EventKind::weight`] over the profile's events on the
/// item, `age_days` the age of the last of them.
#[must_use]
pub fn confidence(alpha: f32, weight: f32, age_days: f32) -> f32 {
    let half_life_days = HALF_LIFE.as_secs_f32() / 86_400.0;
    alpha * weight.clamp(0.0, MAX_WEIGHT) * (-age_days.max(0.0) / half_life_days).exp2()
}

/// One vector for each item, and what is needed to solve for a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Factors {
    /// How many factors a row has.
    pub dimensions: usize,
    /// How many rows there are.
    pub rows: usize,
    /// The rows one after another, each padded with zeros to [`Factors::stride`] numbers.
    pub values: Array<f32>,
    /// `Σ y yᵀ` over all rows: `dimensions × dimensions`, row-major.
    pub gram: Vec<f32>,
    /// The confidence of one unit of weight.
    pub alpha: f32,
    /// λ of the exponent's formula below.
    pub regularisation: f32,
    /// ν: a user is regularised with `λ · (rows + Σ c)^ν`. 0 regularises all users alike.
    pub regularisation_exponent: f32,
}

impl Factors {
    /// Factors from unpadded rows (`rows × dimensions`), with their Gram matrix computed here.
    ///
    /// # Errors
    /// When `values` is no whole number of rows.
    pub fn new(
        dimensions: usize,
        values: &[f32],
        alpha: f32,
        regularisation: f32,
        regularisation_exponent: f32,
    ) -> Result<Self, Error> {
        if dimensions == 0 || !values.len().is_multiple_of(dimensions) {
            let found = values.len() as u64;
            return Err(Error::refused(
                FILE,
                Refusal::Dimension { what: "values", expected: dimensions as u64, found },
            ));
        }
        let rows = values.len() / dimensions;
        let stride = dimensions.next_multiple_of(PADDING);
        let mut padded = vec![0.0; rows * stride];
        for (from, to) in values.chunks_exact(dimensions).zip(padded.chunks_exact_mut(stride)) {
            to[..dimensions].copy_from_slice(from);
        }
        let gram = gram(values, dimensions);
        Ok(Self { dimensions, rows, values: padded.into(), gram, alpha, regularisation, regularisation_exponent })
    }

    /// How many numbers a row takes in [`Factors::values`].
    #[inline]
    #[must_use]
    pub fn stride(&self) -> usize {
        self.dimensions.next_multiple_of(PADDING)
    }

    /// A row, padded; empty past the end.
    #[inline]
    #[must_use]
    pub fn row(&self, row: u32) -> &[f32] {
        let stride = self.stride();
        let start = row as usize * stride;
        self.values.get(start..start + stride).unwrap_or(&[])
    }

    /// The confidence of an item in a profile, by this release's alpha.
    #[must_use]
    pub fn confidence(&self, weight: f32, age_days: f32) -> f32 {
        confidence(self.alpha, weight, age_days)
    }

    /// The vector of a user with these items and confidences, padded like a row. It solves
    ///
    /// `(Σ_all y yᵀ + Σ_i c_i y_i y_iᵀ + λ (rows + Σ_i c_i)^ν I) x = Σ_i (1 + c_i) y_i`
    ///
    /// (Hu, Koren and Volinsky 2008, equation 4), in `O(n k² + k³)` for n items. Rows past the end and
    /// confidences that are not above 0 are passed over; without any item left the vector is zero.
    #[must_use]
    pub fn fold_in(&self, interactions: &[(u32, f32)]) -> Vec<f32> {
        Arch::new().dispatch(FoldIn { factors: self, interactions })
    }

    /// The strength of a user's regularisation.
    #[must_use]
    pub fn user_regularisation(&self, total_confidence: f32) -> f32 {
        self.regularisation * (self.rows as f32 + total_confidence).powf(self.regularisation_exponent)
    }

    /// Whether every length and number is sound for `rows` items.
    pub(crate) fn verify(&self, rows: usize) -> Result<(), Error> {
        format::same(FILE, "rows", rows, self.rows)?;
        if !(1..=4_096).contains(&self.dimensions) {
            let value = self.dimensions.to_string();
            return Err(Error::refused(FILE, Refusal::Range { what: "dimensions", at: 0, value }));
        }
        format::same(FILE, "values", self.rows * self.stride(), self.values.len())?;
        format::same(FILE, "gram", self.dimensions * self.dimensions, self.gram.len())?;
        format::finite(FILE, "values", &self.values)?;
        format::finite(FILE, "gram", &self.gram)?;
        for (at, (what, value)) in [
            ("alpha", self.alpha),
            ("regularisation", self.regularisation),
            ("regularisation_exponent", self.regularisation_exponent),
        ]
        .into_iter()
        .enumerate()
        {
            if !value.is_finite() || value < 0.0 {
                return Err(Error::refused(FILE, Refusal::Range { what, at, value: value.to_string() }));
            }
        }
        if self.values.iter().all(|value| *value == 0.0) {
            let detail = "every factor is zero".to_owned();
            return Err(Error::refused(FILE, Refusal::Check { detail }));
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let parameters = [self.alpha, self.regularisation, self.regularisation_exponent, 0.0];
        Encoder::new(Kind::Factors, self.rows, self.dimensions, self.values.len(), parameters)
            .array(&self.gram)
            .array(&self.values)
            .finish()
    }

    pub(crate) fn decode(content: &Content) -> Result<Self, Error> {
        let (header, mut body) = Decoder::of(FILE, content, Kind::Factors)?;
        let gram = body.array(format::product(FILE, "dimensions", header.dimensions, header.dimensions)?)?;
        let values = body.shared(header.entries)?;
        body.finish()?;
        let [alpha, regularisation, regularisation_exponent, _] = header.parameters;
        Ok(Self {
            dimensions: header.dimensions as usize,
            rows: header.rows as usize,
            values,
            gram,
            alpha,
            regularisation,
            regularisation_exponent,
        })
    }
}

/// `Σ y yᵀ` over rows of `dimensions` numbers, row-major and whole (both triangles).
#[must_use]
pub fn gram(values: &[f32], dimensions: usize) -> Vec<f32> {
    struct Gram<'a>(&'a [f32], usize);
    impl WithSimd for Gram<'_> {
        type Output = Vec<f64>;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> Vec<f64> {
            let Self(values, k) = self;
            let mut total = vec![0.0_f64; k * k];
            // Sums of a million squares lose digits in f32: blocks in f32, their sum in f64.
            for block in values.chunks(k * 512) {
                let mut sum = vec![0.0_f32; k * k];
                for row in block.chunks_exact(k) {
                    linear::add_outer(simd, &mut sum, row, 1.0);
                }
                for (total, sum) in total.iter_mut().zip(&sum) {
                    *total += f64::from(*sum);
                }
            }
            total
        }
    }
    if dimensions == 0 {
        return Vec::new();
    }
    let lower = Arch::new().dispatch(Gram(values, dimensions));
    let mut whole = vec![0.0; dimensions * dimensions];
    for i in 0..dimensions {
        for j in 0..=i {
            let value = lower[i * dimensions + j] as f32;
            whole[i * dimensions + j] = value;
            whole[j * dimensions + i] = value;
        }
    }
    whole
}

struct FoldIn<'a> {
    factors: &'a Factors,
    interactions: &'a [(u32, f32)],
}

impl WithSimd for FoldIn<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { factors, interactions } = self;
        let k = factors.dimensions;
        let mut solution = vec![0.0_f32; factors.stride()];
        let mut matrix = factors.gram.clone();
        let mut total = 0.0;
        for &(row, confidence) in interactions {
            let Some(vector) = factors.row(row).get(..k) else { continue };
            if confidence > 0.0 && confidence.is_finite() {
                linear::add_outer(simd, &mut matrix, vector, confidence);
                axpy(simd, 1.0 + confidence, vector, &mut solution[..k]);
                total += confidence;
            }
        }
        if total == 0.0 {
            return solution;
        }
        let regularisation = factors.user_regularisation(total);
        for i in 0..k {
            matrix[i * k + i] += regularisation;
        }
        if !linear::solve(simd, &mut matrix, &mut solution[..k]) {
            // Only without regularisation, and with fewer independent items than factors: no one
            // vector is best, and zero recommends by popularity rather than by noise.
            solution.fill(0.0);
        }
        solution
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::dot;

    fn three_items() -> Factors {
        Factors::new(2, &[1.0, 0.0, 0.0, 1.0, 0.6, 0.8], 2.0, 0.1, 0.0).unwrap()
    }

    #[test]
    fn folding_in_solves_the_normal_equations() {
        // By hand: A = YᵀY + 3·y₀y₀ᵀ + 0.1·I = [[4.46, 0.48], [0.48, 1.74]], b = 4·y₀ = [4, 0].
        let vector = three_items().fold_in(&[(0, 3.0)]);
        let determinant = 4.46 * 1.74 - 0.48 * 0.48;
        assert!((vector[0] - 4.0 * 1.74 / determinant).abs() < 1e-5, "{vector:?}");
        assert!((vector[1] + 4.0 * 0.48 / determinant).abs() < 1e-5, "{vector:?}");
        assert_eq!(vector.len(), 8);
    }

    #[test]
    fn a_played_item_scores_above_the_rest() {
        let factors = three_items();
        let vector = factors.fold_in(&[(1, factors.confidence(3.0, 0.0))]);
        let scores: Vec<f32> = (0..3).map(|row| dot(&vector, factors.row(row))).collect();
        assert!(scores[1] > scores[2] && scores[2] > scores[0], "{scores:?}");
    }

    #[test]
    fn nothing_known_gives_the_zero_vector() {
        let factors = three_items();
        for interactions in [&[][..], &[(9, 1.0)], &[(0, 0.0)], &[(0, f32::NAN)], &[(0, -1.0)]] {
            assert_eq!(factors.fold_in(interactions), vec![0.0; 8], "{interactions:?}");
        }
    }

    #[test]
    fn confidence_is_clamped_and_decays() {
        assert_eq!(confidence(2.0, 3.0, 0.0), 6.0);
        assert_eq!(confidence(2.0, 100.0, 0.0), 40.0);
        assert_eq!(confidence(2.0, -3.0, 0.0), 0.0);
        assert_eq!(confidence(2.0, 4.0, 30.0), 4.0);
        assert_eq!(confidence(2.0, 4.0, -5.0), 8.0);
    }

    #[test]
    fn frequency_scaling_regularises_heavy_listeners_more() {
        let mut factors = three_items();
        factors.regularisation_exponent = 1.0;
        assert!((factors.user_regularisation(7.0) - 1.0).abs() < 1e-6);
        assert!((three_items().user_regularisation(7.0) - 0.1).abs() < 1e-6);
    }

    #[test]
    fn the_gram_matrix_is_the_sum_of_outer_products() {
        let gram = three_items().gram;
        for (found, expected) in gram.iter().zip([1.36, 0.48, 0.48, 1.64]) {
            assert!((found - expected).abs() < 1e-6, "{gram:?}");
        }
    }
}
