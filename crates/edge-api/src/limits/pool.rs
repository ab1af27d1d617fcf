//! Seats that are counted: so many in all, and of them so many for one tenant.
//!
//! Must not know what a seat is for, nor how many there should be.

use std::{
    collections::{HashMap, HashSet},
    sync::atomic::{AtomicUsize, Ordering},
};

use shared_models::TenantId;

/// Seats, and who has them.
pub(super) struct Pool {
    limit: AtomicUsize,
    taken: AtomicUsize,
    peak: AtomicUsize,
    tenants: HashMap<TenantId, AtomicUsize>,
    /// The part of the seats that one tenant may take, while there are others.
    part: f64,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Full {
    /// Too many are taken.
    All,
    /// The tenant has too many.
    Tenant,
}

impl Pool {
    pub(super) fn new(limit: usize, part: f64, tenants: &HashSet<TenantId>) -> Self {
        let tenants: HashMap<_, _> = tenants.iter().map(|tenant| (tenant.clone(), AtomicUsize::new(0))).collect();
        // A tenant alone leaves nobody waiting.
        let part = if tenants.len() > 1 { part } else { 1.0 };
        Self { limit: AtomicUsize::new(limit), taken: AtomicUsize::new(0), peak: AtomicUsize::new(0), tenants, part }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Whether fewer than so many are taken.
    pub(super) fn has_room(&self, allowed: usize) -> bool {
        self.taken.load(Ordering::Relaxed) < allowed
    }

    /// Takes a seat while fewer than `allowed` are taken, and counts it as the tenant's.
    pub(super) fn enter(&self, allowed: usize, tenant: Option<&TenantId>) -> Result<Option<&AtomicUsize>, Full> {
        let tenant = tenant.and_then(|tenant| self.tenants.get(tenant));
        if let Some(own) = tenant {
            let part = (self.limit() as f64 * self.part).ceil().max(1.0) as usize;
            take(own, part).map_err(|()| Full::Tenant)?;
        }
        match take(&self.taken, allowed) {
            Ok(taken) => {
                self.peak.fetch_max(taken, Ordering::Relaxed);
                Ok(tenant)
            }
            Err(()) => {
                give_back(tenant);
                Err(Full::All)
            }
        }
    }

    /// Gives a seat back.
    pub(super) fn leave(&self, tenant: Option<&AtomicUsize>) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        give_back(tenant);
    }

    /// The most seats that were taken at once since this was asked last.
    pub(super) fn take_peak(&self) -> usize {
        self.peak.swap(self.taken.load(Ordering::Relaxed), Ordering::Relaxed)
    }
}

fn take(count: &AtomicUsize, most: usize) -> Result<usize, ()> {
    let taken = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < most).then_some(count + 1));
    taken.map(|before| before + 1).map_err(drop)
}

fn give_back(tenant: Option<&AtomicUsize>) {
    if let Some(own) = tenant {
        own.fetch_sub(1, Ordering::Relaxed);
    }
}
