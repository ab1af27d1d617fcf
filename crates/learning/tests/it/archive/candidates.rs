//! Answers that were recorded whole: every candidate is a row, lands once, and tells what another objective would bring.

use std::{sync::Arc, time::Duration};

use contracts::{RecommendationRecord, records::ShelfSummary};
use event_bus::{Handler, Outcome};
use learning::{
    archive::{
        Archive, EventRow, Message, RecordHandler, ShownRow, Span,
        candidates::{CandidateRow, Rules},
    },
    offpolicy::{
        Error, Intervals,
        answers::{Asked, evaluate},
        otherwise::Otherwise,
        report::Comparison,
    },
    progress::Silent,
};
use pipeline::{Score, ranking::Scored};
use ranking::{
    features::gather::Units,
    slate::{self, Rules as SlateRules},
};
use shared_models::{
    ItemId, ItemKey, Seed, ShelfId, Timestamp, UserId,
    candidates::{CandidateTable, DroppedItem},
    component::DropReason,
    event::{Event, EventKind},
    explore::Explore,
    plan::{Objective, ShelfRankPlan, SlatePlan},
    slate::{RankDetail, ShelfScores},
};

use super::{
    NOW, event, files,
    recommendations::{card, delivery, record, slate as slate_of},
    tenant,
};

const PLAY: Objective = Objective { play: 1.0, complete: 0.0, like: 0.0, skip: 0.0 };

fn plan(rows: Vec<u32>, explore: Explore) -> ShelfRankPlan {
    ShelfRankPlan {
        shelf: ShelfId::new("made-for-you").unwrap(),
        rows,
        sources: vec![0, 1],
        objective: PLAY,
        slate: SlatePlan { size: 1, max_per_artist: 0, diversity: 0.0, explore, new_items: None, pins: Vec::new() },
        pinned_slot: None,
    }
}

/// A whole record of three candidates, of which the first is shown; a fourth was dropped.
fn whole(n: u128, shown: u32, explore: Explore, scores: [f32; 3], predictions: Vec<f32>) -> RecommendationRecord {
    let mut order: Vec<u32> = vec![0, 1, 2];
    order.sort_by(|a, b| scores[*b as usize].total_cmp(&scores[*a as usize]));
    let mut page = record(n, vec![slate_of("made-for-you", vec![card(shown, scores[shown as usize])])]);
    page.table_complete = true;
    page.rank_shelves = vec![plan(vec![0, 1, 2], explore)];
    page.shelves = vec![ShelfSummary {
        shelf: ShelfId::new("made-for-you").unwrap(),
        kept: 3,
        dropped: vec![(DropReason::RecentlyPlayed, 1)],
        dropped_items: vec![DroppedItem { item: ItemKey(9), reason: DropReason::RecentlyPlayed, source: 1, rank: 4 }],
    }];
    page.detail = Some(RankDetail {
        shelves: vec![ShelfScores {
            shelf: ShelfId::new("made-for-you").unwrap(),
            scores: order.iter().map(|row| scores[*row as usize]).collect(),
            rows: order,
        }],
        schema: 0xfeed_0000_0000_0001,
        rows: vec![shown],
        features: vec![0.5, -1.0, 3.0],
        predictions,
    });
    page
}

#[tokio::test]
async fn every_candidate_of_a_whole_record_is_a_row_and_lands_once() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
    let predictions = vec![0.1, 0.5, 0.3, 0.2, 0.2, 0.2, 0.9, 0.1, 0.2, 0.0, 0.0, f32::NAN];
    let page = whole(1, 1, Explore::Softmax { temperature: 0.5 }, [0.1, 0.5, 0.3], predictions);
    let brief = record(2, vec![slate_of("made-for-you", vec![card(0, 0.5)])]);
    // A crash between the two tables: the cards are there, the candidates are not.
    let cards: Message<ShownRow> = Message::of_record(1, page.id.to_string(), NOW, &page);
    archive.land(&[cards]).unwrap();
    assert!(archive.read_candidates(&tenant(), Span::ALL, &Silent).unwrap().is_empty());
    let batch = [delivery(1, &page), delivery(2, &brief)];
    for _ in 0..2 {
        let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
        let handler = RecordHandler::new(archive);
        assert_eq!(handler.handle(&batch).await, [Outcome::Done, Outcome::Done]);
    }
    assert_eq!(files(folder.path()), 3, "cards of the first, cards of the second, candidates of the first");
    assert_eq!(archive.read_recommendations(&tenant(), Span::ALL, &Silent).unwrap().len(), 2);

    let rows = archive.read_candidates(&tenant(), Span::ALL, &Silent).unwrap();
    let keys = &page.table.items;
    let of: Vec<_> = rows.iter().map(|row| (row.candidate.item, row.candidate.scored)).collect();
    let scored = [(keys[1], Some((0, 0.5))), (keys[2], Some((1, 0.3))), (keys[0], Some((2, 0.1))), (ItemKey(9), None)];
    assert_eq!(of, scored);
    let [shown, unpredicted, other, dropped] = [0, 1, 2, 3].map(|at: usize| &rows[at].candidate);
    assert_eq!((shown.position, shown.predictions), (Some(0), Some([0.5, 0.2, 0.1, 0.0])));
    assert_eq!(shown.features, Some((0xfeed_0000_0000_0001, vec![0.5, -1.0, 3.0])));
    assert_eq!((unpredicted.predictions, &unpredicted.features), (None, &None), "a prediction is missing");
    assert_eq!((other.position, other.predictions), (None, Some([0.1, 0.2, 0.9, 0.0])));
    assert_eq!((other.source.as_ref().unwrap().1, &*other.sources), (2, "embedding,trending"));
    assert_eq!(dropped.dropped.as_deref(), Some("recently_played"));
    assert_eq!(dropped.source, Some((Arc::from("trending"), 4)));
    let shelf = &rows[0].shelf;
    assert_eq!((shelf.recommendation.clone(), shelf.requested_at), (page.id.to_string(), Timestamp(NOW.0 + 7)));
    let rules: Rules = serde_json::from_str(&shelf.rules).unwrap();
    assert_eq!((rules.objective, rules.slate), (PLAY, page.rank_shelves[0].slate.clone()));

    archive.compact(Timestamp(NOW.0 + super::DAY)).unwrap();
    assert_eq!(archive.read_candidates(&tenant(), Span::ALL, &Silent).unwrap(), rows);
    let later = Span { from: Timestamp(NOW.0 + 8), to: Timestamp(i64::MAX) };
    assert!(archive.read_candidates(&tenant(), later, &Silent).unwrap().is_empty());
    let none: Option<Message<CandidateRow>> = Message::of_candidates(3, "3", NOW, &brief);
    assert!(none.is_none());
}

fn asked(objective: Option<Objective>) -> Asked {
    Asked {
        span: Span::ALL,
        reward: vec![(EventKind::Like, 1.0)],
        otherwise: objective.map(|objective| Otherwise { objective: Some(objective), explores: true }),
        places: None,
        releases: None,
        window: Duration::from_secs(3_600),
        clip: None,
        intervals: Intervals::Normal,
    }
}

/// How likely each of three candidates is drawn when these are their scores.
fn drawn(scores: [f64; 3], temperature: f64) -> [f64; 3] {
    let (high, low) =
        (scores.iter().copied().fold(f64::MIN, f64::max), scores.iter().copied().fold(f64::MAX, f64::min));
    let weights = scores.map(|score| (((score - low) / (high - low)) / temperature).exp());
    weights.map(|weight| weight / weights.iter().sum::<f64>())
}

#[tokio::test]
async fn another_objective_is_told_by_whole_records() {
    const TEMPERATURE: f32 = 0.5;
    // What is played is not what is liked.
    let (play, like) = ([0.6_f32, 0.3, 0.1], [0.05_f32, 0.2, 0.6]);
    let explore = Explore::Softmax { temperature: TEMPERATURE };
    let folder = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
    let items: Vec<ItemId> = (0..3).map(|n| ItemId::new(format!("item-{n}")).unwrap()).collect();
    let predictions = [play, [0.0; 3], like, [0.0; 3]].concat();
    let rules = plan(vec![0, 1, 2], explore).slate;
    let table = CandidateTable {
        items: items.iter().map(ItemKey::of).collect(),
        artists: vec![ItemKey::NONE; 3],
        evidence_ends: vec![0; 3],
        ..CandidateTable::default()
    };
    let ranked: Vec<Scored> =
        (0..).zip(play).map(|(row, score)| Scored { row, score: Score::new(score).unwrap() }).collect();
    let (units, answers) = (Units::default(), 3_000_u32);
    let (mut deliveries, mut events) = (Vec::new(), Vec::new());
    for n in 0..answers {
        let of = SlateRules { plan: &rules, table: &table, units: &units, crowd: None };
        let chosen = slate::select(of, &ranked, &mut Seed(n.into()).stream("test"))[0];
        let mut answer = whole(u128::from(n) + 1, chosen.scored.row, explore, play, predictions.clone());
        answer.slates[0].cards[0].propensity = chosen.propensity.value;
        answer.user = Some(UserId::new(format!("user-{}", n % 500)).unwrap());
        deliveries.push(delivery(u64::from(n) + 1, &answer));
        // Liked as often as it is said, evenly over answers.
        if f64::from((n * 7) % 100) < f64::from(like[chosen.scored.row as usize]) * 100.0 {
            events.push(Event {
                id: shared_models::EventId::new(format!("e-{n}")).unwrap(),
                kind: EventKind::Like,
                item: items[chosen.scored.row as usize].clone(),
                occurred_at: Timestamp(NOW.0 + 1_000),
                recommendation: uuid::Uuid::parse_str(&answer.id.to_string()).ok(),
                ..event(1)
            });
        }
    }
    let handler = RecordHandler::new(Arc::clone(&archive));
    assert!(handler.handle(&deliveries).await.iter().all(|outcome| *outcome == Outcome::Done));
    let message: Message<EventRow> = Message::of_events(1, "events", NOW, tenant(), events);
    archive.land(&[message]).unwrap();

    let by_likes = Objective { play: 0.0, like: 1.0, ..PLAY };
    let report = evaluate(&archive, &tenant(), &asked(Some(by_likes)), &Silent).unwrap();
    let of = |policy: &str| -> &Comparison {
        report.comparisons.iter().find(|found| found.policy == policy).unwrap_or_else(|| panic!("{report:#?}"))
    };
    let value = |of: &Comparison, name: &str| {
        let found = of.estimates.iter().find(|found| found.estimator == name).unwrap();
        (found.value, found.low, found.high, found.weights.unwrap().mean)
    };
    let worth =
        |chances: [f64; 3]| chances.iter().zip(like).map(|(chance, like)| chance * f64::from(like)).sum::<f64>();
    let (other, logged) = (of("objective like=1"), worth(drawn(play.map(f64::from), TEMPERATURE.into())));
    assert_eq!((other.rounds, other.listeners), (answers as usize, Some(500)));
    assert!((other.logged.value - logged).abs() < 0.03, "{logged}: {other:#?}");
    let truth = worth(drawn(like.map(f64::from), TEMPERATURE.into()));
    let (found, low, high, mean) = value(other, "SNSIPS");
    assert!((found - truth).abs() < 0.05 && low < found && found < high, "{truth}: {other:#?}");
    assert!((mean - 1.0).abs() < 0.1, "the log's draws support the other's: {other:#?}");
    // Cards alone do not tell the best of draws by worth; whole records do.
    let best = of("without exploration");
    assert_eq!(best.of, "home/made-for-you");
    let (found, ..) = value(best, "SNSIPS");
    assert!((found - f64::from(like[0])).abs() < 0.03, "{best:#?}");
    assert!(best.notes.iter().any(|note| note.contains("recorded whole")), "{best:#?}");
}

#[tokio::test]
async fn without_whole_records_another_objective_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
    let mut brief = record(1, vec![slate_of("made-for-you", vec![card(0, 0.5), card(1, 0.4)])]);
    brief.slates[0].cards[0].explored = true;
    let handler = RecordHandler::new(Arc::clone(&archive));
    assert_eq!(handler.handle(&[delivery(1, &brief)]).await, [Outcome::Done]);
    let told = evaluate(&archive, &tenant(), &asked(None), &Silent).unwrap();
    assert!(told.comparisons[1].notes[0].contains("no answer of this shelf was recorded whole"), "{told:#?}");
    let refused = evaluate(&archive, &tenant(), &asked(Some(PLAY)), &Silent).unwrap_err();
    assert!(
        matches!(&refused, Error::Empty { expected, .. } if expected.contains("records.complete_share")),
        "{refused}"
    );
}
