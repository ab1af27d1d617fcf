//! How many requests are in hand at once: of all, and of one tenant.
//!
//! Must not know what a request is for.

use std::{collections::HashMap, time::Duration};

use shared_models::{ErrorCode, TenantId};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{metrics::Metrics, problem::Problem};

/// The seats of this process.
pub(crate) struct Admission {
    all: Semaphore,
    /// Every tenant that has a key: no other can call.
    tenants: HashMap<TenantId, Semaphore>,
    metrics: Metrics,
}

/// A seat, for as long as the request is in hand.
#[must_use = "the seat is given up when this is dropped"]
pub(crate) struct Seat<'a> {
    _tenant: Option<SemaphorePermit<'a>>,
    _all: SemaphorePermit<'a>,
}

impl Admission {
    /// `all` seats, of which one tenant may take `tenant`.
    pub(crate) fn new<'a>(
        all: usize,
        tenant: usize,
        tenants: impl Iterator<Item = &'a TenantId>,
        metrics: Metrics,
    ) -> Self {
        let tenants = tenants.map(|name| (name.clone(), Semaphore::new(tenant))).collect();
        Self { all: Semaphore::new(all), tenants, metrics }
    }

    /// A seat, or a refusal at once: a queue would only make everybody late.
    pub(crate) fn admit(&self, tenant: Option<&TenantId>) -> Result<Seat<'_>, Problem> {
        let own = match tenant.and_then(|tenant| self.tenants.get(tenant)).map(Semaphore::try_acquire) {
            None => None,
            Some(Ok(permit)) => Some(permit),
            Some(Err(_)) => return Err(self.refused("tenant", "this tenant has too many requests at once")),
        };
        match self.all.try_acquire() {
            Ok(all) => Ok(Seat { _tenant: own, _all: all }),
            Err(_) => Err(self.refused("all", "too many requests at once")),
        }
    }

    fn refused(&self, whose: &'static str, detail: &'static str) -> Problem {
        self.metrics.shed(whose);
        Problem::new(ErrorCode::ResourceExhausted, "overloaded", detail).retry_after(Duration::from_secs(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_leaves_seats_to_the_others() {
        let [greedy, modest] = ["greedy", "modest"].map(|name| TenantId::new(name).unwrap());
        let metrics = Metrics::new(&service_runtime::Metrics::new());
        let admission = Admission::new(3, 2, [&greedy, &modest].into_iter(), metrics);
        let seats: Vec<_> = (0..2).map(|_| admission.admit(Some(&greedy)).ok().unwrap()).collect();
        assert_eq!(admission.admit(Some(&greedy)).err().unwrap().reason(), "overloaded");
        let other = admission.admit(Some(&modest)).ok().unwrap();
        assert!(admission.admit(Some(&modest)).is_err() && admission.admit(None).is_err(), "all seats are taken");
        drop((seats, other));
        assert!(admission.admit(Some(&greedy)).is_ok() && admission.admit(None).is_ok());
    }
}
