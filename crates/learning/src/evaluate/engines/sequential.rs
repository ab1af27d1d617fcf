//! The next item from the ones before.

use super::super::{
    Scorer,
    engine::{Engine, Error, Setting, read},
    training::Training,
};
use crate::{
    progress::Progress,
    sequential::{self, Profile, SequenceScorer, Settings},
};

const NAME: &str = "sequential";

/// Regression on fading profiles ([`crate::sequential`]).
#[derive(Clone, Debug, Default)]
pub struct Sequential {
    settings: Settings,
}

impl Sequential {
    /// A number of every profile, joined with spaces.
    fn of_profiles(&self, number: impl Fn(&Profile) -> f32) -> String {
        self.settings.profiles.iter().map(|profile| number(profile).to_string()).collect::<Vec<_>>().join(" ")
    }
}

impl Engine for Sequential {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "the next item by regression on profiles that fade at several speeds; for up to 12,000 items in time order"
    }

    fn settings(&self) -> Vec<Setting> {
        let s = &self.settings;
        vec![
            Setting::new(
                "decays",
                self.of_profiles(|p| p.decay),
                "what an item counts for each item after it, by profile",
            ),
            Setting::new("scales", self.of_profiles(|p| p.scale), "what each profile is multiplied by"),
            Setting::new("regularisation", s.regularisation, "strength of the regularisation"),
            Setting::new("popularity_exponent", s.popularity_exponent, "how much of an item's count is taken out"),
            Setting::new("most_items", s.most_items, "more items than this are refused"),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const NUMBER: &str = "a number";
        let numbers = || -> Result<Vec<f32>, Error> {
            value.split_whitespace().map(|word| read(name, word, "numbers, one for each profile")).collect()
        };
        let s = &mut self.settings;
        match name {
            // Setting the decays says how many profiles there are; a scale that is not known yet is 1.
            "decays" => {
                let scale = |at: usize| s.profiles.get(at).map_or(1.0, |profile| profile.scale);
                let decays = numbers()?.into_iter().enumerate();
                s.profiles = decays.map(|(at, decay)| Profile { decay, scale: scale(at) }).collect();
            }
            "scales" => {
                for (profile, scale) in s.profiles.iter_mut().zip(numbers()?) {
                    profile.scale = scale;
                }
            }
            "regularisation" => s.regularisation = read(name, value, NUMBER)?,
            "popularity_exponent" => s.popularity_exponent = read(name, value, NUMBER)?,
            "most_items" => s.most_items = read(name, value, "a whole number")?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let missing = Error::Needs { engine: NAME, needs: "the order of each user's items" };
        let (Some(learn), Some(given)) = (&training.learn.sequences, &training.given().sequences) else {
            return Err(missing);
        };
        let model = sequential::train(learn, training.items(), &self.settings, progress)
            .map_err(|source| Error::training(NAME, source))?;
        Ok(Box::new(SequenceScorer { model, given }))
    }
}
