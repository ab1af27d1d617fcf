//! The laws of the fold: bounded, deterministic, one listener's events nobody else's, and what is
//! stored reads back the same.

use candidate_generation::{
    profiles::{GenreKey, ItemFactsForFold, Profile, context},
    store::{FORMAT, decode, encode},
};
use proptest::prelude::*;
use shared_models::{
    ItemKey, Timestamp,
    event::{Event, EventKind},
    listener::ListenerContext,
};

use crate::world::{DAY, NOW, event};

#[derive(Clone, Debug)]
struct Told {
    user: u8,
    event: Event,
    artist: ItemKey,
    genres: Vec<GenreKey>,
}

fn told() -> impl Strategy<Value = Told> {
    (0_u8..3, 0..EventKind::KNOWN.len(), 0_u32..900, 0_i64..400, 0_i64..DAY).prop_map(
        |(user, kind, item, day, moment)| {
            let at = Timestamp(NOW.0 - day * DAY + moment);
            Told {
                user,
                event: event(0, "u", EventKind::KNOWN[kind].clone(), &format!("t{item}"), at),
                artist: ItemKey(u64::from(item % 200)),
                genres: (0..item % 4).map(|genre| GenreKey(genre * 40 + item % 40)).collect(),
            }
        },
    )
}

fn fold<'a>(events: impl IntoIterator<Item = &'a Told>) -> Profile {
    let mut profile = Profile::default();
    for told in events {
        profile.apply(&told.event, &ItemFactsForFold { artist: told.artist, genres: &told.genres });
    }
    profile
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_profile_is_bounded_and_sound_whatever_happens(events in prop::collection::vec(told(), 0..1_500)) {
        let profile = fold(&events);
        prop_assert!(profile.bytes() < 96 * 1_024, "{} bytes", profile.bytes());
        prop_assert!(profile.items.as_slice().len() <= 400);
        prop_assert!(profile.impressions.as_slice().len() <= 1_000);
        prop_assert!(profile.artists.entries().len() <= 128 && profile.genres.entries().len() <= 64);
        prop_assert!(profile.days.len() <= 8);
        for (_, share) in profile.artists.strongest(200, NOW) {
            prop_assert!((0.0..=1.0).contains(&share));
        }
        let context: ListenerContext = context(&profile, &profile.items.recent(20), None, |_| 1.0, NOW);
        for share in [context.skip_rate, context.complete_rate, context.repeat_rate, context.hour_share] {
            prop_assert!((0.0..=1.0).contains(&share), "{context:?}");
        }
        prop_assert_eq!(context.known, !events.is_empty());
    }

    #[test]
    fn what_is_stored_reads_back_the_same(events in prop::collection::vec(told(), 0..600)) {
        let profile = fold(&events);
        let stored = encode(&profile);
        prop_assert_eq!(decode(FORMAT, &stored).unwrap(), profile);
    }

    #[test]
    fn one_listeners_events_are_nobody_elses(events in prop::collection::vec(told(), 0..200)) {
        // Told user by user, or all mixed: each profile is the same.
        let mut mixed: [Profile; 3] = Default::default();
        for told in &events {
            mixed[usize::from(told.user)].apply(&told.event, &ItemFactsForFold { artist: told.artist, genres: &told.genres });
        }
        for (user, profile) in mixed.iter().enumerate() {
            prop_assert_eq!(profile, &fold(events.iter().filter(|told| usize::from(told.user) == user)));
        }
    }
}

#[test]
fn garbage_and_newer_formats_are_refused() {
    assert!(decode(FORMAT + 1, &encode(&Profile::default())).is_err());
    assert!(decode(FORMAT, b"garbage").is_err());
    assert_eq!(decode(FORMAT, &encode(&Profile::default())).unwrap(), Profile::default());
}

#[test]
fn a_clock_that_runs_ahead_does_not_outlive_the_others() {
    let mut ahead = event(1, "u", EventKind::Play, "t1", Timestamp(NOW.0 + 900 * DAY));
    ahead.received_at = NOW;
    let mut profile = Profile::default();
    profile.apply(&ahead, &ItemFactsForFold::default());
    assert_eq!(profile.last_event_at, Some(NOW));
}

#[test]
fn a_skip_takes_a_play_back_and_a_like_unhides() {
    let mut profile = Profile::default();
    let mut tell =
        |kind, at: i64| profile.apply(&event(1, "u", kind, "t1", Timestamp(at)), &ItemFactsForFold::default());
    tell(EventKind::Play, 1);
    tell(EventKind::Skip, 2);
    tell(EventKind::Hide, 3);
    assert!(profile.items.recent(5).is_empty());
    assert!(profile.hidden.contains(crate::world::key("t1")));
    profile.apply(&event(2, "u", EventKind::Like, "t1", Timestamp(4)), &ItemFactsForFold::default());
    assert!(!profile.hidden.contains(crate::world::key("t1")));
}
