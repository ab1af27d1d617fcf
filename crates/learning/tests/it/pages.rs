//! Pages of the past: they see the past and nothing else, and are the same on any number of threads.

use std::sync::Arc;

use candidate_generation::profiles::counted_at;
use learning::{
    progress::{Progress, Silent, Unit},
    ranker::pages::{Input, Page, Settings, pages, rows},
    world::{Config, World, generate},
};
use ranking::features::COLUMNS;
use releases::{Factors, Meta, Parts, Popularity, Release};
use shared_models::{
    ItemKey, Seed, TenantId, Timestamp,
    component::Action,
    event::{Event, EventKind},
};

const NOW: Timestamp = Timestamp(1_780_000_000_000);
const DAY: i64 = 86_400_000;

fn made(world: &World, events: &[Event], from: Timestamp) -> Vec<Page> {
    let mut keys: Vec<ItemKey> = world.items.iter().map(shared_models::item::Item::key).collect();
    keys.sort_unstable();
    let values: Vec<f32> = (0..keys.len() * 4).map(|n| ((n * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let parts = Parts {
        popularity: Some(Popularity { global: (0..keys.len()).map(|n| n as f32).collect(), markets: Vec::new() }),
        items: keys,
        factors: Some(Factors::new(4, &values, 2.0, 0.01, 1.0).unwrap()),
        ..Parts::default()
    };
    let tenant = TenantId::new("demo").unwrap();
    let release = Arc::new(Release::in_memory(tenant.clone(), Meta::default(), parts).unwrap());
    let plays: Vec<(Timestamp, ItemKey)> = events
        .iter()
        .filter(|event| event.kind == EventKind::Play)
        .map(|play| (counted_at(play), play.item_key()))
        .collect();
    let input = Input { tenant: &tenant, items: &world.items, events, plays: &plays, release: &release, from };
    let stage = Silent.stage("pages", Unit::Steps, None);
    pages(input, &Settings { pages: usize::MAX, ..Settings::default() }, stage.as_ref())
}

#[test]
fn what_happens_later_changes_no_page() {
    let world = generate(&Config::small(Seed(6), NOW), &Silent).unwrap();
    let (from, middle) = (Timestamp(NOW.0 - 20 * DAY), Timestamp(NOW.0 - 15 * DAY));
    let past: Vec<Event> = world.events.iter().filter(|event| event.occurred_at < middle).cloned().collect();
    let (short, long) = (made(&world, &past, from), made(&world, &world.events, from));
    assert!(short.len() > 50 && long.len() > short.len(), "{} {}", short.len(), long.len());
    for (short, long) in short.iter().zip(&long) {
        assert_eq!((short.at, &short.items), (long.at, &long.items));
        assert_eq!(short.matrix, long.matrix);
    }
}

#[test]
fn pages_are_the_same_on_any_number_of_threads() {
    let world = generate(&Config::small(Seed(7), NOW), &Silent).unwrap();
    let from = Timestamp(NOW.0 - 8 * DAY);
    let many = made(&world, &world.events, from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let one = pool.install(|| made(&world, &world.events, from));
    assert_eq!(many.len(), one.len());
    for (many, one) in many.iter().zip(&one) {
        assert_eq!((many.at, &many.items, &many.labels, many.played), (one.at, &one.items, &one.labels, one.played));
        assert_eq!(many.matrix, one.matrix);
    }
}

#[test]
fn what_was_played_is_labelled_and_rows_keep_all_of_it() {
    let world = generate(&Config::small(Seed(8), NOW), &Silent).unwrap();
    let pages = made(&world, &world.events, Timestamp(NOW.0 - 10 * DAY));
    let played = |page: &Page| page.labels.iter().filter(|labels| labels[Action::Play as usize]).count();
    assert!(pages.iter().all(|page| page.played >= 1 && played(page) <= page.played), "a page begins with a play");
    assert!(pages.iter().any(|page| played(page) > 0));
    let rows = rows(&pages, 3, Seed(1));
    let touched = |page: &Page| page.labels.iter().filter(|labels| labels.contains(&true)).count();
    let expected: usize = pages.iter().map(|page| touched(page) + (page.labels.len() - touched(page)).min(3)).sum();
    assert_eq!((rows.len(), rows.unusable), (expected, 0));
    assert_eq!(rows.features.len(), rows.len() * COLUMNS);
}
