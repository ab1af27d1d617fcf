//! Training on an archive that is too long for memory: the same release as from events that are all held.

use std::sync::Arc;

use async_trait::async_trait;
use learning::{
    archive::{Archive, Span},
    events::{Events, Sample},
    learner::{self, Items},
    progress::Silent,
    train::{self, train, train_on},
    world::{self, generate},
};
use releases::Store;
use service_runtime::Runtime;
use shared_models::{Seed, SystemClock, TenantId, Timestamp, UserKey, item::Item};

use super::{DAY, NOW, message, tenant};

fn config() -> train::Config {
    let mut config = train::Config::new(NOW);
    (config.factors.epochs, config.factors.dimensions) = (3, 8);
    // Fewer rows than there are cards, so that listeners are drawn.
    config.scorer.rows = 1_500;
    config
}

#[test]
fn a_release_trained_file_by_file_is_the_release_trained_in_memory() {
    let root = tempfile::tempdir().unwrap();
    let archive = Archive::open(root.path(), NOW).unwrap();
    let world = generate(&world::Config::small(Seed(8), NOW), &Silent).unwrap();
    // Several files, and some events that came twice.
    for part in world.events.chunks(world.events.len() / 5) {
        archive.keep(&tenant(), part, NOW).unwrap();
    }
    archive.keep(&tenant(), &world.events[500..900], Timestamp(NOW.0 + DAY)).unwrap();
    let release = |train: &dyn Fn(&Store) -> train::TrainReport| {
        let folder = tempfile::tempdir().unwrap();
        let report = train(&Store::open(folder.path()).unwrap());
        (report.release.unwrap(), report.counts, report.scorer_listeners.unwrap())
    };
    let streamed = archive.stream(&tenant()).unwrap();
    let by_file = release(&|store| train_on(&tenant(), &world.items, &streamed, store, &config(), &Silent).unwrap());
    let read = archive.read(&tenant(), Span::ALL, &Silent).unwrap();
    let held = release(&|store| train(&tenant(), &world.items, &read, store, &config(), &Silent).unwrap());
    let made = release(&|store| train(&tenant(), &world.items, &world.events, store, &config(), &Silent).unwrap());
    assert_eq!(by_file, held);
    assert_eq!(by_file, made, "events that came twice count once");
    assert!(by_file.2.share() < 1.0, "{:?}", by_file.2);
}

#[test]
fn some_listeners_have_all_their_events_and_the_others_none() {
    let root = tempfile::tempdir().unwrap();
    let archive = Archive::open(root.path(), NOW).unwrap();
    archive.land(&[message(3, "a", 0..200), message(9, "b", 150..300)]).unwrap();
    let streamed = archive.stream(&tenant()).unwrap();
    assert_eq!(streamed.position, 9);
    let everything = archive.read(&tenant(), Span::ALL, &Silent).unwrap();
    assert_eq!(streamed.of(Sample::ALL, &Silent).unwrap(), everything);
    let half = Sample::of(0.5);
    let expected: Vec<_> = everything.iter().filter(|event| half.holds(UserKey::of(&event.user))).cloned().collect();
    assert!(!expected.is_empty() && expected.len() < everything.len());
    assert_eq!(streamed.of(half, &Silent).unwrap(), expected);
}

struct Given(Vec<Item>);

#[async_trait]
impl Items for Given {
    async fn of(&self, _: &TenantId) -> anyhow::Result<Vec<Item>> {
        Ok(self.0.clone())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_is_held_is_a_setting_and_changes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let runtime = Runtime::new(Arc::new(SystemClock));
    let archive = Arc::new(Archive::open(root.path(), runtime.clock.now()).unwrap());
    let world = generate(&world::Config::small(Seed(9), NOW), &Silent).unwrap();
    archive.keep(&tenant(), &world.events, NOW).unwrap();
    let (tenant, items) = (tenant(), Given(world.items));
    let mut releases = Vec::new();
    for stream_above in [u64::MAX, 0] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let config = train::Config { stream_above, ..config() };
        let archive = Arc::clone(&archive);
        let learnt = learner::learn(&tenant, &items, archive, store, config, &runtime, Arc::new(Silent)).await;
        releases.push(learnt.unwrap().release.unwrap());
    }
    assert_eq!(releases[0], releases[1]);
}
