//! The profiles in serving memory: bounded in bytes, newest version wins.
//!
//! It must not know where profiles come from. Two writers meet here: intake, with what it has just
//! committed, and a request, with what it has read for a listener it did not find. The version
//! decides, so a slow reader never puts an old profile over a new one.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use moka::{
    ops::compute::Op,
    sync::{Cache, CacheBuilder},
};
use releases::Release;
use shared_models::{ItemKey, Timestamp, UserKey, listener::UserAttributes};

use super::{Profile, UserVector, vector};

/// How many latest positive items are kept at hand: the most a source may start from.
const RECENT: usize = 50;

/// One listener as serving reads it. What is derived is derived once, on first use.
#[derive(Debug, Default)]
pub struct ServingProfile {
    /// How often the profile was written; 0 when it never was.
    pub version: i64,
    /// What was folded.
    pub profile: Profile,
    /// What the tenant told.
    pub attributes: Option<UserAttributes>,
    recent: OnceLock<Vec<(ItemKey, Timestamp)>>,
    vector: ArcSwapOption<UserVector>,
}

impl ServingProfile {
    /// A listener as read or as folded.
    #[must_use]
    pub fn new(version: i64, profile: Profile, attributes: Option<UserAttributes>) -> Self {
        Self { version, profile, attributes, recent: OnceLock::new(), vector: ArcSwapOption::empty() }
    }

    /// The latest positive items, latest first.
    #[must_use]
    pub fn recent(&self) -> &[(ItemKey, Timestamp)] {
        self.recent.get_or_init(|| self.profile.items.recent(RECENT))
    }

    /// The listener's vector for this release, folded in when it was not yet, or for another one.
    #[must_use]
    pub fn vector(&self, release: &Release) -> Arc<UserVector> {
        if let Some(vector) =
            self.vector.load_full().filter(|vector| vector.release.as_ref() == Some(&release.manifest.id))
        {
            return vector;
        }
        let vector = Arc::new(vector::fold_in(&self.profile, release));
        self.vector.store(Some(Arc::clone(&vector)));
        vector
    }
}

/// Whose profile: the number of the tenant's world in this process, and the user.
type Slot = (u32, UserKey);

/// The profiles in memory, of all tenants.
#[derive(Clone, Debug)]
pub struct ProfileMemory {
    cache: Cache<Slot, Arc<ServingProfile>>,
}

impl ProfileMemory {
    /// An empty memory of at most so many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let cache = CacheBuilder::new(bytes)
            .weigher(|_: &Slot, user: &Arc<ServingProfile>| {
                u32::try_from(user.profile.bytes() + 256).unwrap_or(u32::MAX)
            })
            .build();
        Self { cache }
    }

    /// A listener, if in memory.
    #[must_use]
    pub fn find(&self, world: u32, user: UserKey) -> Option<Arc<ServingProfile>> {
        self.cache.get(&(world, user))
    }

    /// Keeps what a store gave, unless something as new is there; gives what is kept.
    pub fn offer(&self, world: u32, user: UserKey, read: ServingProfile) -> Arc<ServingProfile> {
        let read = Arc::new(read);
        let kept = Arc::clone(&read);
        self.cache.entry((world, user)).and_compute_with(|known| match known {
            Some(known) if known.value().version >= read.version => Op::Nop,
            _ => Op::Put(Arc::clone(&read)),
        });
        self.find(world, user).unwrap_or(kept)
    }

    /// Keeps what a store that others write to has just given, with what the tenant told, unless a newer profile is
    /// there; gives what is kept.
    pub fn renew(&self, world: u32, user: UserKey, read: ServingProfile) -> Arc<ServingProfile> {
        let read = Arc::new(read);
        let kept = Arc::clone(&read);
        self.cache.entry((world, user)).and_compute_with(|known| match known {
            Some(known) if known.value().version > read.version => Op::Nop,
            _ => Op::Put(Arc::clone(&read)),
        });
        self.find(world, user).unwrap_or(kept)
    }

    /// Keeps a profile that has just been committed, unless a newer one is there. What the tenant told
    /// stays as it is in memory.
    pub fn publish(&self, world: u32, user: UserKey, committed: ServingProfile) {
        self.cache.entry((world, user)).and_compute_with(|known| match known {
            Some(known) if known.value().version >= committed.version => Op::Nop,
            Some(known) => {
                let attributes = known.value().attributes.clone();
                Op::Put(Arc::new(ServingProfile { attributes, ..committed }))
            }
            None => Op::Put(Arc::new(committed)),
        });
    }

    /// Replaces what the tenant told of a listener who is in memory.
    pub fn tell(&self, world: u32, attributes: UserAttributes) {
        let user = UserKey::of(&attributes.id);
        self.cache.entry((world, user)).and_compute_with(|known| match known {
            Some(known) => {
                let known = known.value();
                Op::Put(Arc::new(ServingProfile::new(known.version, known.profile.clone(), Some(attributes))))
            }
            None => Op::Nop,
        });
    }

    /// Forgets a listener, so that the next read goes to the store.
    pub fn forget(&self, world: u32, user: UserKey) {
        self.cache.invalidate(&(world, user));
    }

    /// How many listeners are in memory, about.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.cache.entry_count()
    }

    /// Whether nobody is in memory, about.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_never_covers_a_newer_profile() {
        let memory = ProfileMemory::new(1 << 20);
        memory.publish(0, UserKey(1), ServingProfile::new(2, Profile::default(), None));
        let kept = memory.offer(0, UserKey(1), ServingProfile::new(1, Profile::default(), None));
        assert_eq!(kept.version, 2);
        memory.publish(0, UserKey(1), ServingProfile::new(3, Profile::default(), None));
        assert_eq!(memory.find(0, UserKey(1)).unwrap().version, 3);
        assert!(memory.find(1, UserKey(1)).is_none());
    }

    #[test]
    fn what_the_tenant_told_outlives_a_fold() {
        let memory = ProfileMemory::new(1 << 20);
        let id = shared_models::UserId::new("u").unwrap();
        let told = UserAttributes { id: id.clone(), market: None, explicit_allowed: false, updated_at: Timestamp(1) };
        let user = UserKey::of(&id);
        memory.offer(0, user, ServingProfile::default());
        memory.tell(0, told.clone());
        memory.publish(0, user, ServingProfile::new(1, Profile::default(), None));
        assert_eq!(memory.find(0, user).unwrap().attributes, Some(told));
    }
}
