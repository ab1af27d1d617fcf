//! Profiles: what is known of a listener now, folded from their events.
//!
//! [`Profile`] and everything derived from it here is pure: a profile is a function of its events,
//! so training recomputes with this module what serving saw. It must never know a store, a stream or
//! a clock; [`memory`] alone keeps profiles, and knows no more of them than their size.

mod affinity;
mod impressions;
mod items;
mod marks;

mod profile;
mod session;

pub mod context;
pub mod vector;

pub mod memory;

pub use affinity::{Affinities, Affinity, Entry, HALF_LIFE};
pub use context::{context, summary};
pub use impressions::Impressions;
pub use items::{ItemHistory, Items};
pub use marks::Marks;
pub use profile::{Counters, ItemFactsForFold, Profile};
pub use session::Session;
pub use vector::{UserVector, fold_in, fold_in_items};

use shared_models::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

/// A genre or tag inside profiles and index memory: the high half of XXH3 of its name. Two names of
/// one vocabulary that share a number (expected once in vocabularies of 90,000) count as one genre.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GenreKey(pub u32);

impl GenreKey {
    /// The key of a genre's name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self((xxh3_64(name.as_bytes()) >> 32) as u32)
    }
}

/// The moment an event counts at: the client's, but never later than the server's, because a clock
/// that runs ahead must not make an event outlive all others.
#[must_use]
pub fn counted_at(event: &shared_models::event::Event) -> Timestamp {
    event.occurred_at.min(event.received_at)
}
