//! How many requests may be in hand: a limit that follows what the process can do at present.
//!
//! Each window of a tenth of a second tells how long answers took beside the best that is known of their kind (the
//! gradient of Vegas and of Netflix's concurrency-limits), and how long the runtime lets ready work wait. The two
//! together tell where a queue is. Where both have grown it is here, and the limit falls until it is gone. Where only
//! answers are slow it is at a service behind us: there the ladder and the breakers help, and the limit falls no
//! further than to what costs this process nothing; unless some of many answers time out while others come whole: then
//! that service does what it can, and fewer at once get more out of it. The best is measured anew all the time; under a load that never
//! ends, by a short look with few requests in hand. Must not know requests, clocks or metrics.

use std::time::Duration;

/// How much longer than at their best answers may take before they count as slow.
const TOLERANCE: f64 = 2.0;
/// The most that one window takes off the limit.
const STEEPEST: f64 = 0.6;
/// Where the limit begins, and where it goes back to when there is little to do.
const CALM: usize = 64;
/// As low as the limit falls for a queue that is not in this process.
const AWAY: usize = 32;
/// From one timeout in so many answers on, with whole ones among them, a service behind us is asked too much.
const STRAINED: u32 = 20;
/// For how many windows after that the limit stays wary: half a minute.
const WARY: u32 = 300;
/// A wait of this many targets is a queue, whatever the answers say.
const CONGESTED: u32 = 4;
/// How many answers make a measurement of the best.
const BLOCK: u32 = 10;
/// From how many answers of a window their time says something.
const ENOUGH: u32 = 5;
/// For how many windows a best is believed before it is measured anew: half a minute.
const BELIEVED: u32 = 300;
/// For how many windows work may wait while answers are at their best: then the best is in doubt.
const DOUBTFUL: u32 = 10;
/// How many windows a look with few in hand takes, and how many of them only empty the queue.
const LOOK: (u32, u32) = (5, 2);
/// How many requests are in hand for such a look.
const FEW: usize = 4;

/// The answers of one kind in a window.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answers {
    /// How many.
    pub(super) count: u32,
    /// How long they took together.
    pub(super) took: Duration,
}

/// What was seen in a window.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Whole answers, by kind.
    pub(super) answers: Vec<Answers>,
    /// Answers that lack something which took too long.
    pub(super) timeouts: u32,
    /// How long ready work waited.
    pub(super) wait: Duration,
    /// The most requests in hand at once.
    pub(super) peak: usize,
    /// How many were refused for the limit.
    pub(super) refused: u32,
}

/// The best that is known of a kind, in seconds: of what is measured now, and of what was before.
#[derive(Clone, Debug)]
struct Best {
    took: f64,
    count: u32,
    now: f64,
    before: f64,
}

impl Best {
    const UNKNOWN: Self = Self { took: 0.0, count: 0, now: f64::INFINITY, before: f64::INFINITY };

    fn learn(&mut self, answers: Answers) {
        self.took += answers.took.as_secs_f64();
        self.count += answers.count;
        if self.count >= BLOCK {
            self.now = self.now.min(self.took / f64::from(self.count));
            (self.took, self.count) = (0.0, 0);
        }
    }

    fn known(&self) -> Option<f64> {
        Some(self.now.min(self.before)).filter(|best| best.is_finite())
    }

    /// What was measured until now is what was before.
    fn turn(&mut self) {
        if self.now.is_finite() {
            (self.before, self.now) = (self.now, f64::INFINITY);
        }
    }

    /// The look is over: only what it has measured counts, if it has.
    fn renew(&mut self) {
        if self.count > 0 {
            self.now = self.now.min(self.took / f64::from(self.count));
        }
        if self.now.is_finite() {
            self.before = f64::INFINITY;
        }
        (self.took, self.count) = (0.0, 0);
    }
}

/// The limit, and what it is made of.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    least: usize,
    most: usize,
    target: Duration,
    limit: f64,
    bests: Vec<Best>,
    windows: u32,
    /// How many windows of a look are left.
    looking: u32,
    /// For how many windows the best has been in doubt, and after how many it is measured anew.
    doubts: u32,
    doubtful: u32,
    /// For how many windows more a service behind us is taken to be near its end.
    wary: u32,
    /// The best of what the last window answered, in seconds.
    pub(super) best: Option<f64>,
}

impl Rule {
    /// A limit between two bounds for so many kinds of answers, where ready work should wait no longer than a target.
    pub(super) fn new(least: usize, most: usize, target: Duration, kinds: usize) -> Self {
        let most = most.max(1);
        let limit = CALM.min(most) as f64;
        let bests = vec![Best::UNKNOWN; kinds];
        let least = least.clamp(1, most);
        let (windows, looking, doubts, wary, best) = (0, 0, 0, 0, None);
        Self { least, most, target, limit, bests, windows, looking, doubts, doubtful: DOUBTFUL, wary, best }
    }

    /// The limit now.
    pub(super) fn limit(&self) -> usize {
        let limit = self.limit as usize;
        let limit = limit.clamp(self.least, self.most);
        // Where both bounds are the same, somebody wants it fixed.
        if self.looking > 0 && self.least < self.most { limit.min(FEW) } else { limit }
    }

    /// The limit after a window.
    pub(super) fn window(&mut self, seen: &Seen) -> usize {
        if self.looking > 0 {
            self.look(seen);
        } else {
            self.windows += 1;
            let slowness = self.slowness(seen);
            let slow = self.adapt(seen, slowness);
            self.doubts = if seen.wait > self.target && !slow { self.doubts + 1 } else { 0 };
            if self.doubts >= self.doubtful {
                // Work waits, and answers are as good as ever: the best was measured in a queue.
                self.doubtful = (self.doubtful * 2).min(BELIEVED);
                (self.looking, self.windows, self.doubts) = (LOOK.0, 0, 0);
            } else if self.windows >= BELIEVED {
                (self.windows, self.doubtful) = (0, DOUBTFUL);
                if seen.refused > 0 {
                    self.looking = LOOK.0;
                } else {
                    self.bests.iter_mut().for_each(Best::turn);
                }
            }
        }
        self.limit()
    }

    /// How many times longer than at their best the answers of a window took.
    fn slowness(&mut self, seen: &Seen) -> Option<f64> {
        let (mut count, mut took, mut best) = (0, 0.0, 0.0);
        for (answers, known) in seen.answers.iter().zip(&mut self.bests).filter(|(answers, _)| answers.count > 0) {
            known.learn(*answers);
            if let Some(least) = known.known() {
                count += answers.count;
                took += answers.took.as_secs_f64();
                best += least * f64::from(answers.count);
            }
        }
        if count > 0 {
            self.best = Some(best / f64::from(count));
        }
        (count >= ENOUGH && best > 0.0).then(|| took / best)
    }

    /// Moves the limit; whether the answers were slow.
    fn adapt(&mut self, seen: &Seen, slowness: Option<f64>) -> bool {
        let waits = seen.wait > self.target;
        let slow = match slowness {
            Some(slowness) => slowness > TOLERANCE,
            None => seen.timeouts > 0,
        };
        let whole: u32 = seen.answers.iter().map(|answers| answers.count).sum();
        let full = seen.peak * 2 >= self.limit as usize;
        let strained = full && whole > 0 && seen.timeouts * STRAINED >= whole + seen.timeouts;
        self.wary = if strained { WARY } else { self.wary.saturating_sub(1) };
        let near = waits || self.wary > 0;
        let floor = if near { self.least } else { AWAY.clamp(self.least, self.most) } as f64;
        let grown = self.limit + if self.wary > 0 { 1.0 } else { self.limit.sqrt() };
        if (slow && (waits || self.limit > floor)) || seen.wait > self.target * CONGESTED {
            let by_latency = slowness.filter(|_| slow).map_or(STEEPEST, |slowness| TOLERANCE / slowness);
            let by_wait = if waits { self.target.as_secs_f64() / seen.wait.as_secs_f64() } else { STEEPEST };
            // The milder of the two near the balance; far from it both are steep.
            let gradient = if slow { by_latency.max(by_wait) } else { by_wait }.clamp(STEEPEST, 1.0);
            self.limit = (self.limit * gradient).max(floor.min(self.limit));
        } else if slow && !waits {
            self.limit = grown.min(floor);
        } else if !waits && (seen.refused > 0 || full || self.limit < CALM as f64) {
            self.limit = grown;
        }
        self.limit = self.limit.clamp(self.least as f64, self.most as f64);
        slow
    }

    fn look(&mut self, seen: &Seen) {
        self.looking -= 1;
        if self.looking >= LOOK.0 - LOOK.1 {
            // What began before the look still ends.
            return;
        }
        for (answers, known) in seen.answers.iter().zip(&mut self.bests) {
            if self.looking + 1 == LOOK.0 - LOOK.1 {
                (known.took, known.count) = (0.0, 0);
                known.turn();
            }
            known.learn(*answers);
        }
        if self.looking == 0 {
            self.bests.iter_mut().for_each(Best::renew);
        }
    }
}

#[cfg(test)]
#[path = "rule_tests.rs"]
mod tests;
