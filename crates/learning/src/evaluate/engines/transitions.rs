//! What follows what.

use super::super::{
    Scorer,
    engine::{Engine, Error, Setting, read},
    training::Training,
};
use crate::{
    progress::{Progress, Unit},
    transitions::{self, Settings, TransitionScorer},
};

const NAME: &str = "transitions";

/// Transitions between items ([`crate::transitions`]).
#[derive(Clone, Debug, Default)]
pub struct Transitions {
    settings: Settings,
}

impl Engine for Transitions {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "what followed the user's last items in the lists of others; counted, for catalogues of any size"
    }

    fn settings(&self) -> Vec<Setting> {
        let s = &self.settings;
        vec![
            Setting::new("window", s.window, "how many items back a transition may begin"),
            Setting::new("gap_decay", s.gap_decay, "how much less each further step counts"),
            Setting::new("begin_exponent", s.begin_exponent, "how much of how often an item is followed is taken out"),
            Setting::new("end_exponent", s.end_exponent, "how much of how often an item follows is taken out"),
            Setting::new("kept", s.kept, "the most followers of an item"),
            Setting::new("last", s.last, "how many of a user's last items speak"),
            Setting::new("decay", s.decay, "how much less each earlier of them says"),
        ]
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const NUMBER: &str = "a number";
        const COUNT: &str = "a whole number";
        let s = &mut self.settings;
        match name {
            "window" => s.window = read(name, value, COUNT)?,
            "gap_decay" => s.gap_decay = read(name, value, NUMBER)?,
            "begin_exponent" => s.begin_exponent = read(name, value, NUMBER)?,
            "end_exponent" => s.end_exponent = read(name, value, NUMBER)?,
            "kept" => s.kept = read(name, value, COUNT)?,
            "last" => s.last = read(name, value, COUNT)?,
            "decay" => s.decay = read(name, value, NUMBER)?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let missing = Error::Needs { engine: NAME, needs: "the order of each user's items" };
        let (Some(learn), Some(given)) = (&training.learn.sequences, &training.given().sequences) else {
            return Err(missing);
        };
        let stage = progress.stage(NAME, Unit::Steps, None);
        let model = transitions::count(learn, training.items(), &self.settings);
        stage.finish(&format!("{} lists, {} items", learn.len(), training.items()));
        Ok(Box::new(TransitionScorer { model, given }))
    }
}
