//! Item-to-item neighbours: for every item the items that the same users chose.
//!
//! It must not know events, catalogues or releases' files: it takes a sparse matrix of weights and
//! gives neighbours in the form that serving reads.
//!
//! # Cosines
//! The similarity of items i and j is the cosine of their columns, shrunk towards 0 where few users speak for it:
//!
//! `s_ij = Σ_u n_u^-2a w_ui w_uj / (|w_i| |w_j|^2c + h)`
//!
//! (Sarwar, Karypis, Konstan and Riedl, "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001, for the
//! cosine, with a = 0 and c = ½; the shrinkage h in the denominator as in Ferrari Dacrema, Cremonesi and Jannach, "Are We
//! Really Making Much Progress?", RecSys 2019, section 3.2; a and c as in the graph filters of [`crate::graph`].)
//!
//! # Weights in closed form
//! Where users or items are few enough, [`of_ease`] takes the best of each item's weights from [`crate::ease`], which know
//! of every pair what the other items already explain.

mod scorer;

use std::cmp::Ordering;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use releases::Neighbours;

use crate::{ease, factors::Interactions};

pub use scorer::NeighbourScorer;

/// Items whose neighbours are found together.
const BLOCK: usize = 16_384;

/// What is computed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The most neighbours of an item.
    pub neighbours: usize,
    /// h: how many common users (of unit weight) a similarity needs to be believed by half, about.
    pub shrinkage: f32,
    /// Rows longer than this are passed over: who chose thousands of items says little of any two of
    /// them, and their pairs grow with the square. 0 takes all rows.
    pub longest_row: usize,
    /// a: how much less a user of many items says of each pair; 0 counts all users alike, ½ by one over their number.
    pub user_exponent: f32,
    /// c: how much of a neighbour's own length is taken out; ½ is the cosine, less lifts popular neighbours.
    pub end_exponent: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { neighbours: 100, shrinkage: 10.0, longest_row: 2_000, user_exponent: 0.0, end_exponent: 0.5 }
    }
}

/// The neighbours of every column of `interactions`, best first, ties by the lower column. An item
/// nobody chose has none; no item is its own neighbour.
#[must_use]
pub fn nearest(interactions: &Interactions, settings: &Settings) -> Neighbours {
    let by_item = interactions.transpose();
    let columns = interactions.columns();
    let longest = if settings.longest_row == 0 { usize::MAX } else { settings.longest_row };
    let mut squares = vec![0.0_f32; columns];
    for user in 0..interactions.rows() {
        let (items, weights) = interactions.row(user);
        if items.len() <= longest {
            for (item, weight) in items.iter().zip(weights) {
                squares[*item as usize] += weight * weight;
            }
        }
    }
    let lengths = Lengths {
        begin: squares.iter().map(|square| square.sqrt()).collect(),
        end: squares.iter().map(|square| square.powf(settings.end_exponent)).collect(),
    };
    let mut neighbours = Neighbours { offsets: vec![0], ..Neighbours::default() };
    // A block at a time: lists of a million items are not held twice.
    for start in (0..columns).step_by(BLOCK) {
        let lists: Vec<Vec<(u32, f32)>> = (start..columns.min(start + BLOCK))
            .into_par_iter()
            .map_init(
                || Counter { sums: vec![0.0; columns], touched: Vec::new() },
                |counter, item| counter.list(item, interactions, &by_item, &lengths, settings, longest),
            )
            .collect();
        append(&mut neighbours, lists);
    }
    neighbours
}

/// The neighbours of every item by the weights that a model gives them, best first; weights of 0 and below are left out.
#[must_use]
pub fn of_ease(model: &ease::Model, neighbours: usize) -> Neighbours {
    let items = model.items();
    let lists = (0..items)
        .into_par_iter()
        .map_init(
            || vec![0.0; items],
            |scores, item| {
                model.score(&[item as u32], &[1.0], scores);
                let found = scores.iter().enumerate().map(|(other, score)| (other as u32, *score));
                best(found.filter(|(other, score)| *other as usize != item && *score > 0.0).collect(), neighbours)
            },
        )
        .collect();
    joined(lists)
}

/// Lists one after another.
pub(crate) fn joined(lists: Vec<Vec<(u32, f32)>>) -> Neighbours {
    let mut neighbours = Neighbours { offsets: vec![0], ..Neighbours::default() };
    append(&mut neighbours, lists);
    neighbours
}

fn append(neighbours: &mut Neighbours, lists: Vec<Vec<(u32, f32)>>) {
    for list in lists {
        neighbours.items.extend(list.iter().map(|(item, _)| *item));
        neighbours.scores.extend(list.iter().map(|(_, score)| *score));
        neighbours.offsets.push(neighbours.items.len() as u32);
    }
}

/// The `most` best of a list, best first.
pub(crate) fn best(mut list: Vec<(u32, f32)>, most: usize) -> Vec<(u32, f32)> {
    if list.len() > most {
        if most > 0 {
            list.select_nth_unstable_by(most - 1, best_first);
        }
        list.truncate(most);
    }
    list.sort_unstable_by(best_first);
    list
}

/// What products are divided by: `|w_i|` of the item and `|w_j|^2c` of its neighbour.
struct Lengths {
    begin: Vec<f32>,
    end: Vec<f32>,
}

/// The products of one item with all others, kept between items of a thread.
struct Counter {
    /// Zero but at `touched`.
    sums: Vec<f32>,
    touched: Vec<u32>,
}

impl Counter {
    fn list(
        &mut self,
        item: usize,
        by_user: &Interactions,
        by_item: &Interactions,
        lengths: &Lengths,
        settings: &Settings,
        longest: usize,
    ) -> Vec<(u32, f32)> {
        let (users, weights) = by_item.row(item);
        for (user, weight) in users.iter().zip(weights) {
            let (others, their_weights) = by_user.row(*user as usize);
            if others.len() > longest {
                continue;
            }
            let weight = weight * (others.len() as f32).powf(-2.0 * settings.user_exponent);
            for (other, their_weight) in others.iter().zip(their_weights) {
                let sum = &mut self.sums[*other as usize];
                if *sum == 0.0 {
                    self.touched.push(*other);
                }
                *sum += weight * their_weight;
            }
        }
        let list: Vec<(u32, f32)> = self
            .touched
            .iter()
            .filter(|other| **other as usize != item)
            .map(|other| {
                let lengths = lengths.begin[item] * lengths.end[*other as usize];
                (*other, self.sums[*other as usize] / (lengths + settings.shrinkage))
            })
            .filter(|(_, score)| score.is_finite() && *score > 0.0)
            .collect();
        for other in self.touched.drain(..) {
            self.sums[other as usize] = 0.0;
        }
        best(list, settings.neighbours)
    }
}

fn best_first(a: &(u32, f32), b: &(u32, f32)) -> Ordering {
    b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matrix(entries: &[(u32, u32, f32)]) -> Interactions {
        Interactions::from_entries(10, 8, entries).unwrap()
    }

    /// By the formula, over all pairs.
    fn plain(interactions: &Interactions, item: u32, settings: &Settings) -> Vec<(u32, f32)> {
        let column = |item: u32| -> Vec<f32> {
            let weight = |user: usize| {
                let (items, weights) = interactions.row(user);
                items.iter().position(|i| *i == item).map_or(0.0, |at| weights[at])
            };
            (0..interactions.rows()).map(weight).collect()
        };
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let of_users: Vec<f32> = (0..interactions.rows())
            .map(|user| (interactions.row(user).0.len().max(1) as f32).powf(-2.0 * settings.user_exponent))
            .collect();
        let own = column(item);
        let weighed: Vec<f32> = own.iter().zip(&of_users).map(|(own, of_user)| own * of_user).collect();
        let mut list: Vec<(u32, f32)> = (0..interactions.columns() as u32)
            .filter(|other| *other != item)
            .map(|other| (other, column(other)))
            .map(|(other, theirs)| {
                (
                    other,
                    product(&weighed, &theirs)
                        / (product(&own, &own).sqrt() * product(&theirs, &theirs).powf(settings.end_exponent)
                            + settings.shrinkage),
                )
            })
            .filter(|(_, score)| *score > 0.0)
            .collect();
        list.sort_by(best_first);
        list.truncate(settings.neighbours);
        list
    }

    proptest! {
        #[test]
        fn agrees_with_the_formula(entries in prop::collection::vec((0_u32..10, 0_u32..8, prop::sample::select(vec![1.0_f32, 2.0])), 0..60), neighbours in 0_usize..9, shrinkage in 0.5_f32..5.0, user_exponent in 0.0_f32..1.0, end_exponent in 0.0_f32..1.0) {
            let interactions = matrix(&entries);
            let settings = Settings { neighbours, shrinkage, longest_row: 0, user_exponent, end_exponent };
            let found = nearest(&interactions, &settings);
            prop_assert_eq!(found.rows(), 8);
            for item in 0..8 {
                let (items, scores) = found.of(item);
                let expected = plain(&interactions, item, &settings);
                prop_assert_eq!(items.len(), expected.len());
                for (found, (_, expected)) in scores.iter().zip(&expected) {
                    prop_assert!((found - expected).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn shrinkage_prefers_what_many_users_say() {
        // Items 0 and 1 share one user and nothing else; 2 and 3 share five users of six.
        let mut entries = vec![(0, 0, 1.0), (0, 1, 1.0), (9, 2, 1.0)];
        entries.extend((1..6).flat_map(|user| [(user, 2, 1.0), (user, 3, 1.0)]));
        let score =
            |shrinkage, item| nearest(&matrix(&entries), &Settings { shrinkage, ..Settings::default() }).of(item).1[0];
        assert!(score(0.0, 0) > score(0.0, 2));
        assert!(score(5.0, 0) < score(5.0, 2));
    }

    #[test]
    fn endless_rows_are_passed_over() {
        let entries: Vec<_> = (0..8).map(|item| (0, item, 1.0)).chain([(1, 0, 1.0), (1, 1, 1.0)]).collect();
        let found = nearest(&matrix(&entries), &Settings { longest_row: 7, ..Settings::default() });
        assert_eq!(found.of(0).0, [1]);
        assert!(found.of(5).0.is_empty());
    }

    #[test]
    fn closed_form_weights_know_what_other_items_explain() {
        // 0 and 2 are chosen together only through 1, which goes with both.
        let entries: Vec<_> = (0..10)
            .flat_map(|user| if user < 5 { [(user, 0, 1.0), (user, 1, 1.0)] } else { [(user, 1, 1.0), (user, 2, 1.0)] })
            .chain([(0, 2, 1.0)])
            .collect();
        let settings = ease::Settings { regularisation: 1.0, ..ease::Settings::default() };
        let model = ease::train(&matrix(&entries), &settings, &crate::progress::Silent).unwrap();
        let found = of_ease(&model, 3);
        assert_eq!(found.rows(), 8);
        assert_eq!((found.of(0).0, found.of(2).0), (&[1][..], &[1][..]));
        assert!(found.of(5).0.is_empty());
        let release = releases::Parts {
            items: (1..=8).map(shared_models::ItemKey).collect(),
            neighbours: Some(found),
            ..releases::Parts::default()
        };
        releases::Release::in_memory(shared_models::TenantId::new("demo").unwrap(), releases::Meta::default(), release)
            .unwrap();
    }

    #[test]
    fn the_result_passes_a_releases_checks() {
        let entries: Vec<_> = (0..10)
            .flat_map(|user| (0..8).filter(move |item| (user * item) % 3 == 0).map(move |item| (user, item, 1.0)))
            .collect();
        let parts = releases::Parts {
            items: (1..=8).map(shared_models::ItemKey).collect(),
            neighbours: Some(nearest(&matrix(&entries), &Settings::default())),
            ..releases::Parts::default()
        };
        releases::Release::in_memory(shared_models::TenantId::new("demo").unwrap(), releases::Meta::default(), parts)
            .unwrap();
    }
}
