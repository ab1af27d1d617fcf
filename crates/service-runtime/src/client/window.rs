//! How many calls there were lately, and how many of them failed, in two atomic words.
//!
//! A window is two halves, the running one and the one before: what is counted is between half a window and a whole one
//! old, so that a share is never that of a few calls after a fresh start. This file must not know what a call is.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const COUNT_BITS: u32 = 20;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;
const INDEX_MASK: u64 = (1 << (64 - 2 * COUNT_BITS)) - 1;

/// Halves in turn, each its number, calls and failures, packed in this order.
#[derive(Debug)]
pub(super) struct Window {
    halves: [AtomicU64; 2],
    /// How long a half is.
    milliseconds: u64,
}

/// What a window holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failed: u32,
}

impl Counts {
    /// Whether there were `least` calls or more, and `share` of them or more failed.
    pub(super) fn reach(self, least: u32, share: f64) -> bool {
        self.calls >= least && f64::from(self.failed) >= share * f64::from(self.calls)
    }
}

impl Window {
    pub(super) fn new(span: Duration) -> Self {
        let milliseconds = u64::try_from(span.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        Self { halves: Default::default(), milliseconds }
    }

    /// Counts a call that ended at `now`; gives what the window holds with it.
    pub(super) fn count(&self, failed: bool, now: u64) -> Counts {
        let index = now / self.milliseconds;
        let [even, odd] = &self.halves;
        let (running, before) = if index.is_multiple_of(2) { (even, odd) } else { (odd, even) };
        let mut known = running.load(Ordering::Relaxed);
        let (calls, failures) = loop {
            let (calls, failures) = counted(known, index);
            // A full counter stays: the share of the first million calls is a good share.
            let (calls, failures) = ((calls + 1).min(COUNT_MASK), (failures + u64::from(failed)).min(COUNT_MASK));
            let next = (index & INDEX_MASK) << (2 * COUNT_BITS) | calls << COUNT_BITS | failures;
            match running.compare_exchange_weak(known, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break (calls, failures),
                Err(other) => known = other,
            }
        };
        let (calls_before, failures_before) = counted(before.load(Ordering::Relaxed), index.wrapping_sub(1));
        // Each has twenty bits.
        Counts { calls: (calls + calls_before) as u32, failed: (failures + failures_before) as u32 }
    }

    /// Forgets what it holds.
    pub(super) fn clear(&self) {
        self.halves.iter().for_each(|half| half.store(0, Ordering::Relaxed));
    }
}

/// The calls and failures of a half, when it is the one with this number.
fn counted(packed: u64, index: u64) -> (u64, u64) {
    if packed >> (2 * COUNT_BITS) == index & INDEX_MASK {
        ((packed >> COUNT_BITS) & COUNT_MASK, packed & COUNT_MASK)
    } else {
        (0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_window_old_is_forgotten() {
        let window = Window::new(Duration::from_secs(2));
        assert_eq!(window.count(true, 10_100), Counts { calls: 1, failed: 1 });
        assert_eq!(window.count(false, 10_999), Counts { calls: 2, failed: 1 });
        assert_eq!(window.count(true, 11_000), Counts { calls: 3, failed: 2 }, "the half before still counts");
        assert_eq!(window.count(false, 12_000), Counts { calls: 2, failed: 1 });
        assert_eq!(window.count(false, 20_000), Counts { calls: 1, failed: 0 });
        window.clear();
        assert_eq!(window.count(false, 20_001), Counts { calls: 1, failed: 0 });
    }

    #[test]
    fn a_share_counts_only_of_enough_calls() {
        for (calls, failed, reached) in [(20, 10, true), (20, 9, false), (19, 19, false), (40, 30, true)] {
            assert_eq!(Counts { calls, failed }.reach(20, 0.5), reached, "{failed} of {calls}");
        }
    }
}
