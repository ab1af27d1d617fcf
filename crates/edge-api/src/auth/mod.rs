//! Who calls, and what they may do.
//!
//! A key names a tenant and scopes; a route names the scope it needs; whatever is not named is refused.
//! Must not know what a route does.

mod guard;
mod key;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared_models::{Clock, TenantId, Timestamp};
use subtle::ConstantTimeEq;

pub(crate) use guard::Guard;
pub use key::{Key, KeyConfig};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Ask for pages.
    Serve,
    /// Send events.
    Events,
    /// Read and write items and users.
    Catalog,
    /// Read what was answered to listeners, and why.
    Explain,
    /// Read and change how the platform works.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 5] = [Self::Serve, Self::Events, Self::Catalog, Self::Explain, Self::Admin];

    /// The scope as it stands in configuration and documentation.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Events => "events",
            Self::Catalog => "catalog",
            Self::Explain => "explain",
            Self::Admin => "admin",
        }
    }
}

/// Who is calling: in the extensions of every request that passed.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Whose data the request is about.
    pub tenant: TenantId,
    /// Which key was shown.
    pub key_id: Arc<str>,
}

impl Caller {
    /// Whose data the request is about.
    pub(crate) fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

/// The keys, ready to be compared.
#[derive(Default)]
pub struct Keys {
    by_id: HashMap<String, Entry>,
}

struct Entry {
    digest: [u8; 32],
    caller: Caller,
    scopes: Vec<Scope>,
    expires_at: Option<Timestamp>,
}

/// Why a caller does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Missing,
    Malformed,
    Unknown,
    Expired,
    Scope,
}

impl Keys {
    /// Reads the configured keys; entries that `KeyConfig::problems` would refuse are left out.
    #[must_use]
    pub fn new(entries: &[KeyConfig]) -> Self {
        let by_id = entries.iter().filter_map(|entry| Some((entry.id.clone(), Entry::read(entry)?))).collect();
        Self { by_id }
    }

    /// These keys without those of tenants that are not in `tenants`; and the tenants that were left out.
    pub(crate) fn only_of(mut self, tenants: &HashSet<TenantId>) -> (Self, BTreeSet<TenantId>) {
        let mut others = BTreeSet::new();
        self.by_id.retain(|_, entry| {
            let known = tenants.contains(&entry.caller.tenant);
            if !known {
                others.insert(entry.caller.tenant.clone());
            }
            known
        });
        (self, others)
    }

    /// Everybody who has a key.
    pub(crate) fn callers(&self) -> impl Iterator<Item = &Caller> {
        self.by_id.values().map(|entry| &entry.caller)
    }

    /// The tenants that have a key; one may be there twice.
    pub fn tenants(&self) -> impl Iterator<Item = &TenantId> {
        self.callers().map(Caller::tenant)
    }

    /// Whether the bearer of `text` may do what `scope` covers.
    pub(crate) fn check(&self, text: &str, scope: Scope, clock: &dyn Clock) -> Result<&Caller, Refusal> {
        let (id, secret) = key::split(text).ok_or(Refusal::Malformed)?;
        let digest: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
        // An unknown id walks the same path as a wrong secret: time tells nothing.
        let entry = self.by_id.get(id);
        let expected = entry.map_or([0; 32], |entry| entry.digest);
        let same = bool::from(digest.ct_eq(&expected));
        let entry = entry.filter(|_| same).ok_or(Refusal::Unknown)?;
        if entry.expires_at.is_some_and(|end| clock.now() >= end) {
            return Err(Refusal::Expired);
        }
        if entry.scopes.contains(&scope) { Ok(&entry.caller) } else { Err(Refusal::Scope) }
    }
}

impl Entry {
    fn read(config: &KeyConfig) -> Option<Self> {
        Some(Self {
            digest: config.digest()?,
            caller: Caller { tenant: TenantId::new(&config.tenant).ok()?, key_id: Arc::from(config.id.as_str()) },
            scopes: config.scopes.clone(),
            expires_at: config.expiry().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use shared_models::clock::ManualClock;

    use super::*;

    #[test]
    fn keys_open_what_they_name_and_nothing_else() {
        let tenant = TenantId::new("demo").unwrap();
        let (key, entry) = Key::generate(&tenant, &[Scope::Serve]);
        let (other, _) = Key::generate(&tenant, &Scope::ALL);
        let (old, mut expired) = Key::generate(&tenant, &Scope::ALL);
        expired.expires_at = "2020-01-01T00:00:00Z".to_owned();
        let keys = Keys::new(&[entry, expired]);
        let clock = ManualClock::at(Timestamp(1_700_000_000_000));
        let check = |text: &str, scope, expected: Result<(), Refusal>| {
            assert_eq!(keys.check(text, scope, &clock).map(|_| ()), expected, "{text}");
        };
        check(key.expose(), Scope::Serve, Ok(()));
        check(key.expose(), Scope::Admin, Err(Refusal::Scope));
        check(other.expose(), Scope::Serve, Err(Refusal::Unknown));
        check(old.expose(), Scope::Serve, Err(Refusal::Expired));
        check("", Scope::Serve, Err(Refusal::Malformed));
        check("setlist_x", Scope::Serve, Err(Refusal::Malformed));
        let mut wrong = key.expose().to_owned();
        wrong.replace_range(wrong.len() - 1.., if wrong.ends_with('0') { "1" } else { "0" });
        check(&wrong, Scope::Serve, Err(Refusal::Malformed));
    }
}
