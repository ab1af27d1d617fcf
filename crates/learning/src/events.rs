//! A tenant's events as training asks for them: a few facts of every event, and whole events of some listeners. So a
//! history of any length is trained on without holding all of it.
//!
//! It must not know where events are kept, nor what training makes of them.

use std::borrow::Cow;

use candidate_generation::profiles::counted_at;
use rayon::prelude::*;
use shared_models::{
    ItemKey, Timestamp, UserKey,
    event::{Event, EventKind},
    item::Market,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    archive,
    progress::{Progress, Unit},
};

/// Events of a piece that is shown at once.
const PIECE: usize = 65_536;

/// What happened, in a byte: a tenant's own kinds are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind(u8);

impl Kind {
    const OTHER: Self = Self(u8::MAX);
    /// A card was seen.
    pub const IMPRESSION: Self = Self(0);
    /// Playback happened.
    pub const PLAY: Self = Self(1);
    /// Playback reached the end.
    pub const COMPLETE: Self = Self(2);
    /// Playback ended early.
    pub const SKIP: Self = Self(3);
    /// The item was liked.
    pub const LIKE: Self = Self(4);
    /// The item was saved.
    pub const SAVE: Self = Self(6);
    /// The item was put into a playlist.
    pub const PLAYLIST_ADD: Self = Self(9);

    /// The kind of an event.
    #[must_use]
    pub fn of(kind: &EventKind) -> Self {
        EventKind::KNOWN.iter().position(|known| known == kind).map_or(Self::OTHER, |place| Self(place as u8))
    }

    /// The kind that tables call so.
    #[must_use]
    pub fn named(name: &[u8]) -> Self {
        let is_called = |known: &EventKind| known.as_str().as_bytes() == name;
        EventKind::KNOWN.iter().position(is_called).map_or(Self::OTHER, |place| Self(place as u8))
    }

    /// How strongly it speaks for the item.
    #[must_use]
    pub fn weight(self) -> f32 {
        EventKind::KNOWN.get(usize::from(self.0)).map_or(0.0, EventKind::weight)
    }
}

/// What training needs of every event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The moment it counts at.
    pub at: Timestamp,
    /// The hash of its id: with the user it names the event.
    pub id: u64,
    /// Who.
    pub user: UserKey,
    /// On what.
    pub item: ItemKey,
    /// What happened.
    pub kind: Kind,
    /// Where.
    pub market: Market,
    /// Whether an answer showed the card that it happened on.
    pub answered: bool,
}

impl Glance {
    fn of(event: &Event) -> Self {
        Self {
            at: counted_at(event),
            id: hash(event.id.as_str().as_bytes()),
            user: UserKey::of(&event.user),
            item: event.item_key(),
            kind: Kind::of(&event.kind),
            market: event.market.unwrap_or_default(),
            answered: event.recommendation.is_some(),
        }
    }
}

/// The hash of an event's id.
pub(crate) fn hash(id: &[u8]) -> u64 {
    xxh3_64(id)
}

/// The key of the user whose id has these bytes.
pub(crate) fn user_key(id: &[u8]) -> UserKey {
    UserKey(xxh3_64(id))
}

/// A share of the listeners, drawn by the hash of their ids: the same listeners wherever they are asked for, and those of
/// a smaller share are among those of a larger one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    share: f64,
}

impl Sample {
    /// Everybody.
    pub const ALL: Self = Self { share: 1.0 };

    /// About this share of them.
    #[must_use]
    pub fn of(share: f64) -> Self {
        Self { share: share.clamp(0.0, 1.0) }
    }

    /// The share.
    #[must_use]
    pub fn share(self) -> f64 {
        self.share
    }

    /// Whether everybody is in it.
    #[must_use]
    pub fn is_all(self) -> bool {
        self.share >= 1.0
    }

    /// Whether this listener is in it.
    #[must_use]
    pub fn holds(self, user: UserKey) -> bool {
        self.is_all() || (draw(user) as f64) < self.share * (u64::MAX as f64)
    }
}

/// A number of a listener's own. Partitions and buckets are chosen by the high bits of a key, so the low ones speak first.
pub(crate) fn draw(user: UserKey) -> u64 {
    user.0.rotate_left(32)
}

/// A tenant's events.
pub trait Events: Sync {
    /// Shows every event to `look`, in pieces, in no order and from any thread. An event that came twice may be shown
    /// twice.
    ///
    /// # Errors
    /// When they cannot be read.
    fn each(&self, look: &(dyn Fn(&[Glance]) + Sync), progress: &dyn Progress) -> Result<(), archive::Error>;

    /// The whole events of some listeners, in time order, each once.
    ///
    /// # Errors
    /// When they cannot be read.
    fn of(&self, sample: Sample, progress: &dyn Progress) -> Result<Cow<'_, [Event]>, archive::Error>;
}

/// Events that are in memory, in any order.
#[derive(Clone, Copy, Debug)]
pub struct InMemory<'a>(pub &'a [Event]);

impl Events for InMemory<'_> {
    fn each(&self, look: &(dyn Fn(&[Glance]) + Sync), progress: &dyn Progress) -> Result<(), archive::Error> {
        let stage = progress.stage("index", Unit::Rows, Some(self.0.len() as u64));
        self.0.par_chunks(PIECE).for_each(|events| {
            look(&events.iter().map(Glance::of).collect::<Vec<_>>());
            stage.advance(events.len() as u64);
        });
        stage.finish(&format!("{} events", self.0.len()));
        Ok(())
    }

    fn of(&self, sample: Sample, _: &dyn Progress) -> Result<Cow<'_, [Event]>, archive::Error> {
        let is_in_order = self.0.is_sorted_by(|a, b| a.occurred_at <= b.occurred_at);
        if sample.is_all() && is_in_order {
            return Ok(Cow::Borrowed(self.0));
        }
        let mut events: Vec<Event> =
            self.0.iter().filter(|event| sample.holds(UserKey::of(&event.user))).cloned().collect();
        if !is_in_order {
            events.sort_by(|a, b| a.occurred_at.cmp(&b.occurred_at).then_with(|| a.id.cmp(&b.id)));
        }
        Ok(Cow::Owned(events))
    }
}

#[cfg(test)]
mod tests {
    use shared_models::UserId;

    use super::*;

    #[test]
    fn a_kind_is_known_by_its_name_and_weighs_what_it_weighs() {
        for kind in EventKind::KNOWN.into_iter().chain([EventKind::Other("wobble".to_owned())]) {
            assert_eq!(Kind::of(&kind), Kind::named(kind.as_str().as_bytes()), "{kind:?}");
            assert_eq!(Kind::of(&kind).weight(), kind.weight(), "{kind:?}");
        }
        for (kind, known) in [
            (EventKind::Impression, Kind::IMPRESSION),
            (EventKind::Play, Kind::PLAY),
            (EventKind::Complete, Kind::COMPLETE),
            (EventKind::Skip, Kind::SKIP),
            (EventKind::Like, Kind::LIKE),
            (EventKind::Save, Kind::SAVE),
            (EventKind::PlaylistAdd, Kind::PLAYLIST_ADD),
        ] {
            assert_eq!(Kind::of(&kind), known);
        }
    }

    #[test]
    fn a_key_is_that_of_the_id() {
        assert_eq!(user_key("ann".as_bytes()), UserKey::of(&UserId::new("ann").unwrap()));
    }

    #[test]
    fn a_sample_is_about_its_share_and_part_of_a_larger_one() {
        let users: Vec<UserKey> =
            (0..20_000).map(|n| UserKey::of(&UserId::new(format!("user-{n}")).unwrap())).collect();
        let count = |share: f64| users.iter().filter(|user| Sample::of(share).holds(**user)).count();
        assert_eq!((count(0.0), count(1.0)), (0, 20_000));
        assert!((1_800..2_200).contains(&count(0.1)), "{}", count(0.1));
        assert!(users.iter().all(|user| !Sample::of(0.1).holds(*user) || Sample::of(0.3).holds(*user)));
    }
}
