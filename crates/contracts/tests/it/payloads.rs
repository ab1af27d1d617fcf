//! What is kept is read back as it was, and what cannot be read says why.

use contracts::{events, records};
use proptest::prelude::*;
use shared_models::ErrorCode;

use crate::sample::Draw;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn event_batches_are_read_back_as_they_were(seed: u64, count in 0..40_usize) {
        let mut draw = Draw(seed);
        let tenant = draw.tenant();
        let batch: Vec<_> = (0..count).map(|_| draw.event()).collect();
        let payload = events::encode(&tenant, &batch);
        prop_assert_eq!(events::decode(events::KIND, events::VERSION, &payload).unwrap(), (tenant, batch));
    }

    #[test]
    fn records_are_read_back_as_they_were(seed: u64, rows in 1..150_usize, shelves in 0..6_usize) {
        let record = Draw(seed).record(rows, shelves);
        let payload = records::encode(&record);
        let head = records::head(records::KIND, records::VERSION, &payload).unwrap();
        prop_assert_eq!((head.id, head.made_at, head.whole), (record.id, record.context.now, record.table_complete));
        prop_assert_eq!((&head.tenant, &head.user, &head.surface), (&record.tenant, &record.user, &record.surface));
        prop_assert_eq!(records::decode(records::KIND, records::VERSION, &payload).unwrap(), record);
    }

    #[test]
    fn a_plan_that_was_encoded_before_is_read_back_with_its_record(seed: u64, rows in 1..50_usize, shelves in 0..6_usize) {
        let record = Draw(seed).record(rows, shelves);
        let plan = records::EncodedPlan::of(&record.candidate_plan);
        let payload = records::encode_with(record.clone(), &plan);
        prop_assert_eq!(&payload, &records::encode(&record));
        prop_assert_eq!(records::decode(records::KIND, records::VERSION, &payload).unwrap(), record);
    }

    #[test]
    fn a_record_of_what_was_shown_keeps_every_card(seed: u64, rows in 1..150_usize, shelves in 1..6_usize) {
        let full = Draw(seed).record(rows, shelves);
        let shown = full.clone().shown_only();
        prop_assert_eq!(shown.table.inconsistency(), None);
        prop_assert!(shown.rank_query().is_none() && full.rank_query().is_some());
        for (before, after) in full.slates.iter().zip(&shown.slates) {
            prop_assert_eq!(before.cards.len(), after.cards.len());
            for (before, after) in before.cards.iter().zip(&after.cards) {
                let (old, new) = (before.row as usize, after.row as usize);
                prop_assert_eq!(full.table.items[old], shown.table.items[new]);
                prop_assert_eq!(full.table.artists[old], shown.table.artists[new]);
                prop_assert_eq!(full.table.evidence_of(old), shown.table.evidence_of(new));
                for (full, shown) in full.table.facts.iter().zip(&shown.table.facts) {
                    prop_assert_eq!(full.get(old), shown.get(new));
                }
            }
        }
        let payload = records::encode(&shown);
        prop_assert_eq!(records::decode(records::KIND, records::VERSION, &payload).unwrap(), shown);
    }

    #[test]
    fn bytes_of_any_origin_never_panic(payload: Vec<u8>) {
        let _ = events::decode(events::KIND, events::VERSION, &payload);
        let _ = records::decode(records::KIND, records::VERSION, &payload);
    }

    #[test]
    fn a_damaged_record_is_read_or_refused(seed: u64, at: proptest::sample::Index, bit in 0..8_u8) {
        let mut payload = records::encode(&Draw(seed).record(20, 2)).to_vec();
        *at.get_mut(&mut payload) ^= 1 << bit;
        if let Ok(record) = records::decode(records::KIND, records::VERSION, &payload) {
            prop_assert_eq!(record.table.inconsistency(), None);
        }
    }
}

#[test]
fn an_unreadable_payload_says_why() {
    let mut draw = Draw(1);
    let payload = events::encode(&draw.tenant(), &[draw.event()]);
    let check = |kind: &str, version: u32, payload: &[u8], expected: &str| {
        let error = events::decode(kind, version, payload).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.code(), ErrorCode::InvalidArgument);
    };
    check("other", 1, &payload, "payload is of kind \"other\", not setlist.events.v1.EventBatch");
    check(events::KIND, 2, &payload, "payload of kind setlist.events.v1.EventBatch is of version 2; known are 1 to 1");
    check(events::KIND, 0, &payload, "payload of kind setlist.events.v1.EventBatch is of version 0; known are 1 to 1");
    check(events::KIND, 1, &[0xff], "payload of kind setlist.events.v1.EventBatch is no protobuf message of that kind");
    check(events::KIND, 1, &[], "payload of kind setlist.events.v1.EventBatch breaks its contract");
}
