//! Releases in use: what is let in, what is refused, what an operator sees and changes.

use std::{sync::Arc, time::Duration};

use contracts::Deadline;
use ranking::{
    App, Config,
    config::DEFAULTS,
    features::{COLUMNS, Column},
    scorers::{
        Trees,
        calibration::Calibration,
        document::{Document, From, HeadForm},
        trees::{self, Borders, Definition, Ensemble, Level, Tree},
    },
};
use releases::Store;
use service_runtime::Runtime;
use shared_models::{
    ErrorCode, ReleaseId, SystemClock,
    component::Action,
    degraded::{DegradedCause, DegradedStage},
};

use crate::pages;

struct Running {
    app: App,
    runtime: Runtime,
    store: Store,
    _folder: tempfile::TempDir,
}

async fn running(prepare: impl FnOnce(&Store)) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    prepare(&store);
    let overrides = [
        ("releases.path".to_owned(), folder.path().display().to_string()),
        ("releases.poll".to_owned(), "50ms".to_owned()),
    ];
    let config: Config = service_runtime::config::load(DEFAULTS, None, "RANKING_TEST", &overrides).unwrap();
    let runtime = Runtime::new(Arc::new(SystemClock));
    let app = App::build(config, &runtime).await.unwrap();
    Running { app, runtime, store, _folder: folder }
}

/// Puts a release into the store: the seed of its factors stays, its scorer's bias does not.
fn written(store: &Store, bias: f32) -> ReleaseId {
    let mut model = pages::scorer();
    model.actions[0].bias = bias;
    store.write(&pages::tenant(), &pages::parts(8, Some(&model)), pages::meta()).unwrap()
}

fn soon() -> Deadline {
    Deadline::within(Duration::from_secs(20))
}

#[tokio::test]
async fn a_service_without_releases_is_ready_and_cold() {
    let service = running(|_| {}).await;
    assert!(service.runtime.health.is_ready());
    let page = service.app.ranking().rank(pages::page(30, 1, 1, None), soon()).await.unwrap();
    assert_eq!(page.degraded[0].cause, DegradedCause::NoRelease);
    let detail = service.runtime.health.report().components["ranking-releases"].detail.clone();
    assert_eq!(detail.as_deref(), Some("no release yet: cold scores"));
}

#[tokio::test]
async fn the_live_release_serves_from_the_start() {
    let mut live = None;
    let service = running(|store| {
        let id = written(store, -1.0);
        store.promote(&pages::tenant(), &id).unwrap();
        live = Some(id);
    })
    .await;
    let page = service.app.ranking().rank(pages::page(30, 1, 1, None), soon()).await.unwrap();
    assert_eq!(page.release, live);
    let status = service.app.release_control().status(&pages::tenant(), soon()).await.unwrap();
    assert_eq!((status.live, status.previous), (live, None));
    assert!(status.since.is_some());
}

#[tokio::test]
async fn an_activated_release_changes_the_next_page_and_can_be_taken_back() {
    let service = running(|_| {}).await;
    let (first, second) = (written(&service.store, -1.0), written(&service.store, 1.0));
    let control = service.app.release_control();
    let mut scores = Vec::new();
    for id in [&first, &second, &first] {
        control.activate(&pages::tenant(), id, soon()).await.unwrap();
        let page = service.app.ranking().rank(pages::page(30, 1, 1, None), soon()).await.unwrap();
        assert_eq!(page.release.as_ref(), Some(id));
        scores.push(page.slates[0].score);
    }
    assert!(scores[1] > scores[0]);
    assert_eq!(scores[0], scores[2]);
    assert_eq!(control.status(&pages::tenant(), soon()).await.unwrap().previous, Some(second));
}

#[tokio::test]
async fn a_question_that_names_a_release_is_answered_with_it_while_it_is_there() {
    let service = running(|_| {}).await;
    let ids = [-1.0, 0.0, 1.0].map(|bias| written(&service.store, bias));
    for id in &ids {
        service.app.release_control().activate(&pages::tenant(), id, soon()).await.unwrap();
    }
    let pinned = DegradedStage::new("release.pinned", DegradedCause::Skipped);
    for (asked, answers, says) in [(2, 2, vec![]), (1, 1, vec![]), (0, 2, vec![pinned])] {
        let mut query = pages::page(30, 1, 1, None);
        query.release = Some(ids[asked].clone());
        let page = service.app.ranking().rank(query, soon()).await.unwrap();
        assert_eq!((page.release, page.degraded), (Some(ids[answers].clone()), says));
    }
}

#[tokio::test]
async fn a_release_that_cannot_score_is_refused_and_the_old_one_stays() {
    let service = running(|_| {}).await;
    let good = written(&service.store, -1.0);
    let control = service.app.release_control();
    control.activate(&pages::tenant(), &good, soon()).await.unwrap();
    let mut short = pages::scorer();
    short.actions[2].weights.pop();
    let bad = service.store.write(&pages::tenant(), &pages::parts(8, Some(&short)), pages::meta()).unwrap();
    let failure = control.activate(&pages::tenant(), &bad, soon()).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::InvalidArgument, "{failure:?}");
    let other = releases::Meta { feature_schema: 7, ..pages::meta() };
    let skewed = service.store.write(&pages::tenant(), &pages::parts(8, Some(&pages::scorer())), other).unwrap();
    assert_eq!(control.activate(&pages::tenant(), &skewed, soon()).await.unwrap_err().code, ErrorCode::InvalidArgument);
    let unknown = ReleaseId::new("0".repeat(32)).unwrap();
    assert_eq!(control.activate(&pages::tenant(), &unknown, soon()).await.unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(control.status(&pages::tenant(), soon()).await.unwrap().live, Some(good));
}

#[tokio::test(start_paused = true)]
async fn a_promoted_release_is_followed() {
    let service = running(|_| {}).await;
    let id = written(&service.store, -1.0);
    service.store.promote(&pages::tenant(), &id).unwrap();
    // Time is paused: it moves only when every look has come to its end.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let detail = service.runtime.health.report().components["ranking-releases"].detail.clone();
    assert_eq!(detail, Some(format!("demo: {id}")));
    assert_eq!(service.app.release_control().status(&pages::tenant(), soon()).await.unwrap().live, Some(id));
    assert_eq!(service.runtime.drain(Duration::from_secs(5)).await, 0);
}

#[tokio::test]
async fn an_action_that_the_scorer_says_nothing_of_is_told_where_a_shelf_weighs_it() {
    let service = running(|_| {}).await;
    let column = Column::ItemLiked as usize;
    let trees = Trees::new(Definition {
        form: trees::FORM,
        width: COLUMNS,
        columns: vec![Borders { column, borders: vec![0.5] }],
        heads: vec![Ensemble {
            bias: -1.0,
            trees: vec![Tree { levels: vec![Level { column: 0, border: 0 }], leaves: vec![-1.0, 1.0] }],
        }],
    });
    let head = |action| HeadForm { action, from: From::Trees { head: 0 }, calibration: Calibration::default() };
    let heads = [Action::Play, Action::Complete, Action::Skip].map(head).to_vec();
    let scorer = Document::new(Some(trees.unwrap()), heads).to_json().unwrap();
    let parts = releases::Parts { scorer: Some(scorer), ..pages::parts(8, None) };
    let id = service.store.write(&pages::tenant(), &parts, pages::meta()).unwrap();
    service.app.release_control().activate(&pages::tenant(), &id, soon()).await.unwrap();
    let mut query = pages::page(30, 1, 1, None);
    let page = service.app.ranking().rank(query.clone(), soon()).await.unwrap();
    assert_eq!(page.degraded, [DegradedStage::new("scorer.like", DegradedCause::NoRelease)]);
    assert!(page.slates[0].cards.iter().all(|card| card.predictions[Action::Like as usize] == 0.0));
    query.shelves[0].objective.like = 0.0;
    assert_eq!(service.app.ranking().rank(query, soon()).await.unwrap().degraded, []);
}
