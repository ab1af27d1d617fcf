//! API keys: `setlist_<id>_<secret>`, of which only the SHA-256 of the secret is kept.
//!
//! The secret is 256 random bits, so a fast hash is enough: there is nothing to guess. Its last eight
//! digits are a checksum, so that a slip or a scanner's find is told apart without asking the server.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shared_models::{TenantId, Timestamp};

use super::Scope;

const PREFIX: &str = "setlist_";
const SECRET_DIGITS: usize = 64;
const CHECKSUM_DIGITS: usize = 8;

/// A key as its owner holds it. It shows itself only through [`Key::expose`].
pub struct Key(String);

/// A key as the edge knows it.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The public part of the key.
    pub id: String,
    /// The SHA-256 of the secret part, in hexadecimal.
    pub sha256: String,
    /// Whose data it opens.
    pub tenant: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends, in RFC 3339; empty is never.
    #[serde(default)]
    pub expires_at: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key([redacted])")
    }
}

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyConfig({} of {}, {:?})", self.id, self.tenant, self.scopes)
    }
}

impl Key {
    /// A new key, and the entry to put into the edge's configuration.
    #[must_use]
    pub fn generate(tenant: &TenantId, scopes: &[Scope]) -> (Self, KeyConfig) {
        let id = hex::encode(rand::random::<[u8; 6]>());
        let secret = hex::encode(rand::random::<[u8; 32]>());
        let secret = format!("{secret}{}", checksum(&id, &secret));
        let entry = KeyConfig {
            id: id.clone(),
            sha256: hex::encode(Sha256::digest(secret.as_bytes())),
            tenant: tenant.to_string(),
            scopes: scopes.to_vec(),
            expires_at: String::new(),
        };
        (Self(format!("{PREFIX}{id}_{secret}")), entry)
    }

    /// The key in clear: show it once, keep it nowhere.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl KeyConfig {
    /// The digest of the secret, when it is one.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        hex::decode_to_slice(&self.sha256, &mut digest).ok()?;
        Some(digest)
    }

    /// When the key ends.
    pub(super) fn expiry(&self) -> Result<Option<Timestamp>, jiff::Error> {
        match self.expires_at.as_str() {
            "" => Ok(None),
            text => text.parse::<jiff::Timestamp>().map(|moment| Some(Timestamp(moment.as_millisecond()))),
        }
    }

    /// What is wrong with the entry: key, what is given, what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut problems = Vec::new();
        let id_fits =
            (4..=32).contains(&self.id.len()) && self.id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !id_fits {
            problems.push(("id", self.id.clone(), "4 to 32 of a-z and 0-9"));
        }
        if self.digest().is_none() {
            problems.push((
                "sha256",
                format!("{} characters", self.sha256.len()),
                "64 hexadecimal digits: the SHA-256 of the key's secret part",
            ));
        }
        if TenantId::new(&self.tenant).is_err() {
            problems.push(("tenant", self.tenant.clone(), "1 to 128 of a-z, 0-9, - and _"));
        }
        if self.scopes.is_empty() {
            problems.push(("scopes", "no scope".to_owned(), "at least one of serve, events, catalog, admin"));
        }
        if self.expiry().is_err() {
            problems.push(("expires_at", self.expires_at.clone(), "a moment such as 2027-01-01T00:00:00Z, or nothing"));
        }
        problems
    }
}

fn checksum(id: &str, secret: &str) -> String {
    let mut digest = hex::encode(Sha256::new().chain_update(id).chain_update(secret).finalize());
    digest.truncate(CHECKSUM_DIGITS);
    digest
}

/// The id and the secret of a key's text, when it has the form of one.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let (random, sum) = secret.split_at_checked(SECRET_DIGITS)?;
    (sum == checksum(id, random)).then_some((id, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_show_themselves_only_when_asked() {
        let (key, entry) = Key::generate(&TenantId::new("demo").unwrap(), &[Scope::Serve]);
        let secret = key.expose().rsplit('_').next().unwrap();
        assert!(!format!("{key:?} {entry:?}").contains(secret));
        assert!(!serde_json::to_string(&entry).unwrap().contains(secret));
        assert!(entry.problems().is_empty());
    }
}
