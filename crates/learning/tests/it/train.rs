//! Training: from a world to a live release that is better than popularity.

use learning::{
    progress::Silent,
    ranker::Source,
    train::{self, Config, train},
    world::{self, World, generate},
};
use ranking::{features::schema_hash, scorers::Model};
use releases::Store;
use shared_models::{Seed, TenantId, Timestamp, component::Action, event::EventKind};

const NOW: Timestamp = Timestamp(1_780_000_000_000);

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

fn small(seed: u64) -> World {
    generate(&world::Config::small(Seed(seed), NOW), &Silent).unwrap()
}

fn config() -> Config {
    let mut config = Config::new(NOW);
    config.factors.epochs = 6;
    config.factors.dimensions = 16;
    config.scorer.pages = 600;
    config
}

#[test]
fn a_world_becomes_a_live_release_that_finds_more_than_popularity() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let world = small(1);
    let report = train(&tenant(), &world.items, &world.events, &store, &config(), &Silent).unwrap();
    println!("{report}");
    let id = report.release.clone().unwrap();
    assert_eq!(store.live(&tenant()).unwrap(), Some(id.clone()));
    let release = store.load(&tenant(), &id).unwrap();
    assert_eq!(release.items.len(), world.items.len());
    assert_eq!(release.manifest.schema.feature_schema, schema_hash());
    // JSON may cost the last bit of a number.
    let told = report.metrics();
    assert!(release.manifest.metrics.keys().eq(told.keys()));
    assert!(release.manifest.metrics.values().zip(told.values()).all(|(kept, told)| (kept - told).abs() < 1e-12));
    assert!(release.neighbours.is_some() && release.factors.is_some());
    assert!(release.popularity.as_ref().unwrap().markets.len() > 5);
    Model::of(&release).unwrap().unwrap();
    // A new item is told by what it is and by its artist better than by its artist alone.
    let told = report.content.unwrap();
    assert!(told.explained > told.explained_by_makers && told.explained > 0.1, "{told}");
    assert_eq!(release.content.as_ref().unwrap().dimensions, 16);
    let segments = release.segments.as_ref().unwrap();
    let market = release.popularity.as_ref().unwrap().markets[0].0;
    assert!(segments.len() > 20 && segments.nearest(market, Some(3)) != segments.nearest(market, None));
    let evaluation = report.evaluation.unwrap();
    assert!(evaluation.recall.mean > evaluation.popularity_recall.mean, "{evaluation}");
    // What the scorer has to order are the sources' candidates, and pages of the past hold them all.
    assert_eq!(report.scorer_source, Some(Source::Pages));
    let effect = report.effect.unwrap();
    assert!(effect.lift() > 0.2 && effect.gain.low > 0.1 * effect.before.mean, "{effect}");
}

#[test]
fn the_scorer_tells_played_cards_from_others_and_says_how_likely() {
    let folder = tempfile::tempdir().unwrap();
    let world = small(2);
    let report =
        train(&tenant(), &world.items, &world.events, &Store::open(folder.path()).unwrap(), &config(), &Silent)
            .unwrap();
    println!("{report}");
    let play = report.scorer.unwrap().actions[Action::Play as usize].clone();
    assert!(play.auc > 0.6, "{play}");
    assert!(play.log_loss < play.base_log_loss, "{play}");
    // Of some 550 held-out rows in ten bins, chance alone makes 0.05.
    assert!(play.calibration_error.mean < 0.1, "{play}");
}

#[test]
fn the_same_data_give_the_same_release_on_any_number_of_threads() {
    let world = small(3);
    let id = |events: &[shared_models::event::Event]| {
        let folder = tempfile::tempdir().unwrap();
        train(&tenant(), &world.items, events, &Store::open(folder.path()).unwrap(), &config(), &Silent)
            .unwrap()
            .release
            .unwrap()
    };
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap().install(|| id(&world.events));
    assert_eq!(id(&world.events), one);
}

#[test]
fn without_impressions_pages_of_the_past_teach_and_the_manifest_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let mut world = small(4);
    world.events.retain(|event| event.kind != EventKind::Impression);
    world.events.iter_mut().for_each(|event| event.recommendation = None);
    let report = train(&tenant(), &world.items, &world.events, &store, &config(), &Silent).unwrap();
    println!("{report}");
    let manifest = store.manifest(&tenant(), &report.release.unwrap()).unwrap();
    assert_eq!(manifest.lineage["scorer_rows"], "pages of the past");
    assert!(manifest.notes.contains("the data have no impressions"), "{}", manifest.notes);
}

#[test]
fn nothing_to_train_on_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let error = train(&tenant(), &[], &[], &Store::open(folder.path()).unwrap(), &config(), &Silent).unwrap_err();
    assert!(matches!(error, train::Error::Nothing { .. }));
    assert_eq!(
        error.to_string(),
        "there are 0 items and 0 interactions with them; import a catalogue and events first"
    );
}
