//! Propensities are what they say: the same page is served with 100,000 seeds, and what was shown is compared with
//! what was said, card by card and slate by slate.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use contracts::{Deadline, Ranking};
use ranking::server::Ranker;
use shared_models::{
    Seed,
    component::Fact,
    explore::{Explore, NewItems},
    plan::{RankQuery, ShelfOrder},
    slate::Slate,
};

use crate::{page_laws, pages};

const SEEDS: u64 = 100_000;
/// Candidates of each shelf, and its cards.
const ROWS: usize = 5;
const CARDS: u16 = 3;

/// Every policy, and an epsilon that leaves everything to chance.
pub(crate) fn policies() -> Vec<Explore> {
    vec![
        Explore::None,
        Explore::Epsilon { share: 0.3 },
        Explore::Epsilon { share: 1.0 },
        Explore::Softmax { temperature: 0.4 },
        Explore::Thompson { prior: 100.0, spread: 1.0 },
    ]
}

/// A rule for new items by which some of a test page's candidates are new.
pub(crate) fn new_items() -> NewItems {
    NewItems {
        slots: 2,
        from: 1,
        share: 0.5,
        younger: Duration::from_secs(366 * 86_400),
        shown_below: 1e6,
        hourly: 1e6,
    }
}

/// A page with a shelf for each policy that leaves something to chance, each with candidates of its own.
fn page() -> RankQuery {
    // The last shelf keeps a position for new items as well.
    let policies = [policies()[1], policies()[3], policies()[4], policies()[3]];
    let last = policies.len() - 1;
    let mut query = pages::page(ROWS * policies.len(), 1, 3, None);
    query.order = ShelfOrder::Fixed;
    query.shelves = policies
        .into_iter()
        .enumerate()
        .map(|(number, explore)| {
            let rows = (number * ROWS..(number + 1) * ROWS).map(|row| row as u32).collect();
            let mut shelf = pages::shelf(&format!("shelf-{number}"), rows);
            shelf.slate.size = CARDS;
            shelf.slate.diversity = 0.2;
            shelf.slate.explore = explore;
            shelf
        })
        .collect();
    // Two items of one artist, which a cap keeps apart.
    let table = Arc::make_mut(&mut query.table);
    for shelf in 0..query.shelves.len() {
        table.artists[shelf * ROWS + 1] = table.artists[shelf * ROWS];
    }
    for shelf in &mut query.shelves {
        shelf.slate.max_per_artist = 1;
    }
    // Of its candidates two are new: the last, which the pool would hardly choose, and another.
    let ages = &mut table.facts[Fact::AgeDays as usize];
    for (row, age) in ages[last * ROWS..(last + 1) * ROWS].iter_mut().enumerate() {
        *age = if (last * ROWS + row).is_multiple_of(2) { 3.0 } else { 9_000.0 };
    }
    for fact in [Fact::CrowdShown, Fact::CrowdTaken] {
        table.facts[fact as usize][last * ROWS..].fill(0.0);
    }
    query.shelves[last].slate.new_items = Some(new_items());
    query
}

/// What was shown of one shelf: after which cards how often, and then which card how often with which propensity.
#[derive(Default)]
struct Shown {
    after: BTreeMap<Vec<u32>, (u32, BTreeMap<u32, Card>)>,
    slates: BTreeMap<Vec<u32>, (u32, f64)>,
}

#[derive(Clone, Copy, Default)]
struct Card {
    count: u32,
    propensity: f32,
    error: f32,
}

impl Shown {
    fn add(&mut self, slate: &Slate) {
        let rows: Vec<u32> = slate.cards.iter().map(|card| card.row).collect();
        for (position, card) in slate.cards.iter().enumerate() {
            let (count, cards) = self.after.entry(rows[..position].to_vec()).or_default();
            *count += 1;
            let known = cards.entry(card.row).or_insert(Card {
                count: 0,
                propensity: card.propensity,
                error: card.propensity_error,
            });
            known.count += 1;
            assert_eq!(known.propensity, card.propensity, "after the same cards a card has one propensity");
        }
        let chance = slate.cards.iter().map(|card| f64::from(card.propensity)).product();
        self.slates.entry(rows).or_insert((0, chance)).0 += 1;
    }

    fn merge(&mut self, other: Self) {
        for (after, (count, cards)) in other.after {
            let known = self.after.entry(after).or_default();
            known.0 += count;
            for (row, card) in cards {
                let count = known.1.get(&row).map_or(0, |card| card.count);
                known.1.insert(row, Card { count: count + card.count, ..card });
            }
        }
        for (rows, (count, chance)) in other.slates {
            self.slates.entry(rows).or_insert((0, chance)).0 += count;
        }
    }

    fn check(&self, policy: Explore) {
        for (after, (count, cards)) in &self.after {
            let all = f64::from(*count);
            let (mut said, mut errors) = (0.0, 0.0);
            for (row, card) in cards {
                let (share, value) = (f64::from(card.count) / all, f64::from(card.propensity));
                // A card that is seen once more than it should is no contradiction where few are looked at.
                let noise = 5.0 * (value * (1.0 - value) / all).sqrt() + 2.0 / all;
                assert!(
                    (share - value).abs() <= noise + f64::from(card.error),
                    "{policy:?}, after {after:?}: row {row} has a share of {share} of {count}, {value} was said"
                );
                said += value;
                errors += f64::from(card.error);
            }
            assert!(said <= 1.0 + 1e-5 + errors, "{policy:?}, after {after:?}: {said} in all");
            // What was never shown has no propensity here: it is what the rest leaves.
            assert!(all < 20_000.0 || said >= 1.0 - 30.0 / all - errors, "{policy:?}, after {after:?}: {said} in all");
        }
        // Whole slates: Pearson's chi-square over those that are expected often enough.
        let (mut chi_square, mut degrees) = (0.0, -1.0);
        for (count, chance) in self.slates.values() {
            let expected = chance * SEEDS as f64;
            if expected >= 5.0 {
                chi_square += (f64::from(*count) - expected).powi(2) / expected;
                degrees += 1.0;
            }
        }
        let limit = degrees + 5.0 * (2.0 * f64::max(degrees, 1.0)).sqrt();
        assert!(chi_square <= limit, "{policy:?}: chi-square {chi_square} with {degrees} degrees of freedom");
    }
}

fn serve(ranker: &Ranker, query: &RankQuery, seeds: impl Iterator<Item = u64>) -> Vec<Shown> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut shown: Vec<Shown> = query.shelves.iter().map(|_| Shown::default()).collect();
    for seed in seeds {
        let mut query = query.clone();
        query.context.seed = Seed(seed);
        let page = runtime.block_on(ranker.rank(query, Deadline::within(page_laws::PATIENCE))).unwrap();
        for (shown, slate) in shown.iter_mut().zip(&page.slates) {
            shown.add(slate);
        }
    }
    shown
}

#[test]
fn frequencies_over_100_000_pages_are_the_propensities() {
    // The cold scores do as well as any, and looking at features would take longer than all the rest.
    let service = page_laws::sampling(false, u64::MAX);
    let query = page();
    let halves = [0..SEEDS / 2, SEEDS / 2..SEEDS];
    let mut served: Vec<Vec<Shown>> = std::thread::scope(|scope| {
        let threads = halves.map(|seeds| scope.spawn(|| serve(&service.ranker, &query, seeds)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut shown = served.remove(0);
    for (shown, other) in shown.iter_mut().zip(served.remove(0)) {
        shown.merge(other);
    }
    for (shown, shelf) in shown.iter().zip(&query.shelves) {
        let policy = shelf.slate.explore;
        shown.check(policy);
        assert!(shown.slates.len() > 10, "{policy:?}: {} slates", shown.slates.len());
    }
}

/// A shelf of eight candidates in falling order of score, of which all are young; what is known of the crowd is told.
fn young(crowd: impl Fn(usize) -> (f32, f32, f32)) -> RankQuery {
    let mut query = pages::page(8, 1, 5, None);
    let table = Arc::make_mut(&mut query.table);
    table.facts[Fact::AgeDays as usize] = vec![3.0; 8];
    for row in 0..8 {
        let (shown, taken, hourly) = crowd(row);
        table.facts[Fact::CrowdShown as usize][row] = shown;
        table.facts[Fact::CrowdTaken as usize][row] = taken;
        table.facts[Fact::CrowdShownHourly as usize][row] = hourly;
    }
    query.shelves[0].rows = (0..8).collect();
    query.shelves[0].slate.size = 4;
    query.shelves[0].slate.new_items =
        Some(NewItems { share: 1.0, shown_below: 100.0, hourly: 10.0, from: 0, ..new_items() });
    query
}

#[test]
fn a_kept_position_goes_to_a_new_item_within_its_budget_and_not_to_one_that_is_worse() {
    let service = page_laws::sampling(false, u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let rows_of_kept = |query: &RankQuery| {
        let mut rows = std::collections::BTreeSet::new();
        for seed in 0..300 {
            let mut query = query.clone();
            query.context.seed = Seed(seed);
            let page = runtime.block_on(service.ranker.rank(query, Deadline::within(page_laws::PATIENCE))).unwrap();
            let cards = &page.slates[0].cards;
            assert!(cards[2..].iter().all(|card| !card.explored && card.propensity == 1.0), "the rest is not kept");
            rows.extend(cards[..2].iter().filter(|card| card.explored).map(|card| card.row));
        }
        rows.into_iter().collect::<Vec<u32>>()
    };
    // Rows 0 to 3 were shown often: they are known. Of the new ones, 5 has had enough this hour, and 6 was shown ninety
    // times and never taken, where the typical item is taken every second time.
    let query = young(|row| match row {
        0..=3 => (400.0, 200.0, 0.0),
        5 => (20.0, 14.0, 12.0),
        6 => (90.0, 0.0, 0.0),
        _ => (20.0, 14.0, 1.0),
    });
    assert_eq!(rows_of_kept(&query), [4, 7]);
    let metrics = service.metrics.encode();
    for told in ["outcome=\"shown\"} 600", "outcome=\"over_budget\"} 300", "outcome=\"guarded\"} 300"] {
        assert!(metrics.contains(&format!("setlist_ranking_new_items_total{{{told}")), "{told}: {metrics}");
    }
    // Where nothing is new the policy has every position.
    let query = young(|_| (400.0, 200.0, 0.0));
    assert_eq!(rows_of_kept(&query), [0_u32; 0]);
}

#[test]
fn what_the_crowd_takes_moves_thompson_sampling_and_what_it_saw_often_makes_it_sure() {
    let service = page_laws::sampling(false, u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let first = |crowd: &dyn Fn(usize) -> (f32, f32, f32)| {
        let mut query = young(crowd);
        query.shelves[0].slate.new_items = None;
        query.shelves[0].slate.explore = Explore::Thompson { prior: 20.0, spread: 1.0 };
        let mut counts = [0_u32; 8];
        for seed in 0..400 {
            query.context.seed = Seed(seed);
            let page =
                runtime.block_on(service.ranker.rank(query.clone(), Deadline::within(page_laws::PATIENCE))).unwrap();
            counts[page.slates[0].cards[0].row as usize] += 1;
        }
        counts
    };
    let unknown = first(&|_| (0.0, 0.0, 0.0));
    assert!(unknown.iter().filter(|count| **count > 0).count() >= 4, "what is not known is tried: {unknown:?}");
    // Without a release an item is believed to be taken one time in ten: as here, but surely.
    let sure = first(&|_| (50_000.0, 5_000.0, 0.0));
    assert!(sure.iter().max() > unknown.iter().max(), "{sure:?} is surer than {unknown:?}");
    let loved = first(&|row| if row == 7 { (50_000.0, 25_000.0, 0.0) } else { (50_000.0, 5_000.0, 0.0) });
    assert!(loved[7] > sure[7], "{loved:?} after {sure:?}");
}
