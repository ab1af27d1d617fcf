//! Which words and numbers of the items that are known are told apart, and how they are scaled.

use releases::content::{Features, word};
use rustc_hash::FxHashMap;

use super::{Known, Settings};

/// A number that is the same everywhere says nothing, wherever another item's lies: in units of this it is 0.
const SAME: f32 = f32::MAX;
/// What differs by less than this share of its mean is the same.
const LEAST: f64 = 1e-6;

pub(super) fn features(known: &[Known<'_>], settings: &Settings) -> Features {
    Features::new(vocabulary(known, settings), named(known, settings), embedding(known))
}

/// The most frequent ones up to `most`, those at fewer than `least` items left out; ties by name.
fn frequent<T>(counted: impl Iterator<Item = (u64, usize, T)>, most: usize, least: usize) -> Vec<(u64, usize, T)> {
    let mut counted: Vec<(u64, usize, T)> = counted.filter(|(_, count, _)| *count >= least).collect();
    counted.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counted.truncate(most);
    counted
}

/// The words that are told apart, with their scales.
fn vocabulary(known: &[Known<'_>], settings: &Settings) -> Vec<(u64, f32)> {
    let mut counts: FxHashMap<u64, usize> = FxHashMap::default();
    for item in known {
        let mut words = item.content.words.clone();
        words.sort_unstable();
        words.dedup();
        for word in words {
            *counts.entry(word).or_default() += 1;
        }
    }
    let rarity = |count: usize| (1.0 + known.len() as f32 / count as f32).ln();
    let counts = counts.into_iter().map(|(word, count)| (word, count, ()));
    let words = frequent(counts, settings.most_words, settings.least_items);
    words.into_iter().map(|(word, count, ())| (word, rarity(count))).collect()
}

/// The sum of some numbers, and of their squares, from the first of them on: far from 0 nothing is lost.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    count: usize,
    first: f64,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f32) {
        let value = f64::from(value);
        if self.count == 0 {
            self.first = value;
        }
        let from_first = value - self.first;
        self.count += 1;
        self.sum += from_first;
        self.squares += from_first * from_first;
    }

    /// Mean and deviation.
    fn spread(&self) -> [f32; 2] {
        let n = self.count.max(1) as f64;
        let from_first = self.sum / n;
        let mean = self.first + from_first;
        let deviation = (self.squares / n - from_first * from_first).max(0.0).sqrt();
        let says_nothing = deviation <= LEAST * mean.abs() || deviation < f64::from(f32::MIN_POSITIVE);
        [mean as f32, if says_nothing { SAME } else { deviation as f32 }]
    }
}

/// The named numbers that are told apart, with mean and deviation among the items that have them.
fn named(known: &[Known<'_>], settings: &Settings) -> Vec<(u64, [f32; 2])> {
    let mut moments: FxHashMap<u64, Moments> = FxHashMap::default();
    for (name, value) in known.iter().filter_map(|item| item.content.numbers.as_ref()).flat_map(|it| it.features()) {
        moments.entry(word(name.as_str())).or_default().add(*value);
    }
    let counted = moments.into_iter().map(|(name, moments)| (name, moments.count, moments));
    let names = frequent(counted, settings.most_names, settings.least_items);
    names.into_iter().map(|(name, _, moments)| (name, moments.spread())).collect()
}

/// Mean and deviation of each number of the embeddings of the length that most items have, the shorter of two such.
fn embedding(known: &[Known<'_>]) -> Vec<[f32; 2]> {
    let mut lengths: FxHashMap<usize, usize> = FxHashMap::default();
    for item in known.iter().filter(|item| !item.content.embedding().is_empty()) {
        *lengths.entry(item.content.embedding().len()).or_default() += 1;
    }
    let most = lengths.into_iter().max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(&a.0)));
    let Some((length, _)) = most else { return Vec::new() };
    let mut moments = vec![Moments::default(); length];
    for item in known.iter().filter(|item| item.content.embedding().len() == length) {
        moments.iter_mut().zip(item.content.embedding()).for_each(|(moments, value)| moments.add(*value));
    }
    moments.iter().map(Moments::spread).collect()
}
