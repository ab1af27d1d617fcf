//! One endpoint of a dependency: its connection, what is in flight on it, and whether it is fit for more.
//!
//! An endpoint that fails again and again is ejected for a while. Afterwards it is on trial: one call at a time, and
//! its first failure ejects it again for twice as long. This file must not know the other endpoints.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use tonic::transport::Channel;

use super::{Outcome, config::Config, window::Window};

/// What the health check says of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It has not been asked yet.
    Unknown = 0,
    /// It serves.
    Serving = 1,
    /// It cannot be reached, or says that it does not serve.
    Away = 2,
}

/// One endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// What it is known by, such as `http://10.0.0.1:7101/`: the same place is the same endpoint.
    pub(super) key: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) channel: Channel,
    in_flight: AtomicU32,
    reach: AtomicU8,
    /// How many health checks in a row had no answer.
    silent: AtomicU32,
    failed_in_a_row: AtomicU32,
    window: Window,
    /// Until when it is ejected, in milliseconds. In the past: it is on trial. 0: neither.
    ejected_until: AtomicU64,
    /// How often it was ejected without having been well for long.
    ejections: AtomicU32,
}

impl Endpoint {
    pub(super) fn new(key: String, host: String, port: u16, channel: Channel, config: &Config) -> Self {
        Self {
            key,
            host,
            port,
            channel,
            in_flight: AtomicU32::new(0),
            reach: AtomicU8::new(Reach::Unknown as u8),
            silent: AtomicU32::new(0),
            failed_in_a_row: AtomicU32::new(0),
            window: Window::new(config.window),
            ejected_until: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
        }
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn reach(&self) -> Reach {
        match self.reach.load(Ordering::Relaxed) {
            0 => Reach::Unknown,
            1 => Reach::Serving,
            _ => Reach::Away,
        }
    }

    pub(super) fn reached(&self, reach: Reach) {
        self.silent.store(0, Ordering::Relaxed);
        self.reach.store(reach as u8, Ordering::Relaxed);
    }

    /// A health check had no answer. One may be lost where much is done; who is silent again is away.
    pub(super) fn silent(&self) {
        if self.silent.fetch_add(1, Ordering::Relaxed) > 0 {
            self.reach.store(Reach::Away as u8, Ordering::Relaxed);
        }
    }

    pub(super) fn is_ejected(&self, now: u64) -> bool {
        self.ejected_until.load(Ordering::Relaxed) > now
    }

    /// Whether it is among the first to choose from.
    pub(super) fn is_fit(&self, now: u64) -> bool {
        if self.reach() != Reach::Serving {
            return false;
        }
        match self.ejected_until.load(Ordering::Relaxed) {
            0 => true,
            until => until <= now && self.in_flight() == 0,
        }
    }

    /// An attempt ended at `now`. Gives whether the endpoint should be ejected for it.
    pub(super) fn record(&self, outcome: Outcome, now: u64, config: &Config) -> bool {
        let until = self.ejected_until.load(Ordering::Relaxed);
        // What was in flight when it was ejected says nothing new.
        if outcome == Outcome::Unsaid || until > now {
            return false;
        }
        let counts = self.window.count(outcome == Outcome::Failed, now);
        if outcome == Outcome::Answered {
            if self.failed_in_a_row.load(Ordering::Relaxed) > 0 {
                self.failed_in_a_row.store(0, Ordering::Relaxed);
            }
            if until > 0 {
                self.ejected_until.store(0, Ordering::Relaxed);
            }
            return false;
        }
        let in_a_row = self.failed_in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        until > 0 || in_a_row >= config.eject_after || counts.reach(config.eject_calls, config.eject_share)
    }

    /// Ejects it at `now`, for longer each time.
    pub(super) fn eject(&self, now: u64, config: &Config) {
        let milliseconds = |span: std::time::Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        let most = milliseconds(config.eject_most);
        let well_since = now.saturating_sub(self.ejected_until.load(Ordering::Relaxed));
        let before = if well_since > most { 0 } else { self.ejections.load(Ordering::Relaxed) };
        let doubled = milliseconds(config.eject_base).saturating_mul(1 << before.min(32));
        self.ejections.store(before.saturating_add(1), Ordering::Relaxed);
        self.failed_in_a_row.store(0, Ordering::Relaxed);
        self.window.clear();
        self.ejected_until.store(now.saturating_add(doubled.min(most)), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn endpoint() -> Endpoint {
        let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let endpoint = Endpoint::new("a".to_owned(), "127.0.0.1".to_owned(), 1, channel, &Config::default());
        endpoint.reached(Reach::Serving);
        endpoint
    }

    fn fails(endpoint: &Endpoint, now: u64) -> bool {
        endpoint.record(Outcome::Failed, now, &Config::default())
    }

    #[tokio::test]
    async fn failures_in_a_row_eject() {
        let endpoint = endpoint();
        assert!((0..4).all(|_| !fails(&endpoint, 1)));
        endpoint.record(Outcome::Answered, 1, &Config::default());
        assert!((0..4).all(|_| !fails(&endpoint, 1)), "a success ends a row");
        assert!(fails(&endpoint, 1));
    }

    #[tokio::test]
    async fn a_share_of_failures_ejects() {
        let endpoint = endpoint();
        for call in 0..18 {
            let outcome = if call % 2 == 0 { Outcome::Failed } else { Outcome::Answered };
            assert!(!endpoint.record(outcome, 1, &Config::default()));
        }
        assert!(!fails(&endpoint, 1));
        assert!(fails(&endpoint, 1), "11 of 20");
    }

    #[tokio::test]
    async fn it_returns_on_trial_and_is_ejected_for_longer_each_time() {
        let config = Config { eject_most: Duration::from_secs(12), ..Config::default() };
        let endpoint = endpoint();
        let mut now = 100_000;
        for seconds in [5, 10, 12, 12] {
            endpoint.eject(now, &config);
            assert!(endpoint.is_ejected(now + seconds * 1_000 - 1) && !endpoint.is_fit(now + seconds * 1_000 - 1));
            now += seconds * 1_000;
            assert!(endpoint.is_fit(now), "on trial");
            endpoint.begin();
            assert!(!endpoint.is_fit(now), "one at a time");
            endpoint.end();
            assert!(fails(&endpoint, now), "one failure is enough");
        }
        endpoint.record(Outcome::Answered, now, &config);
        endpoint.begin();
        assert!(endpoint.is_fit(now), "the trial is over");
        assert!(!fails(&endpoint, now));
        endpoint.eject(now + 60_000, &config);
        assert!(!endpoint.is_ejected(now + 65_000), "long ago is forgotten");
    }

    #[tokio::test]
    async fn who_is_silent_twice_is_away() {
        let endpoint = endpoint();
        endpoint.silent();
        assert_eq!(endpoint.reach(), Reach::Serving);
        endpoint.silent();
        assert_eq!(endpoint.reach(), Reach::Away);
        endpoint.reached(Reach::Serving);
        assert!(endpoint.is_fit(0));
    }
}
