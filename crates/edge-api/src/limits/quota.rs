//! How often a key and a tenant may ask: a rate with a burst (GCRA), told in every answer.
//!
//! A key and a tenant are checked in memory that was there from the start, so strangers cannot fill it. The fields
//! `RateLimit` and `RateLimit-Policy` are those of the IETF's draft-ietf-httpapi-ratelimit-headers. Must not know routes.

use std::{collections::HashMap, fmt::Write as _, num::NonZeroU32, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use governor::{
    RateLimiter,
    clock::{Clock as _, MonotonicClock},
    middleware::StateInformationMiddleware,
    state::{InMemoryState, NotKeyed},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use shared_models::{ErrorCode, TenantId};

use crate::{auth::Caller, config::Quota, metrics::Metrics, problem::Problem};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// A rate with a burst.
#[derive(Clone, Copy)]
struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

impl Rate {
    fn new(per_second: u32, burst: u32) -> Self {
        let least_one = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        Self { per_second: least_one(per_second), burst: least_one(burst) }
    }

    /// How long it takes until so many requests are there again.
    fn seconds_for(self, requests: u32) -> u32 {
        requests.div_ceil(self.per_second.get())
    }
}

struct Limiter {
    rate: Rate,
    state: RateLimiter<NotKeyed, InMemoryState, MonotonicClock, StateInformationMiddleware>,
}

impl Limiter {
    fn new(rate: Rate) -> Self {
        let quota = governor::Quota::per_second(rate.per_second).allow_burst(rate.burst);
        Self { rate, state: RateLimiter::direct_with_clock(quota, MonotonicClock).with_middleware() }
    }

    /// How many requests are left after this one; or when the next one may come.
    fn take(&self) -> Result<Left, Duration> {
        match self.state.check() {
            Ok(state) => {
                let requests = state.remaining_burst_capacity();
                Ok(Left { requests, seconds: self.rate.seconds_for(self.rate.burst.get().saturating_sub(requests)) })
            }
            Err(until) => Err(until.wait_time_from(MonotonicClock.now())),
        }
    }
}

/// What is left of a quota, and in how many seconds it is whole again.
#[derive(Clone, Copy)]
struct Left {
    requests: u32,
    seconds: u32,
}

/// The quotas of every key and tenant.
pub(crate) struct Quotas {
    /// The limiters of keys, which may change while the edge runs.
    keys: ArcSwap<HashMap<Arc<str>, Arc<Limiter>>>,
    key: Rate,
    tenants: HashMap<TenantId, Limiter>,
    policy: HeaderValue,
    metrics: Metrics,
}

/// What a caller may still ask, as their answer tells it.
pub(crate) struct Allowance {
    policy: HeaderValue,
    left: Option<HeaderValue>,
}

impl Allowance {
    /// Tells it in an answer.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        headers.insert(RATE_LIMIT_POLICY, self.policy);
        if let Some(left) = self.left {
            headers.insert(RATE_LIMIT, left);
        }
    }
}

impl Quotas {
    /// Whole quotas for these keys.
    pub(crate) fn new<'a>(quota: &Quota, callers: impl Iterator<Item = &'a Caller>, metrics: Metrics) -> Self {
        let key = Rate::new(quota.key_requests_per_second, quota.key_burst);
        let tenant = Rate::new(quota.tenant_requests_per_second, quota.tenant_burst);
        let callers: Vec<&Caller> = callers.collect();
        let tenants = callers.iter().map(|caller| (caller.tenant.clone(), Limiter::new(tenant))).collect();
        let quotas = Self { keys: ArcSwap::default(), key, tenants, policy: policy(key, tenant), metrics };
        quotas.serve(callers.into_iter());
        quotas
    }

    /// These keys from now on: those that were there keep what is left to them, new ones begin whole.
    pub(crate) fn serve<'a>(&self, callers: impl Iterator<Item = &'a Caller>) {
        let known = self.keys.load();
        let limiter = |id: &Arc<str>| known.get(id).cloned().unwrap_or_else(|| Arc::new(Limiter::new(self.key)));
        let keys = callers.map(|caller| (Arc::clone(&caller.key_id), limiter(&caller.key_id))).collect();
        self.keys.store(Arc::new(keys));
    }

    /// Takes one request from the caller's quotas; or refuses it, with what is left all the same.
    pub(crate) fn take(&self, caller: &Caller) -> (Allowance, Result<(), Problem>) {
        let key = self.keys.load().get(&caller.key_id).map(|limiter| limiter.take());
        // A key that asks too often costs its tenant nothing.
        let refused = matches!(key, Some(Err(_)));
        let tenant = self.tenants.get(&caller.tenant).filter(|_| !refused).map(Limiter::take);
        let mut text = String::with_capacity(64);
        let mut outcome = Ok(());
        for (whose, detail, taken) in [
            ("key", "this API key asks more often than it may", key),
            ("tenant", "the keys of this tenant ask more often than they may together", tenant),
        ] {
            let left = match taken {
                None => continue,
                Some(Ok(left)) => left,
                Some(Err(wait)) => {
                    self.metrics.quota_exceeded(whose);
                    let problem = Problem::new(ErrorCode::ResourceExhausted, "quota_exceeded", detail);
                    outcome = Err(problem.retry_after(wait));
                    Left { requests: 0, seconds: u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1) }
                }
            };
            let comma = if text.is_empty() { "" } else { ", " };
            let _fits = write!(text, "{comma}\"{whose}\";r={};t={}", left.requests, left.seconds);
        }
        (Allowance { policy: self.policy.clone(), left: HeaderValue::try_from(text).ok() }, outcome)
    }
}

/// Both quotas as a header: so many requests in so many seconds.
fn policy(key: Rate, tenant: Rate) -> HeaderValue {
    let one = |whose: &str, rate: Rate| {
        let burst = rate.burst.get();
        format!("\"{whose}\";q={burst};w={}", rate.seconds_for(burst))
    };
    let text = format!("{}, {}", one("key", key), one("tenant", tenant));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("\"key\", \"tenant\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(key: &str, tenant: &str) -> Caller {
        Caller { tenant: TenantId::new(tenant).unwrap(), key_id: Arc::from(key) }
    }

    #[test]
    fn each_key_and_each_tenant_has_its_own() {
        let quota = Quota { key_requests_per_second: 1, key_burst: 2, tenant_requests_per_second: 1, tenant_burst: 3 };
        let callers = [caller("a1", "a"), caller("a2", "a"), caller("b1", "b")];
        let metrics = service_runtime::Metrics::new();
        let quotas = Quotas::new(&quota, callers.iter(), Metrics::new(&metrics));
        let take = |caller: &Caller| {
            let (allowance, outcome) = quotas.take(caller);
            let mut headers = HeaderMap::new();
            allowance.tell(&mut headers);
            let text =
                |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            assert_eq!(text("ratelimit-policy"), "\"key\";q=2;w=2, \"tenant\";q=3;w=3");
            (outcome.map_err(|problem| problem.detail().to_owned()), text("ratelimit"))
        };
        let [a1, a2, b1] = &callers;
        assert_eq!(take(a1), (Ok(()), "\"key\";r=1;t=1, \"tenant\";r=2;t=1".to_owned()));
        assert!(take(a1).0.is_ok());
        let (refused, left) = take(a1);
        assert_eq!(refused.unwrap_err(), "this API key asks more often than it may");
        assert_eq!(left, "\"key\";r=0;t=1");
        assert!(take(a2).0.is_ok());
        let (refused, left) = take(a2);
        assert_eq!(refused.unwrap_err(), "the keys of this tenant ask more often than they may together");
        assert!(left.starts_with("\"key\";r=0;t=") && left.ends_with(", \"tenant\";r=0;t=1"), "{left}");
        assert!(take(b1).0.is_ok(), "another tenant does not feel it");
        let page = metrics.encode();
        for whose in ["key", "tenant"] {
            assert!(page.contains(&format!("setlist_edge_quota_exceeded_total{{whose=\"{whose}\"}} 1")), "{page}");
        }
    }
}
