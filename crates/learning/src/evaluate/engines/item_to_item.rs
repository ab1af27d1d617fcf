//! The most similar items of what a user chose: what the item-to-item source serves.

use std::borrow::Cow;

use super::{
    super::{
        Scorer,
        engine::{Engine, Error, Setting, read},
        training::Training,
    },
    factors::faded,
};
use crate::{
    ease, factors,
    neighbours::{self, NeighbourScorer, Settings},
    progress::{Progress, Unit},
};

const NAME: &str = "item-to-item";

/// Neighbours ([`crate::neighbours`]), the best of each item alone.
#[derive(Clone, Debug, Default)]
pub struct ItemToItem {
    settings: Settings,
    /// Used where set: weights in closed form in place of cosines.
    closed_form: bool,
    ease: ease::Settings,
    /// Where the order is known, how much less the older of a user's choices weigh when scores are asked for.
    fading: f32,
}

impl Engine for ItemToItem {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "the most similar items of each item, by cosine or by ease; sparse, as a release carries them"
    }

    fn settings(&self) -> Vec<Setting> {
        let (s, e) = (&self.settings, &self.ease);
        let method = if self.closed_form { "ease" } else { "cosine" };
        vec![
            Setting::new("method", method, "cosine or ease"),
            Setting::new("neighbours", s.neighbours, "the most neighbours of an item"),
            Setting::new(
                "shrinkage",
                s.shrinkage,
                "cosine: common users that a similarity needs to be believed by half",
            ),
            Setting::new("longest_row", s.longest_row, "cosine: users of more items are passed over; 0 takes all"),
            Setting::new("user_exponent", s.user_exponent, "how much less users of many items say"),
            Setting::new(
                "end_exponent",
                s.end_exponent,
                "cosine: what is taken out of a neighbour; less lifts popular ones",
            ),
            Setting::new("regularisation", e.regularisation, "ease: strength of the regularisation"),
            Setting::new("item_exponent", e.item_exponent, "ease: how much of an item's degree is taken out"),
            Setting::new("fading", self.fading, "how much the older of a user's choices weigh less"),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const NUMBER: &str = "a number";
        const COUNT: &str = "a whole number";
        let s = &mut self.settings;
        match name {
            "method" => {
                self.closed_form = match value {
                    "cosine" => false,
                    "ease" => true,
                    _ => {
                        let (name, given) = (name.to_owned(), value.to_owned());
                        return Err(Error::Value { name, given, expected: "cosine or ease" });
                    }
                }
            }
            "neighbours" => s.neighbours = read(name, value, COUNT)?,
            "shrinkage" => s.shrinkage = read(name, value, NUMBER)?,
            "longest_row" => s.longest_row = read(name, value, COUNT)?,
            "user_exponent" => {
                s.user_exponent = read(name, value, NUMBER)?;
                self.ease.user_exponent = s.user_exponent;
            }
            "end_exponent" => s.end_exponent = read(name, value, NUMBER)?,
            "regularisation" => self.ease.regularisation = read(name, value, NUMBER)?,
            "item_exponent" => self.ease.item_exponent = read(name, value, NUMBER)?,
            "fading" => self.fading = read(name, value, NUMBER)?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let learn = &training.learn.seen;
        let neighbours = if self.closed_form {
            let model = ease::train(learn, &self.ease, progress).map_err(|source| Error::training(NAME, source))?;
            neighbours::of_ease(&model, self.settings.neighbours)
        } else {
            let stage = progress.stage("neighbours", Unit::Steps, None);
            let nearest = neighbours::nearest(learn, &self.settings);
            stage.finish(&format!("{} pairs", nearest.items.len()));
            nearest
        };
        let given = if self.fading == 0.0 {
            Cow::Borrowed(&training.given().seen)
        } else {
            let faded = faded(training.given(), self.fading);
            Cow::Owned(faded.map_err(|source: factors::Error| Error::training(NAME, source))?)
        };
        Ok(Box::new(NeighbourScorer { neighbours, given }))
    }
}
