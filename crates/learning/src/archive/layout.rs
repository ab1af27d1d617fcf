//! Where files stand in the archive and how they are named. It must not know what is in them, nor where the archive is.

use object_store::path::Path;
use shared_models::{TenantId, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::schema::Table;

/// How the name of a file begins that stands for others.
pub(super) const MERGED: &str = "day-";
/// How the name of a file of imported events begins.
pub(super) const IMPORT: &str = "import-";

const TENANT: &str = "tenant=";
const DAY: &str = "day=";
const EXTENSION: &str = ".parquet";

/// A file of the archive, as its path tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whose rows.
    pub tenant: TenantId,
    /// The UTC day on which the stream took the messages, such as `2026-05-28`.
    pub day: String,
    /// The name within that day.
    pub name: String,
}

impl Place {
    /// Reads a path below a table's folder; `None` for what is no file of the archive.
    pub(super) fn parse(path: &Path) -> Option<Self> {
        let mut parts = path.parts().skip(1);
        let tenant = parts.next()?.as_ref().strip_prefix(TENANT)?.to_owned();
        let day = parts.next()?.as_ref().strip_prefix(DAY)?.to_owned();
        let name = parts.next()?.as_ref().to_owned();
        let is_file = parts.next().is_none() && name.ends_with(EXTENSION) && !name.starts_with('.');
        is_file.then_some(())?;
        Some(Self { tenant: TenantId::new(&tenant).ok()?, day, name })
    }

    /// The path in the archive.
    pub(super) fn path(&self, table: &Table) -> Path {
        folder(table, &self.tenant).join(format!("{DAY}{}", self.day)).join(self.name.as_str())
    }

    /// The path below the tenant's folder.
    #[must_use]
    pub fn below_tenant(&self) -> String {
        format!("{DAY}{}/{}", self.day, self.name)
    }
}

/// The folder of a tenant in a table.
pub(super) fn folder(table: &Table, tenant: &TenantId) -> Path {
    Path::from(table.name).join(format!("{TENANT}{tenant}"))
}

/// The tenant whose folder this is.
pub(super) fn tenant_of(folder: &Path) -> Option<TenantId> {
    TenantId::new(folder.filename()?.strip_prefix(TENANT)?).ok()
}

/// The UTC day of a moment, as its folder is named.
pub(super) fn day_of(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| "unknown".to_owned(), |moment| moment.strftime("%Y-%m-%d").to_string())
}

/// Whether a folder is named as a day was in the archive's first layout, `<tenant>/<day>`.
pub(super) fn is_bare_day(name: &str) -> bool {
    name.len() == 10
        && name
            .bytes()
            .enumerate()
            .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}

/// The name of a file that landed: the first and last position in it, and which messages exactly.
pub(super) fn landed(first: u64, last: u64, deliveries: &str) -> String {
    format!("{first:020}-{last:020}-{:016x}{EXTENSION}", xxh3_64(deliveries.as_bytes()))
}

/// The name of a file that stands for others.
pub(super) fn merged(replaced: &str) -> String {
    format!("{MERGED}{:016x}{EXTENSION}", xxh3_64(replaced.as_bytes()))
}

/// The name of a file of imported events.
pub(super) fn imported(hash: u64) -> String {
    format!("{IMPORT}{hash:016x}{EXTENSION}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::EVENTS;

    #[test]
    fn a_path_reads_back_as_its_place() {
        let place = Place {
            tenant: TenantId::new("demo").unwrap(),
            day: day_of(Timestamp(1_780_000_000_000)),
            name: landed(1, 7, "x"),
        };
        let path = place.path(&EVENTS);
        assert!(path.as_ref().starts_with("events/tenant=demo/day=2026-05-28/0000000000000000000"), "{path}");
        assert_eq!(Place::parse(&path), Some(place));
        for other in ["events/tenant=demo/day=2026-05-28/.x.parquet", "events/tenant=demo/x.parquet", "events/demo/x"] {
            assert_eq!(Place::parse(&Path::from(other)), None, "{other}");
        }
        assert!(is_bare_day("2026-05-28") && !is_bare_day("day=2026-0"));
    }
}
