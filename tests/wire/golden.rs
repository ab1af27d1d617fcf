//! What was ever written is still read: bytes of each version, and the values they hold.
//!
//! A golden file is never edited. When a contract gains a field, the expected value of an old file says
//! what the field reads as where it was not written, and a new file is added that holds it. A missing
//! file is written once, and then it is part of the history.

use std::{fs, sync::Arc, time::Duration};

use contracts::{
    RecommendationRecord, events,
    records::{self, ShelfSummary, Variant},
};
use shared_models::{
    EventId, ItemId, ItemKey, ReleaseId, Seed, ShelfId, SurfaceId, TenantId, Timestamp, UserId,
    candidates::{CandidateTable, DroppedItem, Evidence},
    component::{DropReason, Fact, FilterName, FilterParams, ReasonCode, SourceName, SourceParams},
    degraded::{DegradedCause, DegradedLevel, DegradedStage, SourceReport},
    event::{Event, EventKind},
    explore::Explore,
    item::Market,
    listener::ListenerContext,
    plan::{
        CandidatePlan, FilterPlan, Objective, Pin, RequestContext, ShelfCandidatePlan, ShelfOrder, ShelfRankPlan,
        SlatePlan, SourcePlan, SourceUse,
    },
    slate::{RankDetail, RankedCard, Reason, ShelfScores, Slate},
};
use tests::root;

use crate::updating;

/// The bytes of a golden file; `first` is what it holds when there is none yet.
fn golden(name: &str, first: &[u8]) -> Vec<u8> {
    let path = root().join("tests/wire/golden").join(name);
    if updating() && !path.exists() {
        fs::write(&path, first).unwrap();
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn market(code: &str) -> Market {
    Market::parse(code).unwrap()
}

const RECOMMENDATION: &str = "\"018bcfe5-687b-7b1d-a3c5-0123456789ab\"";

fn event_batch() -> (TenantId, Vec<Event>) {
    let full = Event {
        id: EventId::new("event-1").unwrap(),
        user: UserId::new("användare 7").unwrap(),
        kind: EventKind::Play,
        item: ItemId::new("track-1").unwrap(),
        occurred_at: Timestamp(1_700_000_000_123),
        received_at: Timestamp(1_700_000_000_456),
        ms_played: Some(201_000),
        recommendation: serde_json::from_str(RECOMMENDATION).unwrap(),
        shelf: Some("made-for-you".to_owned()),
        position: Some(3),
        session: Some("session-9".to_owned()),
        device: Some("phone".to_owned()),
        market: Some(market("SE")),
    };
    let bare = Event {
        id: EventId::new("event-2").unwrap(),
        user: UserId::new("u").unwrap(),
        kind: EventKind::Other("radio_started".to_owned()),
        item: ItemId::new("t").unwrap(),
        occurred_at: Timestamp(0),
        received_at: Timestamp(-1),
        ms_played: None,
        recommendation: None,
        shelf: None,
        position: None,
        session: None,
        device: None,
        market: None,
    };
    let each_kind = EventKind::KNOWN.into_iter().map(|kind| Event { kind, ..bare.clone() });
    let events = [full, bare.clone()].into_iter().chain(each_kind).collect();
    (TenantId::new("demo").unwrap(), events)
}

fn table() -> CandidateTable {
    CandidateTable {
        items: vec![ItemKey(0x0102_0304_0506_0708), ItemKey(2), ItemKey(u64::MAX)],
        artists: vec![ItemKey(11), ItemKey::NONE, ItemKey(13)],
        sources: vec![SourceName::Embedding, SourceName::ItemToItem],
        evidence_ends: vec![2, 2, 3],
        evidence: vec![
            Evidence { source: 0, rank: 0, score: 0.75, seed: ItemKey::NONE },
            Evidence { source: 1, rank: 17, score: -1.5, seed: ItemKey(99) },
            Evidence { source: 1, rank: 300, score: 0.125, seed: ItemKey(98) },
        ],
        // What there was when the first file was written.
        facts: Fact::ALL
            .iter()
            .take(16)
            .map(|fact| if *fact == Fact::Trend { Vec::new() } else { vec![*fact as usize as f32, -1.0, 0.5] })
            .collect(),
    }
}

fn record() -> RecommendationRecord {
    let shelf = || ShelfId::new("made-for-you").unwrap();
    let day = Duration::from_secs(86_400);
    RecommendationRecord {
        id: serde_json::from_str(RECOMMENDATION).unwrap(),
        tenant: TenantId::new("demo").unwrap(),
        user: Some(UserId::new("user-7").unwrap()),
        surface: SurfaceId::new("home").unwrap(),
        surface_version: "home@3".to_owned(),
        variants: vec![Variant { experiment: "explore-more".to_owned(), variant: "b".to_owned() }],
        context: RequestContext {
            now: Timestamp(1_700_000_000_123),
            local_hour: 23,
            local_weekday: 1,
            market: market("SE"),
            device: "phone".to_owned(),
            session: Some("session-9".to_owned()),
            seed: Seed(0xdead_beef_0bad_cafe),
        },
        seed_items: vec![ItemKey(5)],
        exclude: vec![ItemKey(6), ItemKey(7)],
        candidate_plan: Arc::new(CandidatePlan {
            sources: vec![
                SourcePlan {
                    name: SourceName::Embedding,
                    limit: 300,
                    params: SourceParams::default(),
                    budget: Duration::from_millis(20),
                },
                SourcePlan {
                    name: SourceName::ItemToItem,
                    limit: 100,
                    params: SourceParams { seeds: Some(10), artists: Some(4), within: Some(day * 30) },
                    budget: Duration::from_micros(12_500),
                },
            ],
            shelves: vec![ShelfCandidatePlan {
                shelf: shelf(),
                sources: vec![SourceUse { source: 0, limit: 200 }, SourceUse { source: 1, limit: 100 }],
                filters: vec![
                    FilterPlan { name: FilterName::NotHidden, params: FilterParams::default() },
                    FilterPlan {
                        name: FilterName::ImpressionCap,
                        params: FilterParams { within: Some(day * 7), max: Some(5) },
                    },
                ],
                limit: 500,
            }],
            crowd: false,
        }),
        rank_shelves: vec![ShelfRankPlan {
            shelf: shelf(),
            rows: vec![0, 2],
            sources: vec![0, 1],
            objective: Objective { play: 1.0, complete: 2.0, like: 4.0, skip: -1.5 },
            slate: SlatePlan {
                size: 20,
                max_per_artist: 2,
                diversity: 0.25,
                explore: Explore::Epsilon { share: 0.0625 },
                new_items: None,
                pins: vec![Pin { item: ItemKey(2), position: 4 }],
            },
            pinned_slot: Some(1),
        }],
        order: ShelfOrder::Fixed,
        listener: Arc::new(ListenerContext {
            known: true,
            vector: vec![0.5, -0.25, 0.125],
            vector_release: Some(ReleaseId::new("release-1").unwrap()),
            recent: vec![ItemKey(99), ItemKey(98)],
            plays: 1_234,
            plays_7d: 56,
            skip_rate: 0.125,
            complete_rate: 0.75,
            repeat_rate: 0.5,
            artists: 78,
            idle_days: 0.25,
            hour_share: 0.0625,
            mean_popularity: 3.5,
            ..ListenerContext::default()
        }),
        table: Arc::new(table()),
        table_complete: true,
        shelves: vec![ShelfSummary {
            shelf: shelf(),
            kept: 2,
            dropped: DropReason::ALL.iter().map(|reason| (*reason, 3)).collect(),
            dropped_items: Vec::new(),
        }],
        sources: vec![
            SourceReport {
                name: SourceName::Embedding,
                returned: 300,
                degraded: None,
                elapsed: Duration::from_nanos(1_234_567),
            },
            SourceReport {
                name: SourceName::ItemToItem,
                returned: 0,
                degraded: Some(DegradedCause::Timeout),
                elapsed: Duration::from_millis(12),
            },
        ],
        slates: vec![Slate {
            shelf: shelf(),
            score: 0.875,
            cards: vec![
                RankedCard {
                    row: 2,
                    score: 1.5,
                    propensity: 0.9375,
                    propensity_error: 0.0,
                    predictions: [0.5, 0.25, 0.125, 0.0625],
                    explored: false,
                    reason: Reason { code: ReasonCode::BecauseYouPlayed, evidence: vec![ItemKey(98)].into() },
                },
                RankedCard {
                    row: 0,
                    score: -0.5,
                    propensity: 0.03125,
                    propensity_error: 0.0,
                    predictions: [0.0, 1.0, 0.75, 0.375],
                    explored: true,
                    reason: Reason { code: ReasonCode::Trending, evidence: Vec::new().into() },
                },
            ],
            reserve: 0,
            unscored: 1,
        }],
        candidates_release: Some(ReleaseId::new("release-1").unwrap()),
        ranking_release: Some(ReleaseId::new("release-2").unwrap()),
        level: DegradedLevel::Partial,
        degraded: vec![DegradedStage::new("source.item-to-item", DegradedCause::Timeout)],
        elapsed: Duration::from_micros(18_750),
        trace_id: Some("0af7651916cd43dd8448eb211c80319c".to_owned()),
        detail: None,
        flat: false,
        limit: None,
        explore: false,
    }
}

#[test]
fn event_batches_of_version_1_are_read() {
    let (tenant, batch) = event_batch();
    let bytes = golden("event_batch.v1.bin", &events::encode(&tenant, &batch));
    assert_eq!(events::decode(events::KIND, 1, &bytes).unwrap(), (tenant, batch));
}

#[test]
fn recommendation_records_of_version_1_are_read() {
    let bytes = golden("recommendation_record.v1.bin", &records::encode(&record()));
    assert_eq!(records::decode(records::KIND, 1, &bytes).unwrap(), record());
}

/// The record with what the contract has gained since: facts, and more of the listener.
fn record_with_sessions() -> RecommendationRecord {
    let mut record = record();
    let table = Arc::make_mut(&mut record.table);
    table.facts = Fact::ALL.iter().take(25).map(|fact| vec![*fact as usize as f32, -1.0, 0.5]).collect();
    let listener = Arc::make_mut(&mut record.listener);
    listener.favourites = vec![ItemKey(99), ItemKey(97)];
    listener.skipped = vec![ItemKey(96)];
    listener.session_items = 1;
    listener.session_plays = 3;
    listener.session_skips = 2;
    listener.session_artists = 1;
    listener.session_minutes = 12.5;
    listener.impressions = 4_321;
    listener.click_rate = 0.0625;
    listener.like_rate = 0.03125;
    record
}

#[test]
fn recommendation_records_with_sessions_are_read() {
    let record = record_with_sessions();
    let bytes = golden("recommendation_record.v1-sessions.bin", &records::encode(&record));
    assert_eq!(records::decode(records::KIND, 1, &bytes).unwrap(), record);
}

#[test]
fn fields_of_a_newer_sender_are_left_alone() {
    let (tenant, batch) = event_batch();
    let mut bytes = golden("event_batch.v1.bin", &[]);
    // Field 1000, a varint: what an older reader meets when a newer sender has learned something.
    bytes.extend_from_slice(&[0xc0, 0x3e, 0x2a]);
    assert_eq!(events::decode(events::KIND, 1, &bytes).unwrap(), (tenant, batch));
}

/// The record with what a whole one has gained since: what was dropped, all scores, features, and the request.
fn whole_record() -> RecommendationRecord {
    let mut record = record_with_sessions();
    let dropped = |(rank, reason): (usize, &DropReason)| DroppedItem {
        item: ItemKey(40 + rank as u64),
        reason: *reason,
        source: 1,
        rank: rank as u32,
    };
    if let Some(shelf) = record.shelves.first_mut() {
        shelf.dropped_items = DropReason::ALL.iter().take(9).enumerate().map(dropped).collect();
    }
    record.detail = Some(RankDetail {
        shelves: vec![ShelfScores {
            shelf: ShelfId::new("made-for-you").unwrap(),
            rows: vec![2, 0],
            scores: vec![1.5, -0.5],
        }],
        schema: 0x0123_4567_89ab_cdef,
        rows: vec![2, 0],
        features: vec![0.5, 0.25, -1.0, 8.0],
        predictions: Vec::new(),
    });
    record.flat = true;
    record.limit = Some(12);
    record.explore = true;
    record
}

#[test]
fn whole_records_of_version_1_are_read() {
    let bytes = golden("recommendation_record.v1-whole.bin", &records::encode(&whole_record()));
    assert_eq!(records::decode(records::KIND, 1, &bytes).unwrap(), whole_record());
}
