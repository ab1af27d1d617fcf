//! Logs of lists and estimators of what lists bring: the sum of their cards' rewards.
//!
//! With `w_j` the ratio of the policies' probabilities of the card at place j given those before it, `W_k = Π_{j≤k} w_j`,
//! and `m_k` the ratio of the probabilities that this card stands at place k at all:
//!
//! | name | estimator | holds when |
//! |---|---|---|
//! | SIPS | `mean(W_K Σ_k r_k)` | always |
//! | IIPS | `mean(Σ_k m_k r_k)` | a card's reward depends on that card and its place alone |
//! | RIPS | `mean(Σ_k W_k r_k)` | listeners go from the top, so that a card's reward depends on those before it |
//! | cascade DR | `mean(Σ_k W_{k−1} E_π[Q_k] + W_k (r_k − Q_k))`, with `Q_k` what is expected from place k on | as RIPS; also when `Q` is right |
//!
//! Swaminathan, Krishnamurthy, Agarwal et al., "Off-policy Evaluation for Slate Recommendation" (2017), for SIPS; Li,
//! Abbasi-Yadkori, Kveton et al., "Offline Evaluation of Ranking Policies with Click Models" (2018), for IIPS; McInerney,
//! Brost, Chandar, Mehrotra and Carterette, "Counterfactual Evaluation of Slate Recommendations with Sequential Reward
//! Interactions" (2020), for RIPS; Kiyohara, Saito, Matsuhiro et al., "Doubly Robust Off-Policy Evaluation for Ranking
//! Policies under the Cascade Behavior Model" (2022). Names with SN are self-normalised place by place.
//!
//! It must not know where a log comes from.

use super::{
    Error,
    estimate::{Estimate, Intervals, Part, Weights, estimate},
};

/// One card of a logged list.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slot {
    /// What came of it.
    pub reward: f64,
    /// The log's probability of it, given the cards before it.
    pub logged: f64,
    /// The policy's probability of it, given the same cards before it.
    pub policy: f64,
    /// The probabilities that it stands at this place whatever stands before it, the log's and the policy's.
    pub marginals: Option<(f64, f64)>,
    /// What the model expects from this place on with this card, and with a card of the policy's.
    pub expected: Option<(f64, f64)>,
}

/// One logged list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    /// Whose it is.
    pub unit: u32,
    /// Its cards, from the top.
    pub slots: Vec<Slot>,
}

/// Checks that every number is one that can be.
///
/// # Errors
/// The first that is not.
pub fn check(lists: &[List]) -> Result<(), Error> {
    if lists.is_empty() {
        return Err(Error::Empty { what: "the log".to_owned(), expected: "give one that has some" });
    }
    for (at, slot) in lists.iter().enumerate().flat_map(|(at, list)| list.slots.iter().map(move |slot| (at, slot))) {
        let wrong = |what, given, expected| Err(Error::Number { what, round: at, given, expected });
        if !(slot.logged > 0.0 && slot.logged <= 1.0 + 1e-6) {
            return wrong("the propensity", slot.logged, "more than 0, at most 1");
        }
        if !(0.0..=1.0 + 1e-6).contains(&slot.policy) {
            return wrong("the policy's probability", slot.policy, "0 to 1");
        }
        if !slot.reward.is_finite() {
            return wrong("the reward", slot.reward, "a finite number");
        }
    }
    Ok(())
}

/// What the log's own policy brought a list.
#[must_use]
pub fn on_policy(lists: &[List], intervals: Intervals) -> Estimate {
    let sums: Vec<f64> = lists.iter().map(|list| list.slots.iter().map(|slot| slot.reward).sum()).collect();
    let units: Vec<u32> = lists.iter().map(|list| list.unit).collect();
    super::estimate::mean("on-policy", &sums, &units, intervals)
}

/// The weight of a place: of the list, and of the place in it.
type WeightOf = fn(&List, usize) -> f64;

fn ratio(slot: &Slot) -> f64 {
    slot.policy / slot.logged
}

fn whole(list: &List, _: usize) -> f64 {
    list.slots.iter().map(ratio).product()
}

fn until(list: &List, place: usize) -> f64 {
    list.slots.iter().take(place + 1).map(ratio).product()
}

fn alone(list: &List, place: usize) -> f64 {
    list.slots.get(place).and_then(|slot| slot.marginals).map_or(0.0, |(logged, policy)| policy / logged)
}

/// What a policy is worth by every estimator that can say it: IIPS where every card has its marginals, cascade DR where
/// every card has what the model expects.
///
/// # Errors
/// When the log holds a number that cannot be.
pub fn evaluate(lists: &[List], clip: Option<f64>, intervals: Intervals) -> Result<Vec<Estimate>, Error> {
    check(lists)?;
    let units: Vec<u32> = lists.iter().map(|list| list.unit).collect();
    let longest = lists.iter().map(|list| list.slots.len()).max().unwrap_or(0);
    let every = |has: fn(&Slot) -> bool| lists.iter().all(|list| list.slots.iter().all(has));
    let mut ways: Vec<(&'static str, &'static str, WeightOf)> =
        vec![("SIPS", "SNSIPS", whole), ("RIPS", "SNRIPS", until)];
    if every(|slot| slot.marginals.is_some_and(|(logged, _)| logged > 0.0)) {
        ways.push(("IIPS", "SNIIPS", alone));
    }
    let most = clip.unwrap_or(f64::INFINITY);
    let mut estimates = Vec::new();
    for (plain, normalised, weight) in ways {
        // Weights of a list, place by place; the last place's describe how far the policies are apart.
        let (mut sums, mut parts) = (vec![0.0; lists.len()], Vec::with_capacity(longest));
        for place in 0..longest {
            let (mut above, mut below) = (vec![0.0; lists.len()], vec![0.0; lists.len()]);
            let mut count = 0;
            for (at, list) in lists.iter().enumerate().filter(|(_, list)| place < list.slots.len()) {
                count += 1;
                below[at] = weight(list, place).min(most);
                above[at] = below[at] * list.slots[place].reward;
                sums[at] += above[at];
            }
            let scale = count as f64 / lists.len() as f64;
            parts.push(Part { scale, above, below: Some(below) });
        }
        let last: Vec<f64> =
            lists.iter().filter(|list| !list.slots.is_empty()).map(|list| weight(list, list.slots.len() - 1)).collect();
        let of = Some(Weights::clip(&last, clip).1);
        estimates.push(estimate(plain, &[Part::mean(sums)], &units, of, intervals));
        estimates.push(estimate(normalised, &parts, &units, of, intervals));
    }
    if every(|slot| slot.expected.is_some()) {
        let mut last = Vec::with_capacity(lists.len());
        let sums = lists.iter().map(|list| {
            let (mut sum, mut before) = (0.0, 1.0);
            for slot in &list.slots {
                let (with_this, with_any) = slot.expected.unwrap_or_default();
                let weight = (before * ratio(slot)).min(most);
                sum += before * with_any + weight * (slot.reward - with_this);
                before = weight;
            }
            last.push(before);
            sum
        });
        let sums: Vec<f64> = sums.collect();
        let of = Some(Weights::clip(&last, None).1);
        estimates.push(estimate("cascade DR", &[Part::mean(sums)], &units, of, intervals));
    }
    Ok(estimates)
}
