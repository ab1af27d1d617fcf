//! Items nobody chose yet, by their content.

use releases::content::{Described, word};
use shared_models::ItemKey;

use super::{
    super::{
        Scorer,
        engine::{Engine, Error, Setting, read},
        scorers::ItemVectors,
        training::Training,
    },
    factors::{Factors, faded, fold_in},
};
use crate::{
    content::{self, Known, Settings},
    dense::Matrix,
    factors,
    progress::{Progress, Unit},
};

const NAME: &str = "content";

/// Factors, and for items that nobody chose a mapping from their words ([`crate::content`]).
#[derive(Clone, Debug, Default)]
pub struct Content {
    factors: Factors,
    settings: Settings,
}

impl Engine for Content {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "factors, with vectors by regression on their words for items that nobody chose"
    }

    fn settings(&self) -> Vec<Setting> {
        let mut settings = self.factors.settings();
        let s = &self.settings;
        settings.push(Setting::new("ridge", s.regularisation, "strength of the regression's regularisation"));
        settings.push(Setting::new("most_words", s.most_words, "the most words that are told apart"));
        settings.push(Setting::new("least_items", s.least_items, "how many items a word must stand at"));
        settings
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        const COUNT: &str = "a whole number";
        let s = &mut self.settings;
        match name {
            "ridge" => s.regularisation = read(name, value, "a number")?,
            "most_words" => s.most_words = read(name, value, COUNT)?,
            "least_items" => s.least_items = read(name, value, COUNT)?,
            _ if self.factors.settings().iter().any(|setting| setting.name == name) => self.factors.set(name, value)?,
            _ => return Err(Error::unknown(self, name)),
        }
        Ok(())
    }

    fn train<'a>(&self, training: &'a Training, progress: &dyn Progress) -> Result<Box<dyn Scorer + 'a>, Error> {
        let Some(words) = &training.words else {
            return Err(Error::Needs { engine: NAME, needs: "words of the items, such as genres or tags" });
        };
        let failed = |source: factors::Error| Error::training(NAME, source);
        let settings = factors::Settings { seed: training.seed, ..self.factors.settings.clone() };
        let learn = faded(&training.learn, self.factors.fading).map_err(failed)?;
        let stage = progress.stage(NAME, Unit::Steps, Some(settings.epochs as u64 + 1));
        let checkpoints = training.checkpoints.as_ref();
        let model =
            factors::train_resumable(&learn, &settings, checkpoints, &mut |_| stage.advance(1)).map_err(failed)?;
        let dimensions = settings.dimensions;
        let users = match &training.later {
            None => (0..model.users() as u32).flat_map(|user| model.user(user)).copied().collect(),
            Some(later) => fold_in(&model, &faded(later, self.factors.fading).map_err(failed)?, settings.alpha)?,
        };

        let chosen = learn.transpose();
        let of = |words: &Vec<String>| words.iter().map(|text| word(text)).collect();
        let contents: Vec<Described> = (0..model.items())
            .map(|item| Described { words: words.get(item).map(of).unwrap_or_default(), numbers: None })
            .collect();
        // A maker is a word like others here: the data sets of cold items have none, or tell of nothing else.
        let known: Vec<Known<'_>> = contents
            .iter()
            .enumerate()
            .map(|(item, content)| {
                let users = chosen.row(item).0.len();
                Known { content, maker: ItemKey::NONE, vector: model.item(item as u32), users }
            })
            .collect();
        let learnt = content::learn(&known, &self.settings).map_err(|source| Error::training(NAME, source))?;
        let mut items = Matrix::zeros(model.items(), dimensions);
        let mut new = 0_usize;
        for (item, Known { content, vector, users, .. }) in known.iter().enumerate() {
            if *users > 0 {
                items.row_mut(item).copy_from_slice(vector);
            } else if learnt.mapping.tells_of(content) {
                items.row_mut(item).copy_from_slice(&learnt.mapping.vector(content)[..dimensions]);
                new += 1;
            }
        }
        stage.finish(&format!("{} items, {new} of them by their words alone", items.rows));
        let users = Matrix { rows: training.given().seen.rows(), columns: dimensions, values: users };
        Ok(Box::new(Vectors { users, items }))
    }
}

/// Both sides as vectors.
struct Vectors {
    users: Matrix,
    items: Matrix,
}

impl Scorer for Vectors {
    fn score(&self, users: &[u32], scores: &mut [f32]) {
        for (user, row) in users.iter().zip(scores.chunks_exact_mut(self.items.rows.max(1))) {
            releases::vectors::dot_many(self.users.row(*user as usize), &self.items.values, row);
        }
    }

    fn item_vectors(&self) -> Option<ItemVectors> {
        Some(ItemVectors { dimensions: self.items.columns, values: self.items.values.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{evaluate::training::History, progress::Silent};

    #[test]
    fn a_new_item_is_recommended_to_those_who_like_its_kind() {
        // Users of two groups with ten items each; items 20 and 21 are new, one of each kind.
        let lists: Vec<Vec<u32>> = (0..30_u32)
            .map(|user| (0..10).filter(|n| (n + user) % 3 > 0).map(|n| user % 2 * 10 + n).collect())
            .collect();
        let kind = |item: u32| if item < 10 || item == 20 { "genre:rock" } else { "genre:jazz" };
        let training = Training {
            learn: History::of_sets(22, &lists).unwrap(),
            words: Some((0..22).map(|item| vec![kind(item).to_owned()]).collect()),
            ..Training::default()
        };
        let mut engine = Content::default();
        for (name, value) in [("dimensions", "4"), ("epochs", "8"), ("alpha", "4"), ("ridge", "1")] {
            engine.set(name, value).unwrap();
        }
        let scorer = engine.train(&training, &Silent).unwrap();
        for user in 0..30_u32 {
            let mut scores = [0.0; 22];
            scorer.score(&[user], &mut scores);
            assert_eq!(scores[20] > scores[21], user % 2 == 0, "user {user}");
        }
        let wordless = Training { words: None, ..training.clone() };
        assert!(matches!(engine.train(&wordless, &Silent), Err(Error::Needs { .. })));
    }
}
