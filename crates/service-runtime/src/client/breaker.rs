//! The circuit breaker of one dependency: it stops calling what does not answer, and finds out when it does again.
//!
//! Whether a call may start is decided, and counted, when it starts: a probe takes its turn before it is sent, so that
//! probes in flight are seen by all, and one that hangs holds up nobody. A call that started before the breaker opened
//! has no say afterwards. This file must not know what a call is; times are milliseconds of one clock.

use std::{
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use super::{Outcome, config::Config, window::Window};

/// A row of failures counts as an outage when nothing has succeeded for this long: of many calls a second, some fail in
/// a row by chance.
const QUIET: u64 = 100;

/// What the breaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Every call passes.
    Closed = 0,
    /// A probe is out, or has succeeded and others must too.
    HalfOpen = 1,
    /// No call passes until the next probe is due.
    Open = 2,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half-open",
            Self::Open => "open",
        }
    }
}

/// How a call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Like any other.
    Usual,
    /// To find out whether the dependency is back.
    Probe,
}

/// The circuit breaker of one dependency.
#[derive(Debug)]
pub(super) struct Breaker {
    state: AtomicU8,
    /// When the next probe may start.
    next_probe: AtomicU64,
    /// How many calls have failed since one succeeded.
    failed_in_a_row: AtomicU32,
    last_success: AtomicU64,
    /// How many probes have succeeded in a row.
    proven: AtomicU32,
    window: Window,
    open_after: u32,
    open_share: f64,
    open_calls: u32,
    probe_interval: u64,
    close_after: u32,
}

impl Breaker {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            state: AtomicU8::new(State::Closed as u8),
            next_probe: AtomicU64::new(0),
            failed_in_a_row: AtomicU32::new(0),
            last_success: AtomicU64::new(0),
            proven: AtomicU32::new(0),
            window: Window::new(config.window),
            open_after: config.open_after,
            open_share: config.open_share,
            open_calls: config.open_calls,
            probe_interval: u64::try_from(config.probe_interval.as_millis()).unwrap_or(u64::MAX),
            close_after: config.close_after,
        }
    }

    pub(super) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Closed,
            1 => State::HalfOpen,
            _ => State::Open,
        }
    }

    /// Lets a call in at `now`, or says how long it is until the next probe.
    pub(super) fn admit(&self, now: u64) -> Result<Pass, Duration> {
        if self.state() == State::Closed {
            return Ok(Pass::Usual);
        }
        let due = self.next_probe.load(Ordering::Acquire);
        if now < due {
            return Err(Duration::from_millis(due - now));
        }
        // Of all that come when a probe is due, one takes the turn.
        let next = now + self.jittered();
        match self.next_probe.compare_exchange(due, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => {
                self.change(State::Open, State::HalfOpen);
                Ok(Pass::Probe)
            }
            Err(taken) => Err(Duration::from_millis(taken.saturating_sub(now))),
        }
    }

    /// A call ended at `now`. Gives the new state when that changed it.
    pub(super) fn record(&self, pass: Pass, outcome: Outcome, now: u64) -> Option<State> {
        match (pass, outcome) {
            (_, Outcome::Unsaid) => None,
            (Pass::Usual, Outcome::Answered) => {
                self.failed_in_a_row.store(0, Ordering::Relaxed);
                self.last_success.store(now, Ordering::Relaxed);
                self.window.count(false, now);
                None
            }
            (Pass::Usual, Outcome::Failed) => self.failed(now),
            (Pass::Probe, Outcome::Answered) => self.proven(now),
            (Pass::Probe, Outcome::Failed) => {
                self.proven.store(0, Ordering::Relaxed);
                self.change(State::HalfOpen, State::Open).then_some(State::Open)
            }
        }
    }

    /// An endpoint was ejected: whether that helps must be seen before its failures are held against the others.
    pub(super) fn spare(&self) {
        self.failed_in_a_row.store(0, Ordering::Relaxed);
    }

    fn failed(&self, now: u64) -> Option<State> {
        let in_a_row = self.failed_in_a_row.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let counts = self.window.count(true, now);
        let quiet = now.saturating_sub(self.last_success.load(Ordering::Relaxed)) >= QUIET;
        let gone = in_a_row >= self.open_after && quiet;
        if !gone && !counts.reach(self.open_calls, self.open_share) {
            return None;
        }
        // The first probe is due before anybody can see that the breaker is open.
        if self.state() == State::Closed {
            self.next_probe.store(now + self.jittered(), Ordering::Release);
        }
        self.proven.store(0, Ordering::Relaxed);
        self.change(State::Closed, State::Open).then_some(State::Open)
    }

    fn proven(&self, now: u64) -> Option<State> {
        if self.proven.fetch_add(1, Ordering::Relaxed).saturating_add(1) < self.close_after {
            // It answers: whether it goes on doing so is found out at once.
            self.next_probe.store(now, Ordering::Release);
            return None;
        }
        self.failed_in_a_row.store(0, Ordering::Relaxed);
        self.last_success.store(now, Ordering::Relaxed);
        self.window.clear();
        self.change(State::HalfOpen, State::Closed).then_some(State::Closed)
    }

    fn change(&self, from: State, to: State) -> bool {
        self.state.compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Clients that saw the same outage must not all come back in the same moment.
    fn jittered(&self) -> u64 {
        super::jittered(self.probe_interval)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(&Config::default())
    }

    /// The moment at which it opens, when one call fails each `every` milliseconds from 1,000 on.
    fn opened_at(breaker: &Breaker, every: u64) -> u64 {
        (0..1_000)
            .map(|call| 1_000 + call * every)
            .find(|now| breaker.record(Pass::Usual, Outcome::Failed, *now) == Some(State::Open))
            .expect("it opens")
    }

    #[test]
    fn a_row_of_failures_opens_it_when_nothing_succeeds() {
        let few = breaker();
        assert_eq!(opened_at(&few, 50), 1_200, "the fifth");
        let many = breaker();
        (0..100).for_each(|call| {
            many.record(Pass::Usual, Outcome::Answered, 900 + call);
        });
        assert_eq!(opened_at(&many, 1), 1_099, "not before it has been quiet for a while");
    }

    #[test]
    fn an_ejection_is_given_its_chance() {
        let breaker = breaker();
        for call in 0..9 {
            if call == 4 {
                breaker.spare();
            }
            let opened = breaker.record(Pass::Usual, Outcome::Failed, 1_000 + call * 50);
            assert_eq!(opened.is_some(), call == 8, "{call}");
        }
    }

    #[test]
    fn half_of_the_calls_open_it() {
        let breaker = breaker();
        let outcome = |call: u64| if call.is_multiple_of(2) { Outcome::Answered } else { Outcome::Failed };
        let opened = (0..100).find(|call| breaker.record(Pass::Usual, outcome(*call), 4_000 + *call).is_some());
        assert_eq!(opened, Some(19));
    }

    #[test]
    fn a_few_failures_among_many_calls_do_not_open_it() {
        let breaker = breaker();
        for call in 0..100_000_u64 {
            let outcome = if call % 5 < 2 { Outcome::Failed } else { Outcome::Answered };
            assert_eq!(breaker.record(Pass::Usual, outcome, call / 3), None);
        }
    }

    #[test]
    fn open_it_lets_one_probe_through_at_a_time() {
        let breaker = breaker();
        let opened = opened_at(&breaker, 50);
        let wait = breaker.admit(opened).expect_err("refused");
        assert!((375..=625).contains(&wait.as_millis()), "{wait:?}");
        let due = opened + wait.as_millis() as u64;
        let passed = |now: u64| (0..1_000).filter(|_| breaker.admit(now).is_ok()).count();
        assert_eq!(passed(due - 1), 0);
        assert_eq!(passed(due), 1);
        assert_eq!(breaker.state(), State::HalfOpen);
        // The probe hangs: another one goes when it is due, and nobody else.
        assert_eq!(passed(due + 300), 0);
        assert_eq!(passed(due + 700), 1);
    }

    #[test]
    fn it_closes_when_probes_succeed_and_opens_again_when_one_fails() {
        let breaker = breaker();
        let now = opened_at(&breaker, 50) + 1_000;
        assert_eq!(breaker.admit(now), Ok(Pass::Probe));
        assert_eq!(breaker.record(Pass::Probe, Outcome::Failed, now), Some(State::Open));
        assert_eq!(breaker.admit(now + 1_000), Ok(Pass::Probe));
        assert_eq!(breaker.record(Pass::Probe, Outcome::Answered, now + 1_000), None);
        assert_eq!(breaker.admit(now + 1_000), Ok(Pass::Probe), "the next one goes at once");
        assert_eq!(breaker.record(Pass::Probe, Outcome::Answered, now + 1_001), Some(State::Closed));
        assert_eq!(breaker.admit(now + 1_001), Ok(Pass::Usual));
        // What failed before is forgotten, and what started before has no say.
        assert_eq!(breaker.record(Pass::Usual, Outcome::Failed, now + 1_002), None);
    }

    #[test]
    fn calls_that_started_before_have_no_say() {
        let breaker = breaker();
        let now = opened_at(&breaker, 50);
        breaker.record(Pass::Usual, Outcome::Answered, now + 1);
        assert_eq!(breaker.state(), State::Open);
        assert!(breaker.admit(now + 1).is_err());
    }
}
