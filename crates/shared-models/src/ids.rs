//! Identifiers as newtypes, so that a user id is never passed where an item id is meant.
//!
//! Two kinds: *names* (text a tenant chose, 1 to 128 visible characters) and *keys* (64-bit hashes
//! of names, which travel between services in packed arrays and index memory).

use std::{fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// The most characters a tenant-given name may have.
pub const MAX_NAME_CHARACTERS: usize = 128;

/// Why a text is no identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text has no characters.
    #[error("{what} is empty; give 1 to {MAX_NAME_CHARACTERS} visible characters")]
    Empty {
        /// Which identifier was being read.
        what: &'static str,
    },
    /// The text is longer than [`MAX_NAME_CHARACTERS`].
    #[error("{what} has {characters} characters; give at most {MAX_NAME_CHARACTERS}")]
    TooLong {
        /// Which identifier was being read.
        what: &'static str,
        /// How long the text was.
        characters: usize,
    },
    /// The text holds a control character, white space at an end, or another character that the
    /// identifier does not allow.
    #[error("{what} holds {character:?}, which is not allowed; {allowed}")]
    Character {
        /// Which identifier was being read.
        what: &'static str,
        /// The first offending character.
        character: char,
        /// What would be right, as a clause.
        allowed: &'static str,
    },
}

fn any_visible(character: char) -> bool {
    !character.is_control()
}

fn slug(character: char) -> bool {
    character.is_ascii_lowercase()
        || character.is_ascii_digit()
        || character == '-'
        || character == '_'
        || character == '/'
}

fn feature_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '.' || character == '-' || character == '_'
}

fn subject_token(character: char) -> bool {
    character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-' || character == '_'
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $allowed:path, $hint:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Reads the identifier.
            ///
            /// # Errors
            /// When the text is empty, too long, or holds a character that is not allowed.
            pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
                let text = text.as_ref();
                if text.is_empty() {
                    return Err(Error::Empty { what: $what });
                }
                let characters = text.chars().count();
                if characters > MAX_NAME_CHARACTERS {
                    return Err(Error::TooLong { what: $what, characters });
                }
                match text.chars().find(|c| !$allowed(*c)) {
                    Some(character) => Err(Error::Character { what: $what, character, allowed: $hint }),
                    None => Ok(Self(Arc::from(text))),
                }
            }

            /// The text as the tenant gave it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $type {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "minLength": 1, "maxLength": MAX_NAME_CHARACTERS, "description": $hint })
            }
        }
    };
}

name!(
    /// An isolated customer of the platform. It is a token of stream subjects, hence its alphabet.
    TenantId, "tenant", subject_token, "use a-z, 0-9, - and _"
);
name!(
    /// The listener, by the tenant's own id.
    UserId, "user_id", any_visible, "use visible characters"
);
name!(
    /// An item of a tenant's catalogue, by the tenant's own id.
    ItemId, "item_id", any_visible, "use visible characters"
);
name!(
    /// The client's identity of an event: sent twice, it counts once.
    EventId, "event_id", any_visible, "use visible characters"
);
name!(
    /// A surface, such as `home` or `item-similar`.
    SurfaceId, "surface", slug, "use a-z, 0-9, -, _ and /"
);
name!(
    /// A shelf of a surface, such as `made-for-you`.
    ShelfId, "shelf", slug, "use a-z, 0-9, -, _ and /"
);
name!(
    /// A named number of an item, such as `tempo`.
    FeatureName, "feature name", feature_token, "use a-z, A-Z, 0-9, ., - and _"
);
name!(
    /// An immutable bundle of model artefacts, by the hash of its manifest.
    ReleaseId, "release", slug, "use a-z, 0-9, -, _ and /"
);

/// The 64-bit key of an item: XXH3 of its id's UTF-8 bytes, never 0.
///
/// Keys travel between services in packed arrays. They need no allocation and no coordination: the
/// importer, the services and a release compute the same key from the same id. Two ids of one
/// catalogue with one key are refused when the second is written (expected once in 10^7 catalogues
/// of a million items).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ItemKey(pub u64);

impl ItemKey {
    /// No item: an absent artist, an absent seed.
    pub const NONE: Self = Self(0);

    /// The key of an item id.
    #[must_use]
    pub fn of(id: &ItemId) -> Self {
        Self(xxh3_64(id.as_str().as_bytes()).max(1))
    }

    /// Whether this names an item.
    #[must_use]
    pub fn is_some(self) -> bool {
        self != Self::NONE
    }
}

/// The 64-bit key of a user: XXH3 of its id's UTF-8 bytes. It chooses the partition of the user's
/// events and stands for the user in traces and logs, where the id itself never shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserKey(pub u64);

impl UserKey {
    /// The key of a user id.
    #[must_use]
    pub fn of(id: &UserId) -> Self {
        Self(xxh3_64(id.as_str().as_bytes()))
    }

    /// The partition that carries this user's events, in `0..partitions`.
    #[must_use]
    pub fn partition(self, partitions: u16) -> u16 {
        // The high bits: the low ones pick hash-map slots.
        ((u128::from(self.0) * u128::from(partitions.max(1))) >> 64) as u16
    }

    /// The bucket of this user in tables, in `0..1024`: the unit by which tables split.
    #[must_use]
    pub fn bucket(self) -> i16 {
        (self.0 >> 54) as i16
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One answered request, and its decision record. Sorts by time (UUID version 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecommendationId(pub Uuid);

impl RecommendationId {
    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for RecommendationId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RecommendationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_with_what_would_be_right() {
        let check = |text: &str, expected: &str| match TenantId::new(text) {
            Ok(id) => assert_eq!(id.as_str(), expected),
            Err(error) => assert_eq!(error.to_string(), expected),
        };
        check("demo", "demo");
        check("", "tenant is empty; give 1 to 128 visible characters");
        check("a.b", "tenant holds '.', which is not allowed; use a-z, 0-9, - and _");
        check(&"a".repeat(129), "tenant has 129 characters; give at most 128");
    }

    #[test]
    fn keys_never_change() {
        // Releases and stored profiles hold these numbers: a change here breaks them all.
        let id = ItemId::new("track-1").unwrap();
        assert_eq!(format!("{:016x}", ItemKey::of(&id).0), "906e54c776bb93b2");
    }

    #[test]
    fn partitions_are_even() {
        let mut counts = [0_u32; 8];
        for n in 0..80_000 {
            let user = UserId::new(format!("user-{n}")).unwrap();
            counts[usize::from(UserKey::of(&user).partition(8))] += 1;
        }
        assert!(counts.iter().all(|c| (9_500..10_500).contains(c)), "{counts:?}");
    }
}
