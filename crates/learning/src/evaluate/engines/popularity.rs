//! The same list for everybody: what most chose. Whatever does not beat it has learned nothing of anybody.

use super::super::{
    PopularityScorer, Scorer,
    engine::{Engine, Error},
    training::Training,
};
use crate::progress::Progress;

/// Ranks items by the sum of the weights they were chosen with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Popularity;

impl Engine for Popularity {
    fn name(&self) -> &'static str {
        "popularity"
    }

    fn about(&self) -> &'static str {
        "the same list for everybody: what was chosen most"
    }

    fn set(&mut self, name: &str, _: &str) -> Result<(), Error> {
        Err(Error::unknown(self, name))
    }

    fn train<'a>(&self, training: &'a Training, _: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        Ok(Box::new(PopularityScorer::new(&training.learn.seen)))
    }
}
