//! Weights between items in closed form.

use super::super::{
    Scorer,
    engine::{Engine, Error, Setting, read},
    training::Training,
};
use crate::{
    ease::{self, EaseScorer, Settings},
    progress::Progress,
};

const NAME: &str = "ease";

/// Shallow autoencoders ([`crate::ease`]).
#[derive(Clone, Debug, Default)]
pub struct Ease {
    settings: Settings,
}

impl Engine for Ease {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "every item as a weighted sum of the others a user chose, in closed form; for up to 12,000 users or items"
    }

    fn settings(&self) -> Vec<Setting> {
        let s = &self.settings;
        vec![
            Setting::new("regularisation", s.regularisation, "strength of the regularisation"),
            Setting::new("user_exponent", s.user_exponent, "how much of a user's degree is taken out"),
            Setting::new("item_exponent", s.item_exponent, "how much of an item's degree is taken out"),
            Setting::new("end_exponent", s.end_exponent, "how much of an item's degree its scores are given"),
            Setting::new("largest", s.largest, "the most users or items, whichever are fewer"),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const NUMBER: &str = "a number";
        let s = &mut self.settings;
        match name {
            "regularisation" => s.regularisation = read(name, value, NUMBER)?,
            "user_exponent" => s.user_exponent = read(name, value, NUMBER)?,
            "item_exponent" => s.item_exponent = read(name, value, NUMBER)?,
            "end_exponent" => s.end_exponent = read(name, value, NUMBER)?,
            "largest" => s.largest = read(name, value, "a whole number")?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let model = ease::train(&training.learn.seen, &self.settings, progress)
            .map_err(|source| Error::training(NAME, source))?;
        Ok(Box::new(EaseScorer { model, given: &training.given().seen }))
    }
}
