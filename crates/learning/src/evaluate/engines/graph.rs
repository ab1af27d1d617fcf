//! Graph filters over the items.

use super::{
    super::{
        Scorer,
        engine::{Engine, Error, Setting, read},
        training::Training,
    },
    factors::faded,
};
use crate::{
    factors,
    graph::{Filter, Settings},
    progress::Progress,
};

const NAME: &str = "graph";

/// Filters ([`crate::graph`]).
#[derive(Clone, Debug)]
pub struct Graph {
    settings: Settings,
    /// Where the order is known, how much less the older of a user's choices weigh when scores are asked for. The
    /// filter itself knows no weights.
    fading: f32,
}

impl Default for Graph {
    fn default() -> Self {
        Self { settings: Settings::default(), fading: 5.0 }
    }
}

impl Engine for Graph {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "walks from a user's items over users who share them and back, and a low pass; nothing is trained"
    }

    fn settings(&self) -> Vec<Setting> {
        let s = &self.settings;
        vec![
            Setting::new("user_exponent", s.user_exponent, "how much of a user's degree is taken out"),
            Setting::new(
                "item_exponent",
                s.item_exponent,
                "how much of an item's degree is taken out where walks begin",
            ),
            Setting::new("end_exponent", s.end_exponent, "the same where walks end; less lifts popular items"),
            Setting::new("signals", s.signals, "smooth signals that pass; 0 leaves the low pass out"),
            Setting::new("low_pass", s.low_pass, "weight of the low pass"),
            Setting::new("rounds", s.rounds, "rounds of subspace iteration that find the signals"),
            Setting::new("sharpening", s.sharpening, "how long scores are sharpened; 0 leaves it out"),
            Setting::new("fading", self.fading, "how much the older of a user's choices weigh less"),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const NUMBER: &str = "a number";
        const COUNT: &str = "a whole number";
        let s = &mut self.settings;
        match name {
            "user_exponent" => s.user_exponent = read(name, value, NUMBER)?,
            "item_exponent" => s.item_exponent = read(name, value, NUMBER)?,
            "end_exponent" => s.end_exponent = read(name, value, NUMBER)?,
            "signals" => s.signals = read(name, value, COUNT)?,
            "low_pass" => s.low_pass = read(name, value, NUMBER)?,
            "rounds" => s.rounds = read(name, value, COUNT)?,
            "sharpening" => s.sharpening = read(name, value, NUMBER)?,
            "fading" => self.fading = read(name, value, NUMBER)?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let settings = Settings { seed: training.seed, ..self.settings.clone() };
        let filter = Filter::of(&training.learn.seen, &settings, progress);
        let given =
            faded(training.given(), self.fading).map_err(|source: factors::Error| Error::training(NAME, source))?;
        Ok(Box::new(filter.scorer(given)))
    }
}
