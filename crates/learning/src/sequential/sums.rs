//! The sums of the regression, by the closed form over pairs of a list. Each item's row is filled by one thread, from
//! the places where the item stands.

use rayon::{
    iter::{IndexedParallelIterator, ParallelIterator},
    slice::ParallelSliceMut,
};

use super::Profile;
use crate::dense::Matrix;

/// What counts less than this share of the last item is left out.
pub(super) const LEAST: f32 = 1e-3;

/// Where each item stands.
pub(crate) struct Places {
    offsets: Vec<usize>,
    /// List and place.
    places: Vec<(u32, u32)>,
}

impl Places {
    pub(crate) fn of(sequences: &[Vec<u32>], items: usize) -> Self {
        let mut offsets = vec![0; items + 1];
        for item in sequences.iter().flatten().filter(|item| (**item as usize) < items) {
            offsets[*item as usize + 1] += 1;
        }
        for item in 0..items {
            offsets[item + 1] += offsets[item];
        }
        let mut next = offsets.clone();
        let mut places = vec![(0, 0); offsets[items]];
        for (list, sequence) in sequences.iter().enumerate() {
            for (place, item) in sequence.iter().enumerate().filter(|(_, item)| (**item as usize) < items) {
                places[next[*item as usize]] = (list as u32, place as u32);
                next[*item as usize] += 1;
            }
        }
        Self { offsets, places }
    }

    pub(crate) fn of_item(&self, item: usize) -> &[(u32, u32)] {
        &self.places[self.offsets[item]..self.offsets[item + 1]]
    }

    /// How often each item stands anywhere.
    pub(super) fn counts(&self) -> Vec<f32> {
        self.offsets.windows(2).map(|pair| (pair[1] - pair[0]) as f32).collect()
    }
}

/// `Σ_t x xᵀ`, block by block of profiles.
pub(super) fn squares(places: &Places, sequences: &[Vec<u32>], profiles: &[Profile], into: &mut Matrix) {
    let items = into.rows / profiles.len();
    into.values.par_chunks_mut(profiles.len() * items).enumerate().for_each(|(row, into)| {
        let (first, item) = (profiles[row / items], row % items);
        for (second, into) in profiles.iter().zip(into.chunks_exact_mut(items)) {
            let scale = first.scale * second.scale;
            for (list, place) in places.of_item(item) {
                let sequence = &sequences[*list as usize];
                around(sequence, *place as usize, first.decay, second.decay, |other, weight| {
                    if let Some(into) = into.get_mut(other as usize) {
                        *into += scale * weight;
                    }
                });
            }
        }
    });
}

/// For one place a of a list, what each place b adds to the product of the item at a in the first profile with the item
/// at b in the second.
fn around(sequence: &[u32], a: usize, first: f32, second: f32, mut add: impl FnMut(u32, f32)) {
    let n = sequence.len();
    // The last item is in no profile: nothing comes after it.
    if a + 1 >= n {
        return;
    }
    let both = first * second;
    // How much is left of the sum over t behind m = max(a, b).
    let rest = |m: usize| {
        let terms = (n - 1 - m) as i32;
        if both < 1.0 { (1.0 - both.powi(terms)) / (1.0 - both) } else { terms as f32 }
    };
    let (mut weight, left) = (1.0, rest(a));
    for b in (0..=a).rev() {
        add(sequence[b], weight * left);
        weight *= second;
        if weight < LEAST {
            break;
        }
    }
    let mut weight = first;
    for (b, item) in sequence.iter().enumerate().take(n - 1).skip(a + 1) {
        if weight < LEAST {
            break;
        }
        add(*item, weight * rest(b));
        weight *= first;
    }
}

/// `Σ_t x e_tᵀ`.
pub(super) fn next(places: &Places, sequences: &[Vec<u32>], profiles: &[Profile], into: &mut Matrix) {
    let items = into.columns;
    into.values.par_chunks_mut(items).enumerate().for_each(|(row, into)| {
        let (Profile { decay, scale }, item) = (profiles[row / items], row % items);
        for (list, place) in places.of_item(item) {
            let mut weight = scale;
            for other in &sequences[*list as usize][*place as usize + 1..] {
                if weight < scale * LEAST {
                    break;
                }
                if let Some(into) = into.get_mut(*other as usize) {
                    *into += weight;
                }
                weight *= decay;
            }
        }
    });
}
