//! The service as its callers see it: pages, items, users, releases; with everything there, with
//! nothing there, and with parts away.

use std::{sync::Arc, time::Duration};

use candidate_generation::{
    App,
    metrics::CandidatesMetrics,
    profiles::memory::ProfileMemory,
    server::{Parts, Service},
    worlds::Worlds,
};
use contracts::{Candidates as _, Deadline, Put};
use event_bus::EventBus;
use service_runtime::{Metrics, Runtime, TaskGroup};
use shared_models::{
    ErrorCode, ItemKey, ShelfId, Timestamp, UserId,
    clock::ManualClock,
    component::{DropReason, FilterName, FilterParams, SourceName},
    degraded::{DegradedCause, DegradedStage},
    item::{Item, Market},
    listener::UserAttributes,
    plan::{CandidatePlan, CandidateQuery, FilterPlan, ShelfCandidatePlan, SourceUse},
};
use tempfile::TempDir;

use crate::{
    intake::config,
    world::{DAY, NOW, id, key, parts, question, shelf, source, tenant, track},
};

struct Running {
    _folder: TempDir,
    releases: releases::Store,
    runtime: Runtime,
    app: App,
}

async fn running() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder);
    let runtime = Runtime::new(Arc::new(ManualClock::at(NOW)));
    let bus: Arc<dyn EventBus> = event_bus::open(&config.bus, &runtime).await.unwrap();
    let releases = releases::Store::open(&config.releases.path).unwrap();
    let app = App::build(config, &runtime, bus).await.unwrap();
    Running { _folder: folder, releases, runtime, app }
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

fn items() -> Vec<Item> {
    (0..12)
        .map(|n| Item {
            released_at: Some(Timestamp(NOW.0 - (n + 1) * DAY)),
            ..track(&format!("t{n}"), &format!("a{}", n % 3))
        })
        .collect()
}

fn everything() -> CandidatePlan {
    shelf(SourceName::ALL.iter().map(|name| source(*name, 20)).collect(), Vec::new())
}

impl Running {
    async fn put(&self, items: Vec<Item>) {
        let put = self.app.catalogue().put_items(&tenant(), items, soon()).await.unwrap();
        assert!(put.iter().all(Result::is_ok), "{put:?}");
    }

    async fn release(&self, items: &[Item]) -> shared_models::ReleaseId {
        let id = self.releases.write(&tenant(), &parts(items), releases::Meta::default()).unwrap();
        self.app.release_control().activate(&tenant(), &id, soon()).await.unwrap();
        id
    }

    async fn stop(self) {
        self.runtime.drain(Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn nothing_anywhere_gives_an_empty_answer_that_says_why() {
    let running = running().await;
    let set = running.app.candidates().generate(question(everything(), Market::UNKNOWN), soon()).await.unwrap();
    assert!(set.table.is_empty() && set.table.inconsistency().is_none());
    assert!(!set.listener.known && set.release.is_none());
    let degraded: Vec<&str> = set.degraded.iter().map(|stage| stage.stage.as_str()).collect();
    assert_eq!(degraded, ["source.embedding", "source.item-to-item", "source.popular-in-market", "source.exploration"]);
    assert!(set.degraded.iter().all(|stage| stage.cause == DegradedCause::NoRelease));
    assert_eq!(running.app.catalogue().popular(&tenant(), Market::UNKNOWN, 5, soon()).await.unwrap(), []);
    running.stop().await;
}

#[tokio::test]
async fn five_shelves_share_sources_and_each_judges_for_itself() {
    let running = running().await;
    running.put(items()).await;
    let release = running.release(&items()).await;
    let uses = |limit: u32| vec![SourceUse { source: 0, limit }, SourceUse { source: 1, limit }];
    let plan = CandidatePlan {
        sources: vec![source(SourceName::PopularInMarket, 10), source(SourceName::NewReleases, 10)],
        shelves: (0..5)
            .map(|n| ShelfCandidatePlan {
                shelf: ShelfId::new(format!("s{n}")).unwrap(),
                sources: uses(10),
                filters: if n == 0 {
                    vec![FilterPlan { name: FilterName::ExcludedByRequest, params: FilterParams::default() }]
                } else {
                    Vec::new()
                },
                limit: if n == 1 { 3 } else { 100 },
            })
            .collect(),
        crowd: false,
    };
    let query = CandidateQuery { exclude: vec![key("t0")], ..question(plan, Market::UNKNOWN) };
    let set = running.app.candidates().generate(query, soon()).await.unwrap();
    assert_eq!(set.table.inconsistency(), None);
    assert_eq!(set.release, Some(release));
    assert_eq!(set.sources.len(), 2);
    assert_eq!(set.table.len(), 10);
    assert_eq!(set.shelves[0].dropped, [(DropReason::ExcludedByRequest, 1)]);
    assert_eq!((set.shelves[1].rows.len(), &set.shelves[1].dropped[..]), (3, &[(DropReason::OverLimit, 7)][..]));
    assert_eq!(set.shelves[2].rows.len(), 10);
    for shelf in &set.shelves {
        let dropped: u32 = shelf.dropped.iter().map(|drop| drop.1).sum();
        assert_eq!(shelf.rows.len() as u32 + dropped, 10, "nothing is lost on {}", shelf.shelf);
    }
    // Both sources know every item.
    assert!((0..set.table.len()).all(|row| set.table.evidence_of(row).len() == 2));
    running.stop().await;
}

#[tokio::test]
async fn the_same_question_has_the_same_answer() {
    let running = running().await;
    running.put(items()).await;
    running.release(&items()).await;
    let candidates = running.app.candidates();
    let one = candidates.generate(question(everything(), Market::UNKNOWN), soon()).await.unwrap();
    let two = candidates.generate(question(everything(), Market::UNKNOWN), soon()).await.unwrap();
    assert_eq!((one.table, one.shelves, one.listener), (two.table, two.shelves, two.listener));
    running.stop().await;
}

#[tokio::test]
async fn a_deleted_item_is_dropped_with_its_reason() {
    let running = running().await;
    running.put(items()).await;
    running.release(&items()).await;
    assert!(running.app.catalogue().delete_item(&tenant(), &id("t0"), soon()).await.unwrap());
    let plan = shelf(vec![source(SourceName::PopularInMarket, 20)], Vec::new());
    let set = running.app.candidates().generate(question(plan, Market::UNKNOWN), soon()).await.unwrap();
    assert_eq!(set.shelves[0].dropped, [(DropReason::NotInCatalogue, 1)]);
    assert!(!set.table.items.contains(&key("t0")));
    running.stop().await;
}

#[tokio::test]
async fn an_item_put_after_the_indexes_were_built_is_served() {
    let running = running().await;
    running.put(items().into_iter().skip(1).collect()).await;
    running.release(&items()).await;
    running.put(items()).await;
    let plan = shelf(vec![source(SourceName::PopularInMarket, 1)], Vec::new());
    let set = running.app.candidates().generate(question(plan, Market::UNKNOWN), soon()).await.unwrap();
    assert_eq!(set.table.items, [key("t0")]);
    assert!(set.table.fact(shared_models::component::Fact::Popularity).unwrap()[0] > 0.0);
    running.stop().await;
}

#[tokio::test]
async fn a_plan_that_contradicts_itself_is_refused_with_a_reason() {
    let running = running().await;
    let mut twice = everything();
    twice.sources[1] = twice.sources[0];
    let mut too_many = everything();
    too_many.sources[0].limit = 2_001;
    let mut unknown = everything();
    unknown.shelves[0].sources.push(SourceUse { source: 99, limit: 1 });
    for (plan, reason) in [(twice, "duplicate_source"), (too_many, "invalid_limit"), (unknown, "unknown_source")] {
        let failure = running.app.candidates().generate(question(plan, Market::UNKNOWN), soon()).await.unwrap_err();
        assert_eq!((failure.code, failure.reason.as_ref()), (ErrorCode::InvalidArgument, reason));
    }
    let late = Deadline::within(Duration::ZERO);
    let failure = running.app.candidates().generate(question(everything(), Market::UNKNOWN), late).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::DeadlineExceeded);
    running.stop().await;
}

#[tokio::test]
async fn items_are_written_read_and_refused_one_by_one() {
    let running = running().await;
    let catalogue = running.app.catalogue();
    let untitled = Item { title: " ".to_owned(), ..track("untitled", "a") };
    let put = catalogue.put_items(&tenant(), vec![track("t1", "a"), untitled, track("t2", "a")], soon()).await.unwrap();
    assert_eq!((&put[0], &put[2]), (&Ok(Put::Created), &Ok(Put::Created)));
    assert_eq!(put[1].as_ref().unwrap_err().reason, "invalid_item");
    let nul = Item { artist_name: Some("a\0".to_owned()), ..track("nul", "a") };
    let put = catalogue.put_items(&tenant(), vec![nul], soon()).await.unwrap();
    assert!(put[0].as_ref().unwrap_err().to_string().contains("artist_name"), "{put:?}");
    let again = Item { title: "other".to_owned(), ..track("t2", "a") };
    let put = catalogue.put_items(&tenant(), vec![track("t1", "a"), again.clone()], soon()).await.unwrap();
    assert_eq!(put, [Ok(Put::Unchanged), Ok(Put::Updated)]);
    assert_eq!(catalogue.item(&tenant(), &id("t2"), soon()).await.unwrap(), again);
    assert_eq!(catalogue.item(&tenant(), &id("t9"), soon()).await.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(catalogue.list_items(&tenant(), None, 10, soon()).await.unwrap().len(), 2);
    let shown = catalogue.display(&tenant(), &[key("t2"), ItemKey(9), key("t1")], soon()).await.unwrap();
    assert_eq!(shown.iter().map(|item| item.title.as_str()).collect::<Vec<_>>(), ["other", "t1"]);
    let popular = catalogue.popular(&tenant(), Market::UNKNOWN, 10, soon()).await.unwrap();
    assert_eq!(popular.len(), 2);
    running.stop().await;
}

#[tokio::test]
async fn what_is_popular_with_nobody_in_particular_holds_nothing_explicit() {
    let running = running().await;
    let mut items = items();
    items[0].explicit = true;
    running.put(items.clone()).await;
    running.release(&items).await;
    let popular = running.app.catalogue().popular(&tenant(), Market::UNKNOWN, 50, soon()).await.unwrap();
    assert_eq!((popular.len(), popular[0].key), (11, key("t1")));
    running.stop().await;
}

#[tokio::test]
async fn a_release_that_cannot_answer_a_golden_query_is_refused_and_the_one_before_serves_on() {
    let running = running().await;
    running.put(items()).await;
    let sound = running.release(&items()).await;
    let mut blank = parts(&items());
    if let Some(factors) = &mut blank.factors {
        factors.alpha = 0.0;
    }
    let blank = running.releases.write(&tenant(), &blank, releases::Meta::default()).unwrap();
    let control = running.app.release_control();
    let failure = control.activate(&tenant(), &blank, soon()).await.unwrap_err();
    assert!(failure.message.contains("a search finds nothing near a listener of 5 of its items"), "{failure:?}");
    assert_eq!(control.status(&tenant(), soon()).await.unwrap().live, Some(sound.clone()));
    let set = running.app.candidates().generate(question(everything(), Market::UNKNOWN), soon()).await.unwrap();
    assert_eq!(set.release, Some(sound));
    running.stop().await;
}

#[tokio::test]
async fn what_a_tenant_tells_of_a_user_counts_on_the_next_page() {
    let running = running().await;
    let mut explicit = track("loud", "a");
    explicit.explicit = true;
    explicit.released_at = Some(Timestamp(NOW.0 - DAY));
    running.put(vec![explicit]).await;
    let filters = vec![FilterPlan { name: FilterName::ExplicitContent, params: FilterParams::default() }];
    let plan = shelf(vec![source(SourceName::NewReleases, 5)], filters);
    let candidates = running.app.candidates();
    let before = candidates.generate(question(plan.clone(), Market::UNKNOWN), soon()).await.unwrap();
    assert_eq!(before.table.len(), 1);
    let user = UserId::new("u").unwrap();
    assert_eq!(running.app.profiles().user(&tenant(), &user, soon()).await.unwrap_err().code, ErrorCode::NotFound);
    let told = UserAttributes { id: user.clone(), market: None, explicit_allowed: false, updated_at: NOW };
    running.app.profiles().put_user(&tenant(), told.clone(), soon()).await.unwrap();
    let after = candidates.generate(question(plan, Market::UNKNOWN), soon()).await.unwrap();
    assert_eq!(after.shelves[0].dropped, [(DropReason::Explicit, 1)]);
    assert_eq!(running.app.profiles().user(&tenant(), &user, soon()).await.unwrap().attributes, told);
    running.stop().await;
}

#[tokio::test]
async fn going_back_to_the_release_before_needs_no_loading() {
    let running = running().await;
    running.put(items()).await;
    let first = running.release(&items()).await;
    let second = running.release(&items()[..6]).await;
    let control = running.app.release_control();
    let status = control.status(&tenant(), soon()).await.unwrap();
    assert_eq!((status.live.as_ref(), status.previous.as_ref()), (Some(&second), Some(&first)));
    let unknown = shared_models::ReleaseId::new("nowhere").unwrap();
    // A question that names a release is answered with it while it is there.
    for (asked, answers) in [(&second, &second), (&first, &first), (&unknown, &second)] {
        let plan = shelf(vec![source(SourceName::NewReleases, 5)], Vec::new());
        let query = CandidateQuery { release: Some(asked.clone()), ..question(plan, Market::UNKNOWN) };
        let set = running.app.candidates().generate(query, soon()).await.unwrap();
        assert_eq!(set.release.as_ref(), Some(answers));
        assert_eq!(set.degraded.iter().any(|stage| stage.stage == "release.pinned"), asked != answers);
    }
    control.activate(&tenant(), &first, soon()).await.unwrap();
    assert_eq!(control.status(&tenant(), soon()).await.unwrap().live, Some(first));
    assert!(control.activate(&tenant(), &unknown, soon()).await.is_err());
    running.stop().await;
}

#[tokio::test]
async fn a_profile_that_cannot_be_read_makes_a_cold_page_that_says_so() {
    let (folder, store) = crate::store::fresh().await;
    let metrics = CandidatesMetrics::register(&Metrics::new());
    let clock = Arc::new(ManualClock::at(NOW));
    let worlds = Arc::new(Worlds::open(&config(&folder), clock.clone(), metrics.clone()).unwrap());
    let service = Service::new(Parts {
        worlds,
        store: Arc::new(store.clone()),
        memory: ProfileMemory::new(1 << 20),
        guard: None,
        pipeline: crate::world::pipeline(),
        read_budget: Duration::from_secs(5),
        clock,
        tasks: TaskGroup::new("intake"),
        metrics,
    });
    store.close().await;
    let plan = shelf(vec![source(SourceName::RecentlyPlayed, 5)], Vec::new());
    let set = service.generate(question(plan.clone(), Market::UNKNOWN), soon()).await.unwrap();
    assert_eq!(set.degraded, [DegradedStage::new("profile", DegradedCause::Failed)]);
    // Somebody unknown needs no profile.
    let nobody = CandidateQuery { user: None, ..question(plan, Market::UNKNOWN) };
    assert_eq!(service.generate(nobody, soon()).await.unwrap().degraded, []);
}
