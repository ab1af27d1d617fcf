//! Item factors by alternating least squares, with users folded in as serving folds them in.

use std::num::NonZeroUsize;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::super::{
    FactorScorer, Scorer,
    engine::{Engine, Error, Setting, read},
    scorers::ItemVectors,
    training::{History, Training},
};
use crate::{
    factors::{self, Interactions, Model, Settings, Solver},
    progress::{Progress, Unit},
};

const NAME: &str = "factors";

/// Trains factors ([`crate::factors`]).
#[derive(Clone, Debug)]
pub struct Factors {
    pub(super) settings: Settings,
    /// Where the order is known: the n-th of m choices weighs `e^(-fading · (1 - n / m))`, so that what came last
    /// counts most, as in serving, where confidence fades with age. 0 weighs all alike.
    pub(super) fading: f32,
}

impl Default for Factors {
    fn default() -> Self {
        Self { settings: Settings::default(), fading: crate::datasets::gowalla::FADING }
    }
}

impl Engine for Factors {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "item factors by implicit alternating least squares; users are folded in"
    }

    fn settings(&self) -> Vec<Setting> {
        let s = &self.settings;
        let steps = match s.solver {
            Solver::ConjugateGradient(steps) => steps.get(),
            Solver::Cholesky => 0,
        };
        vec![
            Setting::new("dimensions", s.dimensions, "factors of an item"),
            Setting::new("epochs", s.epochs, "how often both sides are solved"),
            Setting::new("alpha", s.alpha, "confidence of one unit of weight"),
            Setting::new("regularisation", s.regularisation, "strength of the regularisation"),
            Setting::new("exponent", s.regularisation_exponent, "0: all rows alike; 1: by their total confidence"),
            Setting::new("item_damping", s.item_damping, "how much less pairs of popular items count for items"),
            Setting::new("user_damping", s.user_damping, "how much less pairs of busy users count for items"),
            Setting::new("spread", s.spread, "whether items of the same users begin alike"),
            Setting::new("deviation", s.initial_deviation, "length of the initial factors"),
            Setting::new("steps", steps, "steps of conjugate gradient; 0 solves exactly"),
            Setting::new("fading", self.fading, "how much the older of a user's choices weigh less"),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const NUMBER: &str = "a number";
        const COUNT: &str = "a whole number";
        let s = &mut self.settings;
        match name {
            "dimensions" => s.dimensions = read(name, value, COUNT)?,
            "epochs" => s.epochs = read(name, value, COUNT)?,
            "alpha" => s.alpha = read(name, value, NUMBER)?,
            "regularisation" => s.regularisation = read(name, value, NUMBER)?,
            "exponent" => s.regularisation_exponent = read(name, value, NUMBER)?,
            "item_damping" => s.item_damping = read(name, value, NUMBER)?,
            "user_damping" => s.user_damping = read(name, value, NUMBER)?,
            "spread" => s.spread = read(name, value, "true or false")?,
            "deviation" => s.initial_deviation = read(name, value, NUMBER)?,
            "steps" => {
                let steps = read(name, value, COUNT)?;
                s.solver = NonZeroUsize::new(steps).map_or(Solver::Cholesky, Solver::ConjugateGradient);
            }
            "fading" => self.fading = read(name, value, NUMBER)?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let failed = |source: factors::Error| Error::training(NAME, source);
        let settings = Settings { seed: training.seed, ..self.settings.clone() };
        let learn = faded(&training.learn, self.fading).map_err(failed)?;
        let stage = progress.stage(NAME, Unit::Steps, Some(settings.epochs as u64));
        let checkpoints = training.checkpoints.as_ref();
        let model =
            factors::train_resumable(&learn, &settings, checkpoints, &mut |_| stage.advance(1)).map_err(failed)?;
        stage.finish(&format!("{} users, {} items, {} pairs", learn.rows(), learn.columns(), learn.len()));
        let folded = match &training.later {
            None => None,
            Some(later) => Some(fold_in(&model, &faded(later, self.fading).map_err(failed)?, settings.alpha)?),
        };
        Ok(Box::new(Trained { model, folded }))
    }
}

/// The interactions with weights by age, where the order is known. A pair weighs as its last choice.
pub(super) fn faded(history: &History, fading: f32) -> Result<Interactions, factors::Error> {
    let Some(sequences) = history.sequences.as_ref().filter(|_| fading != 0.0) else {
        return Ok(history.seen.clone());
    };
    let mut factor = vec![0.0_f32; history.seen.columns()];
    let mut entries = Vec::with_capacity(history.seen.len());
    for (user, sequence) in sequences.iter().enumerate() {
        for (at, item) in sequence.iter().enumerate() {
            if let Some(factor) = factor.get_mut(*item as usize) {
                *factor = (-fading * (1.0 - (at as f32 + 1.0) / sequence.len() as f32)).exp();
            }
        }
        let (items, weights) = history.seen.row(user);
        let weigh = |(item, weight): (&u32, &f32)| (user as u32, *item, weight * factor[*item as usize]);
        // A pair that the order leaves out keeps no weight, which no matrix may hold.
        entries.extend(items.iter().zip(weights).map(weigh).filter(|(_, _, weight)| *weight > 0.0));
        for item in sequence {
            if let Some(factor) = factor.get_mut(*item as usize) {
                *factor = 0.0;
            }
        }
    }
    Interactions::from_entries(history.seen.rows(), history.seen.columns(), &entries)
}

/// The vectors of users by what is known of them now, one after another.
pub(super) fn fold_in(model: &Model, given: &Interactions, alpha: f32) -> Result<Vec<f32>, Error> {
    let factors = model.to_factors().map_err(|source| Error::training(NAME, source))?;
    let vectors: Vec<Vec<f32>> = (0..given.rows())
        .into_par_iter()
        .map(|user| {
            let (items, weights) = given.row(user);
            let pairs: Vec<(u32, f32)> = items.iter().zip(weights).map(|(item, w)| (*item, alpha * w)).collect();
            let mut vector = factors.fold_in(&pairs);
            vector.truncate(factors.dimensions);
            vector
        })
        .collect();
    Ok(vectors.concat())
}

struct Trained {
    model: Model,
    /// Users as they are known at the moment of asking, where that is not what was learned from.
    folded: Option<Vec<f32>>,
}

impl Scorer for Trained {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        let scorer = FactorScorer(&self.model);
        match &self.folded {
            None => scorer.score(users, scores),
            Some(vectors) => {
                let dimensions = self.model.item(0).len();
                let of = |user: &u32| &vectors[*user as usize * dimensions..][..dimensions];
                scorer.products(&users.iter().map(of).collect::<Vec<_>>(), scores);
            }
        }
    }

    fn item_vectors(&self) -> Option<ItemVectors> {
        let dimensions = self.model.item(0).len();
        let values = (0..self.model.items() as u32).flat_map(|item| self.model.item(item)).copied().collect();
        Some(ItemVectors { dimensions, values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// Two groups of users and items, all of a group's items but one for each of its users.
    fn groups(leave_out: bool) -> Vec<Vec<u32>> {
        (0..20_u32)
            .map(|user| {
                let first = user % 2 * 10;
                (first..first + 10).filter(|item| !leave_out || *item != first + user / 2).collect()
            })
            .collect()
    }

    fn best(scorer: &dyn Scorer, user: u32, given: &Interactions) -> u32 {
        let mut scores = vec![0.0; 20];
        scorer.score(&[user], &mut scores);
        crate::evaluate::top::best(&mut scores, given.row(user as usize).0, 1)[0]
    }

    #[test]
    fn the_missing_item_of_a_group_is_found_for_users_learned_and_folded_in() {
        let mut engine = Factors::default();
        for (name, value) in [("dimensions", "4"), ("epochs", "8"), ("alpha", "4"), ("regularisation", "0.01")] {
            engine.set(name, value).unwrap();
        }
        let learn = History::of_sets(20, &groups(true)).unwrap();
        let mut training = Training { learn: learn.clone(), ..Training::default() };
        for later in [None, Some(learn.clone())] {
            training.later = later;
            let scorer = engine.train(&training, &Silent).unwrap();
            for user in 0..20 {
                assert_eq!(best(&*scorer, user, &learn.seen), user % 2 * 10 + user / 2, "user {user}");
            }
            assert_eq!(scorer.item_vectors().unwrap().values.len(), 20 * 4);
        }
    }

    #[test]
    fn what_came_last_weighs_most_where_the_order_is_known() {
        let history = History::of_sequences(3, vec![vec![2, 0, 2, 1]]).unwrap();
        let matrix = faded(&history, 2.0).unwrap();
        let expected = [(-1.0_f32).exp(), 1.0, (-0.5_f32).exp()];
        for (weight, expected) in matrix.row(0).1.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-6, "{matrix:?}");
        }
        assert_eq!(faded(&history, 0.0).unwrap(), history.seen);
    }
}
