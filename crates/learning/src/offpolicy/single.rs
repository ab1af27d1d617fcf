//! Logs of single decisions, policies for them, and estimators.
//!
//! With weight `w = π(a|x) / μ(a|x)` of the logged action, its reward `r`, and a model `q(x, a)` of rewards:
//!
//! | name | estimator | source |
//! |---|---|---|
//! | IPS | `mean(w r)` | Horvitz and Thompson, 1952; Strehl, Langford, Li and Kakade, "Learning from Logged Implicit Exploration Data", 2010 |
//! | SNIPS | `Σ w r / Σ w` | Swaminathan and Joachims, "The Self-Normalized Estimator for Counterfactual Learning", 2015 |
//! | DM | `mean(Σ_a π(a) q(a))` | Beygelzimer and Langford, "The Offset Tree", 2009 |
//! | DR | `DM + mean(w (r − q))` | Dudík, Erhan, Langford and Li, "Doubly Robust Policy Evaluation and Optimization", 2014 |
//! | SNDR | `DM + Σ w (r − q) / Σ w` | Robins, Sued, Lei-Gomez and Rotnitzky, 2007; Kallus and Uehara, 2019 |
//! | SWITCH-DR | `DM + mean(1[w ≤ τ] w (r − q))` | Wang, Agarwal and Dudík, "Optimal and Adaptive Off-policy Evaluation in Contextual Bandits", 2017 |
//! | position-based | IPS with `w = Σ_k e_k π(a at k) / Σ_k e_k μ(a at k)` | Li, Abbasi-Yadkori, Kveton et al., "Offline Evaluation of Ranking Policies with Click Models", 2018 |
//!
//! It must not know where a log comes from.

use super::{
    Error,
    estimate::{Estimate, Intervals, Part, Weights, estimate},
    reward::Rewards,
};

/// One logged decision.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Round {
    /// Whose it is: rounds of one listener are not independent of each other.
    pub unit: u32,
    /// What was chosen.
    pub action: u32,
    /// Where it was shown, from 0.
    pub position: u16,
    /// What came of it.
    pub reward: f64,
    /// The probability with which the log's policy chose it.
    pub propensity: f64,
}

/// A log of single decisions.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// How many actions there are.
    pub actions: usize,
    /// The rounds.
    pub rounds: Vec<Round>,
}

impl Log {
    /// Checks that every number is one that can be.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), Error> {
        if self.rounds.is_empty() {
            return Err(Error::Empty { what: "the log".to_owned(), expected: "give one that has some" });
        }
        for (at, round) in self.rounds.iter().enumerate() {
            let wrong = |what, given, expected| Err(Error::Number { what, round: at, given, expected });
            if !(round.propensity > 0.0 && round.propensity <= 1.0) {
                return wrong("the propensity", round.propensity, "more than 0, at most 1");
            }
            if !round.reward.is_finite() {
                return wrong("the reward", round.reward, "a finite number");
            }
            if round.action as usize >= self.actions {
                return wrong("the action", f64::from(round.action), "one of the log's actions");
            }
        }
        Ok(())
    }

    /// Whose each round is.
    #[must_use]
    pub fn units(&self) -> Vec<u32> {
        self.rounds.iter().map(|round| round.unit).collect()
    }

    /// What the log's own policy brought.
    #[must_use]
    pub fn on_policy(&self, intervals: Intervals) -> Estimate {
        let rewards: Vec<f64> = self.rounds.iter().map(|round| round.reward).collect();
        super::estimate::mean("on-policy", &rewards, &self.units(), intervals)
    }
}

/// A policy that is asked what it would do.
pub trait Policy: Sync {
    /// Writes the probability of every action in a round of the log.
    fn probabilities(&self, round: usize, into: &mut [f64]);
}

impl<F: Fn(usize, &mut [f64]) + Sync> Policy for F {
    fn probabilities(&self, round: usize, into: &mut [f64]) {
        self(round, into);
    }
}

/// A policy that does not look at the listener: probabilities by position and action.
#[derive(Clone, Debug, PartialEq)]
pub struct ByPosition {
    /// How many actions there are.
    pub actions: usize,
    /// One row for each position.
    pub rows: Vec<f64>,
}

impl ByPosition {
    /// The probability of an action at a position.
    #[must_use]
    pub fn probability(&self, position: usize, action: usize) -> f64 {
        self.rows.get(position * self.actions + action).copied().unwrap_or(0.0)
    }

    /// As a policy for a log.
    #[must_use]
    pub fn on<'a>(&'a self, log: &'a Log) -> impl Policy + 'a {
        move |round: usize, into: &mut [f64]| {
            let start = usize::from(log.rounds[round].position) * self.actions;
            into.copy_from_slice(&self.rows[start..start + self.actions]);
        }
    }
}

/// A policy and the log's as tables by position, and how likely each position is looked at.
#[derive(Clone, Debug)]
pub struct Positions<'a> {
    /// The policy that is evaluated.
    pub policy: &'a ByPosition,
    /// The log's.
    pub logged: &'a ByPosition,
    /// The probability that a position is looked at, up to a factor.
    pub examined: &'a [f64],
}

/// How to estimate.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Weights above it count as much as this.
    pub clip: Option<f64>,
    /// τ of SWITCH-DR.
    pub switch: f64,
    /// How intervals are made.
    pub intervals: Intervals,
}

impl Default for Settings {
    fn default() -> Self {
        Self { clip: None, switch: 10.0, intervals: Intervals::Normal }
    }
}

/// What a policy is worth by every estimator that can say it: those with a model where `rewards` are given, the
/// position-based one where `positions` are.
///
/// # Errors
/// When the log or the policy holds a number that cannot be.
pub fn evaluate(
    log: &Log,
    policy: &dyn Policy,
    rewards: Option<&Rewards>,
    positions: Option<&Positions<'_>>,
    settings: &Settings,
) -> Result<Vec<Estimate>, Error> {
    log.check()?;
    let (count, units) = (log.rounds.len(), log.units());
    let mut probabilities = vec![0.0; log.actions];
    let mut raw = Vec::with_capacity(count);
    let mut expected = Vec::with_capacity(count);
    for (at, round) in log.rounds.iter().enumerate() {
        policy.probabilities(at, &mut probabilities);
        let sum: f64 = probabilities.iter().sum();
        if (sum - 1.0).abs() > 1e-6 || probabilities.iter().any(|p| !(0.0..=1.0 + 1e-9).contains(p)) {
            let expected = "1, of numbers from 0 to 1";
            return Err(Error::Number {
                what: "the sum of the policy's probabilities",
                round: at,
                given: sum,
                expected,
            });
        }
        raw.push(probabilities[round.action as usize] / round.propensity);
        if let Some(rewards) = rewards {
            expected.push(probabilities.iter().zip(rewards.of(at)).map(|(p, q)| p * f64::from(*q)).sum::<f64>());
        }
    }
    let (weights, of) = Weights::clip(&raw, settings.clip);
    let each = |f: &dyn Fn(usize, &Round) -> f64| -> Vec<f64> {
        log.rounds.iter().enumerate().map(|(at, round)| f(at, round)).collect()
    };
    let made = |name, parts: &[Part], weights| estimate(name, parts, &units, weights, settings.intervals);
    let weighted = each(&|at, round| weights[at] * round.reward);
    let mut estimates = vec![
        made("IPS", &[Part::mean(weighted.clone())], Some(of)),
        made("SNIPS", &[Part::ratio(weighted, weights.clone())], Some(of)),
    ];
    if let Some(rewards) = rewards {
        let missed =
            |at: usize, round: &Round| weights[at] * (round.reward - f64::from(rewards.of(at)[round.action as usize]));
        let corrected = each(&missed);
        let both: Vec<f64> = expected.iter().zip(&corrected).map(|(dm, more)| dm + more).collect();
        let switched = |at: usize| raw[at] <= settings.switch;
        let some = each(&|at, round| expected[at] + if switched(at) { missed(at, round) } else { 0.0 });
        let used: Vec<f64> = (0..count).map(|at| if switched(at) { weights[at] } else { 0.0 }).collect();
        let beyond = raw.iter().filter(|weight| **weight > settings.switch).count() as f64 / count as f64;
        let of_switch = Weights { clipped: beyond, mean: of.mean, ..Weights::clip(&used, None).1 };
        estimates.extend([
            made("DM", &[Part::mean(expected.clone())], None),
            made("DR", &[Part::mean(both)], Some(of)),
            made("SNDR", &[Part::mean(expected), Part::ratio(corrected, weights.clone())], Some(of)),
            made("SWITCH-DR", &[Part::mean(some)], Some(of_switch)),
        ]);
    }
    if let Some(positions) = positions {
        let seen = |policy: &ByPosition, action: u32| -> f64 {
            let each = positions.examined.iter().enumerate();
            each.map(|(position, examined)| examined * policy.probability(position, action as usize)).sum()
        };
        let raw = each(&|_, round| {
            let below = seen(positions.logged, round.action);
            if below > 0.0 { seen(positions.policy, round.action) / below } else { 0.0 }
        });
        let (weights, of) = Weights::clip(&raw, settings.clip);
        let weighted = each(&|at, round| weights[at] * round.reward);
        estimates.push(made("position-based", &[Part::mean(weighted)], Some(of)));
    }
    Ok(estimates)
}
