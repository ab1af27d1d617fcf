//! How a payload lies in a column: compressed, and the row around it. It must not know a database.

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use shared_models::{RecommendationId, SurfaceId, TenantId, Timestamp, UserKey};
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::{Error, Kept, Listed};

/// The payload is a zlib stream (RFC 1950).
pub(super) const FORMAT: i16 = 1;
/// No payload is longer; a stream that says otherwise is broken.
const MOST: u64 = 64 << 20;

/// Compresses. Fast rather than small: keys are hashes, which no effort makes smaller.
fn pack(payload: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(payload.len() / 2), Compression::fast());
    // Writing into memory does not fail.
    let _written = encoder.write_all(payload);
    encoder.finish().unwrap_or_default()
}

/// The payloads of some records, compressed off the runtime's threads: a batch of them takes milliseconds.
pub(super) async fn pack_all(records: &[Kept]) -> Result<Vec<Vec<u8>>, Error> {
    let payloads: Vec<Bytes> = records.iter().map(|record| record.payload.clone()).collect();
    let work = move || payloads.iter().map(|payload| pack(payload)).collect();
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Corrupt { what: "payload" })
}

pub(super) fn unpack(format: i16, packed: &[u8]) -> Result<Bytes, Error> {
    let corrupt = || Error::Corrupt { what: "record" };
    if format != FORMAT {
        return Err(corrupt());
    }
    let mut payload = Vec::with_capacity(packed.len() * 3);
    ZlibDecoder::new(packed).take(MOST).read_to_end(&mut payload).map_err(|_| corrupt())?;
    Ok(payload.into())
}

/// A column of a row.
fn column<'r, R, T>(row: &'r R, name: &'static str) -> Result<T, Error>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    T: Decode<'r, R::Database> + Type<R::Database>,
{
    row.try_get(name).map_err(|_| Error::Corrupt { what: name })
}

/// `made_at, id, surface, whole` of a row.
pub(super) fn listed<'r, R>(row: &'r R) -> Result<Listed, Error>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let id: Vec<u8> = column(row, "id")?;
    let id = uuid::Uuid::from_slice(&id).map_err(|_| Error::Corrupt { what: "id" })?;
    let surface: String = column(row, "surface")?;
    Ok(Listed {
        id: RecommendationId(id),
        made_at: Timestamp(column(row, "made_at")?),
        surface: SurfaceId::new(&surface).map_err(|_| Error::Corrupt { what: "surface" })?,
        whole: column(row, "whole")?,
    })
}

/// A whole row of a tenant.
pub(super) fn kept<'r, R>(tenant: &TenantId, row: &'r R) -> Result<Kept, Error>
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i16: Decode<'r, R::Database> + Type<R::Database>,
    i32: Decode<'r, R::Database> + Type<R::Database>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let Listed { id, made_at, surface, whole } = listed(row)?;
    let user: Option<i64> = column(row, "user_key")?;
    let version: i32 = column(row, "version")?;
    let packed: Vec<u8> = column(row, "payload")?;
    Ok(Kept {
        tenant: tenant.clone(),
        id,
        made_at,
        surface,
        user: user.map(|key| UserKey(key as u64)),
        whole,
        version: version.unsigned_abs(),
        payload: unpack(column(row, "format")?, &packed)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_and_what_is_broken_is_told() {
        for payload in [&b""[..], b"x", &[7; 100_000]] {
            assert_eq!(unpack(FORMAT, &pack(payload)).unwrap(), payload);
        }
        assert!(pack(&[7; 100_000]).len() < 1_000);
        assert!(unpack(FORMAT, b"no zlib").is_err());
        assert!(unpack(2, &pack(b"x")).is_err());
    }
}
