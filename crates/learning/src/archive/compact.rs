//! Compaction: the many small files of a day that is over become one. It must not know streams: it
//! keeps rows and footers as they are.

use std::collections::BTreeSet;

use shared_models::{TenantId, Timestamp};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    Archive, Error, Span,
    columns::{self, Row},
    files, landing,
};

/// How the file of a whole day is named.
pub(super) const PREFIX: &str = "day-";

impl Archive {
    /// Makes one file of each day before the day of `now` that has several; answers how many files it
    /// replaced. Days that still bring messages are left alone.
    ///
    /// The new file names those it replaces, and they are removed after it is in place: cut short
    /// between the two, readers pass the old ones by, and the next call removes them.
    ///
    /// # Errors
    /// When the disk says no or a file is no archive file.
    pub fn compact(&self, now: Timestamp) -> Result<usize, Error> {
        let today = files::day_of(now);
        let mut replaced = 0;
        for tenant in files::names(&self.root)? {
            let Ok(tenant) = TenantId::new(&tenant) else { continue };
            for day in files::names(&self.root.join(tenant.as_str()))? {
                if day < today {
                    replaced += self.compact_day(&tenant, &day)?;
                }
            }
        }
        Ok(replaced)
    }

    /// Whose events it holds.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        Ok(files::names(&self.root)?.iter().filter_map(|name| TenantId::new(name).ok()).collect())
    }

    fn compact_day(&self, tenant: &TenantId, day: &str) -> Result<usize, Error> {
        let folder = files::folder(&self.root, tenant, day);
        let mut names = files::parquet_files(&folder)?;
        let mut gone = BTreeSet::new();
        for name in names.iter().filter(|name| name.starts_with(PREFIX)) {
            let listed = columns::footer(&folder.join(name), columns::REPLACES)?.unwrap_or_default();
            gone.extend(listed.split(',').map(str::to_owned).filter(|old| names.contains(old)));
        }
        for old in &gone {
            remove(&folder, old)?;
        }
        names.retain(|name| !gone.contains(name));
        if names.len() < 2 {
            return Ok(gone.len());
        }
        let (mut rows, mut deliveries): (Vec<Row>, BTreeSet<(u64, u64)>) = (Vec::new(), BTreeSet::new());
        for name in &names {
            let path = folder.join(name);
            rows.extend(columns::read(&path, Span::ALL)?);
            deliveries
                .extend(landing::parse_deliveries(&columns::footer(&path, columns::DELIVERIES)?.unwrap_or_default()));
        }
        rows.sort_by_key(|row| row.sequence);
        let deliveries: Vec<(u64, u64)> = deliveries.into_iter().collect();
        let listed = names.join(",");
        let name = format!("{PREFIX}{:016x}.parquet", xxh3_64(listed.as_bytes()));
        let footer = [(columns::DELIVERIES, landing::format_deliveries(&deliveries)), (columns::REPLACES, listed)];
        let bytes = columns::write(&rows, &footer).map_err(Error::parquet("write", folder.join(&name)))?;
        files::place(&folder, &name, &bytes)?;
        for old in &names {
            remove(&folder, old)?;
        }
        files::sync(&folder)?;
        Ok(gone.len() + names.len())
    }
}

fn remove(folder: &std::path::Path, name: &str) -> Result<(), Error> {
    let path = folder.join(name);
    std::fs::remove_file(&path).map_err(Error::io("remove", path))
}
