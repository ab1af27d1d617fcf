//! Models of rewards for the estimators that use one. Every round is predicted by a model that has not learned from its
//! listener: cross-fitting (Chernozhukov et al., "Double/debiased machine learning", 2018), without which DR trusts a
//! model that knows the answers.

use shared_models::Seed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{Error, single::Log};
use crate::{
    progress::Silent,
    trees::{self, Objective, Table, Trained},
};

/// What a model expects of every action in every round.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rewards {
    actions: usize,
    values: Vec<f32>,
}

impl Rewards {
    /// From the numbers, round by round.
    ///
    /// # Errors
    /// When there are not as many as `actions` for each round.
    pub fn new(actions: usize, values: Vec<f32>) -> Result<Self, Error> {
        if actions == 0 || !values.len().is_multiple_of(actions) {
            let (name, expected) = ("the number of expected rewards", "as many for each round as there are actions");
            return Err(Error::Setting { name, given: values.len().to_string(), expected });
        }
        Ok(Self { actions, values })
    }

    /// What is expected of the actions in a round.
    #[must_use]
    pub fn of(&self, round: usize) -> &[f32] {
        &self.values[round * self.actions..(round + 1) * self.actions]
    }
}

/// What is known before an action is chosen: columns of numbers, NaN where one is missing.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Of the round, one number for each.
    pub rounds: Vec<Vec<f32>>,
    /// Of the action, one number for each.
    pub actions: Vec<Vec<f32>>,
    /// Of both: for each round a number for each action.
    pub both: Vec<Vec<f32>>,
}

/// How rewards are modelled.
#[derive(Clone, Debug)]
pub enum Model {
    /// The mean reward of each action at each position, drawn towards that of the action, and that towards that of all.
    Rates {
        /// As many rounds as the prior counts.
        prior: f64,
    },
    /// Boosted trees on position, action and context.
    Trees(trees::Settings),
}

impl Model {
    /// Rates with a prior of 100 rounds.
    #[must_use]
    pub fn rates() -> Self {
        Self::Rates { prior: 100.0 }
    }

    /// Few shallow trees, for rewards that are 0 or 1.
    #[must_use]
    pub fn trees(seed: Seed) -> Self {
        let settings = trees::Settings {
            trees: 60,
            depth: 3,
            learning_rate: 0.1,
            l2: 20.0,
            borders: 32,
            seed,
            ..Default::default()
        };
        Self::Trees(trees::Settings { objective: Objective::Logistic, ..settings })
    }
}

/// Predicts every action of every round, with `folds` models that each have not seen the listeners they predict for.
///
/// # Errors
/// When there are fewer than two folds, or trees cannot be trained.
pub fn cross_fit(log: &Log, context: &Context, model: &Model, folds: u64, seed: Seed) -> Result<Rewards, Error> {
    log.check()?;
    if folds < 2 {
        return Err(Error::Setting { name: "folds", given: folds.to_string(), expected: "2 or more" });
    }
    let fold_of = |unit: u32| xxh3_64_with_seed(&unit.to_le_bytes(), seed.0) % folds;
    let mut rewards = Rewards { actions: log.actions, values: vec![0.0; log.rounds.len() * log.actions] };
    for fold in 0..folds {
        let (mut learned, mut predicted) = (Vec::new(), Vec::new());
        for (at, round) in log.rounds.iter().enumerate() {
            if fold_of(round.unit) == fold { predicted.push(at) } else { learned.push(at) }
        }
        if learned.is_empty() || predicted.is_empty() {
            continue;
        }
        match model {
            Model::Rates { prior } => by_rates(log, &learned, &predicted, *prior, &mut rewards),
            Model::Trees(settings) => by_trees(log, context, &learned, &predicted, settings, &mut rewards)?,
        }
    }
    Ok(rewards)
}

fn by_rates(log: &Log, learned: &[usize], predicted: &[usize], prior: f64, rewards: &mut Rewards) {
    let positions = log.rounds.iter().map(|round| usize::from(round.position) + 1).max().unwrap_or(1);
    let mut all = (0.0, 0.0);
    let (mut actions, mut places) = (vec![(0.0, 0.0); log.actions], vec![(0.0, 0.0); log.actions * positions]);
    for round in learned.iter().map(|at| &log.rounds[*at]) {
        let (action, position) = (round.action as usize, usize::from(round.position));
        for (sum, count) in [&mut all, &mut actions[action], &mut places[position * log.actions + action]] {
            *sum += round.reward;
            *count += 1.0;
        }
    }
    let drawn = |(sum, count): (f64, f64), towards: f64| (sum + prior * towards) / (count + prior);
    let mean = drawn(all, 0.0);
    let mean = if all.1 > 0.0 { all.0 / all.1 } else { mean };
    let rates: Vec<f32> =
        (0..places.len()).map(|at| drawn(places[at], drawn(actions[at % log.actions], mean)) as f32).collect();
    for at in predicted {
        let start = usize::from(log.rounds[*at].position) * log.actions;
        rewards.values[at * log.actions..(at + 1) * log.actions].copy_from_slice(&rates[start..start + log.actions]);
    }
}

fn by_trees(
    log: &Log,
    context: &Context,
    learned: &[usize],
    predicted: &[usize],
    settings: &trees::Settings,
    rewards: &mut Rewards,
) -> Result<(), Error> {
    let pairs: Vec<(usize, usize)> = learned.iter().map(|at| (*at, log.rounds[*at].action as usize)).collect();
    let labels: Vec<f32> = learned.iter().map(|at| log.rounds[*at].reward as f32).collect();
    let columns = columns(log, context, &pairs);
    let trained = trees::train(&table(&columns, &labels), None, settings, &Silent)?;
    for part in predicted.chunks(1_024) {
        let pairs: Vec<(usize, usize)> =
            part.iter().flat_map(|at| (0..log.actions).map(move |action| (*at, action))).collect();
        let columns = self::columns(log, context, &pairs);
        let scores = scores(&trained, settings, &columns, pairs.len());
        for ((at, action), score) in pairs.iter().zip(scores) {
            rewards.values[at * log.actions + action] = score;
        }
    }
    Ok(())
}

fn scores(trained: &Trained, settings: &trees::Settings, columns: &[Vec<f32>], rows: usize) -> Vec<f32> {
    let none = vec![0.0; rows];
    let raw = trained.scores(&table(columns, &none));
    let is_logistic = settings.objective == Objective::Logistic;
    raw.into_iter().map(|raw| if is_logistic { 1.0 / (1.0 + (-raw).exp()) } else { raw }).collect()
}

fn table<'a>(columns: &'a [Vec<f32>], labels: &'a [f32]) -> Table<'a> {
    Table { columns: columns.iter().map(Vec::as_slice).collect(), labels, ..Table::default() }
}

/// The columns for rounds with actions: position, action, then the context's.
fn columns(log: &Log, context: &Context, pairs: &[(usize, usize)]) -> Vec<Vec<f32>> {
    let each = |f: &dyn Fn(usize, usize) -> f32| pairs.iter().map(|(at, action)| f(*at, *action)).collect();
    let mut columns: Vec<Vec<f32>> =
        vec![each(&|at, _| f32::from(log.rounds[at].position)), each(&|_, action| action as f32)];
    columns.extend(context.rounds.iter().map(|column| each(&|at, _| column[at])));
    columns.extend(context.actions.iter().map(|column| each(&|_, action| column[action])));
    columns.extend(context.both.iter().map(|column| each(&|at, action| column[at * log.actions + action])));
    columns
}
