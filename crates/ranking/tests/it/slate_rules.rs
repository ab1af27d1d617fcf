//! The rules of selection: score order, caps, pins, diversity, exploration.

use std::collections::{BTreeMap, BTreeSet};

use pipeline::{Score, ranking::Scored};
use proptest::prelude::*;
use ranking::{
    explore::Chance,
    features::{Gathered, gather::Units},
    slate::{self, Chosen, Rules, order},
};
use shared_models::{
    Seed,
    candidates::CandidateTable,
    explore::Explore,
    plan::{Pin, ShelfOrder, ShelfRankPlan, SlatePlan},
};

use crate::{pages, propensities};

struct Shelf {
    plan: SlatePlan,
    table: CandidateTable,
    units: Units,
    ranked: Vec<Scored>,
}

fn scored(row: usize, score: f32) -> Scored {
    Scored { row: row as u32, score: Score::new(score).unwrap() }
}

/// A shelf of `rows` candidates with falling scores, in factor space when `has_factors`.
fn shelf(rows: usize, size: u16, has_factors: bool) -> Shelf {
    let release = has_factors.then(|| pages::release(8));
    let query = pages::page(rows, 1, 5, release.as_deref());
    Shelf {
        plan: SlatePlan {
            size,
            max_per_artist: 0,
            diversity: 0.0,
            explore: Explore::None,
            new_items: None,
            pins: Vec::new(),
        },
        table: (*query.table).clone(),
        units: Gathered::of(&query, release.as_deref()).candidates,
        ranked: (0..rows).map(|row| scored(row, 1.0 - row as f32 * 0.01)).collect(),
    }
}

fn select(shelf: &Shelf, seed: u64) -> Vec<Chosen> {
    let rules = Rules { plan: &shelf.plan, table: &shelf.table, units: &shelf.units, crowd: None };
    slate::select(rules, &shelf.ranked, &mut Seed(seed).stream("explore/test"))
}

fn rows(cards: &[Chosen]) -> Vec<u32> {
    cards.iter().map(|card| card.scored.row).collect()
}

#[test]
fn plain_rules_keep_score_order_with_certainty() {
    let shelf = shelf(50, 12, true);
    let cards = select(&shelf, 1);
    assert_eq!(rows(&cards), (0..12).collect::<Vec<u32>>());
    assert!(cards.iter().all(|card| card.propensity == Chance::CERTAIN && !card.explored && !card.pinned));
}

#[test]
fn a_short_list_gives_a_short_slate() {
    assert_eq!(select(&shelf(3, 12, true), 1).len(), 3);
    assert_eq!(select(&shelf(0, 12, false), 1).len(), 0);
}

#[test]
fn the_cap_looks_past_the_pool_for_other_artists() {
    let mut shelf = shelf(200, 5, false);
    for row in 0..150 {
        shelf.table.artists[row] = pages::key(77);
    }
    shelf.plan.max_per_artist = 2;
    assert_eq!(rows(&select(&shelf, 1)), [0, 1, 150, 151, 152]);
}

#[test]
fn candidates_without_an_artist_are_not_capped() {
    let mut shelf = shelf(20, 5, false);
    shelf.table.artists.fill(shared_models::ItemKey::NONE);
    shelf.plan.max_per_artist = 1;
    assert_eq!(rows(&select(&shelf, 1)), [0, 1, 2, 3, 4]);
}

#[test]
fn pins_stand_where_they_are_set() {
    let mut shelf = shelf(30, 6, false);
    let pin = |row: usize, position| Pin { item: shelf.table.items[row], position };
    shelf.plan.pins =
        vec![pin(20, 3), pin(0, 1), pin(9, 3), pin(20, 5), Pin { item: pages::key(999_999), position: 0 }];
    let cards = select(&shelf, 1);
    assert_eq!(rows(&cards), [1, 0, 2, 20, 3, 4]);
    assert_eq!(cards.iter().map(|card| card.pinned).collect::<Vec<bool>>(), [false, true, false, true, false, false]);
    assert!(cards.iter().all(|card| card.propensity == Chance::CERTAIN));
}

#[test]
fn a_pin_past_the_last_card_follows_it() {
    let mut shelf = shelf(3, 10, false);
    shelf.plan.pins = vec![Pin { item: shelf.table.items[0], position: 8 }];
    assert_eq!(rows(&select(&shelf, 1)), [1, 2, 0]);
}

#[test]
fn diversity_separates_what_is_alike() {
    let similarity = |shelf: &Shelf, cards: &[Chosen]| -> f32 {
        let pairs =
            cards.iter().flat_map(|a| cards.iter().map(move |b| (a.scored.row, b.scored.row))).filter(|(a, b)| a < b);
        pairs.map(|(a, b)| releases::vectors::dot(shelf.units.unit(a as usize), shelf.units.unit(b as usize))).sum()
    };
    let mut shelf = shelf(200, 15, true);
    let plain = select(&shelf, 1);
    shelf.plan.diversity = 0.5;
    let diverse = select(&shelf, 1);
    assert_eq!(diverse[0].scored.row, 0, "the first card has nothing to differ from");
    assert!(similarity(&shelf, &diverse) < similarity(&shelf, &plain) - 1.0);
}

#[test]
fn without_factors_diversity_separates_artists() {
    let mut shelf = shelf(20, 4, false);
    for row in 0..10 {
        shelf.table.artists[row] = pages::key(77);
    }
    shelf.plan.diversity = 0.9;
    assert_eq!(rows(&select(&shelf, 1)), [0, 10, 11, 12]);
}

/// The best by the whole definition of maximal marginal relevance, without any of the pool's shortcuts.
fn plain_relevance(shelf: &Shelf) -> Vec<u32> {
    let pool = usize::from(shelf.plan.size) * 4;
    let pool: Vec<Scored> = shelf.ranked.iter().take(pool).copied().collect();
    let (high, low) = (pool[0].score.value(), pool[pool.len() - 1].score.value());
    let mut cards: Vec<u32> = Vec::new();
    while cards.len() < usize::from(shelf.plan.size).min(pool.len()) {
        let value = |scored: &Scored| {
            let nearest = cards
                .iter()
                .map(|card| {
                    releases::vectors::dot(shelf.units.unit(*card as usize), shelf.units.unit(scored.row as usize))
                })
                .fold(0.0_f32, f32::max);
            (1.0 - shelf.plan.diversity) * ((scored.score.value() - low) / (high - low))
                - shelf.plan.diversity * nearest
        };
        let mut best: Option<(f32, u32)> = None;
        for candidate in pool.iter().filter(|candidate| !cards.contains(&candidate.row)) {
            if best.is_none_or(|(known, _)| value(candidate) > known) {
                best = Some((value(candidate), candidate.row));
            }
        }
        cards.push(best.unwrap().1);
    }
    cards
}

#[test]
fn incremental_relevance_equals_its_definition() {
    for diversity in [0.1, 0.3, 0.7, 1.0] {
        let mut shelf = shelf(120, 12, true);
        shelf.plan.diversity = diversity;
        assert_eq!(rows(&select(&shelf, 1)), plain_relevance(&shelf), "diversity {diversity}");
    }
}

#[test]
fn drawn_cards_match_their_propensities() {
    let mut shelf = shelf(12, 3, true);
    shelf.plan.explore = Explore::Epsilon { share: 0.4 };
    shelf.plan.diversity = 0.3;
    let draws = 40_000_u32;
    let mut seen: BTreeMap<u32, (u32, f32)> = BTreeMap::new();
    let mut explored = 0;
    for seed in 0..draws {
        let first = select(&shelf, u64::from(seed))[0];
        let entry = seen.entry(first.scored.row).or_default();
        *entry = (entry.0 + 1, first.propensity.value);
        explored += u32::from(first.explored);
    }
    assert_eq!(seen.len(), 12, "every eligible card is shown sometimes");
    assert!((seen.values().map(|(_, propensity)| propensity).sum::<f32>() - 1.0).abs() < 1e-5);
    for (row, (count, propensity)) in &seen {
        let share = *count as f32 / draws as f32;
        let error = (propensity * (1.0 - propensity) / draws as f32).sqrt();
        assert!((share - propensity).abs() < 5.0 * error, "row {row}: {share} is not {propensity}");
    }
    assert!((explored as f32 / draws as f32 - 0.4).abs() < 0.02);
}

#[test]
fn later_positions_match_their_conditional_propensities() {
    let mut shelf = shelf(6, 2, false);
    shelf.plan.explore = Explore::Epsilon { share: 0.5 };
    // By the first card: how often, and by the second: how often, and with which propensity.
    type Seconds = BTreeMap<u32, (u32, f32)>;
    let mut by_prefix: BTreeMap<u32, (u32, Seconds)> = BTreeMap::new();
    for seed in 0..60_000_u64 {
        let cards = select(&shelf, seed);
        let (count, seconds) = by_prefix.entry(cards[0].scored.row).or_default();
        *count += 1;
        let second = seconds.entry(cards[1].scored.row).or_default();
        *second = (second.0 + 1, cards[1].propensity.value);
    }
    for (first, (count, seconds)) in by_prefix {
        assert!((seconds.values().map(|(_, propensity)| propensity).sum::<f32>() - 1.0).abs() < 1e-5, "after {first}");
        for (second, (hits, propensity)) in seconds {
            let error = (propensity * (1.0 - propensity) / count as f32).sqrt();
            assert!((hits as f32 / count as f32 - propensity).abs() < 5.0 * error, "{second} after {first}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_rules_hold_for_any_plan(
        rows_given in 0_usize..120,
        size in 1_u16..30,
        cap in 0_u16..4,
        artists in 1_u64..20,
        diversity in prop::sample::select(vec![0.0_f32, 0.2, 1.0]),
        explore in prop::sample::select(propensities::policies()),
        pins in prop::collection::vec((0_usize..120, 0_u16..30), 0..3),
        has_factors: bool,
        seed: u64,
    ) {
        let mut shelf = shelf(rows_given, size, has_factors);
        for (row, artist) in shelf.table.artists.iter_mut().enumerate() {
            *artist = pages::key(500_000 + row * 31 % artists as usize);
        }
        let items = shelf.table.items.clone();
        shelf.plan.max_per_artist = cap;
        shelf.plan.diversity = diversity;
        shelf.plan.explore = explore;
        shelf.plan.pins = pins.iter().filter_map(|(row, position)| Some(Pin { item: *items.get(*row)?, position: *position })).collect();
        let cards = select(&shelf, seed);
        prop_assert_eq!(&cards, &select(&shelf, seed), "the same seed gives the same slate");
        prop_assert!(cards.len() <= usize::from(size).min(rows_given));
        if cap == 0 {
            prop_assert_eq!(cards.len(), usize::from(size).min(rows_given), "without a cap no place stays empty");
        }
        let distinct: BTreeSet<u32> = rows(&cards).into_iter().collect();
        prop_assert_eq!(distinct.len(), cards.len(), "nothing twice");
        prop_assert!(cards.iter().all(|card| card.propensity.value > 0.0 && card.propensity.value <= 1.0));
        if explore.is_off() {
            prop_assert!(cards.iter().all(|card| card.propensity == Chance::CERTAIN && !card.explored));
        }
        let mut by_artist: BTreeMap<_, (u16, u16)> = BTreeMap::new();
        for card in &cards {
            let (all, pinned) = by_artist.entry(shelf.table.artists[card.scored.row as usize]).or_default();
            *all += 1;
            *pinned += u16::from(card.pinned);
        }
        if cap > 0 {
            prop_assert!(by_artist.values().all(|(all, pinned)| *all <= cap.max(*pinned)), "{by_artist:?}");
        }
        for (position, card) in cards.iter().enumerate().filter(|(_, card)| card.pinned) {
            // A pin past the shelf's end is none, also where it is the first of its item.
            let item = items[card.scored.row as usize];
            let pin = shelf.plan.pins.iter().find(|pin| pin.item == item && pin.position < size).unwrap();
            prop_assert!(position <= usize::from(pin.position));
            prop_assert!(position == usize::from(pin.position) || cards[position..].iter().all(|later| later.pinned), "only a short slate moves a pin up");
        }
    }
}

fn order_of(plans: &[ShelfRankPlan], scores: &[&[f32]], by: ShelfOrder) -> Vec<usize> {
    let mut next = 0;
    let ranked: Vec<Vec<Scored>> = scores
        .iter()
        .map(|scores| {
            let rows = scores.iter().map(|score| {
                next += 1;
                scored(next - 1, *score)
            });
            rows.collect()
        })
        .collect();
    order::order(plans, &ranked, next, by)
}

#[test]
fn shelves_stand_by_worth_and_pins_keep_their_slot() {
    let plain: Vec<ShelfRankPlan> = ["a", "b", "c", "d"].map(|name| pages::shelf(name, Vec::new())).to_vec();
    let scores: [&[f32]; 4] = [&[0.2, 0.1], &[0.9], &[], &[0.5, 0.4]];
    assert_eq!(order_of(&plain, &scores, ShelfOrder::ByScore), [1, 3, 0, 2]);
    assert_eq!(order_of(&plain, &scores, ShelfOrder::Fixed), [0, 1, 2, 3]);
    let mut pinned = plain;
    pinned[2].pinned_slot = Some(0);
    assert_eq!(order_of(&pinned, &scores, ShelfOrder::ByScore), [2, 1, 3, 0]);
    assert_eq!(order_of(&pinned, &scores, ShelfOrder::Fixed), [2, 0, 1, 3]);
    pinned[0].pinned_slot = Some(0);
    pinned[1].pinned_slot = Some(9);
    assert_eq!(order_of(&pinned, &scores, ShelfOrder::ByScore), [0, 2, 3, 1]);
}

#[test]
fn a_shelf_is_worth_what_the_shelves_above_leave_it() {
    let plans: Vec<ShelfRankPlan> = ["a", "b", "c"].map(|name| pages::shelf(name, Vec::new())).to_vec();
    let mut plans = plans;
    plans[0].slate.size = 1;
    let best = scored(0, 1.0);
    let ranked = [vec![best], vec![best, scored(1, 0.1)], vec![scored(2, 0.5)]];
    assert_eq!(order::order(&plans, &ranked, 3, ShelfOrder::ByScore), [0, 2, 1]);
}

#[test]
fn worth_is_a_mean_that_looks_at_the_top() {
    assert_eq!(order::worth([].into_iter()), 0.0);
    assert!((order::worth([0.5; 9].into_iter()) - 0.5).abs() < 1e-6);
    assert!(order::worth([1.0, 0.0].into_iter()) > order::worth([0.0, 1.0].into_iter()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_slate_that_is_given_has_the_probabilities_that_it_was_chosen_with(
        rows in 1_usize..80,
        size in 1_u16..16,
        seed in 0_u64..1_000,
        policy in 0_usize..5,
        diversity in prop_oneof![Just(0.0_f32), Just(0.3)],
        cap in 0_u16..3,
        pinned in prop::option::of((0_usize..80, 0_u16..16)),
        keeps in any::<bool>(),
    ) {
        let mut shelf = shelf(rows, size, true);
        shelf.plan.explore = propensities::policies()[policy];
        shelf.plan.diversity = diversity;
        shelf.plan.max_per_artist = cap;
        shelf.plan.new_items = keeps.then(propensities::new_items);
        if let Some((row, position)) = pinned.filter(|(row, position)| *row < rows && *position < size) {
            shelf.plan.pins = vec![Pin { item: shelf.table.items[row], position }];
        }
        let cards = select(&shelf, seed);
        let rules = Rules { plan: &shelf.plan, table: &shelf.table, units: &shelf.units, crowd: None };
        // In any order.
        let mut scores: Vec<(u32, f32)> = shelf.ranked.iter().map(|one| (one.row, one.score.value())).collect();
        scores.reverse();
        let slate = rows_of(&cards);
        let again = slate::chances(rules, &scores, &slate);
        for (card, chance) in cards.iter().zip(&again) {
            let apart = (card.propensity.value - chance).abs();
            prop_assert!(apart <= 1e-6 + card.propensity.error, "{card:?} has {chance}: {again:?}");
        }
        // A slate that ends with what cannot stand there has no probability.
        let mut other = slate.clone();
        other.push(slate[0]);
        let none = slate::chances(rules, &scores, &other);
        prop_assert_eq!(none.last(), Some(&0.0));
    }
}

fn rows_of(cards: &[Chosen]) -> Vec<u32> {
    rows(cards)
}
