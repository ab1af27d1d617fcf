//! The first pass: which candidates go on where time is short, and what the page says of it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use contracts::Deadline;
use proptest::prelude::*;
use ranking::{
    App, Config,
    config::DEFAULTS,
    first_pass::{Pace, likeliest, narrowed},
};
use service_runtime::Runtime;
use shared_models::{SystemClock, degraded::DegradedCause, plan::Pin};

use crate::pages;

proptest! {
    #[test]
    fn every_shelf_keeps_its_share_and_its_pins(
        rows in 1_usize..300, shelves in 1_usize..6, most in 1_usize..320, seed in 0_u64..50, pin in 0_usize..300,
    ) {
        let mut query = pages::page(rows, shelves, seed, None);
        let pinned = query.shelves[0].rows.get(pin).copied();
        if let Some(row) = pinned {
            query.shelves[0].slate.pins.push(Pin { item: query.table.items[row as usize], position: 0 });
        }
        let kept = likeliest(&query, most);
        prop_assert!(kept.is_sorted_by(|a, b| a < b));
        prop_assert!(pinned.is_none_or(|row| kept.contains(&row)));
        let named: BTreeSet<u32> = query.shelves.iter().flat_map(|shelf| shelf.rows.iter().copied()).collect();
        prop_assert_eq!(kept.len(), most.min(named.len()));
        for shelf in &query.shelves {
            let has = shelf.rows.iter().filter(|row| kept.contains(row)).count();
            let share = ((most - usize::from(pinned.is_some())) / shelves).min(shelf.rows.len());
            prop_assert!(has >= share, "{} has {has} of {most} among {shelves}", shelf.shelf);
        }
    }

    #[test]
    fn a_narrowed_page_says_the_same_of_what_it_keeps(rows in 1_usize..200, most in 1_usize..200, seed in 0_u64..50) {
        let query = pages::page(rows, 3, seed, None);
        let kept = likeliest(&query, most);
        let narrow = narrowed(&query, &kept);
        prop_assert_eq!(narrow.table.inconsistency(), None);
        for (at, row) in kept.iter().enumerate() {
            prop_assert_eq!(narrow.table.items[at], query.table.items[*row as usize]);
            prop_assert_eq!(narrow.table.evidence_of(at), query.table.evidence_of(*row as usize));
            for (narrow, wide) in narrow.table.facts.iter().zip(&query.table.facts) {
                prop_assert_eq!(narrow[at].to_bits(), wide[*row as usize].to_bits());
            }
        }
        for (narrow, wide) in narrow.shelves.iter().zip(&query.shelves) {
            let back: Vec<u32> = narrow.rows.iter().map(|row| kept[*row as usize]).collect();
            let expected: Vec<u32> = wide.rows.iter().copied().filter(|row| kept.contains(row)).collect();
            prop_assert_eq!(back, expected);
        }
    }
}

#[test]
fn the_best_of_a_shelf_go_on_first() {
    let mut query = pages::page(40, 1, 1, None);
    let mut table = (*query.table).clone();
    for (at, word) in table.evidence.iter_mut().enumerate() {
        word.rank = 1_000 + at as u32;
    }
    let best = table.evidence_of(17).len();
    let start = table.evidence_ends[16] as usize;
    for word in &mut table.evidence[start..start + best] {
        word.rank = 0;
    }
    query.table = Arc::new(table);
    assert_eq!(likeliest(&query, 1), [17]);
}

#[test]
fn the_pace_follows_what_rows_cost() {
    let pace = Pace::default();
    let before = pace.rows_in(Duration::from_millis(10));
    assert_eq!(before, 5_000);
    pace.observe(10, Duration::from_secs(1));
    assert_eq!(pace.rows_in(Duration::from_millis(10)), before, "a small page says nothing of a row");
    for _ in 0..200 {
        pace.observe(1_000, Duration::from_millis(20));
    }
    let after = pace.rows_in(Duration::from_millis(10));
    assert!((495..=505).contains(&after), "{after}");
}

#[tokio::test]
async fn a_page_with_too_little_time_ranks_the_likeliest_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let overrides = [
        ("releases.path".to_owned(), folder.path().display().to_string()),
        // A share of half a minute that holds fewer rows than the page has, at the first guess of their cost.
        ("pages.spend".to_owned(), "0.01".to_owned()),
        ("pages.least_scored".to_owned(), "150".to_owned()),
    ];
    let config: Config = service_runtime::config::load(DEFAULTS, None, "RANKING_TEST", &overrides).unwrap();
    let runtime = Runtime::new(Arc::new(SystemClock));
    let app = App::build(config, &runtime).await.unwrap();
    let query = pages::page(600, 3, 1, None);
    let whole = app.ranking().rank(query.clone(), Deadline::within(Duration::from_secs(30))).await.unwrap();
    assert!(whole.degraded.iter().all(|stage| stage.stage != "scorer.first_pass"), "{:?}", whole.degraded);
    // 1 % of 20 ms holds 100 rows of 2 µs at the most.
    let hurried = loop {
        // The cold model is quick; a machine that is held up for these 20 ms answers nothing, and is asked again.
        if let Ok(page) = app.ranking().rank(query.clone(), Deadline::within(Duration::from_millis(20))).await {
            break page;
        }
    };
    let stage = hurried.degraded.iter().find(|stage| stage.stage == "scorer.first_pass").unwrap();
    assert_eq!(stage.cause, DegradedCause::Skipped);
    for (slate, of) in
        hurried.slates.iter().map(|slate| (slate, query.shelves.iter().find(|s| s.shelf == slate.shelf).unwrap()))
    {
        assert_eq!(slate.cards.len(), 20, "{}", slate.shelf);
        assert!(
            slate.cards.iter().all(|card| of.rows.contains(&card.row)),
            "rows are those of the page that was asked"
        );
    }
    let text = runtime.metrics.encode();
    let counted = text.lines().find_map(|line| line.strip_prefix("setlist_ranking_passed_over_rows_total "));
    let counted: u64 = counted.unwrap().parse().unwrap();
    assert!(counted > 0 && counted.is_multiple_of(450), "{counted}");
}
