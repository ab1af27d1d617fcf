//! Training the ranker alone: from answers and what came of them to a release with the candidate models of the live one.

use std::sync::Arc;

use candidate_generation::profiles::counted_at;
use learning::{
    events::InMemory,
    gates::Outcome,
    progress::Silent,
    ranker::{
        Source,
        records::{Card, Record},
    },
    train::{self, Config, Error, ranker},
    world::{self, Truth, World, generate},
};
use ranking::scorers::Model;
use releases::Store;
use rustc_hash::FxHashMap;
use shared_models::{ItemKey, Seed, TenantId, Timestamp, component::Action, event::EventKind};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_780_000_000_000);
/// Cards that stood on each page below those that were seen.
const UNSEEN: usize = 3;

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

fn config(now: Timestamp) -> Config {
    let mut config = Config::new(now);
    config.factors.epochs = 4;
    config.factors.dimensions = 16;
    config.scorer.pages = 300;
    config
}

/// The answers behind the world's impressions, each with cards that nobody scrolled down to.
fn records(world: &World) -> Vec<Record> {
    let mut at: FxHashMap<Uuid, usize> = FxHashMap::default();
    let mut records: Vec<Record> = Vec::new();
    for event in world.events.iter().filter(|event| event.kind == EventKind::Impression) {
        let id = event.recommendation.unwrap();
        let place = *at.entry(id).or_insert_with(|| {
            records.push(Record {
                id,
                at: counted_at(event),
                user: event.user.clone(),
                market: event.market.unwrap_or_default(),
                device: event.device.clone().unwrap_or_default(),
                cards: Vec::new(),
            });
            records.len() - 1
        });
        let shelf: Arc<str> = Arc::from(event.shelf.as_deref().unwrap());
        let position = event.position.unwrap();
        records[place].cards.push(Card { item: event.item_key(), shelf, shelf_position: 0, position });
    }
    for record in &mut records {
        record.cards.sort_by_key(|card| card.position);
        let (first, last) = (record.cards[0].clone(), record.cards.len() as u16);
        for n in 0..UNSEEN as u16 {
            record.cards.push(Card { item: ItemKey(u64::from(n) + 1), position: last + n, ..first.clone() });
        }
    }
    records
}

#[test]
fn records_become_a_ranker_that_goes_with_the_live_candidate_models() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut shape = world::Config::small(Seed(31), NOW);
    shape.impressions = 40_000;
    let world = generate(&shape, &Silent).unwrap();
    let records = records(&world);
    let (tenant, all) = (tenant(), InMemory(&world.events));
    let input = ranker::Input { tenant: &tenant, items: &world.items, events: &all, records: &records };
    let none = ranker::train(input, &store, &config(NOW), &Silent).unwrap_err();
    assert!(matches!(none, Error::NoLive { .. }), "{none}");

    // Half of the time, the platform learns everything; then the ranker alone.
    let cut = Timestamp(NOW.0 - 45 * 86_400_000);
    let past: Vec<_> = world.events.iter().filter(|event| event.occurred_at < cut).cloned().collect();
    let first = train::train(&tenant, &world.items, &past, &store, &config(cut), &Silent).unwrap();
    let live = store.live(&tenant).unwrap().unwrap();
    assert_eq!(first.release.as_ref(), Some(&live));
    let mut asked = config(NOW);
    asked.scorer.reports = true;
    let report = ranker::train(input, &store, &asked, &Silent).unwrap();
    println!("{report}");

    let shown = records.iter().filter(|record| record.at >= store.manifest(&tenant, &live).unwrap().window.to).count();
    let joined = report.joined;
    assert_eq!(joined.answers, shown);
    assert_eq!(joined.cards - joined.seen, shown * UNSEEN, "what was not seen is no example: {joined:?}");
    assert_eq!(report.rows, Some((joined.seen, Source::Records)));
    let verdict = report.verdict.clone().unwrap();
    // So few answers make no ranker that is surely better: the live one is kept, and says what is likely as the records do.
    assert!(verdict.passed() && report.promoted, "{verdict}");
    assert_eq!(report.source, Some(Source::Kept));
    assert_eq!(store.live(&tenant).unwrap(), report.release);
    assert!(verdict.findings.iter().any(|f| f.gate.as_str() == "calibration" && f.outcome == Outcome::Passed));
    let id = report.release.clone().unwrap();
    let (before, after) = (store.manifest(&tenant, &live).unwrap(), store.manifest(&tenant, &id).unwrap());
    for (name, file) in &before.files {
        let is_rankers = matches!(name.as_str(), "scorer.json" | "golden.json" | "features.json");
        assert_eq!(after.files[name] == *file, !is_rankers, "{name}");
    }
    assert_eq!((&after.lineage["parent"], after.window), (&live.to_string(), before.window));
    assert_eq!(after.metrics["recall@20"], before.metrics["recall@20"]);
    assert!(after.metrics["play_calibration_error_of_live"] > 0.0);
    Model::of(&store.load(&tenant, &id).unwrap()).unwrap().unwrap();

    // No worse than the live one on rows that neither has seen, and it knows how far down people look.
    let play = Action::Play as usize;
    let (new, live) = (&report.scorer.as_ref().unwrap().actions[play], &report.live[play]);
    assert!(new.auc > live.auc - 0.02 && new.log_loss < live.log_loss + 0.005, "{new}\n{live}");
    for (place, (looked, cards)) in (0..).zip(&report.examination) {
        let truth = f64::from(Truth::examination(place));
        assert!(*cards > 100 && (looked - truth).abs() < 0.25, "place {place}: {looked} is not {truth}");
    }
}
