//! Who gets a seat: how many requests are in hand at once, of all, of a class, and of one tenant.
//!
//! Events have seats of their own. All others share those that the rule gives out, the lower classes the first of them
//! only. Nobody waits for a seat: a queue would only make everybody late. Must not know what a request is for, beyond
//! its class.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use shared_models::TenantId;

use super::{
    Class, overloaded,
    pool::{Full, Pool},
    rule::{Answers, Rule, Seen},
    turns::Turns,
};
use crate::{config::Limits, metrics::Metrics, problem::Problem};

/// What an answer says of the work behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worked {
    /// Everything was done; answers of one kind cost about the same.
    Whole {
        /// Which kind.
        kind: usize,
    },
    /// Something was not waited for any longer.
    TimedOut,
}

/// How long a request that has its seat waited for a processor: in its extensions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waited(Duration);

/// The seats of this process.
pub(crate) struct Admission {
    shared: Pool,
    events: Pool,
    window: Window,
    turns: Turns,
    metrics: Metrics,
}

/// How often something happened, and how many microseconds it took together.
type Times = (AtomicU32, AtomicU64);

fn add((count, micros): &Times, took: Duration) {
    count.fetch_add(1, Ordering::Relaxed);
    micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

fn take((count, micros): &Times) -> Answers {
    let took = Duration::from_micros(micros.swap(0, Ordering::Relaxed));
    Answers { count: count.swap(0, Ordering::Relaxed), took }
}

/// What has been seen since the last window.
struct Window {
    answers: Vec<Times>,
    /// How long requests waited for their turns.
    waits: Times,
    timeouts: AtomicU32,
    refused: AtomicU32,
}

/// A seat, for as long as the request is in hand.
#[must_use = "the seat is given up when this is dropped"]
pub(crate) struct Seat<'a> {
    of: &'a Admission,
    class: Class,
    tenant: Option<&'a AtomicUsize>,
    since: Instant,
}

impl Admission {
    /// Seats within these limits, for the tenants that have a key: no other can call. `kinds` is how many kinds of
    /// answers there are.
    pub(crate) fn new(limits: &Limits, kinds: usize, tenants: &HashSet<TenantId>, metrics: Metrics) -> Self {
        let part = limits.tenant_concurrency as f64 / limits.concurrency.max(1) as f64;
        Self {
            shared: Pool::new(limits.concurrency, part, tenants),
            events: Pool::new(limits.events_concurrency, part, tenants),
            window: Window {
                answers: std::iter::repeat_with(Times::default).take(kinds).collect(),
                waits: Times::default(),
                timeouts: AtomicU32::new(0),
                refused: AtomicU32::new(0),
            },
            turns: Turns::new(),
            metrics,
        }
    }

    /// The rule that these seats are given out by.
    pub(super) fn rule(&self, limits: &Limits) -> Rule {
        let rule =
            Rule::new(limits.least_concurrency, limits.concurrency, limits.target_wait, self.window.answers.len());
        self.shared.set_limit(rule.limit());
        self.metrics.limit(rule.limit());
        rule
    }

    /// Whether there is a seat at all, before anything else is done for a request: a refusal costs next to nothing.
    pub(crate) fn glance(&self, class: Class) -> Result<(), Problem> {
        let pool = self.pool(class);
        if pool.has_room(class.allowed(pool.limit())) { Ok(()) } else { Err(self.refused(class, Full::All)) }
    }

    /// A seat, or a refusal at once.
    pub(crate) fn admit(&self, class: Class, tenant: Option<&TenantId>) -> Result<Seat<'_>, Problem> {
        let pool = self.pool(class);
        let tenant = pool.enter(class.allowed(pool.limit()), tenant).map_err(|full| self.refused(class, full))?;
        self.metrics.seat_taken(class);
        Ok(Seat { of: self, class, tenant, since: Instant::now() })
    }

    /// What is left of a budget after a wait that counts; a refusal when nothing is: late answers help nobody.
    pub(crate) fn in_time(&self, class: Class, waited: Waited, budget: Duration) -> Result<Duration, Problem> {
        match budget.checked_sub(waited.0).filter(|left| !left.is_zero()) {
            // The plan's own budgets stay round numbers while nothing is wrong.
            Some(_) if waited.0 < budget / 10 => Ok(budget),
            Some(left) => Ok(left),
            None => {
                self.metrics.refused(class, "deadline");
                Err(overloaded("the answer would come after its time"))
            }
        }
    }

    /// A window is over, in which ready work usually waited so long: gives out seats by the rule.
    pub(super) fn adapt(&self, rule: &mut Rule, wait: Duration) {
        let waits = take(&self.window.waits);
        let wait = wait.max(waits.took.checked_div(waits.count).unwrap_or_default());
        let limit = rule.window(&Seen {
            answers: self.window.answers.iter().map(take).collect(),
            timeouts: self.window.timeouts.swap(0, Ordering::Relaxed),
            refused: self.window.refused.swap(0, Ordering::Relaxed),
            peak: self.shared.take_peak(),
            wait,
        });
        self.shared.set_limit(limit);
        self.metrics.limit(limit);
        self.metrics.pace(wait, rule.best);
    }

    fn pool(&self, class: Class) -> &Pool {
        match class {
            Class::Page | Class::Recommend | Class::Background => &self.shared,
            Class::Events => &self.events,
        }
    }

    fn refused(&self, class: Class, full: Full) -> Problem {
        let (of, reason, detail) = match full {
            Full::Tenant => ("tenant", "tenant", "this tenant has too many requests at once"),
            Full::All if self.pool(class).has_room(self.pool(class).limit()) => {
                ("all", "share", "too many requests at once for one that nobody waits for")
            }
            Full::All => ("all", "limit", "too many requests at once"),
        };
        if reason == "limit" && class != Class::Events {
            self.window.refused.fetch_add(1, Ordering::Relaxed);
        }
        self.metrics.shed(of);
        self.metrics.refused(class, reason);
        overloaded(detail)
    }
}

impl Seat<'_> {
    /// Does the work when it is its turn. Events wait for the bus and take no turns.
    pub(crate) async fn work<F: Future>(&self, run: impl FnOnce(Waited) -> F) -> F::Output {
        if self.class == Class::Events {
            return run(Waited::default()).await;
        }
        let window = &self.of.window;
        let begin = |waited: Duration| {
            add(&window.waits, waited);
            run(Waited(waited))
        };
        self.of.turns.begin(begin).await
    }

    /// The answer is there; tells what it says of the work.
    pub(crate) fn done(self, worked: Option<Worked>) {
        let window = &self.of.window;
        match worked {
            Some(Worked::Whole { kind }) => {
                if let Some(answers) = window.answers.get(kind) {
                    add(answers, self.since.elapsed());
                }
            }
            Some(Worked::TimedOut) => {
                window.timeouts.fetch_add(1, Ordering::Relaxed);
            }
            None => {}
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.of.pool(self.class).leave(self.tenant);
        self.of.metrics.seat_left(self.class);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    fn admission(all: usize, tenant: usize, tenants: &[TenantId]) -> Admission {
        let mut limits = Config::default().limits;
        (limits.concurrency, limits.tenant_concurrency, limits.events_concurrency) = (all, tenant, 2);
        Admission::new(&limits, 1, &tenants.iter().cloned().collect(), Metrics::new(&service_runtime::Metrics::new()))
    }

    #[test]
    fn one_tenant_leaves_seats_to_the_others() {
        let [greedy, modest] = ["greedy", "modest"].map(|name| TenantId::new(name).unwrap());
        let tenants = [greedy.clone(), modest.clone()];
        let admission = admission(3, 2, &tenants);
        let admit = |tenant| admission.admit(Class::Page, tenant);
        let seats: Vec<_> = (0..2).map(|_| admit(Some(&greedy)).ok().unwrap()).collect();
        assert_eq!(admit(Some(&greedy)).err().unwrap().reason(), "overloaded");
        let other = admit(Some(&modest)).ok().unwrap();
        assert!(admit(Some(&modest)).is_err() && admit(None).is_err(), "all seats are taken");
        assert!(admission.glance(Class::Page).is_err());
        drop((seats, other));
        assert!(admit(Some(&greedy)).is_ok() && admit(None).is_ok());
    }

    #[test]
    fn lower_classes_go_first_and_events_on_their_own() {
        let admission = admission(10, 10, &[]);
        let admit = |class| admission.admit(class, None);
        let _background: Vec<_> = (0..5).map(|_| admit(Class::Background).ok().unwrap()).collect();
        assert!(admit(Class::Background).is_err() && admission.glance(Class::Background).is_err());
        let _recommend: Vec<_> = (0..4).map(|_| admit(Class::Recommend).ok().unwrap()).collect();
        assert!(admit(Class::Recommend).is_err());
        let page = admit(Class::Page).ok().unwrap();
        assert!(admit(Class::Page).is_err());
        let events: Vec<_> = (0..2).map(|_| admit(Class::Events).ok().unwrap()).collect();
        assert!(admit(Class::Events).is_err());
        drop((page, events));
        assert!(admit(Class::Page).is_ok() && admit(Class::Events).is_ok() && admit(Class::Recommend).is_err());
    }

    #[test]
    fn what_comes_after_its_time_is_refused() {
        let admission = admission(10, 10, &[]);
        let millis = Duration::from_millis;
        let in_time = |waited, budget| admission.in_time(Class::Page, Waited(millis(waited)), millis(budget));
        assert_eq!(in_time(0, 5).unwrap(), millis(5));
        assert_eq!(in_time(20, 50).unwrap(), millis(30));
        assert_eq!(in_time(4, 50).unwrap(), millis(50));
        assert_eq!(in_time(50, 50).unwrap_err().reason(), "overloaded");
        assert!(in_time(51, 50).is_err());
    }
}
