//! The endpoints of one dependency, and the choice among them: the less busy of two that are taken at random.
//!
//! Fit endpoints come first. Where there is none, those that have not been found to be away are used, ejected or not;
//! where all are away, all of them: a call that may fail is better than one that must. This file must not know calls.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{
    config::Config,
    endpoint::{Endpoint, Reach},
};

/// The endpoints of one dependency.
#[derive(Debug, Default)]
pub(super) struct Pool {
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Held while one is ejected, so that two at once do not eject more than may be.
    ejecting: Mutex<()>,
}

/// How the endpoints are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) known: usize,
    pub(super) usable: usize,
    pub(super) ejected: usize,
}

impl Pool {
    pub(super) fn all(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    pub(super) fn set(&self, endpoints: Vec<Arc<Endpoint>>) {
        self.endpoints.store(Arc::new(endpoints));
    }

    pub(super) fn counted(&self, now: u64) -> Counted {
        let all = self.endpoints.load();
        let ejected = all.iter().filter(|endpoint| endpoint.is_ejected(now)).count();
        let serves = |endpoint: &&Arc<Endpoint>| endpoint.reach() == Reach::Serving && !endpoint.is_ejected(now);
        Counted { known: all.len(), usable: all.iter().filter(serves).count(), ejected }
    }

    /// An endpoint for the next attempt; not `tried`, unless there is no other one worth trying.
    pub(super) fn pick(&self, tried: Option<&Arc<Endpoint>>, now: u64) -> Option<Arc<Endpoint>> {
        let all = self.endpoints.load();
        let new = |endpoint: &Endpoint| tried.is_none_or(|tried| !std::ptr::eq(Arc::as_ptr(tried), endpoint));
        choose(&all, |endpoint| new(endpoint) && endpoint.is_fit(now))
            .or_else(|| choose(&all, |endpoint| new(endpoint) && endpoint.reach() != Reach::Away))
            .or_else(|| tried.cloned())
            .or_else(|| choose(&all, |_| true))
    }

    /// Ejects `endpoint`, unless half of all are ejected already. Gives whether it did.
    pub(super) fn eject(&self, endpoint: &Endpoint, now: u64, config: &Config) -> bool {
        let _one_at_a_time = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let all = self.endpoints.load();
        let ejected = all.iter().filter(|endpoint| endpoint.is_ejected(now)).count();
        if endpoint.is_ejected(now) || ejected >= all.len() / 2 {
            return false;
        }
        endpoint.eject(now, config);
        true
    }
}

/// The less busy of two random ones that are `good`.
fn choose(all: &[Arc<Endpoint>], good: impl Fn(&Endpoint) -> bool) -> Option<Arc<Endpoint>> {
    if let [only] = all {
        return good(only).then(|| Arc::clone(only));
    }
    let count = all.iter().filter(|endpoint| good(endpoint)).count();
    // Between counting and taking, one may have changed: then the other is taken, or the caller looks again.
    let nth = |nth: usize| all.iter().filter(|endpoint| good(endpoint)).nth(nth);
    let (one, other) = match count {
        0 => return None,
        1 => return nth(0).cloned(),
        _ => {
            let random = rand::random::<u64>();
            let one = (random >> 32) as usize % count;
            let other = (one + 1 + (random as u32) as usize % (count - 1)) % count;
            (nth(one), nth(other))
        }
    };
    match (one, other) {
        (Some(one), Some(other)) => Some(Arc::clone(if other.in_flight() < one.in_flight() { other } else { one })),
        (one, other) => one.or(other).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn pool(size: usize) -> Pool {
        let config = Config::default();
        let channel = tonic::transport::Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let endpoint = |n: usize| Endpoint::new(n.to_string(), String::new(), 1, channel.clone(), &config);
        let pool = Pool::default();
        pool.set((0..size).map(endpoint).map(Arc::new).collect());
        pool.all().iter().for_each(|endpoint| endpoint.reached(Reach::Serving));
        pool
    }

    fn picked(pool: &Pool, times: usize) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for _ in 0..times {
            let endpoint = pool.pick(None, 1).expect("there is one");
            *counts.entry(endpoint.key.clone()).or_default() += 1;
        }
        counts
    }

    #[tokio::test]
    async fn all_get_their_part() {
        let counts = picked(&pool(4), 4_000);
        assert_eq!(counts.len(), 4);
        assert!(counts.values().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    #[tokio::test]
    async fn the_busiest_is_not_chosen() {
        let pool = pool(3);
        pool.all()[1].begin();
        assert!(!picked(&pool, 1_000).contains_key("1"));
    }

    #[tokio::test]
    async fn the_unfit_are_used_only_when_all_are() {
        let (pool, config) = (pool(3), Config::default());
        let all = pool.all();
        all[0].reached(Reach::Away);
        assert!(pool.eject(&all[1], 1, &config));
        assert!(!pool.eject(&all[2], 1, &config), "at most half");
        assert_eq!(pool.counted(1), Counted { known: 3, usable: 1, ejected: 1 });
        assert_eq!(picked(&pool, 100).into_keys().collect::<Vec<_>>(), ["2"]);
        all[2].reached(Reach::Away);
        assert_eq!(picked(&pool, 100).into_keys().collect::<Vec<_>>(), ["1"], "better ejected than away");
        all[1].reached(Reach::Away);
        assert_eq!(picked(&pool, 100).len(), 3);
    }

    #[tokio::test]
    async fn a_second_attempt_goes_elsewhere() {
        let pool = pool(2);
        let all = pool.all();
        for _ in 0..100 {
            assert_eq!(pool.pick(Some(&all[0]), 1).expect("the other").key, "1");
        }
        all[1].reached(Reach::Away);
        assert_eq!(pool.pick(Some(&all[0]), 1).expect("itself").key, "0");
        assert!(Pool::default().pick(None, 1).is_none());
    }
}
