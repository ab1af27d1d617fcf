//! What an event says of its moment, in the words of a request, and of what the listener did with a card. It must not know
//! how rows are made.

use shared_models::{Seed, Timestamp, component::Action, event::EventKind, item::Market, plan::RequestContext};

/// What an event says the listener did with a card, when it says so.
pub(super) fn action_of(kind: &EventKind) -> Option<Action> {
    match kind {
        EventKind::Play => Some(Action::Play),
        EventKind::Complete => Some(Action::Complete),
        EventKind::Like | EventKind::Save | EventKind::PlaylistAdd => Some(Action::Like),
        EventKind::Skip => Some(Action::Skip),
        _ => None,
    }
}

/// A moment and place, as the edge would have told them. Events know no other clock than UTC.
pub(super) fn request_at(now: Timestamp, market: Market, device: &str, seed: Seed) -> RequestContext {
    RequestContext {
        now,
        local_hour: (now.0.div_euclid(3_600_000).rem_euclid(24)) as u8,
        // 1970-01-01 was a Thursday, which is 3 from Monday.
        local_weekday: (now.0.div_euclid(86_400_000) + 3).rem_euclid(7) as u8,
        market,
        device: device.to_owned(),
        session: None,
        seed,
    }
}
