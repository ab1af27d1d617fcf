//! Answers that were degraded, made again and explained: what was missing is missing in the same way, or it is said.

use std::sync::Arc;

use contracts::records;
use edge_api::store::{Kept, Store};
use serde_json::{Value, json};
use shared_models::{ErrorCode, ItemKey, ReleaseId, UserKey, slate::Pinned};
use testkit::folder::Folder;

use crate::support::{Edge, Mood, World, records_in, track};

struct Kit {
    _folder: Folder,
    store: Arc<dyn Store>,
    edge: Edge,
}

async fn kit() -> Kit {
    let folder = Folder::new().unwrap();
    let store = records_in(&folder).await;
    Kit { _folder: folder, edge: Edge::with_records(Some(Arc::clone(&store))).await, store }
}

impl Kit {
    /// A page in some mood of ranking, whole, and its record kept: the fake bus brings none to the store.
    async fn page(&self, mood: Mood) -> String {
        World::set(&self.edge.world.ranking, mood);
        let page = self.edge.page(r#"{"user_id": "ada", "record_whole": true}"#).await;
        let id = page["recommendation_id"].as_str().unwrap().to_owned();
        let envelope = loop {
            let published = self.edge.world.published.lock().unwrap().clone();
            if let Some((_, envelope)) = published.into_iter().find(|(_, envelope)| envelope.id == id) {
                break envelope;
            }
            tokio::task::yield_now().await;
        };
        let head = records::head(&envelope.kind, envelope.version, &envelope.payload).unwrap();
        let kept = Kept {
            tenant: head.tenant,
            id: head.id,
            made_at: head.made_at,
            surface: head.surface,
            user: head.user.as_ref().map(UserKey::of),
            whole: head.whole,
            version: envelope.version,
            payload: envelope.payload,
        };
        self.store.put(&[kept]).await.unwrap();
        id
    }

    async fn replay(&self, id: &str, body: &Value) -> Value {
        let answer = self.edge.send("POST", &format!("/v1/recommendations/{id}:replay"), &body.to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }
}

#[tokio::test]
async fn a_page_that_nobody_ranked_comes_out_again_and_is_compared_with_what_ranking_would_have_shown() {
    let kit = kit().await;
    let id = kit.page(Mood::Fails(ErrorCode::Unavailable)).await;
    World::set(&kit.edge.world.ranking, Mood::Well);
    let again = kit.replay(&id, &json!({})).await;
    assert_eq!((&again["same"], &again["degraded_then"]), (&json!(true), &json!("source_order")), "{again}");
    let ranking = |now: &str| json!([{"stage": "ranking", "cause": "unavailable", "now": now}]);
    assert_eq!(again["missing_then"], ranking("repeated"), "{again}");
    let ranked = kit.replay(&id, &json!({"release": "live"})).await;
    assert_eq!(ranked["missing_then"], ranking("run_in_full"), "{ranked}");
    assert_eq!((&ranked["same"], &ranked["release"]), (&json!(false), &json!("r1")), "{ranked}");
    assert!(ranked["text"].as_str().unwrap().contains("ran in full"), "{ranked}");
    assert!(ranked["why_no_feature"].as_str().unwrap().contains("nobody ranked it"), "{ranked}");
}

#[tokio::test]
async fn a_page_whose_scorer_did_not_answer_is_ranked_again_without_it() {
    let kit = kit().await;
    let id = kit.page(Mood::Unscored).await;
    World::set(&kit.edge.world.ranking, Mood::Well);
    let again = kit.replay(&id, &json!({})).await;
    let scorer = |now: &str| json!([{"stage": "scorer.release", "cause": "timeout", "now": now}]);
    assert_eq!((&again["same"], &again["missing_then"]), (&json!(true), &scorer("repeated")), "{again}");
    let release = ReleaseId::new("r1").unwrap();
    assert_eq!(kit.edge.world.explained.lock().unwrap().last().unwrap().release, Pinned::Unscored(release));
    let full = kit.replay(&id, &json!({"release": "r1"})).await;
    assert_eq!((&full["same"], &full["missing_then"]), (&json!(false), &scorer("run_in_full")), "{full}");
    assert_eq!(full["why_no_feature"], Value::Null, "{full}");
    let explained = kit.edge.send("GET", &format!("/v1/recommendations/{id}/explain"), "").await.json();
    assert_eq!(explained["ranked_again"]["same"], json!(true), "{explained}");
    assert_eq!(explained["ranked_again"]["missing_then"], scorer("repeated"), "{explained}");
}

#[tokio::test]
async fn where_the_page_before_cannot_be_ranked_it_is_said_why_no_feature_is_named() {
    let kit = kit().await;
    let id = kit.page(Mood::Well).await;
    World::set(&kit.edge.world.ranking, Mood::Forgetful);
    let again = kit.replay(&id, &json!({"release": "live"})).await;
    assert_eq!(again["same"], json!(false), "{again}");
    assert!(!again["why_no_feature"].as_str().unwrap().is_empty(), "{again}");
}

#[tokio::test]
async fn what_was_never_a_candidate_is_judged_with_its_artist() {
    let kit = kit().await;
    let id = kit.page(Mood::Well).await;
    let path = format!("/v1/recommendations/{id}/explain/track-50");
    let why = kit.edge.send("GET", &path, "").await.json();
    assert_eq!(why["outcome"], json!("never_a_candidate"), "{why}");
    let artist = |kit: &Kit| {
        let explained = kit.edge.world.explained.lock().unwrap();
        let table = &explained.last().unwrap().page.table;
        (table.items[40], table.artists[40])
    };
    assert_eq!(artist(&kit), (track(50).key(), track(50).artist_key()));
    World::set(&kit.edge.world.catalogue, Mood::Fails(ErrorCode::Unavailable));
    let why = kit.edge.send("GET", &path, "").await.json();
    assert!(why["text"].as_str().unwrap_or_default().contains("judged without its artist"), "{why}");
    assert_eq!(artist(&kit), (track(50).key(), ItemKey::NONE));
}
