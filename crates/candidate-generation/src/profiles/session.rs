//! The session that a listener is in: events that follow each other without a long pause. It must not know items.

use std::time::Duration;

use shared_models::{Timestamp, event::EventKind};

/// A pause longer than this ends a session.
pub(super) const PAUSE: Duration = Duration::from_secs(30 * 60);

/// A session. What is told late, from before it began, is not counted in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// When it began.
    pub started: Timestamp,
    /// Plays so far.
    pub plays: u32,
    /// Plays among them that ended early.
    pub skips: u32,
}

impl Session {
    /// The session after one more event, of which `last` is the moment of the latest before it.
    #[must_use]
    pub fn after(session: Option<Self>, last: Option<Timestamp>, kind: &EventKind, when: Timestamp) -> Self {
        let under_way = session.filter(|_| last.is_some_and(|last| when.before(PAUSE) <= last));
        let mut session = under_way.unwrap_or(Self { started: when, plays: 0, skips: 0 });
        if when >= session.started {
            match kind {
                EventKind::Play => session.plays = session.plays.saturating_add(1),
                EventKind::Skip => session.skips = session.skips.saturating_add(1),
                _ => {}
            }
        }
        session
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_pause_begins_a_new_session() {
        let minute = |minutes: i64| Timestamp(minutes * 60_000);
        let (mut session, mut last) = (None, None);
        let mut tell = |kind: EventKind, at: i64| {
            session = Some(Session::after(session, last, &kind, minute(at)));
            last = last.max(Some(minute(at)));
            session.unwrap()
        };
        tell(EventKind::Impression, 100);
        tell(EventKind::Play, 101);
        let first = tell(EventKind::Skip, 131);
        assert_eq!(first, Session { started: minute(100), plays: 1, skips: 1 });
        // Told late: it belongs to no session that is known.
        assert_eq!(tell(EventKind::Play, 40), first);
        assert_eq!(tell(EventKind::Play, 162), Session { started: minute(162), plays: 1, skips: 0 });
    }
}
