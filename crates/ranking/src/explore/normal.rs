//! The normal distribution: draws from it, and its cumulative distribution from a table.
//!
//! It must never know what is drawn.

use std::sync::LazyLock;

use rand_xoshiro::rand_core::Rng;

/// Beyond this the distribution is taken for 0 or 1; what is left out is below 1e-15.
pub const REACH: f64 = 8.0;

/// Knots to one standard deviation.
const KNOTS: usize = 32;

/// How far [`cumulative`] may be from the truth: cubic Hermite interpolation is off by at most `h⁴ / 384` times the
/// largest fourth derivative, which is 1.4 here; that is 3.5e-9.
pub const CUMULATIVE_ERROR: f64 = 4e-9;

/// The density.
#[must_use]
pub fn density(at: f64) -> f64 {
    (-0.5 * at * at).exp() * 0.398_942_280_401_432_7
}

/// `P(Z ≤ at)`.
#[must_use]
pub fn cumulative(at: f64) -> f64 {
    if at >= REACH {
        return 1.0;
    }
    if at <= -REACH {
        return 0.0;
    }
    let place = (at + REACH) * KNOTS as f64;
    let knot = place as usize;
    let t = place - knot as f64;
    let Some([(from, rises), (to, falls)]) = TABLE.get(knot..knot + 2) else { return 1.0 };
    let (square, cube) = (t * t, t * t * t);
    from * (2.0 * cube - 3.0 * square + 1.0)
        + rises * (cube - 2.0 * square + t)
        + to * (3.0 * square - 2.0 * cube)
        + falls * (cube - square)
}

/// At each knot the distribution, and what it grows by over one step at that slope.
static TABLE: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let step = 1.0 / KNOTS as f64;
    let knots = 2 * REACH as usize * KNOTS;
    let mut sum = 0.0;
    (0..=knots)
        .map(|knot| {
            let at = knot as f64 * step - REACH;
            let entry = (sum, density(at) * step);
            // Boole's rule over the step: off by less than 1e-13.
            let inner = |part: f64| density(at + part * step);
            sum += step / 90.0
                * (7.0 * inner(0.0) + 32.0 * inner(0.25) + 12.0 * inner(0.5) + 32.0 * inner(0.75) + 7.0 * inner(1.0));
            entry
        })
        .collect()
});

/// Draws, two at a time: Box and Muller, "A Note on the Generation of Random Normal Deviates" (1958).
pub struct Pairs<'r, R> {
    rng: &'r mut R,
    waiting: Option<f64>,
}

impl<'r, R: Rng> Pairs<'r, R> {
    /// Draws from this generator.
    pub fn new(rng: &'r mut R) -> Self {
        Self { rng, waiting: None }
    }

    /// The next draw.
    pub fn draw(&mut self) -> f64 {
        if let Some(waiting) = self.waiting.take() {
            return waiting;
        }
        // 1 less a number of [0, 1) is never 0.
        let radius = (-2.0 * (1.0 - super::unit(self.rng.next_u64())).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * super::unit(self.rng.next_u64())).sin_cos();
        self.waiting = Some(radius * sine);
        radius * cosine
    }
}

#[cfg(test)]
mod tests {
    use shared_models::Seed;

    use super::*;

    #[test]
    fn the_table_is_the_distribution() {
        // Abramowitz and Stegun, table 26.1.
        let check = |at: f64, expected: f64| {
            assert!((cumulative(at) - expected).abs() < CUMULATIVE_ERROR, "{at}: {}", cumulative(at));
            assert!((cumulative(-at) - (1.0 - expected)).abs() < CUMULATIVE_ERROR, "-{at}");
        };
        check(0.0, 0.5);
        check(0.5, 0.691_462_461_274);
        check(1.0, 0.841_344_746_069);
        check(1.96, 0.975_002_104_852);
        check(3.01, 0.998_693_761_546);
        check(9.0, 1.0);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let mut rng = Seed(3).stream("explore/test");
        let mut normals = Pairs::new(&mut rng);
        let drawn: Vec<f64> = (0..50_000).map(|_| normals.draw()).collect();
        for at in [-2.0, -0.7, 0.0, 0.3, 1.5] {
            let share = drawn.iter().filter(|value| **value <= at).count() as f64 / drawn.len() as f64;
            let expected = cumulative(at);
            let noise = (expected * (1.0 - expected) / drawn.len() as f64).sqrt();
            assert!((share - expected).abs() < 5.0 * noise, "{at}: {share} is not {expected}");
        }
    }
}
