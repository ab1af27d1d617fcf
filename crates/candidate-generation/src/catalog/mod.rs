//! The catalogue in memory: every item of a tenant, found by key, by artist and by release date.
//!
//! It must not know where items are kept. A page reads one [`Snapshot`] from beginning to end, so that
//! a write between two of its stages cannot contradict it; a write makes the next snapshot, sharing all
//! that it does not change.

mod described;
mod newest;
mod row;
mod snapshot;

pub use described::{described, words};
pub use newest::Newest;
pub use row::{Handle, NOWHERE, Row};
pub use snapshot::Snapshot;

use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use shared_models::{ItemKey, item::Item};

/// One change of a catalogue.
#[derive(Clone, Debug)]
pub enum Change {
    /// The item is new, or other than before.
    Put(Arc<Item>),
    /// The item is gone.
    Delete(ItemKey),
}

/// A tenant's catalogue.
#[derive(Debug)]
pub struct Catalogue {
    current: ArcSwap<Snapshot>,
    writing: Mutex<()>,
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::new(Snapshot::default())
    }
}

impl Catalogue {
    /// A catalogue that begins with a snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot), writing: Mutex::new(()) }
    }

    /// The catalogue as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Makes the next snapshot. Cheaper by the item when many changes come together.
    pub fn apply(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let _one_at_a_time = self.writing.lock();
        let mut next = Snapshot::clone(&self.current.load());
        next.apply(changes);
        self.current.store(Arc::new(next));
    }
}
