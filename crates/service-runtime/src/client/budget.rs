//! The retries a client can afford: a share of its calls, and a few a second besides.
//!
//! However much fails, a dependency sees little more than what it is asked for. This file must not know what is
//! retried.

use std::sync::atomic::{AtomicU64, Ordering};

/// A retry, in the coin of the account.
const RETRY: u64 = 1_000;
/// What the account holds at most: an outage that follows a quiet hour is not met with an hour's savings.
const MOST: u64 = 50 * RETRY;

/// An account of retries.
#[derive(Debug)]
pub(super) struct Budget {
    /// What a call pays in.
    deposit: u64,
    /// How many retries each second gives.
    floor: u64,
    balance: AtomicU64,
    /// The running second, and how many of its own retries are taken.
    second: AtomicU64,
}

impl Budget {
    pub(super) fn new(share: f64, floor: u32) -> Self {
        Self {
            deposit: (share.clamp(0.0, 1.0) * RETRY as f64) as u64,
            floor: u64::from(floor),
            balance: AtomicU64::new(0),
            second: AtomicU64::new(0),
        }
    }

    /// A call starts.
    pub(super) fn deposit(&self) {
        // Between the two, others may pay in too: the limit is then passed by a call or two.
        if self.balance.load(Ordering::Relaxed) < MOST {
            self.balance.fetch_add(self.deposit, Ordering::Relaxed);
        }
    }

    /// Whether a retry can be paid for at `now`, in milliseconds; it is paid.
    pub(super) fn withdraw(&self, now: u64) -> bool {
        let paid = |balance: u64| balance.checked_sub(RETRY);
        if self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, paid).is_ok() {
            return true;
        }
        let second = now / 1_000;
        let free = |known: u64| {
            let taken = if known >> 32 == second { known & 0xFFFF_FFFF } else { 0 };
            (taken < self.floor).then_some(second << 32 | (taken + 1))
        };
        self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Budget, now: u64) -> usize {
        (0..10_000).take_while(|_| budget.withdraw(now)).count()
    }

    #[test]
    fn a_share_of_the_calls_and_a_few_a_second_are_retried() {
        let budget = Budget::new(0.1, 3);
        assert_eq!(taken(&budget, 0), 3, "the floor");
        assert_eq!(taken(&budget, 999), 0, "the same second");
        assert_eq!(taken(&budget, 1_000), 3, "the next one");
        (0..100).for_each(|_| budget.deposit());
        assert_eq!(taken(&budget, 1_000), 10);
        (0..1_000_000).for_each(|_| budget.deposit());
        assert_eq!(taken(&budget, 1_000), 50, "no savings without end");
        assert_eq!(taken(&Budget::new(0.0, 0), 5_000), 0);
    }
}
