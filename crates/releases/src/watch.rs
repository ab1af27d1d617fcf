//! The release that a process serves: follows the store's LIVE pointer, and swaps only to what is sound.
//!
//! It must not know an executor. [`Watch::check_now`] blocks on disk and processor: a service calls
//! it from a task of its own, every so often, on a blocking thread. Readers call [`Watch::current`],
//! which never waits.

use std::{collections::BTreeMap, fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use shared_models::{Clock, ReleaseId, TenantId, Timestamp};

use crate::{
    Error, Refusal, Release, Store,
    error::chain,
    promotions::{Act, Move},
};

/// Refused releases that are remembered, so that each is verified and reported once.
const MAX_REFUSED: usize = 64;

/// A process's own last word on a release: golden requests, parts it cannot do without. The text says
/// what is wrong.
pub type Check = Box<dyn Fn(&Release) -> Result<(), String> + Send + Sync>;

/// What a process demands of a release, beyond being sound.
#[derive(Default)]
pub struct Requirements {
    /// The feature schema that this process computes, when it scores. A release without a scorer
    /// was trained on none and passes.
    pub feature_schema: Option<u64>,
    /// The process's own check.
    pub check: Option<Check>,
}

impl fmt::Debug for Requirements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requirements")
            .field("feature_schema", &self.feature_schema)
            .field("check", &self.check.is_some())
            .finish()
    }
}

/// What [`Watch::check_now`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checked {
    /// No release was ever promoted.
    NoneYet,
    /// The live release is the one that serves.
    Unchanged,
    /// The live release serves from now on.
    Swapped {
        /// What served before.
        from: Option<ReleaseId>,
        /// What serves now.
        to: ReleaseId,
    },
    /// The live release is one that was refused before; what served goes on serving.
    StillRefused {
        /// Which.
        id: ReleaseId,
    },
}

/// A release that was not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The stable name of the reason, as [`Error::reason`].
    pub reason: &'static str,
    /// The whole story on one line.
    pub detail: String,
    /// When.
    pub at: Timestamp,
}

/// What serves now, as an operator sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Status {
    /// What serves.
    pub live: Option<ReleaseId>,
    /// What served before, and can at once again.
    pub previous: Option<ReleaseId>,
    /// Since when `live` serves in this process.
    pub since: Option<Timestamp>,
    /// What was not let in.
    pub refused: BTreeMap<ReleaseId, Refused>,
}

/// Follows the live release of one tenant.
pub struct Watch {
    store: Store,
    tenant: TenantId,
    requirements: Requirements,
    clock: Arc<dyn Clock>,
    current: ArcSwapOption<Release>,
    previous: ArcSwapOption<Release>,
    /// Held through a check, so that two checks never verify one release at once.
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    since: Option<Timestamp>,
    refused: BTreeMap<ReleaseId, Refused>,
}

impl Watch {
    /// A watch that serves nothing until its first check.
    #[must_use]
    pub fn new(store: Store, tenant: TenantId, requirements: Requirements, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            tenant,
            requirements,
            clock,
            current: ArcSwapOption::empty(),
            previous: ArcSwapOption::empty(),
            history: Mutex::default(),
        }
    }

    /// The release that serves. Keep it for the whole request: a swap does not disturb it.
    #[inline]
    #[must_use]
    pub fn current(&self) -> Option<Arc<Release>> {
        self.current.load_full()
    }

    /// The release that served before.
    #[must_use]
    pub fn previous(&self) -> Option<Arc<Release>> {
        self.previous.load_full()
    }

    /// Whose.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// Looks where the store's pointer points, and swaps when that is another release and a sound one.
    /// Blocks.
    ///
    /// # Errors
    /// When the pointer or the release is refused, or cannot be read; what served goes on serving. A
    /// refused release is reported by one error and then as [`Checked::StillRefused`]; a disk that
    /// says no is tried again at the next check.
    pub fn check_now(&self) -> Result<Checked, Error> {
        let mut history = self.history.lock();
        let Some(id) = self.store.live(&self.tenant)? else {
            return Ok(Checked::NoneYet);
        };
        if self.current.load().as_ref().is_some_and(|release| *release.id() == id) {
            return Ok(Checked::Unchanged);
        }
        if history.refused.contains_key(&id) {
            return Ok(Checked::StillRefused { id });
        }
        let release = self.admit(&mut history, &id)?;
        let from = self.swap(&mut history, release);
        Ok(Checked::Swapped { from, to: id })
    }

    /// Makes a release live: verifies it here, by this process's own requirements, then moves the
    /// store's pointer for everybody, then swaps. Going back to the release that served before needs
    /// no loading. Blocks.
    ///
    /// # Errors
    /// When the release is not there, is refused, or the disk says no; what served goes on serving.
    pub fn activate(&self, id: &ReleaseId) -> Result<(), Error> {
        let mut history = self.history.lock();
        if self.current.load().as_ref().is_some_and(|release| release.id() == id) {
            return self.point(id);
        }
        let release = self.admit(&mut history, id)?;
        self.point(id)?;
        self.swap(&mut history, release);
        Ok(())
    }

    /// Moves the store's pointer, for everybody.
    fn point(&self, id: &ReleaseId) -> Result<(), Error> {
        let act = Act { at: self.clock.now(), by: "a service".to_owned(), ..Act::default() };
        self.store.point(&self.tenant, id, Move::Activate, &act)
    }

    /// What serves, what served, what was refused.
    #[must_use]
    pub fn status(&self) -> Status {
        let history = self.history.lock();
        Status {
            live: self.current.load().as_ref().map(|release| release.id().clone()),
            previous: self.previous.load().as_ref().map(|release| release.id().clone()),
            since: history.since,
            refused: history.refused.clone(),
        }
    }

    /// The release, verified; a refusal is put on record.
    fn admit(&self, history: &mut History, id: &ReleaseId) -> Result<Arc<Release>, Error> {
        if let Some(previous) = self.previous.load_full().filter(|release| release.id() == id) {
            return Ok(previous);
        }
        let release = self.store.load(&self.tenant, id).and_then(|release| self.require(release));
        if let Err(error @ Error::Refused { .. }) = &release {
            while history.refused.len() >= MAX_REFUSED {
                let oldest = history.refused.iter().min_by_key(|(_, refused)| refused.at).map(|(id, _)| id.clone());
                oldest.map(|oldest| history.refused.remove(&oldest));
            }
            let refused = Refused { reason: error.reason(), detail: chain(error), at: self.clock.now() };
            history.refused.insert(id.clone(), refused);
        } else if release.is_ok() {
            history.refused.remove(id);
        }
        release.map(Arc::new)
    }

    fn require(&self, release: Release) -> Result<Release, Error> {
        let found = release.manifest.schema.feature_schema;
        if let Some(expected) =
            self.requirements.feature_schema.filter(|expected| release.scorer.is_some() && *expected != found)
        {
            return Err(Error::refused(crate::release::SCORER, Refusal::Schema { expected, found }));
        }
        if let Some(check) = &self.requirements.check {
            check(&release).map_err(|detail| Error::refused(release.id().as_str(), Refusal::Check { detail }))?;
        }
        Ok(release)
    }

    fn swap(&self, history: &mut History, release: Arc<Release>) -> Option<ReleaseId> {
        let before = self.current.swap(Some(release));
        let from = before.as_ref().map(|release| release.id().clone());
        if before.is_some() {
            self.previous.store(before);
        }
        history.since = Some(self.clock.now());
        from
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("tenant", &self.tenant)
            .field("current", &self.current.load())
            .finish_non_exhaustive()
    }
}
