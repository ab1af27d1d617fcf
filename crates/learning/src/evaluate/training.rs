//! What a recommender is given: the interactions it learns from, what is known of each user when lists are asked
//! for, and, where the data tell it, the order of things and what the items are.

use shared_models::Seed;

use super::split::Timed;
use crate::{
    checkpoint::Checkpoints,
    factors::{self, Interactions},
};

/// What users did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Users by items, with weights; each row's columns ascend.
    pub seen: Interactions,
    /// Each user's items, oldest first, where the data tell the order. An item stands as often as it was chosen.
    pub sequences: Option<Vec<Vec<u32>>>,
}

impl History {
    /// Choices of weight 1 whose order means nothing, a list for each user.
    ///
    /// # Errors
    /// When an item lies outside `items`.
    pub fn of_sets(items: usize, lists: &[Vec<u32>]) -> Result<Self, factors::Error> {
        let mut entries: Vec<(u32, u32, f32)> = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        for (user, list) in lists.iter().enumerate() {
            let mut list = list.clone();
            list.sort_unstable();
            list.dedup();
            entries.extend(list.into_iter().map(|item| (user as u32, item, 1.0)));
        }
        Ok(Self { seen: Interactions::from_entries(lists.len(), items, &entries)?, sequences: None })
    }

    /// Choices of weight 1 in their order, oldest first, a list for each user.
    ///
    /// # Errors
    /// When an item lies outside `items`.
    pub fn of_sequences(items: usize, lists: Vec<Vec<u32>>) -> Result<Self, factors::Error> {
        let seen = Self::of_sets(items, &lists)?.seen;
        Ok(Self { seen, sequences: Some(lists) })
    }
}

/// What a recommender is given.
#[derive(Clone, Debug, Default)]
pub struct Training {
    /// What it learns from.
    pub learn: History,
    /// What is known of the users when lists are asked for, where that is more than what was learned from (some
    /// protocols show the validation part to a model that is not trained again).
    pub later: Option<History>,
    /// The items' titles, where the data have them.
    pub titles: Option<Vec<String>>,
    /// What the items are, in words such as `genre:drama` or `year:1995`, where the data tell it.
    pub words: Option<Vec<Vec<String>>>,
    /// Every choice with its moment and market, in time order, where the data tell them.
    pub choices: Option<Vec<Timed>>,
    /// The source of every draw.
    pub seed: Seed,
    /// Where trainings of many epochs keep how far they are, to go on from there when they are cut short.
    pub checkpoints: Option<Checkpoints>,
}

impl Training {
    /// What is known of the users when lists are asked for: a scorer's users are rows of this.
    #[must_use]
    pub fn given(&self) -> &History {
        self.later.as_ref().unwrap_or(&self.learn)
    }

    /// How many users.
    #[must_use]
    pub fn users(&self) -> usize {
        self.learn.seen.rows()
    }

    /// How many items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.learn.seen.columns()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_chosen_twice_is_one_pair_and_keeps_its_place_in_the_order() {
        let history = History::of_sequences(4, vec![vec![3, 0, 3], vec![]]).unwrap();
        assert_eq!(history.seen.entries().collect::<Vec<_>>(), [(0, 0, 1.0), (0, 3, 1.0)]);
        assert_eq!(history.sequences.unwrap()[0], [3, 0, 3]);
        assert!(History::of_sets(2, &[vec![2]]).is_err());
    }

    #[test]
    fn what_is_given_is_what_was_learned_from_unless_there_is_more() {
        let learn = History::of_sets(2, &[vec![0]]).unwrap();
        let later = History::of_sets(2, &[vec![0, 1]]).unwrap();
        let mut training = Training { learn: learn.clone(), ..Training::default() };
        assert_eq!(training.given(), &learn);
        training.later = Some(later.clone());
        assert_eq!(training.given(), &later);
        assert_eq!((training.users(), training.items()), (1, 2));
    }
}
