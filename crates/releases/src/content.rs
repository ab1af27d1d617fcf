//! From what an item is to the vector that it is expected to have: how an item that nobody has played is found near a
//! listener.
//!
//! It must not know how it is learnt, nor which words and numbers an item has.
//!
//! # The model
//! The expected vector of an item with features f is `Wᵀ f`, to which the maker's own way is added: the mean of what
//! the maker's known items differ by from their own expectation, drawn towards nothing by κ pretended items,
//! `Σ (y_j - Wᵀ f_j) / (n + κ)`. That is the best linear prediction of a random effect (Robinson, "That BLUP Is a Good
//! Thing: The Estimation of Random Effects", Statistical Science 6, 1991): a maker with one known item is believed
//! little, one with fifty almost whole, and a maker needs no column of W.
//!
//! Features are words, each present or not, scaled by how rare it is, the whole brought to length 1; named numbers, such as of
//! the sound, and the numbers of an embedding, each brought to mean 0 and deviation 1 and each of the two brought to the
//! length of about 1 that words have; and a constant. A number further than five deviations from the mean counts as five: what an
//! item is expected to be stays near what is known. Where an item lacks numbers it is taken to have the mean.

use std::sync::Arc;

use shared_models::numbers::Numbers;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Error, Refusal,
    factors::PADDING,
    format::{self, Decoder, Encoder, Kind},
    vectors::axpy,
};

/// The artefact's name in a release.
pub const FILE: &str = "content.bin";

/// The most named numbers that a file may have.
const MOST_NAMES: f32 = 65_536.0;
/// How many deviations from the mean a number may lie.
const FAR: f32 = 5.0;

/// What is known of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    /// Words, such as `genre:jazz`, as [`word`] names them; the same word means the same for all items.
    pub words: Vec<u64>,
    /// What was measured of it.
    pub numbers: Option<Arc<Numbers>>,
}

impl Described {
    /// The embedding; empty where there is none.
    #[must_use]
    pub fn embedding(&self) -> &[f32] {
        self.numbers.as_ref().map_or(&[], |numbers| numbers.embedding())
    }
}

/// The name of a word, or of a named number.
#[must_use]
pub fn word(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Which words and numbers are told apart, and how they are scaled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Ascending.
    words: Vec<u64>,
    scales: Vec<f32>,
    /// Of named numbers, ascending.
    names: Vec<u64>,
    /// Mean and deviation of each named number.
    named: Vec<[f32; 2]>,
    /// Mean and deviation of each number of an embedding.
    embedding: Vec<[f32; 2]>,
}

/// Brings a number to mean 0 and deviation 1, and `count` of them to length 1.
fn scaled(value: f32, [mean, deviation]: [f32; 2], count: usize) -> f32 {
    ((value - mean) / deviation).clamp(-FAR, FAR) / (count as f32).sqrt()
}

impl Features {
    /// Words with their scales, named numbers with mean and deviation, both in any order, and mean and deviation of each
    /// number of an embedding.
    #[must_use]
    pub fn new(mut words: Vec<(u64, f32)>, mut named: Vec<(u64, [f32; 2])>, embedding: Vec<[f32; 2]>) -> Self {
        words.sort_unstable_by_key(|(word, _)| *word);
        words.dedup_by_key(|(word, _)| *word);
        named.sort_unstable_by_key(|(name, _)| *name);
        named.dedup_by_key(|(name, _)| *name);
        let (words, scales) = words.into_iter().unzip();
        let (names, named) = named.into_iter().unzip();
        Self { words, scales, names, named, embedding }
    }

    /// How many words there are.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// How many features there are beside the words: numbers, and the constant.
    #[must_use]
    pub fn numbers(&self) -> usize {
        self.names.len() + self.embedding.len() + 1
    }

    /// How many numbers an embedding has; 0 where none is taken.
    #[must_use]
    pub fn embedding(&self) -> usize {
        self.embedding.len()
    }

    /// How many there are: words, named numbers, numbers of an embedding, the constant.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words() + self.numbers()
    }

    /// Whether the constant is the only one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// Whether an item has an embedding of another length than is taken here; it is passed over.
    #[must_use]
    pub fn pass_over(&self, item: &Described) -> bool {
        !item.embedding().is_empty() && item.embedding().len() != self.embedding.len()
    }

    /// The words of an item that are known, each once.
    #[must_use]
    pub fn words_of(&self, item: &Described) -> Vec<(u32, f32)> {
        let known = |word: &u64| self.words.binary_search(word).ok();
        let mut places: Vec<usize> = item.words.iter().filter_map(known).collect();
        places.sort_unstable();
        places.dedup();
        let mut features: Vec<(u32, f32)> =
            places.into_iter().filter_map(|at| Some((at as u32, *self.scales.get(at)?))).collect();
        let length = features.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        features.iter_mut().for_each(|(_, value)| *value /= length);
        features
    }

    /// The features of an item beside its words: the named numbers, those of the embedding, the constant. `features` has
    /// room for [`Features::numbers`].
    pub fn numbers_of(&self, item: &Described, features: &mut [f32]) {
        features.fill(0.0);
        if let Some(constant) = features.last_mut() {
            *constant = 1.0;
        }
        for (place, value) in self.measured(item) {
            if let Some(feature) = features.get_mut(place) {
                *feature = value;
            }
        }
    }

    /// The numbers of an item that are taken, with their places.
    fn measured(&self, item: &Described) -> impl Iterator<Item = (usize, f32)> {
        let named = item.numbers.iter().flat_map(|numbers| numbers.features()).filter_map(|(name, value)| {
            let place = self.names.binary_search(&word(name.as_str())).ok()?;
            Some((place, scaled(*value, *self.named.get(place)?, self.named.len())))
        });
        let embedding = if self.pass_over(item) { &[] } else { item.embedding() };
        let of_embedding = (self.names.len()..).zip(embedding).zip(&self.embedding);
        let of_embedding =
            of_embedding.map(|((place, value), spread)| (place, scaled(*value, *spread, self.embedding.len())));
        named.chain(of_embedding).filter(|(_, value)| value.is_finite())
    }

    /// The features of an item that are not 0, each once, the constant last.
    #[must_use]
    pub fn of(&self, item: &Described) -> Vec<(u32, f32)> {
        let mut features = self.words_of(item);
        features.extend(self.measured(item).map(|(place, value)| ((self.words.len() + place) as u32, value)));
        features.push((self.len() as u32 - 1, 1.0));
        features
    }
}

/// A mapping from what items are to vectors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mapping {
    /// What is looked at.
    pub features: Features,
    /// How many numbers a vector has.
    pub dimensions: usize,
    /// κ: how many pretended items without any way of its own draw a maker towards nothing.
    pub shrinkage: f32,
    /// W: a row for each feature, padded with zeros like a row of the factors.
    weights: Vec<f32>,
}

impl Mapping {
    /// A mapping with these weights, a row of `dimensions` numbers for each feature.
    ///
    /// # Errors
    /// When the weights are no such rows.
    pub fn new(features: Features, dimensions: usize, weights: &[f32], shrinkage: f32) -> Result<Self, Error> {
        format::same(FILE, "weights", features.len() * dimensions, weights.len())?;
        let stride = dimensions.next_multiple_of(PADDING);
        let mut padded = vec![0.0; features.len() * stride];
        for (from, to) in weights.chunks_exact(dimensions.max(1)).zip(padded.chunks_exact_mut(stride.max(1))) {
            to[..dimensions].copy_from_slice(from);
        }
        Ok(Self { features, dimensions, shrinkage, weights: padded })
    }

    /// How many numbers a row takes.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.dimensions.next_multiple_of(PADDING)
    }

    /// Whether anything is known of an item that says more of it than of all.
    #[must_use]
    pub fn tells_of(&self, item: &Described) -> bool {
        self.features.of(item).len() > 1
    }

    /// `Wᵀ f`, padded: what an item is expected to be by what is known of it alone. Of one that nothing is known of,
    /// what all are on average.
    #[must_use]
    pub fn vector(&self, item: &Described) -> Vec<f32> {
        let stride = self.stride();
        let mut vector = vec![0.0; stride];
        for (feature, value) in self.features.of(item) {
            let start = feature as usize * stride;
            if let Some(row) = self.weights.get(start..start + stride) {
                axpy(value, row, &mut vector);
            }
        }
        vector
    }

    /// A maker's own way, by what each of the maker's known items is and by its vector, padded; `None` without any.
    #[must_use]
    pub fn maker<'a>(&self, known: impl Iterator<Item = (Described, &'a [f32])>) -> Option<Vec<f32>> {
        let mut way = vec![0.0; self.stride()];
        let mut count = 0.0;
        for (item, vector) in known.filter(|(_, vector)| vector.len() == self.stride()) {
            axpy(1.0, vector, &mut way);
            axpy(-1.0, &self.vector(&item), &mut way);
            count += 1.0;
        }
        way.iter_mut().for_each(|value| *value /= count + self.shrinkage);
        (count > 0.0).then_some(way)
    }

    /// Whether every length, order and number is sound for factors of so many dimensions.
    pub(crate) fn verify(&self, dimensions: usize) -> Result<(), Error> {
        let Features { words, scales, names, named, embedding } = &self.features;
        format::same(FILE, "dimensions", dimensions, self.dimensions)?;
        format::same(FILE, "scales", words.len(), scales.len())?;
        format::same(FILE, "named", names.len(), named.len())?;
        format::same(FILE, "weights", self.features.len() * self.stride(), self.weights.len())?;
        for (what, hashes) in [("words", words), ("names", names)] {
            if let Some(at) = hashes.windows(2).position(|pair| pair[0] >= pair[1]) {
                return Err(Error::refused(FILE, Refusal::Order { what, at: at + 1 }));
            }
        }
        format::finite(FILE, "scales", scales)?;
        format::finite(FILE, "named", named.as_flattened())?;
        format::finite(FILE, "embedding", embedding.as_flattened())?;
        format::finite(FILE, "weights", &self.weights)?;
        let range = |what, at, value: f32| Error::refused(FILE, Refusal::Range { what, at, value: value.to_string() });
        if let Some(at) = scales.iter().position(|scale| *scale <= 0.0) {
            return Err(range("scales", at, scales[at]));
        }
        for numbers in [named, embedding] {
            if let Some(at) = numbers.iter().position(|[_, deviation]| *deviation <= 0.0) {
                return Err(range("deviations", at, numbers[at][1]));
            }
        }
        if !self.shrinkage.is_finite() || self.shrinkage < 0.0 {
            return Err(range("shrinkage", 0, self.shrinkage));
        }
        if self.weights.iter().all(|value| *value == 0.0) {
            return Err(Error::refused(FILE, Refusal::Check { detail: "every weight is zero".to_owned() }));
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let Features { words, scales, names, named, embedding } = &self.features;
        let stride = self.stride().max(1);
        let weights: Vec<f32> =
            self.weights.chunks_exact(stride).flat_map(|row| &row[..self.dimensions]).copied().collect();
        // Without named numbers the file is what it was before there were any.
        let parameters = [self.shrinkage, names.len() as f32, 0.0, 0.0];
        Encoder::new(Kind::Content, words.len(), self.dimensions, embedding.len(), parameters)
            .array(words)
            .array(names)
            .array(scales)
            .array(named)
            .array(embedding)
            .array(&weights)
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (header, mut body) = Decoder::open(FILE, bytes, Kind::Content)?;
        let range = |what, value: String| Error::refused(FILE, Refusal::Range { what, at: 0, value });
        let count = header.parameters[1];
        if !(0.0..=MOST_NAMES).contains(&count) || count.fract() != 0.0 {
            return Err(range("names", count.to_string()));
        }
        let words: Vec<u64> = body.array(header.rows)?;
        let names: Vec<u64> = body.array(count as u64)?;
        let scales: Vec<f32> = body.array(header.rows)?;
        let named: Vec<[f32; 2]> = body.array(count as u64)?;
        let embedding: Vec<[f32; 2]> = body.array(header.entries)?;
        let features = Features { words, scales, names, named, embedding };
        // All counts lie within the file by now, so that their sum is one.
        let length = format::product(FILE, "dimensions", features.len() as u64, header.dimensions)?;
        let weights: Vec<f32> = body.array(length)?;
        body.finish()?;
        if !(1..=4_096).contains(&header.dimensions) {
            return Err(range("dimensions", header.dimensions.to_string()));
        }
        Self::new(features, header.dimensions as usize, &weights, header.parameters[0])
    }
}

#[cfg(test)]
mod tests {
    use shared_models::FeatureName;

    use super::*;

    fn described(words: &[&str], embedding: &[f32]) -> Described {
        measured(words, &[], embedding)
    }

    fn measured(words: &[&str], named: &[(&str, f32)], embedding: &[f32]) -> Described {
        let named: Vec<_> = named.iter().map(|(name, value)| (FeatureName::new(name).unwrap(), *value)).collect();
        Described {
            words: words.iter().map(|text| word(text)).collect(),
            numbers: Numbers::new(named, embedding.to_vec()).unwrap(),
        }
    }

    /// Of rock an item lies along the first axis, of jazz along the second; its number moves it along the third.
    fn mapping() -> Mapping {
        let features = Features::new(vec![(word("rock"), 2.0), (word("jazz"), 1.0)], Vec::new(), vec![[10.0, 2.0]]);
        let row = |text: &str| if text == "rock" { [1.0, 0.0, 0.0] } else { [0.0, 1.0, 0.0] };
        let mut words = ["rock", "jazz"];
        words.sort_unstable_by_key(|text| word(text));
        let weights = [row(words[0]), row(words[1]), [0.0, 0.0, 4.0], [0.5, 0.5, 0.5]].concat();
        Mapping::new(features, 3, &weights, 1.0).unwrap()
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let mapping = mapping();
        let read = Mapping::decode(&mapping.encode()).unwrap();
        read.verify(3).unwrap();
        assert_eq!(read, mapping);
        assert_eq!(read.verify(4).unwrap_err().reason(), "wrong_dimension");
    }

    #[test]
    fn an_item_is_what_its_words_and_numbers_say() {
        let mapping = mapping();
        assert_eq!(mapping.vector(&described(&["jazz", "jazz"], &[14.0]))[..4], [0.5, 1.5, 8.5, 0.0]);
        let both = mapping.vector(&described(&["rock", "jazz", "polka"], &[]));
        let length = 5.0_f32.sqrt();
        assert!((both[0] - 0.5 - 2.0 / length).abs() < 1e-6 && (both[1] - 0.5 - 1.0 / length).abs() < 1e-6);
        assert_eq!(mapping.vector(&described(&["polka"], &[10.0, 9.0]))[..3], [0.5; 3]);
        assert!(mapping.tells_of(&described(&["rock"], &[])) && mapping.tells_of(&described(&[], &[1.0])));
        assert!(!mapping.tells_of(&described(&["polka"], &[1.0, 2.0])));
    }

    #[test]
    fn named_numbers_are_known_by_their_names() {
        // Tempo moves an item along the first axis, energy along the second; an embedding of two along the third.
        let named = vec![(word("tempo"), [0.5, 0.5]), (word("energy"), [1.0, 0.25])];
        let features = Features::new(vec![(word("rock"), 1.0)], named, vec![[0.0, 1.0], [0.0, 1.0]]);
        let mut rows = [(word("tempo"), [1.0, 0.0, 0.0]), (word("energy"), [0.0, 1.0, 0.0])];
        rows.sort_unstable_by_key(|(name, _)| *name);
        let [first, second] = rows.map(|(_, row)| row);
        let weights = [[0.0; 3], first, second, [0.0, 0.0, 1.0], [0.0, 0.0, -1.0], [9.0; 3]].concat();
        let mapping = Mapping::new(features, 3, &weights, 1.0).unwrap();
        assert_eq!(Mapping::decode(&mapping.encode()).unwrap(), mapping);
        mapping.verify(3).unwrap();
        let check = |item: Described, expected: [f32; 3]| {
            let vector = mapping.vector(&item);
            let near = |(a, b): (&f32, &f32)| (a - 9.0 - b).abs() < 1e-5;
            assert!(vector.iter().zip(&expected).all(near), "{vector:?}");
            let (features, mut numbers) = (mapping.features.of(&item), [7.0; 5]);
            mapping.features.numbers_of(&item, &mut numbers);
            let told = (1..6).map(|at| features.iter().find(|(place, _)| *place == at).map_or(0.0, |found| found.1));
            assert!(told.eq(numbers), "{numbers:?}");
        };
        let half = 0.5_f32.sqrt();
        check(measured(&[], &[("tempo", 1.0), ("loudness", 3.0)], &[]), [half, 0.0, 0.0]);
        check(measured(&[], &[("energy", 1.25), ("tempo", 0.0)], &[]), [-half, half, 0.0]);
        check(measured(&[], &[], &[1.0, -1.0]), [0.0, 0.0, 2.0 * half]);
        // One that is far off counts as five deviations; an embedding of another length counts for nothing.
        check(measured(&[], &[("tempo", 1e30)], &[1.0, 1.0, 1.0]), [5.0 * half, 0.0, 0.0]);
        let longer = measured(&[], &[], &[1.0, 1.0, 1.0]);
        assert!(mapping.features.pass_over(&longer) && !mapping.tells_of(&longer));
        assert!(!mapping.features.pass_over(&measured(&[], &[("tempo", 1.0)], &[])));
    }

    #[test]
    fn a_maker_is_believed_by_how_many_items_are_known() {
        let mapping = mapping();
        let one = [2.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0];
        let known = |count: usize| (0..count).map(|_| (described(&["rock"], &[]), &one[..]));
        assert_eq!(mapping.maker(known(0)), None);
        assert_eq!(mapping.maker(known(1)).unwrap()[..3], [0.5, 0.0, 0.0]);
        assert_eq!(mapping.maker(known(3)).unwrap()[..3], [0.75, 0.0, 0.0]);
    }

    /// Features of which two have one name.
    fn doubled() -> Features {
        Features { names: vec![7, 7, 8], named: vec![[0.0, 1.0]; 3], ..Features::default() }
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        let check = |reason: &str, spoil: &dyn Fn(&mut Mapping)| {
            let mut mapping = mapping();
            spoil(&mut mapping);
            let read = Mapping::decode(&mapping.encode()).and_then(|mapping| mapping.verify(3));
            assert_eq!(read.unwrap_err().reason(), reason);
        };
        check("out_of_order", &|mapping| mapping.features.words.swap(0, 1));
        check("out_of_range", &|mapping| mapping.features.scales[1] = 0.0);
        check("out_of_range", &|mapping| mapping.features.embedding[0][1] = -1.0);
        check("out_of_range", &|mapping| mapping.shrinkage = -1.0);
        check("not_finite", &|mapping| mapping.features.embedding[0][0] = f32::NAN);
        check("out_of_order", &|mapping| mapping.features = doubled());
        check("not_finite", &|mapping| mapping.weights[9] = f32::INFINITY);
        check("check_failed", &|mapping| mapping.weights.fill(0.0));
        assert!(Mapping::decode(&mapping().encode()[..90]).is_err());
        assert!(Mapping::new(Features::default(), 3, &[0.0; 4], 1.0).is_err());
    }
}
