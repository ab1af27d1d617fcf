//! With which probability one of several independent normal draws is the most: what Thompson sampling chooses it with.
//!
//! `P(c) = ∫ φ((x − m_c) / s_c) / s_c · Π_{j≠c} Φ((x − m_j) / s_j) dx`. The integrand and all its derivatives vanish at
//! both ends, where the trapezoidal rule converges faster than any power of the step (Trefethen and Weideman, "The
//! Exponentially Convergent Trapezoidal Rule", SIAM Review 2014): the step is halved until that changes little.
//!
//! It must never know what is drawn for what.

use super::normal::{CUMULATIVE_ERROR, REACH, cumulative, density};

/// Steps of the first rule: half a standard deviation each, at most.
const FIRST: usize = 32;
/// Steps of the last rule, however much it still changes.
const LAST: usize = 2_048;
/// Halving goes on until the sum changes by less than this share of itself,
const RELATIVE: f64 = 1e-4;
/// or by less than this.
const ABSOLUTE: f64 = 1e-8;
/// A product below this adds nothing that could be seen.
const NOTHING: f64 = 1e-18;

/// The probability that the draw of `choice` is the most, and how far it may be from the truth; of beliefs each with
/// its mean and its standard deviation, which is more than 0.
#[must_use]
pub fn probability(beliefs: &[(f64, f64)], choice: usize) -> (f64, f64) {
    probability_to(beliefs, choice, RELATIVE, ABSOLUTE)
}

fn probability_to(beliefs: &[(f64, f64)], choice: usize, relative: f64, absolute: f64) -> (f64, f64) {
    let Some(&(mean, deviation)) = beliefs.get(choice) else { return (0.0, 0.0) };
    let high = mean + REACH * deviation;
    // Below the reach of any other belief that one is certain to be more.
    let others = || beliefs.iter().enumerate().filter(|(place, _)| *place != choice).map(|(_, belief)| *belief);
    let low = others().map(|(mean, deviation)| mean - REACH * deviation).fold(mean - REACH * deviation, f64::max);
    if low >= high {
        return (0.0, NOTHING);
    }
    // What cannot reach the range changes nothing. The strongest first: where they are certain the rest need no look.
    let mut rivals: Vec<(f64, f64)> = others()
        .filter(|(mean, deviation)| mean + REACH * deviation > low)
        .map(|(mean, deviation)| (mean, 1.0 / deviation))
        .collect();
    rivals.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
    let integrand = |at: f64| {
        let mut product = density((at - mean) / deviation);
        for (mean, precision) in &rivals {
            if product < NOTHING {
                return 0.0;
            }
            product *= cumulative((at - mean) * precision);
        }
        product
    };

    let range = high - low;
    let sum_of = |steps: usize, every_second: bool| -> f64 {
        let step = range / steps as f64;
        let places = (1..steps).step_by(if every_second { 2 } else { 1 });
        places.map(|place| integrand(low + place as f64 * step)).sum()
    };
    let mut steps = FIRST;
    let mut sum = sum_of(steps, false);
    let mut value = sum * range / steps as f64 / deviation;
    loop {
        steps *= 2;
        sum += sum_of(steps, true);
        let finer = sum * range / steps as f64 / deviation;
        let change = (finer - value).abs();
        value = finer;
        if change <= (relative * value).max(absolute) || steps >= LAST {
            // The last change bounds what is left of a rule that converges this fast; the table adds its own.
            return (value.min(1.0), change + (rivals.len() + 1) as f64 * CUMULATIVE_ERROR);
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_xoshiro::rand_core::Rng;
    use shared_models::Seed;

    use super::*;

    #[test]
    fn two_draws_have_a_closed_form() {
        let beliefs = [(0.4, 0.3), (0.5, 0.1)];
        let expected = cumulative((0.4 - 0.5) / (0.09_f64 + 0.01).sqrt());
        let (value, error) = probability(&beliefs, 0);
        assert!((value - expected).abs() <= error + CUMULATIVE_ERROR, "{value} is not {expected} ± {error}");
    }

    #[test]
    fn equal_beliefs_have_equal_chances() {
        let beliefs = vec![(0.5, 0.2); 80];
        let (value, error) = probability(&beliefs, 17);
        assert!((value - 1.0 / 80.0).abs() <= error, "{value} ± {error}");
        assert!(error < 1e-5, "{error}");
    }

    #[test]
    fn the_stated_error_holds_against_a_finer_rule_and_chances_sum_to_one() {
        let mut rng = Seed(11).stream("explore/test");
        let mut unit = || super::super::unit(rng.next_u64());
        for cards in [2, 5, 30, 80] {
            for _ in 0..8 {
                // From sharp beliefs to vague ones: steps of one fiftieth beside hills of one.
                let beliefs: Vec<(f64, f64)> = (0..cards).map(|_| (unit(), 0.02 * 50_f64.powf(unit()))).collect();
                let (mut sum, mut errors) = (0.0, 0.0);
                for choice in 0..cards {
                    let (value, error) = probability(&beliefs, choice);
                    sum += value;
                    errors += error;
                    if choice % 7 == 0 {
                        let (fine, _) = probability_to(&beliefs, choice, 0.0, 0.0);
                        assert!((value - fine).abs() <= error, "{cards} cards: {value} is not {fine} ± {error}");
                        assert!(error <= 1e-6_f64.max(2e-4 * value), "{value} ± {error}");
                    }
                }
                assert!((sum - 1.0_f64).abs() <= errors + 1e-6, "{cards} cards: {sum} ± {errors}");
            }
        }
    }
}
