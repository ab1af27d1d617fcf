//! Policies evaluated by what the archive holds: answers with their probabilities, joined with events.

use std::{sync::Arc, time::Duration};

use event_bus::{Handler, Outcome};
use learning::{
    archive::{Archive, EventRow, Message, RecordHandler, Span},
    offpolicy::{
        Error, Intervals,
        answers::{Asked, evaluate},
    },
    progress::Silent,
};
use shared_models::{
    ItemId, ItemKey, Timestamp, UserId,
    event::{Event, EventKind},
};

use super::{
    NOW, event,
    recommendations::{card, delivery, record, slate},
    tenant,
};

fn asked(reward: Vec<(EventKind, f64)>) -> Asked {
    Asked {
        span: Span::ALL,
        reward,
        otherwise: None,
        places: None,
        releases: None,
        window: Duration::from_secs(3_600),
        clip: None,
        intervals: Intervals::Normal,
    }
}

#[tokio::test]
async fn what_a_shelf_would_bring_without_exploring_is_in_its_records() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Arc::new(Archive::open(folder.path(), NOW).unwrap());
    let nothing = evaluate(&archive, &tenant(), &asked(vec![(EventKind::Play, 1.0)]), &Silent);
    assert!(matches!(nothing, Err(Error::Empty { .. })));
    // One card of two candidates, drawn evenly with ε = 0.4: the best with 0.8. It is played by everybody, the other by
    // nobody. The shelf below explores nothing.
    let items: Vec<ItemId> = (0..3).map(|n| ItemId::new(format!("item-{n}")).unwrap()).collect();
    let (mut deliveries, mut events) = (Vec::new(), Vec::new());
    for n in 0..200_u32 {
        let is_best = n % 5 != 0;
        let mut shown = card(u32::from(!is_best), 0.9);
        (shown.propensity, shown.explored) = if is_best { (0.8, false) } else { (0.2, true) };
        let mut sure = card(2, 0.5);
        (sure.propensity, sure.explored) = (1.0, false);
        let mut answer = record(u128::from(n) + 1, vec![slate("made-for-you", vec![shown]), slate("new", vec![sure])]);
        answer.user = Some(UserId::new(format!("user-{}", n % 40)).unwrap());
        deliveries.push(delivery(u64::from(n) + 1, &answer));
        let told = |item: &ItemId, kind, after: i64, id: u32| Event {
            id: shared_models::EventId::new(format!("e-{n}-{id}")).unwrap(),
            kind,
            item: item.clone(),
            occurred_at: Timestamp(NOW.0 + after),
            recommendation: uuid::Uuid::parse_str(&answer.id.to_string()).ok(),
            ..event(1)
        };
        if is_best {
            // Told twice, it is one play.
            events.push(told(&items[0], EventKind::Play, 1_000, 0));
            events.push(told(&items[0], EventKind::Play, 2_000, 1));
        }
        events.push(told(&items[2], EventKind::Skip, 1_000, 2));
        // Too late to count.
        events.push(told(&items[2], EventKind::Play, 2 * 3_600_000, 3));
    }
    assert_eq!(ItemKey::of(&items[0]), record(1, Vec::new()).table.items[0]);
    let handler = RecordHandler::new(Arc::clone(&archive));
    assert!(handler.handle(&deliveries).await.iter().all(|outcome| *outcome == Outcome::Done));
    let message: Message<EventRow> = Message::of_events(1, "events", NOW, tenant(), events);
    archive.land(&[message]).unwrap();

    let report =
        evaluate(&archive, &tenant(), &asked(vec![(EventKind::Play, 1.0), (EventKind::Skip, -0.5)]), &Silent).unwrap();
    let [whole, explored, sure] = report.comparisons.as_slice() else { panic!("{report:?}") };
    assert_eq!((whole.rounds, whole.listeners), (200, Some(40)));
    assert!((whole.logged.value - 0.3).abs() < 1e-9, "{whole:?}");
    assert_eq!(explored.of, "home/made-for-you");
    assert!((explored.logged.value - 0.8).abs() < 1e-9);
    let value = |name: &str| explored.estimates.iter().find(|found| found.estimator == name).unwrap().value;
    assert!((value("SIPS") - 1.0).abs() < 1e-6 && (value("SNRIPS") - 1.0).abs() < 1e-6, "{explored:?}");
    assert!(sure.estimates.is_empty() && sure.notes[0].contains("nothing explored"), "{sure:?}");
    assert!((sure.logged.value + 0.5).abs() < 1e-9);
}
