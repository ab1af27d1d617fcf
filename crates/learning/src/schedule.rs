//! When to learn next: every so often, a little earlier or later so that many processes do not train at one moment,
//! and after a failure sooner, but ever less often. It must not know what learning is, nor a clock.

use std::time::Duration;

/// When to learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// How long from one training to the next.
    pub every: Duration,
    /// The share by which a wait is shorter or longer than it should be, at most.
    pub jitter: f64,
    /// How long to wait after a failure; twice as long after each further one, and never longer than `every`.
    pub retry: Duration,
}

impl Schedule {
    /// How long to wait after so many failures in a row. `draw` is from 0 to 1.
    #[must_use]
    pub fn wait(&self, failures: u32, draw: f64) -> Duration {
        let wait = match failures.checked_sub(1) {
            None => self.every,
            Some(further) => self.retry.saturating_mul(2_u32.saturating_pow(further)).min(self.every),
        };
        self.spread(wait, draw)
    }

    /// How long to wait at the start: what is left until the last release is `every` old; nothing where there is none.
    #[must_use]
    pub fn first(&self, age: Option<Duration>, draw: f64) -> Duration {
        age.map_or(Duration::ZERO, |age| self.spread(self.every, draw).saturating_sub(age))
    }

    fn spread(&self, wait: Duration, draw: f64) -> Duration {
        wait.mul_f64(1.0 + self.jitter.clamp(0.0, 1.0) * (2.0 * draw.clamp(0.0, 1.0) - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn schedule() -> Schedule {
        Schedule { every: 6 * HOUR, jitter: 0.1, retry: Duration::from_secs(60) }
    }

    #[test]
    fn waits_are_spread_around_the_interval() {
        assert_eq!(schedule().wait(0, 0.5), 6 * HOUR);
        assert_eq!(schedule().wait(0, 0.0), (6 * HOUR).mul_f64(0.9));
        assert_eq!(schedule().wait(0, 1.0), (6 * HOUR).mul_f64(1.1));
    }

    #[test]
    fn failures_are_tried_again_ever_less_often_and_never_less_than_usual() {
        let waits: Vec<u64> = [1, 2, 3, 8, 9, 40].map(|failures| schedule().wait(failures, 0.5).as_secs()).to_vec();
        assert_eq!(waits, [60, 120, 240, 7_680, 15_360, 21_600]);
    }

    #[test]
    fn a_process_that_starts_again_does_not_train_again() {
        assert_eq!(schedule().first(None, 0.5), Duration::ZERO);
        assert_eq!(schedule().first(Some(5 * HOUR), 0.5), HOUR);
        assert_eq!(schedule().first(Some(9 * HOUR), 0.5), Duration::ZERO);
    }
}
