//! Whether this process stood still a moment ago: stopped, or starved of CPU for long.
//!
//! On the wire a deadline is the time that is left, counted from when the call is read. What lay in a socket while the
//! process stood still is read long after it was sent: without this it would be given its whole time again, and worked
//! on for nobody. No clock is compared with another machine's. This file must not know what a call is.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

/// How often it beats.
const EVERY: Duration = Duration::from_millis(100);
/// A silence this long is a standstill: a busy machine's are shorter.
const STANDSTILL: Duration = Duration::from_millis(500);
/// How long it takes to read what came in meanwhile.
const CATCHING_UP: Duration = Duration::from_millis(200);

/// The pulse of a process. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pulse(Arc<Mutex<Beats>>);

#[derive(Clone, Copy, Debug)]
struct Beats {
    last: Instant,
    /// When the last standstill began and ended.
    standstill: Option<(Instant, Instant)>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Beats { last: Instant::now(), standstill: None })))
    }

    /// Beats until `stop`.
    pub(crate) async fn beat_until(self, stop: CancellationToken) -> Result<(), Infallible> {
        loop {
            self.beats().beat(Instant::now());
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// How long what is read now may have lain unread: nothing, unless the process stood still.
    pub(crate) fn unread(&self) -> Duration {
        self.beats().unread(Instant::now())
    }

    fn beats(&self) -> MutexGuard<'_, Beats> {
        // Nothing is half done under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Beats {
    fn beat(&mut self, now: Instant) {
        if now.saturating_duration_since(self.last) >= STANDSTILL {
            self.standstill = Some((self.last, now));
        }
        self.last = now;
    }

    fn unread(&self, now: Instant) -> Duration {
        let silence = now.saturating_duration_since(self.last);
        if silence >= STANDSTILL {
            return silence;
        }
        match self.standstill {
            Some((began, ended)) if now.saturating_duration_since(ended) < CATCHING_UP => {
                now.saturating_duration_since(began)
            }
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_after_a_standstill_may_be_as_old_as_it_was_long() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut beats = Beats { last: start, standstill: None };
        beats.beat(at(100));
        assert_eq!(beats.unread(at(550)), Duration::ZERO);
        // Read before the first beat after it, and after.
        assert_eq!(beats.unread(at(3_100)), Duration::from_secs(3));
        beats.beat(at(3_100));
        assert_eq!(beats.unread(at(3_150)), Duration::from_millis(3_050));
        assert_eq!(beats.unread(at(3_300)), Duration::ZERO);
        beats.beat(at(3_200));
        assert_eq!(beats.unread(at(3_290)), Duration::from_millis(3_190));
        assert_eq!(beats.unread(at(3_310)), Duration::ZERO);
    }
}
