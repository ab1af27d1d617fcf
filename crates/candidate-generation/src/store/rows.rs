//! Rows to values. It must not know which statement or which database a row comes from.

use std::{collections::BTreeMap, sync::Arc};

use shared_models::{
    FeatureName, ItemId, ItemKey, TenantId, Timestamp, UserId,
    item::{Item, ItemKind, Market},
    listener::UserAttributes,
    numbers::Numbers,
};
use sqlx::{Row as _, postgres::PgRow, sqlite::SqliteRow};

use super::{Error, StoredUser, decode};
use crate::{index::trending::StoredTrend, profiles::Profile};

/// The columns of a row by their number, whichever database it comes from. Integers are of 64 bits in every
/// statement.
pub(super) trait Columns {
    fn maybe_text(&self, column: usize) -> Result<Option<&str>, Error>;
    fn maybe_integer(&self, column: usize) -> Result<Option<i64>, Error>;
    fn maybe_bytes(&self, column: usize) -> Result<Option<&[u8]>, Error>;
    fn flag(&self, column: usize) -> Result<bool, Error>;
    fn real(&self, column: usize) -> Result<f64, Error>;
}

macro_rules! columns {
    ($row:ty) => {
        impl Columns for $row {
            fn maybe_text(&self, column: usize) -> Result<Option<&str>, Error> {
                self.try_get(column).map_err(unreadable)
            }

            fn maybe_integer(&self, column: usize) -> Result<Option<i64>, Error> {
                self.try_get(column).map_err(unreadable)
            }

            fn maybe_bytes(&self, column: usize) -> Result<Option<&[u8]>, Error> {
                self.try_get(column).map_err(unreadable)
            }

            fn flag(&self, column: usize) -> Result<bool, Error> {
                self.try_get(column).map_err(unreadable)
            }

            fn real(&self, column: usize) -> Result<f64, Error> {
                self.try_get(column).map_err(unreadable)
            }
        }
    };
}

columns!(SqliteRow);
columns!(PgRow);

pub(super) fn unreadable(_: sqlx::Error) -> Error {
    Error::Corrupt { what: "column" }
}

const MISSING: Error = Error::Corrupt { what: "column" };

pub(super) fn text(row: &impl Columns, column: usize) -> Result<&str, Error> {
    row.maybe_text(column)?.ok_or(MISSING)
}

pub(super) fn integer(row: &impl Columns, column: usize) -> Result<i64, Error> {
    row.maybe_integer(column)?.ok_or(MISSING)
}

pub(super) fn tenant(row: &impl Columns, column: usize) -> Result<TenantId, Error> {
    TenantId::new(text(row, column)?).map_err(|_| Error::Corrupt { what: "tenant" })
}

pub(super) fn item_key(row: &impl Columns, column: usize) -> Result<ItemKey, Error> {
    Ok(ItemKey(integer(row, column)? as u64))
}

/// The columns of an item, in the order that [`item`] reads them.
pub(super) const ITEM: &str = "item_id, kind, title, artist_id, artist_name, genres, released_at, duration_ms, explicit, \
     markets, features, embedding";

/// An item, from the columns of [`ITEM`] that begin at `first`.
pub(super) fn item(row: &impl Columns, first: usize) -> Result<Item, Error> {
    let corrupt = |what| move |_| Error::Corrupt { what };
    Ok(Item {
        id: ItemId::new(text(row, first)?).map_err(corrupt("item id"))?,
        kind: ItemKind::from(text(row, first + 1)?),
        title: text(row, first + 2)?.to_owned(),
        artist_id: row.maybe_text(first + 3)?.map(ItemId::new).transpose().map_err(corrupt("artist id"))?,
        artist_name: row.maybe_text(first + 4)?.map(str::to_owned),
        genres: serde_json::from_str(text(row, first + 5)?).map_err(|_| Error::Corrupt { what: "genres" })?,
        released_at: row.maybe_integer(first + 6)?.map(Timestamp),
        duration_ms: row.maybe_integer(first + 7)?.and_then(|ms| u32::try_from(ms).ok()),
        explicit: row.flag(first + 8)?,
        markets: markets(text(row, first + 9)?)?,
        numbers: numbers(row.maybe_text(first + 10)?, row.maybe_bytes(first + 11)?)?,
    })
}

/// An item's numbers, from a JSON object and the little-endian bytes of an embedding. Rows of earlier releases have neither.
fn numbers(features: Option<&str>, embedding: Option<&[u8]>) -> Result<Option<Arc<Numbers>>, Error> {
    if features.is_none() && embedding.is_none() {
        return Ok(None);
    }
    let named: BTreeMap<FeatureName, f32> = match features {
        Some(text) => serde_json::from_str(text).map_err(|_| Error::Corrupt { what: "features" })?,
        None => BTreeMap::new(),
    };
    let (values, []) = embedding.unwrap_or_default().as_chunks::<4>() else {
        return Err(Error::Corrupt { what: "embedding" });
    };
    let embedding = values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Numbers::new(named, embedding).map_err(|_| Error::Corrupt { what: "features and embedding" })
}

/// An item's named numbers as they are stored.
pub(super) fn features_text(item: &Item) -> Option<String> {
    let features = item.numbers.as_ref().map(|numbers| numbers.features()).filter(|features| !features.is_empty())?;
    let named: BTreeMap<&str, f32> = features.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    // Finite numbers always become JSON.
    serde_json::to_string(&named).ok()
}

/// An item's embedding as it is stored.
pub(super) fn embedding_bytes(item: &Item) -> Option<Vec<u8>> {
    let embedding = item.numbers.as_ref().map(|numbers| numbers.embedding()).filter(|numbers| !numbers.is_empty())?;
    Some(embedding.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn markets(text: &str) -> Result<smallvec::SmallVec<[Market; 4]>, Error> {
    let corrupt = Error::Corrupt { what: "markets" };
    let (codes, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(corrupt);
    };
    codes
        .iter()
        .map(|code| std::str::from_utf8(code).ok().and_then(Market::parse))
        .collect::<Option<_>>()
        .ok_or(corrupt)
}

/// An item's markets as they are stored.
pub(super) fn markets_text(item: &Item) -> String {
    item.markets.iter().map(Market::as_str).collect()
}

/// An item's genres as they are stored.
pub(super) fn genres_text(item: &Item) -> String {
    // Texts always become JSON.
    serde_json::to_string(&item.genres).unwrap_or_else(|_| "[]".to_owned())
}

/// What the tenant told of a user, from four columns that begin at `first`.
pub(super) fn attributes(row: &impl Columns, first: usize) -> Result<UserAttributes, Error> {
    Ok(UserAttributes {
        id: UserId::new(text(row, first)?).map_err(|_| Error::Corrupt { what: "user id" })?,
        market: row.maybe_text(first + 1)?.and_then(Market::parse),
        explicit_allowed: row.flag(first + 2)?,
        updated_at: Timestamp(integer(row, first + 3)?),
    })
}

/// A profile, from its format and its bytes in two columns that begin at `first`; `None` when it was never written.
pub(super) fn profile(row: &impl Columns, first: usize) -> Result<Option<Profile>, Error> {
    let Some(bytes) = row.maybe_bytes(first + 1)? else { return Ok(None) };
    let format = i16::try_from(integer(row, first)?).map_err(|_| Error::Corrupt { what: "profile" })?;
    decode(format, bytes).map(Some)
}

/// A user, from a row of version, format, profile and attributes that begins at `first`.
pub(super) fn user(row: &impl Columns, first: usize) -> Result<StoredUser, Error> {
    let mut user = StoredUser { version: row.maybe_integer(first)?.unwrap_or(0), ..StoredUser::default() };
    if let Some(profile) = profile(row, first + 1)? {
        user.profile = profile;
    }
    if row.maybe_text(first + 3)?.is_some() {
        user.attributes = Some(attributes(row, first + 3)?);
    }
    Ok(user)
}

/// A count, from item, plays and moment.
pub(super) fn trend(row: &impl Columns) -> Result<StoredTrend, Error> {
    Ok(StoredTrend { key: item_key(row, 0)?, plays: row.real(1)?, at: Timestamp(integer(row, 2)?) })
}
