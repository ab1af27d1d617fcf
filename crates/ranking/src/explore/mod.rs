//! Exploration: epsilon-greedy by position, with the exact probability of every choice.
//!
//! # The policy
//! At each position that no pin holds, the *eligible* cards E are the pool's cards that are not yet
//! on the page and keep the artist cap, given the cards before. One of them is the *greedy* one: the
//! best by score and diversity. With probability ε the card is drawn evenly from E, else it is the
//! greedy one. So, given the cards before,
//!
//! - P(greedy card) = (1 − ε) + ε / |E|,
//! - P(any other card of E) = ε / |E|,
//!
//! and these sum to 1 over E. With ε = 0 every card has propensity 1, and so has a pinned one. The
//! probability of a whole slate is the product over its positions; an off-policy estimator may use
//! either. Draws come from the request's seed, one stream a shelf: the same seed gives the same slate,
//! and another shelf's draws disturb nothing.
//!
//! This module must never know an item.

use rand_xoshiro::rand_core::Rng;

/// What one position got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The chosen place, in `0..eligible`.
    pub choice: usize,
    /// The probability with which the policy chooses it here.
    pub propensity: f32,
    /// Whether the card was drawn at random; it may still be the greedy one.
    pub explored: bool,
}

/// Chooses one of `eligible` places, of which `greedy` is the best.
///
/// Two numbers are drawn whatever they decide, so that positions do not shift each other's draws.
pub fn draw(epsilon: f32, eligible: usize, greedy: usize, rng: &mut impl Rng) -> Draw {
    let epsilon = if epsilon.is_nan() { 0.0 } else { epsilon.clamp(0.0, 1.0) };
    if epsilon == 0.0 || eligible <= 1 {
        return Draw { choice: greedy, propensity: 1.0, explored: false };
    }
    let (first, second) = (rng.next_u64(), rng.next_u64());
    // The upper 53 bits make every double of [0, 1) that is a multiple of 2^-53.
    let explored = ((first >> 11) as f64) * (1.0 / (1_u64 << 53) as f64) < f64::from(epsilon);
    // Lemire's multiplication; its bias is below 2^-50 for slates of this size.
    let choice = if explored { ((u128::from(second) * eligible as u128) >> 64) as usize } else { greedy };
    let share = epsilon / eligible as f32;
    let propensity = if choice == greedy { 1.0 - epsilon + share } else { share };
    Draw { choice, propensity, explored }
}

#[cfg(test)]
mod tests {
    use shared_models::Seed;

    use super::*;

    #[test]
    fn without_epsilon_the_greedy_card_is_certain() {
        let mut rng = Seed(1).stream("explore/test");
        for epsilon in [0.0, -1.0, f32::NAN] {
            assert_eq!(draw(epsilon, 9, 4, &mut rng), Draw { choice: 4, propensity: 1.0, explored: false });
        }
        assert_eq!(draw(0.5, 1, 0, &mut rng).propensity, 1.0);
    }

    #[test]
    fn drawn_shares_match_their_propensities() {
        let mut rng = Seed(7).stream("explore/test");
        let (eligible, greedy, epsilon, draws) = (5, 2, 0.3_f32, 200_000);
        let mut counts = vec![0_u32; eligible];
        let mut propensity = vec![0.0_f32; eligible];
        for _ in 0..draws {
            let drawn = draw(epsilon, eligible, greedy, &mut rng);
            counts[drawn.choice] += 1;
            propensity[drawn.choice] = drawn.propensity;
        }
        assert!((propensity.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{propensity:?}");
        for (count, propensity) in counts.iter().zip(&propensity) {
            let share = f64::from(*count) / f64::from(draws);
            let error = (f64::from(*propensity) * (1.0 - f64::from(*propensity)) / f64::from(draws)).sqrt();
            assert!((share - f64::from(*propensity)).abs() < 5.0 * error, "{share} is not {propensity}");
        }
    }
}
