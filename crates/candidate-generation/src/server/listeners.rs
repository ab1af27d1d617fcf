//! Where a listener's profile is read: in memory, else in the store. Where other processes write to the store too,
//! what is in memory is served only while the store has nothing newer. It must not know what a page is.

use std::sync::Arc;

use service_runtime::{
    Deadline,
    client::{Guard, Open, Unanswered},
    deadline,
};
use shared_models::{ErrorCode, UserKey};

use crate::{
    error::Error,
    metrics::ProfileRead,
    profiles::memory::{ProfileMemory, ServingProfile},
    store::{self, Known, Store, StoredUser},
    worlds::World,
};

impl From<Unread> for Error {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Store(error) => error.into(),
            Unread::Open(open) => open.into(),
            Unread::Elapsed(_) => Self::Deadline,
        }
    }
}

/// Reads listeners.
#[derive(Clone)]
pub(crate) struct Listeners {
    store: Arc<dyn Store>,
    memory: ProfileMemory,
    /// Around a store that is another process.
    guard: Option<Guard>,
}

/// Why a listener could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The store is known to be away and was not asked.
    #[error(transparent)]
    Open(#[from] Open),
    /// The store took too long.
    #[error(transparent)]
    Elapsed(#[from] deadline::Elapsed),
}

impl From<Unanswered> for Unread {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Open(open) => open.into(),
            Unanswered::Elapsed(elapsed) => elapsed.into(),
        }
    }
}

impl Listeners {
    /// Reads from `store` and `memory`.
    pub(crate) fn new(store: Arc<dyn Store>, memory: ProfileMemory, guard: Option<Guard>) -> Self {
        Self { store, memory, guard }
    }

    /// What is in memory, however old.
    pub(crate) fn remembered(&self, world: &World, user: UserKey) -> Option<Arc<ServingProfile>> {
        self.memory.find(world.number, user)
    }

    /// The listener as last committed by any process, by the deadline, and where that was found. One nobody has heard of is
    /// remembered too, so that the store is asked once where nobody else writes to it.
    pub(crate) async fn read(
        &self,
        world: &World,
        user: UserKey,
        deadline: Deadline,
    ) -> Result<(Arc<ServingProfile>, ProfileRead), Unread> {
        let read = self.ask(world, user);
        match &self.guard {
            None => Ok(deadline::run(deadline, read).await??),
            Some(guard) => Ok(guard.run(deadline, read, |error| error.code() == ErrorCode::Unavailable).await??),
        }
    }

    async fn ask(&self, world: &World, user: UserKey) -> Result<(Arc<ServingProfile>, ProfileRead), store::Error> {
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
