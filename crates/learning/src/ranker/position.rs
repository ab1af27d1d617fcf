//! Cards are looked at less the further down they stand, so that what was not played further down says less against a
//! card. Three ways to treat that, and the curve itself, estimated from what was shown and played.
//!
//! The generated world knows how likely a card at each place is looked at; `scripts/bench/position` measures the three on
//! it, and docs/ranker.md tells of them. It must not know how rows are made.

use ranking::{
    features::COLUMNS,
    scorers::trees::{Borders, Definition, Ensemble, Level, Tree},
};

use super::Place;

/// What becomes of it in training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bias {
    /// Nothing: a card that was passed over counts the same wherever it stood.
    Ignored,
    /// Trees may ask for the place in training; for serving every card stands first. Such questions have one answer then,
    /// and are taken out of the trees.
    Fixed,
    /// What was not played counts as wanted as far as it may just not have been seen: the expectation that
    /// [`examination`] ends with. The trees are grown three times, each from what the ones before expected.
    #[default]
    Expected,
}

/// How many columns [`Bias::Fixed`] adds.
pub(super) const ADDED: usize = 2;
/// What they are called in reports.
pub(super) const NAMES: [&str; ADDED] = ["(place on the shelf)", "(place of the shelf)"];
/// Places further down than this are one.
const LAST: u16 = 30;
/// Bins of cards that are alike to the scorer.
const BINS: usize = 20;
/// Rounds of expectation and maximisation.
const ROUNDS: usize = 300;

/// The columns of the places of rows.
pub(super) fn columns(places: &[Place]) -> [Vec<f32>; ADDED] {
    [
        places.iter().map(|place| f32::from(place.position.min(LAST))).collect(),
        places.iter().map(|place| f32::from(place.shelf.min(LAST))).collect(),
    ]
}

/// Trees over features and places as trees over features alone, every card standing first.
pub(super) fn folded(definition: &Definition) -> Definition {
    let is_place = |level: &Level| definition.columns.get(level.column).is_some_and(|asked| asked.column >= COLUMNS);
    // Place 0 is beyond no border of a place: the answer is always no.
    let fold = |tree: &Tree| {
        let kept: Vec<usize> =
            (0..tree.levels.len()).filter(|at| tree.levels.get(*at).is_some_and(|level| !is_place(level))).collect();
        let leaf = |answers: usize| {
            let at: usize = kept.iter().enumerate().map(|(bit, level)| (answers >> bit & 1) << level).sum();
            tree.leaves.get(at).copied().unwrap_or_default()
        };
        let leaves: Vec<f32> = (0..1 << kept.len()).map(leaf).collect();
        (kept.iter().filter_map(|at| tree.levels.get(*at).copied()).collect::<Vec<Level>>(), leaves)
    };
    let head = |ensemble: &Ensemble| {
        let mut folded = Ensemble { bias: ensemble.bias, trees: Vec::with_capacity(ensemble.trees.len()) };
        for (levels, leaves) in ensemble.trees.iter().map(fold) {
            match leaves.first() {
                // A tree that asked for places alone says the same of every card.
                Some(leaf) if levels.is_empty() => folded.bias += f64::from(*leaf),
                _ => folded.trees.push(Tree { levels, leaves }),
            }
        }
        folded
    };
    let heads = definition.heads.iter().map(head).collect();
    // Places stand behind all features: no other column moves.
    let columns: Vec<Borders> = definition.columns.iter().filter(|asked| asked.column < COLUMNS).cloned().collect();
    Definition { form: definition.form, width: COLUMNS, columns, heads }
}

/// How likely cards are looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Examination {
    /// By place on the shelf from 0, as a share of the first place's.
    pub by_place: Vec<f64>,
    /// How many cards stood at each.
    pub cards: Vec<usize>,
    /// That a row was wanted, given what happened.
    pub wanted: Vec<f32>,
}

/// Estimates how likely a card is looked at by its place, by expectation and maximisation: Wang, Golbandi, Bendersky,
/// Metzler and Najork, "Position Bias Estimation for Unbiased Learning to Rank in Personal Search" (2018). A card is
/// played when it is looked at and wanted; how much it is wanted is one number for cards that a scorer says about the same
/// of, in bins of equally many. `scores` are the scorer's, `acted` whether it was played.
#[must_use]
pub fn examination(places: &[Place], scores: &[f32], acted: &[bool]) -> Examination {
    let count = places.len().min(scores.len()).min(acted.len());
    let place = |row: usize| usize::from(places[row].position.min(LAST));
    let last = (0..count).map(place).max().unwrap_or(0);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let mut bin_of = vec![0; count];
    for (rank, row) in order.into_iter().enumerate() {
        bin_of[row] = rank * BINS / count.max(1);
    }
    let mut shown = vec![[0.0_f64; BINS]; last + 1];
    let mut played = shown.clone();
    for (row, bin) in bin_of.iter().enumerate() {
        shown[place(row)][*bin] += 1.0;
        played[place(row)][*bin] += f64::from(u8::from(acted[row]));
    }
    let (mut looked, mut wanted) = (vec![0.5_f64; last + 1], [0.2_f64; BINS]);
    for _ in 0..ROUNDS {
        let (mut next_looked, mut next_wanted) = (vec![(0.0, 0.0); last + 1], [(0.0, 0.0); BINS]);
        for (at, (shown, played)) in shown.iter().zip(&played).enumerate() {
            for (bin, (shown, hit)) in shown.iter().zip(played).enumerate() {
                let missed = shown - hit;
                let neither = (1.0 - looked[at] * wanted[bin]).max(1e-9);
                next_looked[at].0 += hit + missed * looked[at] * (1.0 - wanted[bin]) / neither;
                next_looked[at].1 += shown;
                next_wanted[bin].0 += hit + missed * wanted[bin] * (1.0 - looked[at]) / neither;
                next_wanted[bin].1 += shown;
            }
        }
        let rate = |(sum, rows): (f64, f64), before: f64| if rows > 0.0 { sum / rows } else { before };
        looked.iter_mut().zip(next_looked).for_each(|(looked, next)| *looked = rate(next, *looked));
        wanted.iter_mut().zip(next_wanted).for_each(|(wanted, next)| *wanted = rate(next, *wanted));
    }
    // Only the product shows: the first place is taken to be looked at by everybody.
    let first = looked[0].max(1e-9);
    let by_place: Vec<f64> = looked.iter().map(|looked| looked / first).collect();
    let expected = |row: usize| {
        let (looked, wanted) = (by_place[place(row)].min(1.0), (wanted[bin_of[row]] * first).min(1.0));
        let missed = wanted * (1.0 - looked) / (1.0 - looked * wanted).max(1e-9);
        if acted[row] { 1.0 } else { missed.clamp(0.0, 1.0) as f32 }
    };
    Examination {
        wanted: (0..count).map(expected).collect(),
        cards: shown.iter().map(|bins| bins.iter().sum::<f64>() as usize).collect(),
        by_place,
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};
    use ranking::{
        features::Matrix,
        scorers::trees::{FORM, Trees},
    };
    use shared_models::{ItemKey, UserKey};

    use super::*;

    fn place(position: u16) -> Place {
        Place { page: 0, position, shelf: 0, user: UserKey(1), item: ItemKey(1) }
    }

    #[test]
    fn the_curve_is_found_though_better_cards_stand_higher() {
        let mut random = SmallRng::seed_from_u64(5);
        let (mut places, mut scores, mut acted) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..6_000 {
            let mut wanted: Vec<f32> = (0..10).map(|_| random.random_range(0.02..0.6)).collect();
            // The policy orders by what it half knows.
            wanted.sort_by_cached_key(|wanted| ((1.0 - wanted + random.random_range(-0.3..0.3)) * 1e6) as i64);
            for (at, wanted) in (0..).zip(wanted) {
                let looked = (1.0 + f32::from(at)).powf(-0.6);
                places.push(place(at));
                scores.push(wanted);
                acted.push(random.random::<f32>() < looked * wanted);
            }
        }
        let found = examination(&places, &scores, &acted);
        for (at, looked) in found.by_place.iter().enumerate() {
            let truth = (1.0 + at as f64).powf(-0.6);
            assert!((looked - truth).abs() < 0.06, "place {at}: {looked} is not {truth}");
        }
        let mean = |rows: &dyn Fn(usize) -> bool| {
            let of: Vec<f32> = (0..places.len()).filter(|row| rows(*row)).map(|row| found.wanted[row]).collect();
            of.iter().sum::<f32>() / of.len() as f32
        };
        // What was passed over at the bottom may just not have been seen.
        let (top, bottom) = (
            mean(&|row| places[row].position == 0 && !acted[row]),
            mean(&|row| places[row].position == 9 && !acted[row]),
        );
        assert!(top < 0.01 && bottom > 0.05, "{top} {bottom}");
    }

    #[test]
    fn folded_trees_say_what_the_others_say_of_the_first_place() {
        let borders = |column: usize, border: f32| Borders { column, borders: vec![border] };
        let levels = |columns: &[usize]| columns.iter().map(|column| Level { column: *column, border: 0 }).collect();
        let leaves = |depth: usize| (0..1 << depth).map(|n| n as f32 * 0.5 - 1.0).collect();
        let trees = vec![
            Tree { levels: levels(&[0, 2, 1]), leaves: leaves(3) },
            Tree { levels: levels(&[3]), leaves: vec![0.25, 8.0] },
            Tree { levels: levels(&[2, 3, 0]), leaves: leaves(3) },
        ];
        let definition = Definition {
            form: FORM,
            width: COLUMNS + ADDED,
            columns: vec![borders(1, 0.5), borders(4, 0.5), borders(COLUMNS, 0.5), borders(COLUMNS + 1, 1.5)],
            heads: vec![Ensemble { bias: 0.125, trees }],
        };
        let whole = Trees::new(definition.clone()).unwrap();
        let folded = Trees::new(folded(&definition)).unwrap();
        let numbers: Vec<f32> = (0..64 * COLUMNS).map(|n| ((n * 7919) % 97) as f32 / 97.0).collect();
        let matrix = Matrix::from_rows(&numbers).unwrap();
        let features: Vec<&[f32]> = matrix.columns().collect();
        let first = vec![0.0; 64];
        let (mut expected, mut found) = (vec![0.0; 64], vec![0.0; 64]);
        whole.raw(0, &whole.bin(64, |column| features.get(column).copied().unwrap_or(&first)), &mut expected);
        folded.raw(0, &folded.bin_matrix(&matrix), &mut found);
        assert!(expected.iter().zip(&found).all(|(a, b)| (a - b).abs() < 1e-9), "{expected:?} {found:?}");
        assert_eq!(folded.definition().heads[0].trees.len(), 2);
    }
}
