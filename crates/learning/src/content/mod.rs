//! Vectors for items nobody has chosen yet, from what is known of them: a regression from content to factors.
//!
//! It must not know events, catalogues or releases' files: words or numbers of each item and the vectors of those that were
//! trained go in, a mapping comes out ([`releases::content`] says what it gives for any item).
//!
//! # The model
//! W lowers
//!
//! `Σ_i g_i |y_i - Wᵀ f_i|² + λ |W|²`, so that `W = (Fᵀ G F + λ I)⁻¹ Fᵀ G Y`
//!
//! over the items i with a trained vector y, believed with `g_i = min(n_i, 50)^½` for n users: an item that few chose has a vector
//! that says little. (Gantner, Drumond, Freudenthaler, Rendle and Schmidt-Thieme, "Learning Attribute-to-Feature Mappings
//! for Cold-Start Recommendations", ICDM 2010, with ridge regression as the mapping.) Words (a genre, a tag, a year) are
//! scaled by how rare they are, `ln(1 + items / items with it)`.
//!
//! What is left over is put down to an item's maker, as far as it is shared: κ of [`releases::content`] is the one of a few
//! by which the other items of a maker tell most of each left out.
//!
//! # Cost
//! `f²` numbers and `f³ / 3` multiplications for f features: the most frequent words up to [`Settings::most_words`].

use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};
use releases::{
    Mapping,
    content::{Described, Features},
    vectors::axpy,
};
use rustc_hash::FxHashMap;
use shared_models::{ErrorCode, ItemKey};

use crate::dense::{Factor, Matrix};

/// An item that is known: its features with their weights, how much it counts, and its vector.
type Row<'a> = (Vec<(u32, f32)>, f32, &'a [f32]);

/// From how many users on an item's vector is believed no more.
const MOST_BELIEVED: f32 = 50.0;
/// What κ is chosen among.
const SHRINKAGES: [f32; 8] = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

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
#[derive(Debug, thiserror::Error)]
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
    /// What was computed is no mapping.
    #[error("the weights are no mapping")]
    Weights(#[source] releases::Error),
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Nothing | Self::Numbers { .. } | Self::Unsolved { .. } => ErrorCode::InvalidArgument,
            Self::Weights(source) => source.code(),
        }
    }
}

/// A trained item.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// What is known of it.
    pub content: &'a Described,
    /// Who made it, or [`ItemKey::NONE`].
    pub maker: ItemKey,
    /// Its vector.
    pub vector: &'a [f32],
    /// How many users chose it.
    pub users: usize,
}

/// A mapping, and how good it is.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// From content to vectors.
    pub mapping: Mapping,
    /// How many items it was learned from.
    pub items: usize,
    /// The share of what vectors differ by, item from item, that is told by content and by the maker's other items.
    pub explained: f64,
    /// The same of the mean of the maker's other items: what is known without a mapping.
    pub explained_by_makers: f64,
}

/// Learns from items with vectors; those nobody chose are passed over.
///
/// # Errors
/// When there is nothing to learn from, numbers differ in length, or the system cannot be solved.
pub fn learn(known: &[Known<'_>], settings: &Settings) -> Result<Learnt, Error> {
    let known: Vec<&Known<'_>> = known
        .iter()
        .filter(|item| item.users > 0 && !(item.content.words.is_empty() && item.content.numbers.is_empty()))
        .collect();
    let Some(first) = known.first() else { return Err(Error::Nothing) };
    let (dimensions, expected) = (first.vector.len(), first.content.numbers.len());
    if let Some(other) = known.iter().find(|item| item.content.numbers.len() != expected) {
        return Err(Error::Numbers { given: other.content.numbers.len(), expected });
    }
    let features = Features::new(vocabulary(&known, settings), spread(&known, expected));
    let wide = features.len();

    let (mut system, mut right) = (Matrix::zeros(wide, wide), Matrix::zeros(wide, dimensions));
    let belief = |item: &Known<'_>| (item.users as f32).min(MOST_BELIEVED).sqrt();
    let rows: Vec<Row<'_>> = known.iter().map(|item| (features.of(item.content), belief(item), item.vector)).collect();
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
    drop(with);
    system.add_to_diagonal(settings.regularisation);
    let unsolved = Error::Unsolved { regularisation: settings.regularisation };
    if settings.regularisation.is_nan() || settings.regularisation <= 0.0 {
        return Err(unsolved);
    }
    let weights = Factor::of(system).ok_or(unsolved)?.solve(right);
    let makers: Vec<ItemKey> = known.iter().map(|item| item.maker).collect();
    let fit = Fit::of(&rows, &makers, &weights);
    let (shrinkage, left) = SHRINKAGES
        .map(|shrinkage| (shrinkage, fit.left(shrinkage)))
        .into_iter()
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((SHRINKAGES[0], fit.spread));
    let mapping = Mapping::new(features, dimensions, &weights.values, shrinkage).map_err(Error::Weights)?;
    let share = |left: f64| if fit.spread > 0.0 { 1.0 - left / fit.spread } else { 0.0 };
    let explained_by_makers = share(fit.left_by_makers(&rows));
    Ok(Learnt { mapping, items: rows.len(), explained: share(left), explained_by_makers })
}

/// What a regression leaves over, by maker.
struct Fit<'a> {
    makers: &'a [ItemKey],
    /// Of each item what is left over, how much it counts, and its vector's mean.
    beliefs: Vec<f32>,
    rests: Matrix,
    mean: Vec<f32>,
    /// What vectors differ from their mean by, squared, summed by belief.
    spread: f64,
}

impl<'a> Fit<'a> {
    fn of(rows: &[Row<'_>], makers: &'a [ItemKey], weights: &Matrix) -> Self {
        let dimensions = weights.columns;
        let mut rests = Matrix::zeros(rows.len(), dimensions);
        let mut mean = vec![0.0; dimensions];
        let all: f32 = rows.iter().map(|row| row.1).sum();
        for (number, (features, belief, vector)) in rows.iter().enumerate() {
            let rest = rests.row_mut(number);
            rest.copy_from_slice(vector);
            for (feature, value) in features {
                axpy(-value, weights.row(*feature as usize), rest);
            }
            axpy(belief / all, vector, &mut mean);
        }
        let spread = rows.iter().map(|(_, belief, vector)| f64::from(*belief) * apart(vector, &mean)).sum();
        Self { makers, beliefs: rows.iter().map(|row| row.1).collect(), rests, mean, spread }
    }

    /// What is left over when each item is told by its maker's others too, drawn towards nothing by κ.
    fn left(&self, shrinkage: f32) -> f64 {
        let sums = sums(self.makers, self.rests.columns, |number| self.rests.row(number));
        let nothing = vec![0.0; self.rests.columns];
        (0..self.makers.len())
            .map(|number| {
                let rest = self.rests.row(number);
                let way = others(&sums, self.makers[number], rest, shrinkage);
                f64::from(self.beliefs[number]) * apart(rest, way.as_deref().unwrap_or(&nothing))
            })
            .sum()
    }

    /// What is left over when each item is what its maker's others are on average, or what all are.
    fn left_by_makers(&self, rows: &[Row<'_>]) -> f64 {
        let sums = sums(self.makers, self.rests.columns, |number| rows[number].2);
        rows.iter()
            .zip(self.makers)
            .map(|((_, belief, vector), maker)| {
                let of_others = others(&sums, *maker, vector, 0.0);
                f64::from(*belief) * apart(vector, of_others.as_deref().unwrap_or(&self.mean))
            })
            .sum()
    }
}

/// How many items each maker has, and the sum of what `of` says of them.
type Sums = FxHashMap<ItemKey, (f32, Vec<f32>)>;

fn sums<'a>(makers: &[ItemKey], dimensions: usize, of: impl Fn(usize) -> &'a [f32]) -> Sums {
    let mut sums = Sums::default();
    for (number, maker) in makers.iter().enumerate().filter(|(_, maker)| maker.is_some()) {
        let (count, sum) = sums.entry(*maker).or_insert_with(|| (0.0, vec![0.0; dimensions]));
        *count += 1.0;
        axpy(1.0, of(number), sum);
    }
    sums
}

/// The mean of a maker's items without one of them, drawn towards nothing; `None` where there is no other.
fn others(sums: &Sums, maker: ItemKey, without: &[f32], shrinkage: f32) -> Option<Vec<f32>> {
    let (count, sum) = sums.get(&maker).filter(|(count, _)| *count > 1.0)?;
    let mut mean = sum.clone();
    axpy(-1.0, without, &mut mean);
    mean.iter_mut().for_each(|value| *value /= count - 1.0 + shrinkage);
    Some(mean)
}

/// The squared distance.
fn apart(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// The words that are told apart, with their scales.
fn vocabulary(known: &[&Known<'_>], settings: &Settings) -> Vec<(u64, f32)> {
    let mut counts: FxHashMap<u64, usize> = FxHashMap::default();
    for item in known {
        let mut words = item.content.words.clone();
        words.sort_unstable();
        words.dedup();
        for word in words {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut words: Vec<(u64, usize)> = counts.into_iter().filter(|(_, count)| *count >= settings.least_items).collect();
    words.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    words.truncate(settings.most_words);
    let rarity = |count: usize| (1.0 + known.len() as f32 / count as f32).ln();
    words.into_iter().map(|(word, count)| (word, rarity(count))).collect()
}

/// Mean and deviation of each number.
fn spread(known: &[&Known<'_>], numbers: usize) -> Vec<[f32; 2]> {
    let n = known.len() as f64;
    (0..numbers)
        .map(|at| {
            let of = || known.iter().map(|item| f64::from(item.content.numbers[at]));
            let mean = of().sum::<f64>() / n;
            let variance = of().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
            [mean as f32, (variance.sqrt() as f32).max(1e-6)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use releases::content::word;

    use super::*;

    fn content(words: &[&str], numbers: &[f32]) -> Described {
        Described { words: words.iter().map(|text| word(text)).collect(), numbers: numbers.to_vec() }
    }

    fn known<'a>(content: &'a Described, vector: &'a [f32], users: usize) -> Known<'a> {
        Known { content, maker: ItemKey::NONE, vector, users }
    }

    #[test]
    fn an_item_nobody_chose_gets_the_vector_of_its_like() {
        let (rock, jazz) = (content(&["genre:rock", "rare"], &[]), content(&["genre:jazz"], &[]));
        let items: Vec<Known<'_>> = (0..40)
            .map(|n| if n % 2 == 0 { known(&rock, &[1.0, 0.0], 9) } else { known(&jazz, &[0.0, 1.0], 9) })
            .collect();
        let learnt = learn(&items, &Settings { regularisation: 0.1, ..Settings::default() }).unwrap();
        let vector = learnt.mapping.vector(&content(&["genre:jazz", "never seen"], &[]));
        assert!(vector[0].abs() < 0.05 && (vector[1] - 1.0).abs() < 0.05, "{vector:?}");
        assert!(!learnt.mapping.tells_of(&content(&["never seen"], &[])));
        assert!(!learnt.mapping.tells_of(&content(&[], &[])));
        assert!(learnt.explained > 0.99 && learnt.explained_by_makers.abs() < 1e-6, "{learnt:?}");
    }

    #[test]
    fn a_makers_own_way_is_believed_as_far_as_its_items_share_one() {
        // Four makers of rock, each with a way of its own along the second axis, and noise along the first.
        let rock = content(&["genre:rock"], &[]);
        let vectors: Vec<([f32; 2], u64)> =
            (0..80).map(|n| ([if n % 2 == 0 { 1.1 } else { 0.9 }, (n % 4) as f32 - 1.5], 1 + n % 4)).collect();
        let of = |vectors: &[([f32; 2], u64)]| {
            let items: Vec<Known<'_>> = vectors
                .iter()
                .map(|(vector, maker)| Known { maker: ItemKey(*maker), ..known(&rock, vector, 9) })
                .collect();
            learn(&items, &Settings::default()).unwrap()
        };
        let shared = of(&vectors);
        assert!(shared.mapping.shrinkage <= 1.0 && shared.explained > 0.95, "{shared:?}");
        // The same vectors, made by whom they say nothing of.
        let mut mixed = vectors;
        mixed.iter_mut().enumerate().for_each(|(n, (_, maker))| *maker = 1 + n as u64 / 4 % 4);
        let mixed = of(&mixed);
        assert!(mixed.mapping.shrinkage >= 32.0 && mixed.explained < 0.05, "{mixed:?}");
    }

    #[test]
    fn numbers_are_regressed_on_in_units_of_their_deviation() {
        // y = 3 + 2 x: exact in the limit of no regularisation, whatever the scale of x.
        let contents: Vec<Described> = (0..30).map(|n| content(&[], &[n as f32 * 1_000.0])).collect();
        let vectors: Vec<[f32; 1]> = (0..30).map(|n| [3.0 + 2.0 * n as f32]).collect();
        let items: Vec<Known<'_>> =
            contents.iter().zip(&vectors).map(|(content, vector)| known(content, vector, 1)).collect();
        let learnt = learn(&items, &Settings { regularisation: 1e-3, ..Settings::default() }).unwrap();
        let vector = learnt.mapping.vector(&content(&[], &[40_000.0]));
        assert!((vector[0] - 83.0).abs() < 0.1, "{vector:?}");
    }

    #[test]
    fn rare_words_and_items_nobody_chose_teach_nothing() {
        let (a, b) = (content(&["x", "y"], &[]), content(&["x"], &[]));
        let items = [known(&a, &[1.0], 1), known(&b, &[1.0], 1), known(&a, &[-9.0], 0)];
        let mapping = learn(&items, &Settings::default()).unwrap().mapping;
        assert!(mapping.tells_of(&b) && !mapping.tells_of(&content(&["y"], &[])));
        assert!(mapping.vector(&b)[0] > 0.0);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let (a, b) = (content(&[], &[1.0]), content(&[], &[1.0, 2.0]));
        let of = |items: &[Known<'_>], settings: &Settings| learn(items, settings).unwrap_err();
        assert!(matches!(of(&[], &Settings::default()), Error::Nothing));
        let differ = of(&[known(&a, &[1.0], 1), known(&b, &[1.0], 1)], &Settings::default());
        assert!(matches!(differ, Error::Numbers { given: 2, expected: 1 }), "{differ}");
        let settings = Settings { regularisation: 0.0, ..Settings::default() };
        assert!(matches!(of(&[known(&a, &[1.0], 1)], &settings), Error::Unsolved { .. }));
    }
}
