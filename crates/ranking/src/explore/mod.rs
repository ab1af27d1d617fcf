//! Exploration: which of the eligible cards stands at a position, and with which probability.
//!
//! # The law
//! At each position that no pin holds, the *eligible* cards E are the pool's cards that are not yet on the page and
//! keep the artist cap, given the cards before. Each has a *value*: relevance and diversity, where the shelf's best
//! candidate has the relevance 1 and the last of the pool's first filling 0. The *greedy* card is the one of most
//! value. A policy chooses one of E; the propensity is the probability with which it chooses that card of these, so
//! given the cards before it. The probability of a whole slate is the product over its positions; an off-policy
//! estimator may use either. A pinned card has propensity 1, and so has every card where nothing is left to chance.
//! Draws come from the request's seed, one stream a shelf: the same seed gives the same slate, and another shelf's
//! draws disturb nothing.
//!
//! | policy | chooses | probability of card `i` |
//! |---|---|---|
//! | none | the greedy card | 1 |
//! | epsilon | with probability ε evenly from E, else the greedy card | `ε / |E|`, and `1 − ε` more for the greedy card |
//! | softmax | the most of `value / temperature + Gumbel noise` | `exp(valueᵢ / t) / Σ exp(valueⱼ / t)` |
//! | thompson | the most of one draw from each card's belief `N(valueᵢ, deviationᵢ²)` | that its draw is the most |
//!
//! The first three are exact. Softmax at each position in turn is the model of Plackett and Luce (Plackett, "The
//! Analysis of Permutations", 1975); that the most of noisy values follows it is Yellott, "The Relationship between
//! Luce's Choice Axiom, Thurstone's Theory of Comparative Judgment, and the Double Exponential Distribution" (1977).
//! The noise is drawn anew at each position, because values change with the cards before. Thompson's probability is an
//! integral that is computed to a stated error ([`best`]); its beliefs are those of [`beliefs`].
//!
//! A position that is kept for new items ([`newcomers`]) goes, with the rule's probability `s`, to one of those of the
//! shelf that are welcome and free, evenly; else the policy chooses. So a card's probability there is `s / |N|` where it
//! is one of these `N`, and `1 − s` of what the policy gives it.
//!
//! This module must never know an item.

pub mod beliefs;
pub mod best;
pub mod newcomers;
pub mod normal;

use rand_xoshiro::rand_core::Rng;
use shared_models::explore::Explore;

/// The eligible cards at one position.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a> {
    /// What each adds.
    pub values: &'a [f32],
    /// How far each value may be from the truth: one standard deviation; read by Thompson sampling alone.
    pub deviations: &'a [f32],
    /// The place of the card of most value.
    pub greedy: usize,
}

/// A probability, as well as it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chance {
    /// The probability.
    pub value: f32,
    /// How far it may be from the true one: 0 where it is exact.
    pub error: f32,
}

impl Chance {
    /// What always happens.
    pub const CERTAIN: Self = Self { value: 1.0, error: 0.0 };
}

/// What one position got.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Draw {
    /// The chosen place among the eligible.
    pub choice: usize,
    /// The probability with which the policy chooses it here.
    pub chance: Chance,
    /// Whether chance chose the card. Of epsilon's even draws it may still be the greedy one; of the policies that
    /// draw every position it is another one.
    pub explored: bool,
}

/// Chooses one of the eligible cards, of which there is at least one.
pub fn draw(policy: Explore, choices: Choices<'_>, rng: &mut impl Rng) -> Draw {
    let (choice, explored) = choose(policy, choices, rng);
    Draw { choice, chance: chance(policy, choices, choice), explored }
}

/// One of `welcome` new items evenly, or none of them where the position is the policy's. Two numbers are drawn whatever
/// they decide.
pub fn newcomer(share: f64, welcome: usize, rng: &mut impl Rng) -> Option<usize> {
    let (first, second) = (rng.next_u64(), rng.next_u64());
    (welcome > 0 && unit(first) < share).then(|| evenly(second, welcome))
}

/// The probability of a card at a position that is kept with `share`: it is one of `welcome` new items or not, and the
/// policy alone would choose it with `by_policy`.
#[must_use]
pub fn kept_chance(share: f64, welcome: usize, is_welcome: bool, by_policy: Option<Chance>) -> Chance {
    let policy = by_policy.unwrap_or(Chance { value: 0.0, error: 0.0 });
    let even = if is_welcome { share / welcome.max(1) as f64 } else { 0.0 };
    let value = even + (1.0 - share) * f64::from(policy.value);
    Chance { value: positive(value), error: ((1.0 - share) * f64::from(policy.error)) as f32 }
}

/// The place that the policy chooses, and whether chance did.
pub fn choose(policy: Explore, choices: Choices<'_>, rng: &mut impl Rng) -> (usize, bool) {
    let Choices { values, greedy, .. } = choices;
    if values.len() <= 1 {
        return (greedy, false);
    }
    match policy {
        Explore::None => (greedy, false),
        Explore::Epsilon { share } => {
            let share = of_share(share);
            if share == 0.0 {
                return (greedy, false);
            }
            // Two numbers are drawn whatever they decide, so that positions do not shift each other's draws.
            let (first, second) = (rng.next_u64(), rng.next_u64());
            if unit(first) < share { (evenly(second, values.len()), true) } else { (greedy, false) }
        }
        Explore::Softmax { temperature } => {
            let temperature = f64::from(temperature);
            let noisy = values.iter().map(|value| f64::from(*value) / temperature + gumbel(rng));
            let choice = most(noisy);
            (choice, choice != greedy)
        }
        Explore::Thompson { .. } => {
            let mut normals = normal::Pairs::new(rng);
            let drawn = beliefs_of(choices).map(|(mean, deviation)| mean + deviation * normals.draw());
            let choice = most(drawn);
            (choice, choice != greedy)
        }
    }
}

/// The probability with which the policy chooses a place.
#[must_use]
pub fn chance(policy: Explore, choices: Choices<'_>, choice: usize) -> Chance {
    let Choices { values, greedy, .. } = choices;
    if values.len() <= 1 {
        return Chance::CERTAIN;
    }
    let exact = |value: f64| Chance { value: positive(value), error: 0.0 };
    match policy {
        Explore::None => exact(if choice == greedy { 1.0 } else { 0.0 }),
        Explore::Epsilon { share } => {
            let share = of_share(share);
            let even = share / values.len() as f64;
            exact(if choice == greedy { 1.0 - share + even } else { even })
        }
        Explore::Softmax { temperature } => {
            let temperature = f64::from(temperature);
            let of = |place: usize| values.get(place).copied().map_or(f64::NEG_INFINITY, f64::from);
            let most = of(greedy);
            let weight = |value: f64| ((value - most) / temperature).exp();
            let all: f64 = values.iter().map(|value| weight(f64::from(*value))).sum();
            exact(weight(of(choice)) / all)
        }
        Explore::Thompson { .. } => {
            let beliefs: Vec<(f64, f64)> = beliefs_of(choices).collect();
            let (value, error) = best::probability(&beliefs, choice);
            Chance { value: positive(value), error: error as f32 }
        }
    }
}

/// What is believed of each eligible card: mean and standard deviation.
fn beliefs_of(choices: Choices<'_>) -> impl Iterator<Item = (f64, f64)> {
    let least = f64::from(beliefs::LEAST_DEVIATION);
    let deviations = choices.deviations.iter().copied().map(f64::from).chain(std::iter::repeat(least));
    choices.values.iter().zip(deviations).map(move |(value, deviation)| (f64::from(*value), deviation.max(least)))
}

fn of_share(share: f32) -> f64 {
    if share.is_nan() { 0.0 } else { f64::from(share.clamp(0.0, 1.0)) }
}

/// A probability of what did happen is more than 0, also where it is less than the least number.
fn positive(value: f64) -> f32 {
    (value.min(1.0) as f32).max(f32::MIN_POSITIVE)
}

/// A double of [0, 1): the upper 53 bits make every multiple of 2^-53.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// One of `count` places. Lemire's multiplication; its bias is below 2^-50 for slates of this size.
pub(crate) fn evenly(bits: u64, count: usize) -> usize {
    ((u128::from(bits) * count as u128) >> 64) as usize
}

/// Noise of the standard Gumbel distribution.
fn gumbel(rng: &mut impl Rng) -> f64 {
    // The middle of each of 2^53 steps: neither 0 nor 1 is drawn.
    let uniform = unit(rng.next_u64()) + 0.5 / (1_u64 << 53) as f64;
    -(-uniform.ln()).ln()
}

/// The place of the most, the first of equals.
fn most(values: impl Iterator<Item = f64>) -> usize {
    let mut best = (0, f64::NEG_INFINITY);
    for (place, value) in values.enumerate() {
        if value > best.1 {
            best = (place, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use shared_models::Seed;

    use super::*;

    const VALUES: [f32; 5] = [0.7, 0.4, 1.0, 0.1, 0.65];
    const DEVIATIONS: [f32; 5] = [0.1, 0.5, 0.05, 0.9, 0.3];

    fn choices() -> Choices<'static> {
        Choices { values: &VALUES, deviations: &DEVIATIONS, greedy: 2 }
    }

    #[test]
    fn where_nothing_is_left_to_chance_the_greedy_card_is_certain() {
        let mut rng = Seed(1).stream("explore/test");
        let shares = [0.0, -1.0, f32::NAN].map(|share| Explore::Epsilon { share });
        for policy in shares.into_iter().chain([Explore::None]) {
            let drawn = draw(policy, choices(), &mut rng);
            assert_eq!(drawn, Draw { choice: 2, chance: Chance::CERTAIN, explored: false });
        }
        let one = Choices { values: &VALUES[..1], deviations: &[], greedy: 0 };
        assert_eq!(draw(Explore::Softmax { temperature: 1.0 }, one, &mut rng).chance, Chance::CERTAIN);
    }

    #[test]
    fn drawn_shares_match_their_probabilities() {
        let policies = [
            Explore::Epsilon { share: 0.3 },
            Explore::Softmax { temperature: 0.3 },
            Explore::Softmax { temperature: 10.0 },
            Explore::Thompson { prior: 20.0, spread: 1.0 },
        ];
        let draws = 100_000;
        for policy in policies {
            let mut rng = Seed(7).stream("explore/test");
            let mut counts = [0_u32; VALUES.len()];
            for _ in 0..draws {
                counts[choose(policy, choices(), &mut rng).0] += 1;
            }
            let chances: Vec<Chance> = (0..VALUES.len()).map(|place| chance(policy, choices(), place)).collect();
            let sum: f64 = chances.iter().map(|chance| f64::from(chance.value)).sum();
            let error: f64 = chances.iter().map(|chance| f64::from(chance.error)).sum();
            assert!((sum - 1.0).abs() < 1e-6 + error, "{policy:?}: {sum} ± {error}");
            for (count, chance) in counts.iter().zip(&chances) {
                let (share, value) = (f64::from(*count) / f64::from(draws), f64::from(chance.value));
                let noise = (value * (1.0 - value) / f64::from(draws)).sqrt();
                assert!(
                    (share - value).abs() < 5.0 * noise + f64::from(chance.error),
                    "{policy:?}: {share}, {chance:?}"
                );
            }
        }
    }

    #[test]
    fn a_low_temperature_is_greedy_and_a_high_one_even() {
        let of = |temperature, place| chance(Explore::Softmax { temperature }, choices(), place).value;
        assert!(of(0.001, 2) == 1.0 && of(0.001, 3) > 0.0);
        assert!((of(10.0, 2) - 0.2).abs() < 0.02);
    }
}
