//! Where a listener's profile is read: in memory, else in the store. Where other processes write to the store too,
//! what is in memory is served only while the store has nothing newer. It must not know what a page is.

use std::sync::Arc;

use shared_models::UserKey;

use crate::{
    metrics::ProfileRead,
    profiles::memory::{ProfileMemory, ServingProfile},
    store::{self, Known, Store, StoredUser},
    worlds::World,
};

/// Reads listeners.
#[derive(Clone)]
pub(crate) struct Listeners {
    store: Arc<dyn Store>,
    memory: ProfileMemory,
}

impl Listeners {
    /// Reads from `store` and `memory`.
    pub(crate) fn new(store: Arc<dyn Store>, memory: ProfileMemory) -> Self {
        Self { store, memory }
    }

    /// What is in memory, however old.
    pub(crate) fn remembered(&self, world: &World, user: UserKey) -> Option<Arc<ServingProfile>> {
        self.memory.find(world.number, user)
    }

    /// The listener as last committed by any process, and where that was found. One nobody has heard of is
    /// remembered too, so that the store is asked once where nobody else writes to it.
    pub(crate) async fn read(
        &self,
        world: &World,
        user: UserKey,
    ) -> Result<(Arc<ServingProfile>, ProfileRead), store::Error> {
        let serving = |stored: StoredUser| ServingProfile::new(stored.version, stored.profile, stored.attributes);
        let Some(known) = self.memory.find(world.number, user) else {
            let read = serving(self.store.user(&world.tenant, user).await?);
            return Ok((self.memory.offer(world.number, user, read), ProfileRead::Store));
        };
        let Some(shared) = self.store.shared() else { return Ok((known, ProfileRead::Memory)) };
        let told_at = known.attributes.as_ref().map(|told| told.updated_at);
        match shared.user_unless(&world.tenant, user, Known { version: known.version, told_at }).await? {
            None => Ok((known, ProfileRead::Memory)),
            Some(newer) => Ok((self.memory.renew(world.number, user, serving(newer)), ProfileRead::Store)),
        }
    }
}
