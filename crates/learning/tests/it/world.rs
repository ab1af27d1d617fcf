//! Worlds: shaped like a music service, the same for the same seed.

use learning::{
    progress::Silent,
    world::{Config, World, generate, shapes},
};
use shared_models::{Seed, Timestamp, event::EventKind};

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn small(seed: u64) -> World {
    generate(&Config::small(Seed(seed), NOW), &Silent).unwrap()
}

#[test]
fn the_demo_world_has_the_shapes_of_a_music_service() {
    let started = std::time::Instant::now();
    let config = Config::demo(Seed(7), NOW);
    let world = generate(&config, &Silent).unwrap();
    let made = started.elapsed();
    let shapes = shapes(&world.items, &world.events);
    println!("made in {made:?}\n{shapes}");
    assert_eq!(shapes.implausible().collect::<Vec<_>>(), Vec::<&learning::world::Shape>::new());
    assert_eq!(world.items.len(), config.tracks + config.artists);
    assert_eq!(world.users.len(), config.listeners);
    let near = |found: f64, wanted: usize| (0.95..1.05).contains(&(found / wanted as f64));
    assert!(near(shapes.value("interactions").unwrap(), config.interactions), "{shapes}");
    assert!(near(shapes.value("impressions").unwrap(), config.impressions), "{shapes}");
}

#[test]
fn the_same_seed_makes_the_same_world_on_any_number_of_threads() {
    let many = small(1);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| small(1));
    assert_eq!(many.items, one.items);
    assert_eq!(many.events, one.events);
    assert_ne!(many.events, small(2).events);
}

#[test]
fn events_are_in_order_within_the_window_and_of_the_catalogue() {
    let world = small(3);
    let known: std::collections::BTreeSet<_> = world.items.iter().map(|item| item.id.clone()).collect();
    let ids: std::collections::BTreeSet<_> = world.events.iter().map(|event| event.id.clone()).collect();
    assert_eq!(ids.len(), world.events.len());
    assert!(world.events.is_sorted_by_key(|event| event.occurred_at));
    assert!(world.events.iter().all(|event| event.occurred_at <= NOW && NOW.days_since(event.occurred_at) < 92.0));
    assert!(world.events.iter().all(|event| known.contains(&event.item)));
    let released: std::collections::BTreeMap<_, _> =
        world.items.iter().map(|item| (item.id.clone(), item.released_at)).collect();
    let early =
        world.events.iter().filter(|event| released[&event.item].is_some_and(|at| at > event.occurred_at)).count();
    assert!(early * 1000 < world.events.len(), "{early} events precede their item's release");
}

#[test]
fn cards_are_played_as_often_as_the_truth_says() {
    let world = small(4);
    let (mut expected, mut played) = (0.0, 0.0);
    for event in world.events.iter().filter(|event| event.recommendation.is_some()) {
        match event.kind {
            EventKind::Impression => {
                expected += f64::from(
                    world.truth.probabilities(&event.user, event.item_key(), event.position.unwrap()).unwrap()[0],
                );
            }
            EventKind::Play => played += 1.0,
            _ => {}
        }
    }
    // The truth for a listener of no history is a lower bound: knowing the artist helps.
    assert!((1.0..1.6).contains(&(played / expected)), "{played} plays, {expected} expected");
}

#[test]
fn a_world_that_cannot_be_is_refused_with_what_would_be_right() {
    let error = generate(&Config { tracks: 10, ..Config::small(Seed(1), NOW) }, &Silent).err().unwrap();
    assert_eq!(error.to_string(), "tracks is 10; give at least one for each artist");
}
