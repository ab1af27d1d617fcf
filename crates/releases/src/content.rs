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
//! Features are words, each present or not, scaled by how rare it is, the whole brought to length 1; numbers, each
//! brought to mean 0 and deviation 1; and a constant.

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    Error, Refusal,
    factors::PADDING,
    format::{self, Decoder, Encoder, Kind},
    vectors::axpy,
};

/// The artefact's name in a release.
pub const FILE: &str = "content.bin";

/// What is known of an item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Described {
    /// Words, such as `genre:jazz`, as [`word`] names them; the same word means the same for all items.
    pub words: Vec<u64>,
    /// Numbers, of audio or of any embedding; as many for all items, or none.
    pub numbers: Vec<f32>,
}

/// The name of a word.
#[must_use]
pub fn word(text: &str) -> u64 {
    xxh3_64(text.as_bytes())
}

/// Which words are told apart, and how numbers are scaled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    /// Ascending.
    words: Vec<u64>,
    scales: Vec<f32>,
    /// Mean and deviation of each number.
    numbers: Vec<[f32; 2]>,
}

impl Features {
    /// Words with their scales, in any order, and the mean and deviation of each number.
    #[must_use]
    pub fn new(mut words: Vec<(u64, f32)>, numbers: Vec<[f32; 2]>) -> Self {
        words.sort_unstable_by_key(|(word, _)| *word);
        words.dedup_by_key(|(word, _)| *word);
        let (words, scales) = words.into_iter().unzip();
        Self { words, scales, numbers }
    }

    /// How many there are: words, numbers, the constant.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.len() + self.numbers.len() + 1
    }

    /// Whether the constant is the only one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 1
    }

    /// The features of an item that are not 0, each once, the constant last.
    #[must_use]
    pub fn of(&self, item: &Described) -> Vec<(u32, f32)> {
        let known = |word: &u64| self.words.binary_search(word).ok();
        let mut places: Vec<usize> = item.words.iter().filter_map(known).collect();
        places.sort_unstable();
        places.dedup();
        let mut features: Vec<(u32, f32)> = Vec::with_capacity(places.len() + self.numbers.len() + 1);
        features.extend(places.into_iter().filter_map(|at| Some((at as u32, *self.scales.get(at)?))));
        let length = features.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        features.iter_mut().for_each(|(_, value)| *value /= length);
        let first = self.words.len() as u32;
        if item.numbers.len() == self.numbers.len() {
            let scaled =
                item.numbers.iter().zip(&self.numbers).map(|(value, [mean, deviation])| (value - mean) / deviation);
            features.extend((first..).zip(scaled).filter(|(_, value)| value.is_finite()));
        }
        features.push((first + self.numbers.len() as u32, 1.0));
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
        let Features { words, scales, numbers } = &self.features;
        format::same(FILE, "dimensions", dimensions, self.dimensions)?;
        format::same(FILE, "scales", words.len(), scales.len())?;
        format::same(FILE, "weights", self.features.len() * self.stride(), self.weights.len())?;
        if let Some(at) = words.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(Error::refused(FILE, Refusal::Order { what: "words", at: at + 1 }));
        }
        format::finite(FILE, "scales", scales)?;
        format::finite(FILE, "numbers", numbers.as_flattened())?;
        format::finite(FILE, "weights", &self.weights)?;
        let range = |what, at, value: f32| Error::refused(FILE, Refusal::Range { what, at, value: value.to_string() });
        if let Some(at) = scales.iter().position(|scale| *scale <= 0.0) {
            return Err(range("scales", at, scales[at]));
        }
        if let Some(at) = numbers.iter().position(|[_, deviation]| *deviation <= 0.0) {
            return Err(range("deviations", at, numbers[at][1]));
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
        let Features { words, scales, numbers } = &self.features;
        let stride = self.stride().max(1);
        let weights: Vec<f32> =
            self.weights.chunks_exact(stride).flat_map(|row| &row[..self.dimensions]).copied().collect();
        Encoder::new(Kind::Content, words.len(), self.dimensions, numbers.len(), [self.shrinkage, 0.0, 0.0, 0.0])
            .array(words)
            .array(scales)
            .array(numbers)
            .array(&weights)
            .finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let (header, mut body) = Decoder::open(FILE, bytes, Kind::Content)?;
        let words: Vec<u64> = body.array(header.rows)?;
        let scales: Vec<f32> = body.array(header.rows)?;
        let numbers: Vec<[f32; 2]> = body.array(header.entries)?;
        let features = Features { words, scales, numbers };
        // Both counts lie within the file by now, so that their sum is one.
        let length = format::product(FILE, "dimensions", features.len() as u64, header.dimensions)?;
        let weights: Vec<f32> = body.array(length)?;
        body.finish()?;
        if !(1..=4_096).contains(&header.dimensions) {
            let value = header.dimensions.to_string();
            return Err(Error::refused(FILE, Refusal::Range { what: "dimensions", at: 0, value }));
        }
        Self::new(features, header.dimensions as usize, &weights, header.parameters[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(words: &[&str], numbers: &[f32]) -> Described {
        Described { words: words.iter().map(|text| word(text)).collect(), numbers: numbers.to_vec() }
    }

    /// Of rock an item lies along the first axis, of jazz along the second; its number moves it along the third.
    fn mapping() -> Mapping {
        let features = Features::new(vec![(word("rock"), 2.0), (word("jazz"), 1.0)], vec![[10.0, 2.0]]);
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
        assert_eq!(mapping.vector(&described(&["polka"], &[f32::NAN]))[..3], [0.5; 3]);
        assert!(mapping.tells_of(&described(&["rock"], &[])) && mapping.tells_of(&described(&[], &[1.0])));
        assert!(!mapping.tells_of(&described(&["polka"], &[1.0, 2.0])));
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
        check("out_of_range", &|mapping| mapping.features.numbers[0][1] = -1.0);
        check("out_of_range", &|mapping| mapping.shrinkage = -1.0);
        check("not_finite", &|mapping| mapping.features.numbers[0][0] = f32::NAN);
        check("not_finite", &|mapping| mapping.weights[9] = f32::INFINITY);
        check("check_failed", &|mapping| mapping.weights.fill(0.0));
        assert!(Mapping::decode(&mapping().encode()[..90]).is_err());
        assert!(Mapping::new(Features::default(), 3, &[0.0; 4], 1.0).is_err());
    }
}
