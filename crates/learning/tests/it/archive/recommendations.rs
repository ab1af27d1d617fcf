//! Recommendations: a record becomes one row for each card, and comes back as it was.

use std::{sync::Arc, time::Duration};

use contracts::{
    RecommendationRecord,
    records::{self, Variant},
};
use event_bus::{Delivery, Envelope, Handler, Outcome, StreamName, subjects};
use learning::{
    archive::{Archive, RecordHandler, Span},
    progress::Silent,
};
use shared_models::{
    ItemId, ItemKey, RecommendationId, ReleaseId, Seed, ShelfId, SurfaceId, Timestamp, UserId,
    candidates::{CandidateTable, Evidence},
    component::{ReasonCode, SourceName},
    degraded::{DegradedCause, DegradedLevel, DegradedStage},
    item::Market,
    listener::ListenerContext,
    plan::{CandidatePlan, RequestContext, ShelfOrder},
    slate::{RankedCard, Reason, Slate},
};
use uuid::Uuid;

use super::{NOW, files, tenant};

pub(super) fn card(row: u32, score: f32) -> RankedCard {
    RankedCard {
        row,
        score,
        propensity: 0.25,
        propensity_error: 0.0,
        predictions: [0.4, 0.3, 0.2, 0.1],
        explored: row == 1,
        reason: Reason { code: ReasonCode::Trending, evidence: smallvec::SmallVec::new() },
    }
}

pub(super) fn slate(shelf: &str, cards: Vec<RankedCard>) -> Slate {
    Slate { shelf: ShelfId::new(shelf).unwrap(), score: 0.75, cards, reserve: 3, unscored: 0 }
}

pub(super) fn record(n: u128, slates: Vec<Slate>) -> RecommendationRecord {
    let keys: Vec<ItemKey> = (0..3).map(|n| ItemKey::of(&ItemId::new(format!("item-{n}")).unwrap())).collect();
    let says = |source, rank, score| Evidence { source, rank, score, seed: ItemKey::NONE };
    RecommendationRecord {
        id: RecommendationId(Uuid::from_u128(n)),
        tenant: tenant(),
        user: Some(UserId::new("user-1").unwrap()),
        surface: SurfaceId::new("home").unwrap(),
        surface_version: "0123456789ab".to_owned(),
        variants: vec![Variant { experiment: "blend".to_owned(), variant: "b".to_owned() }],
        context: RequestContext {
            now: Timestamp(NOW.0 + 7),
            local_hour: 8,
            local_weekday: 3,
            market: Market::parse("SE").unwrap(),
            device: "phone".to_owned(),
            session: None,
            seed: Seed(5),
        },
        seed_items: Vec::new(),
        exclude: Vec::new(),
        candidate_plan: Arc::new(CandidatePlan::default()),
        rank_shelves: Vec::new(),
        order: ShelfOrder::default(),
        listener: Arc::new(ListenerContext::default()),
        table: Arc::new(CandidateTable {
            artists: vec![keys[2], ItemKey::NONE, ItemKey::NONE],
            items: keys,
            sources: vec![SourceName::Embedding, SourceName::Trending],
            evidence_ends: vec![2, 3, 3],
            evidence: vec![says(0, 9, 0.5), says(1, 2, 40.0), says(1, 0, 90.0)],
            facts: Vec::new(),
        }),
        table_complete: false,
        shelves: Vec::new(),
        sources: Vec::new(),
        slates,
        candidates_release: None,
        ranking_release: ReleaseId::new("r".repeat(64)).ok(),
        level: DegradedLevel::Partial,
        degraded: vec![DegradedStage::new("source.trending", DegradedCause::Timeout)],
        elapsed: Duration::from_micros(12_345),
        trace_id: Some("t".repeat(32)),
        detail: None,
        flat: false,
        limit: None,
        explore: true,
    }
}

pub(super) fn delivery(sequence: u64, record: &RecommendationRecord) -> Delivery {
    let mut envelope = Envelope::new(records::KIND, records::VERSION, NOW, records::encode(record));
    envelope.id = record.id.to_string();
    Delivery {
        subject: subjects::recommendations(&tenant(), 0),
        stream: StreamName::Recommendations,
        sequence,
        attempt: 1,
        envelope,
        trace: service_runtime::trace::TraceParent::default(),
        published_at: NOW,
    }
}

#[tokio::test]
async fn a_record_is_one_row_a_card_and_lands_once() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
    let handler = RecordHandler::new(Arc::clone(&archive));
    let page =
        record(1, vec![slate("made-for-you", vec![card(1, 0.9), card(0, 0.8)]), slate("new", vec![card(2, 0.5)])]);
    let empty = record(2, vec![slate("made-for-you", Vec::new())]);
    let batch = [delivery(1, &page), delivery(2, &empty)];
    assert_eq!(handler.handle(&batch).await, [Outcome::Done, Outcome::Done]);
    // Delivered again, in other batches, to a process that was started anew.
    let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
    let handler = RecordHandler::new(Arc::clone(&archive));
    assert_eq!(handler.handle(&batch[1..]).await, [Outcome::Done]);
    assert_eq!(handler.handle(&batch[..1]).await, [Outcome::Done]);
    assert_eq!(files(folder.path()), 1);

    let rows = archive.read_recommendations(&tenant(), Span::ALL, &Silent).unwrap();
    assert_eq!(rows.len(), 4, "three cards, and an answer without one");
    let answer = &rows[0].answer;
    assert_eq!(answer.recommendation, page.id.to_string());
    assert_eq!((answer.requested_at, answer.elapsed_us), (Timestamp(NOW.0 + 7), 12_345));
    assert_eq!((answer.degraded.as_str(), answer.degraded_stages.as_str()), ("partial", "source.trending:timeout"));
    assert_eq!((answer.variants.as_str(), answer.market.as_deref()), ("blend=b", Some("SE")));
    assert_eq!((answer.candidates_release.as_deref(), answer.session.as_deref()), (None, None));
    assert_eq!(answer.ranking_release.as_deref(), page.ranking_release.as_ref().map(|id| id.as_str()));
    let places: Vec<_> = rows
        .iter()
        .filter_map(|row| row.card.as_ref())
        .map(|card| (card.shelf.as_str(), card.shelf_position, card.position, card.item))
        .collect();
    let keys = &page.table.items;
    assert_eq!(places, [("made-for-you", 0, 0, keys[1]), ("made-for-you", 0, 1, keys[0]), ("new", 1, 0, keys[2])]);
    let first = rows[0].card.as_ref().unwrap();
    assert!(first.explored && first.score == 0.9 && first.propensity == 0.25 && first.predictions[3] == 0.1);
    assert_eq!(first.source, Some(("trending".to_owned(), 0, 90.0)));
    let second = rows[1].card.as_ref().unwrap();
    assert_eq!(second.source, Some(("trending".to_owned(), 2, 40.0)), "the source that ranked it highest");
    assert_eq!((second.sources.as_str(), second.artist), ("embedding,trending", keys[2]));
    assert_eq!(rows[2].card.as_ref().unwrap().source, None);
    assert!(rows[3].card.is_none() && rows[3].answer.recommendation == empty.id.to_string());

    let later = Timestamp(NOW.0 + super::DAY);
    archive.compact(later).unwrap();
    assert_eq!(archive.read_recommendations(&tenant(), Span::ALL, &Silent).unwrap(), rows);
}

#[tokio::test]
async fn what_is_no_record_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let handler = RecordHandler::new(Arc::new(Archive::open(folder.path(), NOW).unwrap()));
    let mut bad = delivery(1, &record(1, Vec::new()));
    bad.envelope.payload = (&b"\xff\xff"[..]).into();
    assert!(matches!(&handler.handle(&[bad]).await[..], [Outcome::Reject { .. }]));
}
