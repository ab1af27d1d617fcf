//! The rule against a simulated server, and clients who do not wait for their answers before they ask again.

use std::time::Duration;

use super::*;

/// A millisecond is a step; a window has a hundred of them.
const STEP: f64 = 0.001;
const WINDOW: usize = 100;

/// A server of two processors, in this process or behind it.
struct Server {
    processors: f64,
    /// Processor time of a request, and time that it only waits for something, in seconds.
    work: f64,
    pause: f64,
    /// Whether the processors are this process's own: then ready work waits with the rest.
    here: bool,
    /// After so long a request behind us is given up, in seconds.
    patience: f64,
    /// How much each request in hand has got, and how long it has been there.
    in_hand: Vec<(f64, f64)>,
    arrivals: f64,
    rule: Rule,
}

/// What came of a stretch of time, for each second of it.
struct Outcome {
    goodput: f64,
    refused: f64,
    /// The mean time of an answer, in seconds.
    took: f64,
}

impl Server {
    fn new(work: f64, pause: f64, here: bool) -> Self {
        let rule = Rule::new(8, 512, Duration::from_millis(3), 1);
        Self { processors: 2.0, work, pause, here, patience: f64::INFINITY, in_hand: Vec::new(), arrivals: 0.0, rule }
    }

    fn capacity(&self) -> f64 {
        self.processors / self.work
    }

    /// Offers so many requests a second.
    fn run(&mut self, rate: f64, seconds: f64) -> Outcome {
        let mut whole = Outcome { goodput: 0.0, refused: 0.0, took: 0.0 };
        for _ in 0..(seconds / STEP) as usize / WINDOW {
            let mut seen = Seen { answers: vec![Answers::default()], ..Seen::default() };
            let mut waits: Vec<_> = (0..WINDOW).map(|_| self.step(rate, &mut seen, &mut whole)).collect();
            waits.sort_unstable();
            seen.wait = waits[WINDOW / 2];
            self.rule.window(&seen);
        }
        whole.took /= whole.goodput.max(1.0);
        whole.goodput /= seconds;
        whole.refused /= seconds;
        whole
    }

    fn step(&mut self, rate: f64, seen: &mut Seen, whole: &mut Outcome) -> Duration {
        self.arrivals += rate * STEP;
        while self.arrivals >= 1.0 {
            self.arrivals -= 1.0;
            if self.in_hand.len() < self.rule.limit() {
                self.in_hand.push((0.0, 0.0));
            } else {
                seen.refused += 1;
                whole.refused += 1.0;
            }
        }
        seen.peak = seen.peak.max(self.in_hand.len());
        let working = self.in_hand.iter().filter(|(_, age)| *age >= self.pause).count() as f64;
        // Here work runs to its end, first come, first served; behind us it shares what there is.
        let mut left = self.processors * STEP;
        let share = if self.here { STEP } else { (self.processors / working.max(1.0)).min(1.0) * STEP };
        for (got, age) in &mut self.in_hand {
            if *age >= self.pause {
                let part = share.min(left).min(self.work - *got);
                *got += part;
                left -= part;
            }
            *age += STEP;
        }
        let work = self.work;
        for (_, age) in self.in_hand.extract_if(.., |(got, _)| *got > work * 0.999) {
            seen.answers[0].count += 1;
            seen.answers[0].took += Duration::from_secs_f64(age);
            whole.goodput += 1.0;
            whole.took += age;
        }
        let given_up = self.in_hand.extract_if(.., |(_, age)| *age >= self.patience);
        seen.timeouts += given_up.count() as u32;
        // Ready work waits until what stands before it is done.
        let queue = if self.here { (working / self.processors - 1.0).max(0.0) * self.work } else { 0.0 };
        Duration::from_secs_f64(queue)
    }
}

#[test]
fn under_any_load_the_server_does_what_it_can() {
    for work in [0.001, 0.002, 0.005] {
        for here in [true, false] {
            let mut server = Server::new(work, 0.002, here);
            server.run(server.capacity() * 0.5, 3.0);
            for times in [1.0, 3.0, 10.0] {
                let peak = server.capacity();
                let outcome = server.run(peak * times, 20.0);
                let told = format!("{work} s, here {here}, {times} times: {} of {peak}", outcome.goodput);
                assert!(outcome.goodput > 0.9 * peak, "{told}");
                assert!(outcome.took < 0.1, "{told}, in {} s", outcome.took);
                assert!((outcome.goodput + outcome.refused) > 0.95 * peak * times, "{told}");
            }
        }
    }
}

#[test]
fn a_service_behind_us_that_gives_up_late_answers_is_not_asked_for_more_than_it_does() {
    for work in [0.004, 0.008] {
        let mut server = Server::new(work, 0.001, false);
        server.patience = 0.07;
        server.run(server.capacity() * 0.5, 3.0);
        for times in [1.0, 2.0, 3.0, 10.0] {
            let outcome = server.run(server.capacity() * times, 20.0);
            let told = format!("{work} s, {times} times: {} of {}", outcome.goodput, server.capacity());
            assert!(outcome.goodput > 0.9 * server.capacity(), "{told}");
        }
    }
}

#[test]
fn a_queue_of_our_own_is_kept_short() {
    let mut server = Server::new(0.002, 0.001, true);
    server.run(server.capacity() * 5.0, 10.0);
    let limit = server.rule.limit();
    assert!((8..=32).contains(&limit), "{limit}");
}

#[test]
fn when_the_load_is_gone_nobody_is_refused_for_long() {
    let mut server = Server::new(0.002, 0.001, true);
    server.run(server.capacity() * 10.0, 20.0);
    server.run(server.capacity() * 0.5, 2.0);
    let outcome = server.run(server.capacity() * 0.5, 10.0);
    assert!(outcome.refused == 0.0, "{}", outcome.refused);
    assert!(outcome.took < 0.006, "{}", outcome.took);
    assert!(server.rule.limit() >= CALM, "{}", server.rule.limit());
}

#[test]
fn a_load_that_never_ends_does_not_become_normal() {
    let mut server = Server::new(0.002, 0.001, false);
    server.run(server.capacity() * 0.5, 5.0);
    let early = server.run(server.capacity() * 3.0, 60.0);
    let late = server.run(server.capacity() * 3.0, 900.0);
    assert!(late.took < early.took * 1.5, "{} s, and {} s at first", late.took, early.took);
    assert!(late.goodput > 0.9 * server.capacity(), "{}", late.goodput);
}

#[test]
fn a_slow_service_behind_us_does_not_close_the_door() {
    let mut server = Server::new(0.000_1, 0.002, false);
    server.run(500.0, 5.0);
    // Every answer takes twenty times as long, and costs us nothing.
    server.pause = 0.04;
    let outcome = server.run(500.0, 5.0);
    assert!(outcome.refused < 5.0 && server.rule.limit() >= AWAY, "{} {}", outcome.refused, server.rule.limit());
    // With nothing but timeouts as well.
    let mut rule = Rule::new(8, 512, Duration::from_millis(3), 1);
    for _ in 0..100 {
        rule.window(&Seen { timeouts: 20, peak: 60, refused: 3, ..Seen::default() });
    }
    assert_eq!(rule.limit(), AWAY);
}

#[test]
fn the_bounds_hold() {
    for (least, most) in [(8, 1), (1, 1), (8, 512), (512, 512), (600, 512)] {
        let mut rule = Rule::new(least, most, Duration::from_millis(3), 1);
        for wait in [0, 0, 1_000, 1_000, 1_000, 0, 0, 5, 1_000, 0] {
            for _ in 0..50 {
                let wait = Duration::from_millis(wait);
                let limit = rule.window(&Seen { wait, peak: 1_000, refused: 0, ..Seen::default() });
                let lowest = if least < most { least.min(FEW) } else { most };
                assert!((lowest..=most).contains(&limit), "{limit}");
            }
        }
    }
}
