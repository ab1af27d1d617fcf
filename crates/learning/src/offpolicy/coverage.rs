//! How often intervals hold the truth, where it is known: listeners of the generated world decide, so that what a policy
//! is worth can be summed up exactly, and logs can be drawn from another policy again and again.
//!
//! Every listener has a few candidates. The log's policy and the evaluated one are softmax over different noisy views of
//! how likely the listener plays each, the log's mixed with even draws. Lists are drawn card by card without replacement
//! (Plackett and Luce). A run draws listeners with replacement, and each decides a few times: those rounds belong together.

use rand::{RngExt, SeedableRng, seq::IndexedRandom};
use rand_distr::{Distribution, StandardNormal};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use serde::Serialize;
use shared_models::{ItemKey, Seed, Timestamp, item::ItemKind};

use super::{
    Error, Estimate,
    estimate::Intervals,
    reward::{Context, Model, cross_fit},
    single::{self, Log, Round},
    slates::{self, List, Slot},
};
use crate::{
    progress::{Progress, Unit},
    world::{self, World},
};

/// Candidates of a listener.
const CANDIDATES: usize = 6;
/// Cards of a list.
const PLACES: usize = 3;
/// Decisions, or lists, of a listener who is drawn.
const VISITS: usize = 4;
/// The share of the log's draws that are even.
const EVEN: f64 = 0.2;

/// How to measure coverage.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The seed of the world and of every draw.
    pub seed: Seed,
    /// How many logs are drawn.
    pub runs: usize,
    /// Decisions, or lists, of each log.
    pub rounds: usize,
    /// How intervals are made.
    pub intervals: Intervals,
}

/// How one estimator did over all runs.
#[derive(Clone, Debug, Serialize)]
pub struct Covered {
    /// `single` or `list`.
    pub decisions: &'static str,
    /// The estimator.
    pub estimator: &'static str,
    /// The true value.
    pub truth: f64,
    /// The mean of the estimates.
    pub mean: f64,
    /// The root of their mean squared error.
    pub rmse: f64,
    /// The mean of the standard errors it claims.
    pub claimed: f64,
    /// The share of runs whose interval held the truth.
    pub coverage: f64,
    /// The mean effective sample size.
    pub effective: Option<f64>,
}

/// Numbers of a listener's candidates.
type Each = [f64; CANDIDATES];

/// A listener with their candidates. Policies are numbered: the log's, then the evaluated one.
struct Listener {
    /// How likely each candidate is played at each place.
    plays: [Each; PLACES],
    /// What each policy thinks of each candidate.
    scores: [Each; 2],
    /// The probability that a candidate stands at a place at all.
    marginals: [[Each; PLACES]; 2],
}

/// Draws logs and counts.
///
/// # Errors
/// When there is nothing to count, or the world cannot be made.
pub fn measure(settings: &Settings, progress: &dyn Progress) -> Result<Vec<Covered>, Error> {
    let least = |name, given: usize| {
        let wrong = Error::Setting { name, given: given.to_string(), expected: "2 or more" };
        if given < 2 { Err(wrong) } else { Ok(()) }
    };
    least("runs", settings.runs)?;
    least("rounds", settings.rounds)?;
    let listeners = listeners(settings.seed, progress)?;
    let stage = progress.stage("coverage", Unit::Steps, Some(settings.runs as u64));
    let runs: Vec<(Vec<Estimate>, Vec<Estimate>)> = (0..settings.runs)
        .into_par_iter()
        .map(|run| {
            let mut random = Xoshiro256PlusPlus::seed_from_u64(settings.seed.0.wrapping_mul(1_000_003) + run as u64);
            let found = (one(&listeners, settings, &mut random)?, lists(&listeners, settings, &mut random)?);
            stage.advance(1);
            Ok(found)
        })
        .collect::<Result<_, Error>>()?;
    stage.finish(&format!("{} logs of {} decisions and of as many lists", settings.runs, settings.rounds));
    let truth = |places: usize| {
        let of = |listener: &Listener| -> f64 {
            (0..places).map(|place| mean(&listener.marginals[1][place], &listener.plays[place])).sum()
        };
        listeners.iter().map(of).sum::<f64>() / listeners.len() as f64
    };
    let (single, list) = (truth(1), truth(PLACES));
    let (ones, many): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    Ok([("single", single, ones), ("list", list, many)]
        .into_iter()
        .flat_map(|(decisions, truth, runs)| count(decisions, truth, &runs))
        .collect())
}

fn count(decisions: &'static str, truth: f64, runs: &[Vec<Estimate>]) -> Vec<Covered> {
    let of = |at: usize| runs.iter().filter_map(move |run| run.get(at));
    let names = runs.first().map_or(&[][..], Vec::as_slice);
    let each = names.iter().enumerate().map(|(at, named)| {
        let mean = |f: &dyn Fn(&Estimate) -> f64| of(at).map(f).sum::<f64>() / runs.len() as f64;
        Covered {
            decisions,
            estimator: named.estimator,
            truth,
            mean: mean(&|found| found.value),
            rmse: mean(&|found| (found.value - truth).powi(2)).sqrt(),
            claimed: mean(&|found| found.error),
            coverage: mean(&|found| f64::from(u8::from(found.holds(truth)))),
            effective: named.weights.map(|_| mean(&|found| found.weights.map_or(0.0, |weights| weights.effective))),
        }
    });
    each.collect()
}

fn listeners(seed: Seed, progress: &dyn Progress) -> Result<Vec<Listener>, Error> {
    // What they did is not asked for: only how likely they would.
    let small = world::Config::small(seed, Timestamp(1_700_000_000_000));
    let config = world::Config { interactions: 0, impressions: 0, ..small };
    let World { items, users, truth, .. } = world::stream(&config, progress, &|_, _| ())?;
    let tracks: Vec<ItemKey> =
        items.iter().filter(|item| item.kind == ItemKind::Track).map(|item| ItemKey::of(&item.id)).collect();
    let mut random = seed.stream("offpolicy/listeners");
    let made = users.iter().map(|user| {
        let play = |item: &ItemKey, place: usize| {
            truth.probabilities(&user.id, *item, place as u16).map_or(0.0, |actions| f64::from(actions[0]))
        };
        let mut drawn: Vec<ItemKey> = tracks.sample(&mut random, 48).copied().collect();
        drawn.sort_by(|a, b| play(b, 0).total_cmp(&play(a, 0)).then_with(|| a.cmp(b)));
        // From what they like best to what they hardly play.
        let chosen: [ItemKey; CANDIDATES] = std::array::from_fn(|n| drawn[(n * n).min(drawn.len() - 1)]);
        let mut view = |noise: f64| -> Each {
            chosen.each_ref().map(|item| {
                let p = play(item, 0).clamp(1e-6, 1.0 - 1e-6);
                let chance: f64 = StandardNormal.sample(&mut random);
                (p / (1.0 - p)).ln() + noise * chance
            })
        };
        let scores = [view(1.0), view(0.5)];
        // Actions are numbered in the order of the log's policy: that is what a model may know of them.
        let mut order: [usize; CANDIDATES] = std::array::from_fn(|n| n);
        order.sort_by(|a, b| scores[0][*b].total_cmp(&scores[0][*a]));
        let mut listener = Listener {
            plays: std::array::from_fn(|place| order.map(|n| play(&chosen[n], place))),
            scores: scores.map(|of| order.map(|n| of[n])),
            marginals: [[[0.0; CANDIDATES]; PLACES]; 2],
        };
        for policy in [0, 1] {
            let mut found = [[0.0; CANDIDATES]; PLACES];
            listener.places(policy, &mut Vec::new(), 1.0, &mut found);
            listener.marginals[policy] = found;
        }
        listener
    });
    Ok(made.collect())
}

impl Listener {
    /// The probability of each candidate as the next card after those that are taken.
    fn next(&self, policy: usize, taken: &[usize]) -> Each {
        let even = if policy == 0 { EVEN } else { 0.0 };
        let free = |n: usize| !taken.contains(&n);
        let raised: Each = std::array::from_fn(|n| if free(n) { self.scores[policy][n].exp() } else { 0.0 });
        let (sum, left) = (raised.iter().sum::<f64>(), (CANDIDATES - taken.len()) as f64);
        std::array::from_fn(|n| if free(n) { even / left + (1.0 - even) * raised[n] / sum } else { 0.0 })
    }

    /// Adds up how likely each candidate stands at each place from here on.
    fn places(&self, policy: usize, taken: &mut Vec<usize>, chance: f64, found: &mut [Each; PLACES]) {
        let place = taken.len();
        if place == PLACES {
            return;
        }
        for (n, p) in self.next(policy, taken).into_iter().enumerate().filter(|(_, p)| *p > 0.0) {
            found[place][n] += chance * p;
            taken.push(n);
            self.places(policy, taken, chance * p, found);
            taken.pop();
        }
    }

    /// What a model of cards expects of each next card and of what the evaluated policy shows after it.
    fn expected(&self, model: &[&[f32]], taken: &mut Vec<usize>) -> Each {
        let mut expected = [0.0; CANDIDATES];
        let place = taken.len();
        for (n, expected) in expected.iter_mut().enumerate() {
            if taken.contains(&n) {
                continue;
            }
            taken.push(n);
            let after =
                if taken.len() < PLACES { mean(&self.next(1, taken), &self.expected(model, taken)) } else { 0.0 };
            *expected = f64::from(model[place][n]) + after;
            taken.pop();
        }
        expected
    }
}

fn mean(chances: &Each, of: &Each) -> f64 {
    chances.iter().zip(of).map(|(chance, of)| chance * of).sum()
}

fn draw(chances: &Each, random: &mut impl rand::Rng) -> usize {
    let mut at = random.random::<f64>();
    for (n, chance) in chances.iter().enumerate() {
        at -= chance;
        if at < 0.0 {
            return n;
        }
    }
    chances.iter().rposition(|chance| *chance > 0.0).unwrap_or(0)
}

/// For each round whose it is: the number of a draw, and of the listener that was drawn.
fn drawn(listeners: usize, rounds: usize, random: &mut impl rand::Rng) -> Vec<(u32, usize)> {
    let mut drawn: Vec<(u32, usize)> = Vec::with_capacity(rounds);
    for round in 0..rounds {
        let unit = (round / VISITS) as u32;
        let again = drawn.last().filter(|(last, _)| *last == unit).map(|(_, listener)| *listener);
        drawn.push((unit, again.unwrap_or_else(|| random.random_range(0..listeners))));
    }
    drawn
}

/// A log of single decisions, and what it says of the other policy.
fn one(listeners: &[Listener], settings: &Settings, random: &mut impl rand::Rng) -> Result<Vec<Estimate>, Error> {
    let mut log = Log { actions: CANDIDATES, rounds: Vec::with_capacity(settings.rounds) };
    let drawn = drawn(listeners.len(), settings.rounds, random);
    for (unit, number) in &drawn {
        let (unit, listener) = (*unit, &listeners[*number]);
        let chances = listener.marginals[0][0];
        let action = draw(&chances, random);
        let reward = f64::from(u8::from(random.random_bool(listener.plays[0][action])));
        let propensity = chances[action];
        log.rounds.push(Round { unit, action: action as u32, position: 0, reward, propensity });
    }
    let rewards = cross_fit(&log, &Context::default(), &Model::rates(), 3, settings.seed)?;
    let policy = |round: usize, into: &mut [f64]| into.copy_from_slice(&listeners[drawn[round].1].marginals[1][0]);
    let how = single::Settings { intervals: settings.intervals, ..single::Settings::default() };
    single::evaluate(&log, &policy, Some(&rewards), None, &how)
}

/// A log of lists with all that estimators read of it.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// The lists.
    pub lists: Vec<List>,
    /// The cards of each, as numbers of candidates.
    pub orders: Vec<Vec<usize>>,
    /// For each card of each list in turn: the evaluated policy's probability of each candidate, given the cards before.
    pub chances: Vec<[f64; CANDIDATES]>,
    /// And what the model expects from there on with each candidate.
    pub expected: Vec<[f64; CANDIDATES]>,
}

/// One log of lists, for other tools.
///
/// # Errors
/// As [`measure`].
pub fn sample(settings: &Settings, progress: &dyn Progress) -> Result<Lists, Error> {
    let listeners = listeners(settings.seed, progress)?;
    draw_lists(&listeners, settings, &mut settings.seed.stream("offpolicy/sample"))
}

/// What a log of lists says of the other policy.
fn lists(listeners: &[Listener], settings: &Settings, random: &mut impl rand::Rng) -> Result<Vec<Estimate>, Error> {
    slates::evaluate(&draw_lists(listeners, settings, random)?.lists, None, settings.intervals)
}

fn draw_lists(listeners: &[Listener], settings: &Settings, random: &mut impl rand::Rng) -> Result<Lists, Error> {
    let (mut cards, mut all) = (Log { actions: CANDIDATES, rounds: Vec::new() }, Lists::default());
    let drawn = drawn(listeners.len(), settings.rounds, random);
    for (unit, number) in &drawn {
        let (unit, listener) = (*unit, &listeners[*number]);
        let (mut taken, mut list) = (Vec::with_capacity(PLACES), List { unit, slots: Vec::new() });
        for place in 0..PLACES {
            let (chances, policy) = (listener.next(0, &taken), listener.next(1, &taken));
            let action = draw(&chances, random);
            let reward = f64::from(u8::from(random.random_bool(listener.plays[place][action])));
            let [logged, evaluated] = [0, 1].map(|policy| listener.marginals[policy][place][action]);
            let propensity = chances[action];
            cards.rounds.push(Round { unit, action: action as u32, position: place as u16, reward, propensity });
            let marginals = Some((logged, evaluated));
            list.slots.push(Slot { reward, logged: propensity, policy: policy[action], marginals, expected: None });
            all.chances.push(policy);
            taken.push(action);
        }
        all.lists.push(list);
        all.orders.push(taken);
    }
    let rewards = cross_fit(&cards, &Context::default(), &Model::rates(), 3, settings.seed)?;
    for (at, (list, order)) in all.lists.iter_mut().zip(&all.orders).enumerate() {
        let model: Vec<&[f32]> = (0..PLACES).map(|place| rewards.of(at * PLACES + place)).collect();
        for (place, slot) in list.slots.iter_mut().enumerate() {
            let expected = listeners[drawn[at].1].expected(&model, &mut order[..place].to_vec());
            slot.expected = Some((expected[order[place]], mean(&all.chances[at * PLACES + place], &expected)));
            all.expected.push(expected);
        }
    }
    Ok(all)
}
