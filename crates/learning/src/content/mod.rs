//! Vectors for items nobody has chosen yet, from what is known of them: a regression from content to factors.
//!
//! It must not know events, catalogues or releases' files: words or numbers of each item and the vectors of those that were
//! trained go in, a vector for any item comes out.
//!
//! # The model
//! The vector of an item with features f is `Wᵀ f`. W lowers
//!
//! `Σ_i g_i |y_i - Wᵀ f_i|² + λ |W|²`, so that `W = (Fᵀ G F + λ I)⁻¹ Fᵀ G Y`
//!
//! over the items i with a trained vector y, believed with `g_i = min(n_i, 50)^½` for n users: an item that few chose has a vector
//! that says little. (Gantner, Drumond, Freudenthaler, Rendle and Schmidt-Thieme, "Learning Attribute-to-Feature Mappings
//! for Cold-Start Recommendations", ICDM 2010, with ridge regression as the mapping.)
//!
//! Features are words (an artist, a genre, a tag, a decade), each present or not, scaled by how rare it is,
//! `ln(1 + items / items with it)`, with the whole brought to length 1; beside them numbers, of audio or of any
//! embedding a tenant supplies, each brought to mean 0 and deviation 1; and a constant.
//!
//! # Cost
//! `f²` numbers and `f³ / 3` multiplications for f features: the most frequent words up to [`Settings::most_words`].

use std::collections::BTreeMap;

use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};
use releases::vectors::axpy;
use shared_models::ErrorCode;

use crate::dense::{Factor, Matrix};

/// An item that is known: its features with their weights, how much it counts, and its vector.
type Row<'a> = (Vec<(u32, f32)>, f32, &'a [f32]);

/// From how many users on an item's vector is believed no more.
const MOST_BELIEVED: f32 = 50.0;

/// What is known of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Content {
    /// Words, such as `artist:…` or `genre:…`; the same word means the same for all items.
    pub words: Vec<String>,
    /// Numbers; as many for all items.
    pub numbers: Vec<f32>,
}

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// λ.
    pub regularisation: f32,
    /// The most words that are told apart; the rest of them, the rarest, are passed over.
    pub most_words: usize,
    /// How many items a word must stand at.
    pub least_items: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { regularisation: 10.0, most_words: 4_096, least_items: 2 }
    }
}

/// Why there is no mapping.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No item has both content and a vector.
    #[error("no item has both a trained vector and words or numbers")]
    Nothing,
    /// Numbers differ in length.
    #[error("an item has {given} numbers where the others have {expected}")]
    Numbers {
        /// How many.
        given: usize,
        /// How many others have.
        expected: usize,
    },
    /// The system cannot be solved.
    #[error(
        "the system is not positive definite with regularisation {regularisation}; give a number above 0, or a larger one"
    )]
    Unsolved {
        /// What was given.
        regularisation: f32,
    },
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        ErrorCode::InvalidArgument
    }
}

/// A mapping from content to vectors.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The feature of each word with its scale.
    words: BTreeMap<String, (u32, f32)>,
    /// Mean and deviation of each number.
    numbers: Vec<(f32, f32)>,
    /// W: a row for each feature: words, numbers, the constant.
    weights: Matrix,
}

/// A trained item.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What is known of it.
    pub content: &'a Content,
    /// Its vector.
    pub vector: &'a [f32],
    /// How many users chose it.
    pub users: usize,
}

impl Mapping {
    /// Learns from items with vectors; those nobody chose are passed over.
    ///
    /// # Errors
    /// When there is nothing to learn from, numbers differ in length, or the system cannot be solved.
    pub fn of(known: &[Known<'_>], settings: &Settings) -> Result<Self, Error> {
        let known: Vec<&Known<'_>> = known
            .iter()
            .filter(|item| item.users > 0 && !(item.content.words.is_empty() && item.content.numbers.is_empty()))
            .collect();
        let Some(first) = known.first() else { return Err(Error::Nothing) };
        let (dimensions, expected) = (first.vector.len(), first.content.numbers.len());
        if let Some(other) = known.iter().find(|item| item.content.numbers.len() != expected) {
            return Err(Error::Numbers { given: other.content.numbers.len(), expected });
        }
        let words = vocabulary(&known, settings);
        let numbers = spread(&known, expected);
        let mut mapping = Self { words, numbers, weights: Matrix::default() };
        let wide = mapping.words.len() + expected + 1;

        let (mut system, mut right) = (Matrix::zeros(wide, wide), Matrix::zeros(wide, dimensions));
        let rows: Vec<Row<'_>> = known
            .iter()
            .map(|item| {
                let belief = (item.users as f32).min(MOST_BELIEVED).sqrt();
                (mapping.features(item.content), belief, item.vector)
            })
            .collect();
        // By feature, so that each row of the system is one thread's.
        let mut with: Vec<Vec<(u32, f32)>> = vec![Vec::new(); wide];
        for (number, (features, belief, _)) in rows.iter().enumerate() {
            for (feature, value) in features {
                with[*feature as usize].push((number as u32, belief * value));
            }
        }
        let each = system.values.par_chunks_mut(wide).zip(right.values.par_chunks_mut(dimensions.max(1)));
        each.enumerate().for_each(|(feature, (system, right))| {
            for (number, weight) in &with[feature] {
                let (features, _, vector) = &rows[*number as usize];
                for (other, value) in features {
                    system[*other as usize] += weight * value;
                }
                axpy(*weight, vector, right);
            }
        });
        system.add_to_diagonal(settings.regularisation);
        let unsolved = Error::Unsolved { regularisation: settings.regularisation };
        if settings.regularisation.is_nan() || settings.regularisation <= 0.0 {
            return Err(unsolved);
        }
        mapping.weights = Factor::of(system).ok_or(unsolved)?.solve(right);
        Ok(mapping)
    }

    /// The vector of an item by what is known of it; `None` where nothing known of it was ever seen.
    #[must_use]
    pub fn vector(&self, content: &Content) -> Option<Vec<f32>> {
        let features = self.features(content);
        // The constant alone says nothing of this item.
        if features.len() < 2 {
            return None;
        }
        let mut vector = vec![0.0; self.weights.columns];
        for (feature, value) in features {
            axpy(value, self.weights.row(feature as usize), &mut vector);
        }
        Some(vector)
    }

    /// Features that are not 0, each once, the constant last.
    fn features(&self, content: &Content) -> Vec<(u32, f32)> {
        let mut features: Vec<(u32, f32)> =
            content.words.iter().filter_map(|word| self.words.get(word)).copied().collect();
        features.sort_unstable_by_key(|(feature, _)| *feature);
        features.dedup_by_key(|(feature, _)| *feature);
        let length = features.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        for (_, value) in &mut features {
            *value /= length;
        }
        let first = self.words.len() as u32;
        if content.numbers.len() == self.numbers.len() {
            let scaled =
                content.numbers.iter().zip(&self.numbers).map(|(value, (mean, deviation))| (value - mean) / deviation);
            features.extend((first..).zip(scaled).filter(|(_, value)| value.is_finite()));
        }
        features.push((first + self.numbers.len() as u32, 1.0));
        features
    }
}

/// The words that are told apart, with their features and scales.
fn vocabulary(known: &[&Known<'_>], settings: &Settings) -> BTreeMap<String, (u32, f32)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for item in known {
        let mut words: Vec<&str> = item.content.words.iter().map(String::as_str).collect();
        words.sort_unstable();
        words.dedup();
        for word in words {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut words: Vec<(&str, usize)> =
        counts.into_iter().filter(|(_, count)| *count >= settings.least_items).collect();
    words.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    words.truncate(settings.most_words);
    let rarity = |count: usize| (1.0 + known.len() as f32 / count as f32).ln();
    (0..).zip(words).map(|(feature, (word, count))| (word.to_owned(), (feature, rarity(count)))).collect()
}

/// Mean and deviation of each number.
fn spread(known: &[&Known<'_>], numbers: usize) -> Vec<(f32, f32)> {
    let n = known.len() as f64;
    (0..numbers)
        .map(|at| {
            let of = || known.iter().map(|item| f64::from(item.content.numbers[at]));
            let mean = of().sum::<f64>() / n;
            let variance = of().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
            (mean as f32, (variance.sqrt() as f32).max(1e-6))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(words: &[&str], numbers: &[f32]) -> Content {
        Content { words: words.iter().map(|word| (*word).to_owned()).collect(), numbers: numbers.to_vec() }
    }

    #[test]
    fn an_item_nobody_chose_gets_the_vector_of_its_like() {
        let (rock, jazz) = (content(&["genre:rock", "rare"], &[]), content(&["genre:jazz"], &[]));
        let known: Vec<Known<'_>> = (0..40)
            .map(|n| match n % 2 {
                0 => Known { content: &rock, vector: &[1.0, 0.0], users: 9 },
                _ => Known { content: &jazz, vector: &[0.0, 1.0], users: 9 },
            })
            .collect();
        let mapping = Mapping::of(&known, &Settings { regularisation: 0.1, ..Settings::default() }).unwrap();
        let vector = mapping.vector(&content(&["genre:jazz", "never seen"], &[])).unwrap();
        assert!(vector[0].abs() < 0.05 && (vector[1] - 1.0).abs() < 0.05, "{vector:?}");
        assert_eq!(mapping.vector(&content(&["never seen"], &[])), None);
        assert_eq!(mapping.vector(&content(&[], &[])), None);
    }

    #[test]
    fn numbers_are_regressed_on_in_units_of_their_deviation() {
        // y = 3 + 2 x: exact in the limit of no regularisation, whatever the scale of x.
        let contents: Vec<Content> = (0..30).map(|n| content(&[], &[n as f32 * 1_000.0])).collect();
        let vectors: Vec<[f32; 1]> = (0..30).map(|n| [3.0 + 2.0 * n as f32]).collect();
        let known: Vec<Known<'_>> =
            contents.iter().zip(&vectors).map(|(content, vector)| Known { content, vector, users: 1 }).collect();
        let mapping = Mapping::of(&known, &Settings { regularisation: 1e-3, ..Settings::default() }).unwrap();
        let vector = mapping.vector(&content(&[], &[40_000.0])).unwrap();
        assert!((vector[0] - 83.0).abs() < 0.1, "{vector:?}");
    }

    #[test]
    fn rare_words_and_items_nobody_chose_teach_nothing() {
        let (a, b) = (content(&["x", "y"], &[]), content(&["x"], &[]));
        let known = [
            Known { content: &a, vector: &[1.0], users: 1 },
            Known { content: &b, vector: &[1.0], users: 1 },
            Known { content: &a, vector: &[-9.0], users: 0 },
        ];
        let mapping = Mapping::of(&known, &Settings::default()).unwrap();
        assert_eq!(mapping.words.keys().collect::<Vec<_>>(), ["x"]);
        assert!(mapping.vector(&content(&["x"], &[])).unwrap()[0] > 0.0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let (a, b) = (content(&[], &[1.0]), content(&[], &[1.0, 2.0]));
        let known = |content| Known { content, vector: &[1.0], users: 1 };
        assert_eq!(Mapping::of(&[], &Settings::default()).unwrap_err(), Error::Nothing);
        let differ = Mapping::of(&[known(&a), known(&b)], &Settings::default()).unwrap_err();
        assert_eq!(differ, Error::Numbers { given: 2, expected: 1 });
        let settings = Settings { regularisation: 0.0, ..Settings::default() };
        assert!(matches!(Mapping::of(&[known(&a)], &settings), Err(Error::Unsolved { .. })));
    }
}
