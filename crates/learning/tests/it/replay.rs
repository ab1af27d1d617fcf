//! The replay: rows see the past and nothing else.

use std::time::Duration;

use candidate_generation::profiles::counted_at;
use learning::{
    progress::{Progress, Silent, Unit},
    ranker::{
        Rows, Settings, Source,
        facts::Catalogue,
        replay::{Input, replay},
        trend::Trends,
    },
    world::{Config, World, generate},
};
use ranking::features::{COLUMNS, Column};
use releases::{Factors, Meta, Parts, Release};
use shared_models::{
    EventId, ItemId, Seed, TenantId, Timestamp, UserId,
    component::Action,
    event::{Event, EventKind},
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn release(items: &[shared_models::item::Item]) -> Release {
    let mut keys: Vec<_> = items.iter().map(shared_models::item::Item::key).collect();
    keys.sort_unstable();
    let values: Vec<f32> = (0..keys.len() * 4).map(|n| ((n * 37 % 101) as f32 - 50.0) / 50.0).collect();
    let parts =
        Parts { items: keys, factors: Some(Factors::new(4, &values, 2.0, 0.01, 1.0).unwrap()), ..Parts::default() };
    Release::in_memory(TenantId::new("demo").unwrap(), Meta::default(), parts).unwrap()
}

fn rows(world: &World, events: &[Event], from: Timestamp) -> Rows {
    let (catalogue, release) = (Catalogue::of(&world.items), release(&world.items));
    let tenant = TenantId::new("demo").unwrap();
    let stage = Silent.stage("replay", Unit::Rows, None);
    let settings = Settings { rows: usize::MAX, ..Settings::default() };
    let plays = events.iter().filter(|event| event.kind == EventKind::Play);
    let trends = Trends::of(plays.map(|play| (play.item_key(), counted_at(play))), settings.trend_half_life);
    let input = Input { tenant: &tenant, events, trends: &trends, catalogue: &catalogue, release: &release, from };
    replay(input, &settings, stage.as_ref())
}

#[test]
fn what_happens_later_changes_no_feature() {
    let world = generate(&Config::small(Seed(1), NOW), &Silent).unwrap();
    let middle = Timestamp(NOW.0 - 45 * 86_400_000);
    let from = Timestamp(NOW.0 - 60 * 86_400_000);
    let past: Vec<Event> = world.events.iter().filter(|event| event.occurred_at < middle).cloned().collect();
    let (short, long) = (rows(&world, &past, from), rows(&world, &world.events, from));
    assert!(short.len() > 1_000 && long.len() > short.len());
    assert_eq!(short.features[..], long.features[..short.features.len()]);
}

#[test]
fn rows_are_the_same_on_any_number_of_threads() {
    let world = generate(&Config::small(Seed(2), NOW), &Silent).unwrap();
    let from = Timestamp(NOW.0 - 30 * 86_400_000);
    let many = rows(&world, &world.events, from);
    let one =
        rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| rows(&world, &world.events, from));
    assert_eq!(many.features, one.features);
    assert_eq!(many.labels, one.labels);
}

struct Story(Vec<Event>);

impl Story {
    fn tell(&mut self, seconds: i64, kind: EventKind, item: &str, answer: Option<u128>) -> &mut Self {
        let at = Timestamp(NOW.0 + seconds * 1_000);
        self.0.push(Event {
            id: EventId::new(format!("e{:04}", self.0.len())).unwrap(),
            user: UserId::new("ann").unwrap(),
            kind,
            item: ItemId::new(item).unwrap(),
            occurred_at: at,
            received_at: at,
            ms_played: None,
            recommendation: answer.map(Uuid::from_u128),
            shelf: None,
            position: None,
            session: None,
            device: Some("phone".to_owned()),
            market: None,
        });
        self
    }
}

#[test]
fn labels_are_what_followed_from_the_answer_and_nothing_else() {
    let world = generate(&Config::small(Seed(3), NOW), &Silent).unwrap();
    let mut story = Story(Vec::new());
    story
        .tell(0, EventKind::Impression, "track-00001", Some(7))
        .tell(0, EventKind::Impression, "track-00002", Some(7))
        .tell(0, EventKind::Impression, "track-00003", Some(7))
        .tell(5, EventKind::Play, "track-00002", Some(7))
        .tell(200, EventKind::Complete, "track-00002", Some(7))
        .tell(210, EventKind::Skip, "track-00003", Some(7))
        // Of their own accord, and from another answer: neither is the doing of this one.
        .tell(220, EventKind::Play, "track-00001", None)
        .tell(230, EventKind::Like, "track-00001", Some(8))
        .tell(9_000, EventKind::Like, "track-00002", Some(7));
    let rows = rows(&world, &story.0, Timestamp(0));
    assert_eq!((rows.len(), rows.pages, rows.source), (3, 1, Source::Impressions));
    let of = |row: usize| {
        Action::ALL
            .iter()
            .filter(|action| rows.labels[row][**action as usize])
            .map(|action| action.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(of(0), Vec::<&str>::new());
    assert_eq!(of(1), ["play", "complete"]);
    assert_eq!(of(2), ["play", "skip"]);
}

#[test]
fn a_second_page_knows_the_first() {
    let world = generate(&Config::small(Seed(3), NOW), &Silent).unwrap();
    let mut story = Story(Vec::new());
    story.tell(0, EventKind::Impression, "track-00001", Some(1)).tell(5, EventKind::Play, "track-00001", Some(1)).tell(
        3_600,
        EventKind::Impression,
        "track-00001",
        Some(2),
    );
    let rows = rows(&world, &story.0, Timestamp(0));
    let value = |row: usize, column: Column| rows.features[row * COLUMNS + column as usize];
    for column in [Column::ItemPlays, Column::Impressions, Column::ArtistPlays, Column::Trend, Column::ListenerPlays] {
        assert_eq!(value(0, column), 0.0, "{column:?}");
        assert!(value(1, column) > 0.0, "{column:?}");
    }
    let half_life = Settings::default().trend_half_life;
    assert_eq!(half_life, Duration::from_secs(86_400));
}

#[test]
fn events_of_one_second_do_not_tell_a_page_what_came_of_it() {
    let world = generate(&Config::small(Seed(3), NOW), &Silent).unwrap();
    let mut story = Story(Vec::new());
    // As a ratings data set has it: no impressions, and one time for all.
    story.tell(0, EventKind::Like, "track-00001", None).tell(0, EventKind::Play, "track-00001", None).tell(
        9,
        EventKind::Play,
        "track-00005",
        None,
    );
    let rows = rows(&world, &story.0, Timestamp(0));
    assert_eq!(rows.source, Source::SampledNegatives);
    assert_eq!(rows.features[Column::ItemLiked as usize], 0.0);
    assert!(rows.labels[0][Action::Play as usize] && rows.labels[0][Action::Like as usize]);
}
