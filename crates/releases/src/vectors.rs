//! Arithmetic on `f32` vectors, with the widest instructions that the machine has.
//!
//! It must not know what the vectors mean. The instruction set is chosen at run time (crate `pulp`),
//! once per call: a loop over many vectors should use [`dot_many`] or [`dot_rows`], or run inside one
//! [`pulp::WithSimd`] of its own with the functions of [`simd`].

use pulp::{Arch, Simd, WithSimd};

/// `Σ a[i] · b[i]` over the shorter length.
#[inline]
#[must_use]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    struct Dot<'a>(&'a [f32], &'a [f32]);
    impl WithSimd for Dot<'_> {
        type Output = f32;
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) -> f32 {
            simd::dot(simd, self.0, self.1)
        }
    }
    Arch::new().dispatch(Dot(a, b))
}

/// The dot products of `query` with consecutive rows of `query.len()` numbers each; `out` gets as many
/// as there are whole rows and places for them.
pub fn dot_many(query: &[f32], rows: &[f32], out: &mut [f32]) {
    struct Many<'a>(&'a [f32], &'a [f32], &'a mut [f32]);
    impl WithSimd for Many<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(query, rows, out) = self;
            for (row, place) in rows.chunks_exact(query.len()).zip(out) {
                *place = simd::dot(simd, query, row);
            }
        }
    }
    if !query.is_empty() {
        Arch::new().dispatch(Many(query, rows, out));
    }
}

/// The dot products of `query` with the chosen rows of a table of `query.len()` numbers a row; a row
/// past the end gives 0. `out` gets one number for each of `chosen`, or as many as it has places.
pub fn dot_rows(query: &[f32], table: &[f32], chosen: &[u32], out: &mut [f32]) {
    struct Rows<'a>(&'a [f32], &'a [f32], &'a [u32], &'a mut [f32]);
    impl WithSimd for Rows<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            let Self(query, table, chosen, out) = self;
            let stride = query.len();
            for (&row, place) in chosen.iter().zip(out) {
                let start = row as usize * stride;
                *place = table.get(start..start + stride).map_or(0.0, |row| simd::dot(simd, query, row));
            }
        }
    }
    Arch::new().dispatch(Rows(query, table, chosen, out));
}

/// `y[i] += alpha · x[i]` over the shorter length.
#[inline]
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    struct Axpy<'a>(f32, &'a [f32], &'a mut [f32]);
    impl WithSimd for Axpy<'_> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            simd::axpy(simd, self.0, self.1, self.2);
        }
    }
    Arch::new().dispatch(Axpy(alpha, x, y));
}

/// Scales a vector to length 1 and returns the length it had; a vector of length 0 stays as it is.
pub fn normalise(vector: &mut [f32]) -> f32 {
    let length = dot(vector, vector).sqrt();
    if length > 0.0 && length.is_finite() {
        let factor = 1.0 / length;
        for value in vector {
            *value *= factor;
        }
    }
    length
}

/// The cosine of the angle between two vectors; 0 where one of them has length 0.
#[must_use]
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths > 0.0 { dot(a, b) / lengths } else { 0.0 }
}

/// The same arithmetic for callers that already run inside a [`pulp::WithSimd`].
pub mod simd {
    use pulp::Simd;

    /// `Σ a[i] · b[i]` over the shorter length, in four independent sums so that the multiplier
    /// never waits for an addition.
    #[inline(always)]
    pub fn dot<S: Simd>(simd: S, a: &[f32], b: &[f32]) -> f32 {
        let n = a.len().min(b.len());
        let (a_head, a_tail) = S::as_simd_f32s(&a[..n]);
        let (b_head, b_tail) = S::as_simd_f32s(&b[..n]);
        let (a_fours, a_ones) = pulp::as_arrays::<4, _>(a_head);
        let (b_fours, b_ones) = pulp::as_arrays::<4, _>(b_head);
        let mut sums = [simd.splat_f32s(0.0); 4];
        for (a, b) in a_fours.iter().zip(b_fours) {
            sums[0] = simd.mul_add_e_f32s(a[0], b[0], sums[0]);
            sums[1] = simd.mul_add_e_f32s(a[1], b[1], sums[1]);
            sums[2] = simd.mul_add_e_f32s(a[2], b[2], sums[2]);
            sums[3] = simd.mul_add_e_f32s(a[3], b[3], sums[3]);
        }
        for (a, b) in a_ones.iter().zip(b_ones) {
            sums[0] = simd.mul_add_e_f32s(*a, *b, sums[0]);
        }
        let sum = simd.add_f32s(simd.add_f32s(sums[0], sums[1]), simd.add_f32s(sums[2], sums[3]));
        let mut total = simd.reduce_sum_f32s(sum);
        for (a, b) in a_tail.iter().zip(b_tail) {
            total += a * b;
        }
        total
    }

    /// `y[i] += alpha · x[i]` over the shorter length.
    #[inline(always)]
    pub fn axpy<S: Simd>(simd: S, alpha: f32, x: &[f32], y: &mut [f32]) {
        let n = x.len().min(y.len());
        let (x_head, x_tail) = S::as_simd_f32s(&x[..n]);
        let (y_head, y_tail) = S::as_mut_simd_f32s(&mut y[..n]);
        let alphas = simd.splat_f32s(alpha);
        for (x, y) in x_head.iter().zip(y_head) {
            *y = simd.mul_add_e_f32s(alphas, *x, *y);
        }
        for (x, y) in x_tail.iter().zip(y_tail) {
            *y += alpha * x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain_dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    fn vectors() -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
        (0_usize..200)
            .prop_flat_map(|n| (prop::collection::vec(-1.0_f32..1.0, n), prop::collection::vec(-1.0_f32..1.0, n)))
    }

    proptest! {
        #[test]
        fn dot_agrees_with_the_plain_sum((a, b) in vectors()) {
            prop_assert!((f64::from(dot(&a, &b)) - plain_dot(&a, &b)).abs() < 1e-4);
        }

        #[test]
        fn axpy_agrees_with_the_plain_loop((x, y) in vectors(), alpha in -2.0_f32..2.0) {
            let mut fast = y.clone();
            axpy(alpha, &x, &mut fast);
            for ((x, y), fast) in x.iter().zip(&y).zip(&fast) {
                prop_assert!((y + alpha * x - fast).abs() < 1e-5);
            }
        }

        #[test]
        fn normalised_vectors_have_length_one((mut a, _) in vectors()) {
            let before = normalise(&mut a);
            if before > 1e-3 {
                prop_assert!((dot(&a, &a) - 1.0).abs() < 1e-4);
            }
        }
    }

    #[test]
    fn rows_give_what_single_products_give() {
        let table: Vec<f32> = (0..50).map(|n| n as f32 * 0.25).collect();
        let query = [1.0, -2.0, 0.5, 3.0, 0.0];
        let mut many = [0.0; 10];
        dot_many(&query, &table, &mut many);
        let mut chosen = [f32::NAN; 3];
        dot_rows(&query, &table, &[9, 0, 10], &mut chosen);
        assert_eq!(many[3], dot(&query, &table[15..20]));
        assert_eq!(chosen, [many[9], many[0], 0.0]);
    }

    #[test]
    fn nothing_is_an_answer_too() {
        dot_many(&[], &[1.0], &mut [0.0]);
        assert_eq!(dot(&[], &[]), 0.0);
        assert_eq!(normalise(&mut [0.0, 0.0]), 0.0);
        assert_eq!(cosine(&[0.0], &[1.0]), 0.0);
    }
}
