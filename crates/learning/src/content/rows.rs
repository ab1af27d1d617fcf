//! The rows of the regression: the items that are known, as words and numbers, a few thousand at a time. It must not know
//! what is made of the system.

use rayon::{
    iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};
use releases::{content::Features, vectors::axpy};

use super::Known;
use crate::dense::{Matrix, Operand, add_product};

/// Items that are looked at together.
const TOGETHER: usize = 4_096;

/// Items that are known.
pub(super) struct Rows<'a> {
    pub(super) known: &'a [Known<'a>],
    pub(super) features: &'a Features,
    /// How many numbers a vector has.
    pub(super) dimensions: usize,
}

/// Some of them.
struct Part {
    /// The words of each, with their values.
    words: Vec<Vec<(u32, f32)>>,
    /// What is not words: a row for each.
    numbers: Matrix,
}

impl Rows<'_> {
    fn part(&self, known: &[Known<'_>]) -> Part {
        let mut numbers = Matrix::zeros(known.len(), self.features.numbers());
        let columns = numbers.columns;
        numbers
            .values
            .par_chunks_mut(columns)
            .zip(known.into_par_iter())
            .for_each(|(row, item)| self.features.numbers_of(item.content, row));
        let words = known.into_par_iter().map(|item| self.features.words_of(item.content)).collect();
        Part { words, numbers }
    }

    /// `Fᵀ G F` and `Fᵀ G Y`.
    pub(super) fn system(&self) -> (Matrix, Matrix) {
        let (words, wide) = (self.features.words(), self.features.len());
        let (mut system, mut right) = (Matrix::zeros(wide, wide), Matrix::zeros(wide, self.dimensions));
        // By word, so that each row of the system is one thread's.
        let mut with: Vec<Vec<(u32, f32)>> = vec![Vec::new(); words];
        for known in self.known.chunks(TOGETHER) {
            let part = self.part(known);
            with.iter_mut().for_each(Vec::clear);
            for (row, (of, item)) in part.words.iter().zip(known).enumerate() {
                for (word, value) in of {
                    with[*word as usize].push((row as u32, item.belief() * value));
                }
            }
            let lines = system.values.par_chunks_mut(wide).zip(right.values.par_chunks_mut(self.dimensions.max(1)));
            lines.zip(&with).for_each(|((system, right), with)| {
                for (row, weight) in with {
                    let row = *row as usize;
                    for (other, value) in &part.words[row] {
                        system[*other as usize] += weight * value;
                    }
                    axpy(*weight, part.numbers.row(row), &mut system[words..]);
                    axpy(*weight, known[row].vector, right);
                }
            });
            let (mut believed, mut vectors) = (part.numbers.clone(), Matrix::zeros(known.len(), self.dimensions));
            for (row, item) in known.iter().enumerate() {
                believed.row_mut(row).iter_mut().for_each(|value| *value *= item.belief());
                vectors.row_mut(row).copy_from_slice(item.vector);
            }
            let believed = Operand::of(&believed).transposed();
            let below = &mut system.values[words * wide + words..];
            add_product(1.0, believed, Operand::of(&part.numbers), below, wide);
            let below = &mut right.values[words * self.dimensions..];
            add_product(1.0, believed, Operand::of(&vectors), below, self.dimensions);
        }
        for number in words..wide {
            for word in 0..words {
                system.values[number * wide + word] = system.values[word * wide + number];
            }
        }
        (system, right)
    }

    /// What the weights leave over of each item's vector.
    pub(super) fn rests(&self, weights: &Matrix) -> Matrix {
        let (words, dimensions) = (self.features.words(), self.dimensions);
        let mut rests = Matrix::zeros(self.known.len(), dimensions);
        let of_numbers =
            Operand::part(&weights.values[words * dimensions..], dimensions, self.features.numbers(), dimensions);
        let parts = self.known.chunks(TOGETHER).zip(rests.values.chunks_mut(TOGETHER * dimensions.max(1)));
        for (known, rests) in parts {
            let part = self.part(known);
            let rows = rests.par_chunks_mut(dimensions.max(1)).zip(&part.words).zip(known);
            rows.for_each(|((rest, words), item)| {
                rest.copy_from_slice(item.vector);
                words.iter().for_each(|(word, value)| axpy(-value, weights.row(*word as usize), rest));
            });
            add_product(-1.0, Operand::of(&part.numbers), of_numbers, rests, dimensions);
        }
        rests
    }
}
