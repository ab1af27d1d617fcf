//! Rows to values and values to rows. It must not know which statement a row comes from.

use shared_models::{
    ItemId, ItemKey, Timestamp, UserId,
    item::{Item, ItemKind, Market},
    listener::UserAttributes,
};
use sqlx::{
    Row as _,
    query::Query,
    sqlite::{Sqlite, SqliteArguments, SqliteRow},
};

use super::{Error, StoredUser, decode};

pub(super) fn unreadable(_: sqlx::Error) -> Error {
    Error::Corrupt { what: "column" }
}

pub(super) fn text(row: &SqliteRow, column: usize) -> Result<&str, Error> {
    row.try_get(column).map_err(unreadable)
}

pub(super) fn integer(row: &SqliteRow, column: usize) -> Result<i64, Error> {
    row.try_get(column).map_err(unreadable)
}

pub(super) fn item_key(row: &SqliteRow, column: usize) -> Result<ItemKey, Error> {
    Ok(ItemKey(integer(row, column)? as u64))
}

/// An item, from ten columns in the order of the table.
pub(super) fn item(row: &SqliteRow) -> Result<Item, Error> {
    let corrupt = |what| move |_| Error::Corrupt { what };
    let maybe = |column: usize| row.try_get::<Option<&str>, _>(column).map_err(unreadable);
    let maybe_integer = |column: usize| row.try_get::<Option<i64>, _>(column).map_err(unreadable);
    Ok(Item {
        id: ItemId::new(text(row, 0)?).map_err(corrupt("item id"))?,
        kind: ItemKind::from(text(row, 1)?),
        title: text(row, 2)?.to_owned(),
        artist_id: maybe(3)?.map(ItemId::new).transpose().map_err(corrupt("artist id"))?,
        artist_name: maybe(4)?.map(str::to_owned),
        genres: serde_json::from_str(text(row, 5)?).map_err(|_| Error::Corrupt { what: "genres" })?,
        released_at: maybe_integer(6)?.map(Timestamp),
        duration_ms: maybe_integer(7)?.and_then(|ms| u32::try_from(ms).ok()),
        explicit: row.try_get(8).map_err(unreadable)?,
        markets: markets(text(row, 9)?)?,
    })
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

/// Binds one row of `statements::put_items`.
pub(super) fn bind_item<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    item: &'q Item,
) -> Query<'q, Sqlite, SqliteArguments> {
    // Texts always become JSON.
    let genres = serde_json::to_string(&item.genres).unwrap_or_else(|_| "[]".to_owned());
    query
        .bind(item.key().0 as i64)
        .bind(item.id.as_str())
        .bind(item.kind.as_str())
        .bind(item.title.as_str())
        .bind(item.artist_id.as_ref().map(ItemId::as_str))
        .bind(item.artist_name.as_deref())
        .bind(genres)
        .bind(item.released_at.map(|at| at.0))
        .bind(item.duration_ms.map(i64::from))
        .bind(item.explicit)
        .bind(item.markets.iter().map(Market::as_str).collect::<String>())
}

/// What the tenant told of a user, from four columns that begin at `first`.
pub(super) fn attributes(row: &SqliteRow, first: usize) -> Result<UserAttributes, Error> {
    let market: Option<&str> = row.try_get(first + 1).map_err(unreadable)?;
    Ok(UserAttributes {
        id: UserId::new(text(row, first)?).map_err(|_| Error::Corrupt { what: "user id" })?,
        market: market.and_then(Market::parse),
        explicit_allowed: row.try_get(first + 2).map_err(unreadable)?,
        updated_at: Timestamp(integer(row, first + 3)?),
    })
}

/// A user, from a row of `statements::users`.
pub(super) fn user(row: &SqliteRow) -> Result<StoredUser, Error> {
    let mut user = StoredUser { version: integer(row, 1)?, ..StoredUser::default() };
    if let Some(bytes) = row.try_get::<Option<&[u8]>, _>(3).map_err(unreadable)? {
        user.profile = decode(row.try_get(2).map_err(unreadable)?, bytes)?;
    }
    if row.try_get::<Option<&str>, _>(4).map_err(unreadable)?.is_some() {
        user.attributes = Some(attributes(row, 4)?);
    }
    Ok(user)
}
