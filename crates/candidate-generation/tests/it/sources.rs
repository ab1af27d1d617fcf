//! Each source in a small real world: what it finds, in which order, by which evidence; what it does
//! without a release, for somebody unknown, and in an empty catalogue.

use std::time::Duration;

use candidate_generation::{index::Trending, sources};
use pipeline::candidates::Found;
use shared_models::{
    ItemKey, Timestamp,
    component::{SourceName, SourceParams},
    degraded::DegradedCause,
    event::EventKind,
    item::{Item, Market},
    plan::{CandidatePlan, SourcePlan},
};

use crate::world::{DAY, NOW, World, key, source, track};

async fn run(world: &World, plan: &SourcePlan) -> Result<Vec<(ItemKey, Option<ItemKey>)>, DegradedCause> {
    let page = world.page(CandidatePlan::default());
    let found = sources::source(plan).retrieve(&page, plan.limit as usize).await.map_err(|failure| failure.cause)?;
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score), "best first: {found:?}");
    Ok(found.iter().map(|Found { key, seed, .. }| (key.key, seed.map(|seed| seed.key))).collect())
}

fn tracks(count: u32) -> Vec<Item> {
    (0..count).map(|n| track(&format!("t{n}"), &format!("a{}", n % 3))).collect()
}

fn names(found: &[(ItemKey, Option<ItemKey>)], among: &[Item]) -> Vec<String> {
    found.iter().map(|(key, _)| among.iter().find(|item| item.key() == *key).unwrap().title.clone()).collect()
}

#[tokio::test]
async fn embedding_finds_what_is_near_the_listener_with_the_nearest_recent_item_as_evidence() {
    let mut world = World::of(tracks(8));
    world.released().did(EventKind::Play, "t2", 2.0).did(EventKind::Like, "t2", 2.0);
    let found = run(&world, &source(SourceName::Embedding, 4)).await.unwrap();
    // Even tracks point one way; among them, later ones are longer.
    assert_eq!(names(&found, &world.items), ["t6", "t4", "t2", "t0"]);
    // An item is no evidence for itself.
    assert!(found.iter().all(|(item, seed)| *seed == (*item != key("t2")).then(|| key("t2"))), "{found:?}");
}

#[tokio::test]
async fn embedding_names_only_what_was_played_and_is_near() {
    let mut world = World::of(tracks(8));
    world.released().did(EventKind::Like, "t2", 2.0);
    let liked = run(&world, &source(SourceName::Embedding, 8)).await.unwrap();
    assert!(liked.len() == 8 && liked.iter().all(|(_, seed)| seed.is_none()), "liked is not played: {liked:?}");
    world.did(EventKind::Play, "t0", 1.0);
    let played = run(&world, &source(SourceName::Embedding, 8)).await.unwrap();
    let near = ["t2", "t4", "t6"].map(key);
    for (item, seed) in played {
        // Odd tracks point another way: their cosine is above 0, and they are not close.
        assert_eq!(seed, near.contains(&item).then(|| key("t0")));
    }
}

#[tokio::test]
async fn item_to_item_names_only_what_was_played() {
    let mut world = World::of(tracks(8));
    world.released().did(EventKind::Like, "t1", 1.0).did(EventKind::Share, "t3", 1.0).did(EventKind::Play, "t5", 2.0);
    let found = run(&world, &source(SourceName::ItemToItem, 10)).await.unwrap();
    let seed_of = |item: &str| found.iter().find(|(found, _)| *found == key(item)).unwrap().1;
    assert_eq!((seed_of("t2"), seed_of("t4"), seed_of("t6")), (None, None, Some(key("t5"))));
}

#[tokio::test]
async fn item_to_item_follows_the_recent_items_and_names_the_one_that_led_there() {
    let mut world = World::of(tracks(8));
    world.released().did(EventKind::Play, "t1", 5.0).did(EventKind::Play, "t4", 1.0);
    let found = run(&world, &source(SourceName::ItemToItem, 10)).await.unwrap();
    assert_eq!(found, [(key("t5"), Some(key("t4"))), (key("t2"), Some(key("t1")))]);
    let one = SourcePlan {
        params: SourceParams { seeds: Some(1), ..SourceParams::default() },
        ..source(SourceName::ItemToItem, 10)
    };
    assert_eq!(run(&world, &one).await.unwrap(), [(key("t5"), Some(key("t4")))]);
}

#[tokio::test]
async fn item_to_item_starts_from_the_items_a_page_is_about() {
    let mut world = World::of(tracks(8));
    world.released().did(EventKind::Play, "t4", 1.0);
    world.seeds = vec![key("t0"), key("t1")];
    // t1 is the neighbour of t0, and is itself what the page is about.
    assert_eq!(run(&world, &source(SourceName::ItemToItem, 10)).await.unwrap(), [(key("t2"), Some(key("t1")))]);
}

#[tokio::test]
async fn a_track_that_came_since_the_release_is_found_by_its_artists() {
    let mut world = World::of((0..8).map(|n| track(&format!("t{n}"), &format!("a{}", n % 2))));
    world.released().did(EventKind::Play, "t2", 2.0);
    world.items.extend([track("new0", "a0"), track("new1", "a1"), track("stranger", "a9")]);
    let found = run(&world, &source(SourceName::Embedding, 5)).await.unwrap();
    // What its artist's tracks are on average, it is expected to be: between the longest and the shortest of them.
    assert_eq!(names(&found, &world.items), ["t6", "t4", "new0", "t2", "t0"]);
    assert_eq!(found[2].1, Some(key("t2")), "what led to it is told");
    let gone: Vec<Item> = world.items.drain(4..5).collect();
    let found = run(&world, &source(SourceName::Embedding, 5)).await.unwrap();
    assert!(found.iter().all(|(item, _)| *item != gone[0].key()), "what left makes room: {found:?}");
    assert_eq!(found.len(), 5);
}

#[tokio::test]
async fn exploration_is_what_few_have_met_and_gives_way_to_what_was_shown_less() {
    let mut world = World::of((0..8).map(|n| track(&format!("t{n}"), &format!("a{}", n % 2))));
    world.released().did(EventKind::Play, "t0", 2.0);
    world.items.push(track("new0", "a0"));
    // The later half was played least; the new track lies between t2 and t4.
    let found = run(&world, &source(SourceName::Exploration, 3)).await.unwrap();
    assert_eq!(names(&found, &world.items), ["t6", "t4", "new0"]);
    assert!(found.iter().all(|(_, seed)| *seed == Some(key("t0"))), "{found:?}");
    let shown = Trending::new(Duration::from_secs(7 * 86_400));
    shown.add([(key("t6"), 5.0, NOW), (key("t4"), 500.0, NOW)]);
    world.shown = Some(shown);
    let found = run(&world, &source(SourceName::Exploration, 3)).await.unwrap();
    assert_eq!(names(&found, &world.items)[..2], ["new0", "t6"]);
    assert!(found.iter().all(|(item, _)| *item != key("t4")), "it has had its chance: {found:?}");
}

#[tokio::test]
async fn a_source_says_how_old_its_data_is() {
    let mut world = World::of(tracks(8));
    world.released().did(EventKind::Play, "t2", 2.0);
    let trending = Trending::new(Duration::from_secs(86_400));
    trending.add([(key("t3"), 1.0, Timestamp(NOW.0 - DAY))]);
    world.trending = Some(trending);
    let page = world.page(CandidatePlan::default());
    let age = |name: SourceName| sources::source(&source(name, 5)).data_age(&page);
    let day = Duration::from_millis(DAY as u64);
    assert_eq!(age(SourceName::Trending), Some(day));
    for name in [SourceName::Embedding, SourceName::ItemToItem, SourceName::PopularInMarket, SourceName::Exploration] {
        assert_eq!(age(name), Some(3 * day), "{name}: the release's");
    }
    assert_eq!(age(SourceName::RecentlyPlayed), None);
}

#[tokio::test]
async fn trending_is_what_is_played_now() {
    let mut world = World::of(tracks(4));
    let trending = Trending::new(Duration::from_secs(86_400));
    trending.add((0..3).map(|_| (key("t0"), 1.0, Timestamp(NOW.0 - 5 * DAY))));
    trending.add([(key("t3"), 1.0, NOW)]);
    world.trending = Some(trending);
    assert_eq!(run(&world, &source(SourceName::Trending, 10)).await.unwrap(), [(key("t3"), None), (key("t0"), None)]);
}

#[tokio::test]
async fn what_left_the_catalogue_makes_room_among_what_trends() {
    let mut world = World::of(tracks(2));
    let trending = Trending::new(Duration::from_secs(86_400));
    trending.add((0..50).map(|n| (key(&format!("gone{n}")), 9.0, NOW)));
    trending.add([(key("t1"), 1.0, NOW)]);
    world.trending = Some(trending);
    assert_eq!(run(&world, &source(SourceName::Trending, 5)).await.unwrap(), [(key("t1"), None)]);
}

#[tokio::test]
async fn new_releases_put_the_listeners_artist_before_newer_strangers() {
    let mut items = tracks(6);
    for (days, item) in [(2, 0), (5, 1), (9, 2), (100, 3), (-1, 4)] {
        items[item].released_at = Some(Timestamp(NOW.0 - days * DAY));
    }
    let mut world = World::of(items);
    let cold = run(&world, &source(SourceName::NewReleases, 10)).await.unwrap();
    // What is announced is not out, and 100 days is old.
    assert_eq!(names(&cold, &world.items), ["t0", "t1", "t2"]);
    world.did(EventKind::Play, "t5", 3.0);
    let warm = run(&world, &source(SourceName::NewReleases, 10)).await.unwrap();
    assert_eq!(warm, [(key("t2"), Some(key("t5"))), (key("t0"), None), (key("t1"), None)]);
    let within = SourceParams { within: Some(Duration::from_secs(3 * 86_400)), ..SourceParams::default() };
    let recent = run(&world, &SourcePlan { params: within, ..source(SourceName::NewReleases, 10) }).await.unwrap();
    assert_eq!(names(&recent, &world.items), ["t0"]);
}

#[tokio::test]
async fn recently_played_is_the_listeners_own_past_latest_first() {
    let mut world = World::of(tracks(4));
    world.did(EventKind::Play, "t0", 9.0).did(EventKind::Play, "t1", 4.0).did(EventKind::Like, "t2", 1.0).did(
        EventKind::Play,
        "t0",
        2.0,
    );
    let found = run(&world, &source(SourceName::RecentlyPlayed, 10)).await.unwrap();
    assert_eq!(found, [(key("t0"), Some(key("t0"))), (key("t1"), Some(key("t1")))]);
    let within = SourceParams { within: Some(Duration::from_secs(3 * 86_400)), ..SourceParams::default() };
    let recent = run(&world, &SourcePlan { params: within, ..source(SourceName::RecentlyPlayed, 10) }).await.unwrap();
    assert_eq!(names(&recent, &world.items), ["t0"]);
}

#[tokio::test]
async fn popular_in_market_falls_back_to_everywhere() {
    let mut world = World::of(tracks(3));
    world.released();
    let everywhere = run(&world, &source(SourceName::PopularInMarket, 2)).await.unwrap();
    assert_eq!(names(&everywhere, &world.items), ["t0", "t1"]);
    world.market = Market::parse("SE").unwrap();
    let here = run(&world, &source(SourceName::PopularInMarket, 2)).await.unwrap();
    assert_eq!(names(&here, &world.items), ["t2"]);
}

#[tokio::test]
async fn favourite_artists_bring_their_items_with_the_most_played_one_as_evidence() {
    let mut world = World::of(tracks(9));
    world.released().did(EventKind::Play, "t0", 3.0).did(EventKind::Play, "t3", 2.0).did(EventKind::Play, "t3", 1.0);
    world.did(EventKind::Follow, "a1", 1.0);
    let found = run(&world, &source(SourceName::FavouriteArtists, 6)).await.unwrap();
    assert_eq!(names(&found, &world.items), ["t0", "t3", "t6", "t1", "t4", "t7"]);
    assert_eq!(found[0].1, Some(key("t3")));
    assert_eq!(found[3].1, None);
}

#[tokio::test]
async fn of_many_follows_the_newest_count() {
    let mut world = World::of((0..40).map(|n| track(&format!("t{n}"), &format!("a{n}"))));
    for n in 0..40 {
        world.did(EventKind::Follow, &format!("a{n}"), f64::from(n));
        world.did(EventKind::Follow, &format!("nothing-of{n}"), f64::from(n) + 0.5);
    }
    let plan = SourcePlan {
        params: SourceParams { artists: Some(3), ..SourceParams::default() },
        ..source(SourceName::FavouriteArtists, 10)
    };
    let mut found = names(&run(&world, &plan).await.unwrap(), &world.items);
    found.sort_unstable();
    assert_eq!(found, ["t0", "t1", "t2"]);
    // One that is played stands before them, followed long ago or not.
    world.did(EventKind::Play, "t39", 1.0);
    assert_eq!(names(&run(&world, &plan).await.unwrap(), &world.items)[0], "t39");
}

#[tokio::test]
async fn of_a_prolific_artist_the_most_played_come_and_then_the_newest() {
    let mut items: Vec<Item> = (0..700).map(|n| track(&format!("t{n}"), "a")).collect();
    items.iter_mut().enumerate().for_each(|(n, item)| item.released_at = Some(Timestamp(n as i64 * DAY)));
    let mut world = World::of(items);
    world.released().did(EventKind::Play, "t5", 1.0);
    if let Some(popularity) = world.parts.as_mut().and_then(|parts| parts.popularity.as_mut()) {
        popularity.global.fill(0.0);
        popularity.markets.clear();
    }
    let parts = world.parts.as_mut().unwrap();
    for (item, played) in [("t9", 1.0), ("t3", 2.0)] {
        let row = parts.items.binary_search(&key(item)).unwrap();
        parts.popularity.as_mut().unwrap().global[row] = played;
    }
    let found = run(&world, &source(SourceName::FavouriteArtists, 4)).await.unwrap();
    assert_eq!(names(&found, &world.items), ["t3", "t9", "t699", "t698"]);
}

#[tokio::test]
async fn without_a_release_those_that_need_one_say_so() {
    let mut world = World::of(tracks(3));
    world.did(EventKind::Play, "t0", 1.0);
    for name in SourceName::ALL {
        let needs = matches!(
            name,
            SourceName::Embedding | SourceName::ItemToItem | SourceName::PopularInMarket | SourceName::Exploration
        );
        let found = run(&world, &source(*name, 10)).await;
        assert_eq!(found.err(), needs.then_some(DegradedCause::NoRelease), "{name}");
    }
}

#[tokio::test]
async fn a_release_without_an_artefact_is_as_none() {
    let mut world = World::of(tracks(3));
    world.released().did(EventKind::Play, "t0", 1.0);
    if let Some(parts) = &mut world.parts {
        (parts.factors, parts.neighbours, parts.popularity) = (None, None, None);
    }
    for name in [SourceName::Embedding, SourceName::ItemToItem, SourceName::PopularInMarket, SourceName::Exploration] {
        assert_eq!(run(&world, &source(name, 10)).await, Err(DegradedCause::NoRelease), "{name}");
    }
}

#[tokio::test]
async fn somebody_unknown_in_an_empty_catalogue_gets_nothing_and_no_error() {
    let world = World::default();
    for name in SourceName::ALL {
        match run(&world, &source(*name, 10)).await {
            Ok(found) => assert_eq!(found, [], "{name}"),
            Err(cause) => assert_eq!(cause, DegradedCause::NoRelease, "{name}"),
        }
    }
}

#[tokio::test]
async fn no_source_gives_more_than_it_may_or_what_the_page_is_about() {
    let mut items = tracks(30);
    items.iter_mut().enumerate().for_each(|(n, item)| item.released_at = Some(Timestamp(NOW.0 - n as i64 * DAY)));
    let mut world = World::of(items);
    world.released();
    let trending = Trending::new(Duration::from_secs(86_400));
    trending.add((0..30).map(|n| (key(&format!("t{n}")), 1.0, NOW)));
    world.trending = Some(trending);
    for n in 0..30 {
        world.did(EventKind::Play, &format!("t{n}"), f64::from(n));
    }
    world.seeds = vec![key("t1"), key("t0")];
    for name in SourceName::ALL {
        let found = run(&world, &source(*name, 5)).await.unwrap();
        assert!(!found.is_empty() && found.len() <= 5, "{name}: {found:?}");
        assert!(found.iter().all(|(item, _)| !world.seeds.contains(item)), "{name}: {found:?}");
    }
}
