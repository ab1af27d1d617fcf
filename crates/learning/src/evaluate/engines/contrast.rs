//! Item vectors by contrast.

use super::{
    super::{
        Scorer,
        engine::{Engine, Error, Setting, read},
        training::Training,
    },
    factors::faded,
};
use crate::{
    contrast::{self, ContrastScorer, Settings},
    factors,
    progress::Progress,
};

const NAME: &str = "contrast";

/// Unit vectors ([`crate::contrast`]).
#[derive(Clone, Debug, Default)]
pub struct Contrast {
    settings: Settings,
    /// Where the order is known, how much less the older of a user's choices weigh in training.
    fading: f32,
    /// The same when lists are asked for.
    asking: f32,
}

impl Engine for Contrast {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "item vectors by sampled softmax; a user is the sum of the user's items"
    }

    fn settings(&self) -> Vec<Setting> {
        let s = &self.settings;
        vec![
            Setting::new("dimensions", s.dimensions, "factors of an item"),
            Setting::new("epochs", s.epochs, "how often every pair is seen"),
            Setting::new("temperature", s.temperature, "how sharply nearness is judged"),
            Setting::new("rate", s.rate, "step of the optimiser"),
            Setting::new("negatives", s.negatives, "items each pair is told apart from"),
            Setting::new("batch", s.batch, "pairs of a step"),
            Setting::new("lift", s.lift, "how much longer the vectors of items are that are chosen much"),
            Setting::new("fading", self.fading, "how much the older of a user's choices weigh less in training"),
            Setting::new("asking", self.asking, "the same when lists are asked for"),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const NUMBER: &str = "a number";
        const COUNT: &str = "a whole number";
        let s = &mut self.settings;
        match name {
            "dimensions" => s.dimensions = read(name, value, COUNT)?,
            "epochs" => s.epochs = read(name, value, COUNT)?,
            "temperature" => s.temperature = read(name, value, NUMBER)?,
            "rate" => s.rate = read(name, value, NUMBER)?,
            "negatives" => s.negatives = read(name, value, COUNT)?,
            "batch" => s.batch = read(name, value, COUNT)?,
            "lift" => s.lift = read(name, value, NUMBER)?,
            "asking" => self.asking = read(name, value, NUMBER)?,
            "fading" => self.fading = read(name, value, NUMBER)?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let weighed = |history, fading: f32| {
            faded(history, fading).map_err(|source: factors::Error| Error::training(NAME, source))
        };
        let settings = Settings { seed: training.seed, ..self.settings.clone() };
        let learn = weighed(&training.learn, self.fading)?;
        let model = contrast::train_resumable(&learn, &settings, training.checkpoints.as_ref(), progress)
            .map_err(|source| Error::training(NAME, source))?;
        let given = weighed(training.given(), self.asking)?;
        Ok(Box::new(ContrastScorer { model, given }))
    }
}
