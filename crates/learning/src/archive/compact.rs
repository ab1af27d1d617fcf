//! Compaction: many small files become few. It must not know streams: it keeps rows and footers as they are.

use std::collections::BTreeSet;

use shared_models::{TenantId, Timestamp};

use super::{
    Archive, CandidateRow, DELIVERIES, Error, EventRow, REPLACES, Row, ShownRow, Span, cells,
    landing::{format_deliveries, parse_deliveries},
    layout::{self, Place},
    reader::{Held, once_by_origin},
};
use crate::progress::Silent;

/// A file of at least so many bytes is left as it is.
const LARGE: u64 = 16 << 20;
/// The most bytes of files that become one: their rows are in memory together.
const TOGETHER: u64 = 32 << 20;
/// A day that still brings messages is left alone until it has so many small files: each merge makes a reader of its
/// files begin again.
const MANY: usize = 256;

impl Archive {
    /// Merges the small files of each day before the day of `now`, and of that day when it has very many; answers how
    /// many files it replaced.
    ///
    /// A merged file names those it replaces, and they are removed after it is in place: cut short between the two,
    /// readers pass the old ones by, and the next call removes them.
    ///
    /// # Errors
    /// When the store says no or a file is no archive file.
    pub fn compact(&self, now: Timestamp) -> Result<usize, Error> {
        let today = layout::day_of(now);
        let mut replaced = 0;
        for tenant in self.tenants_of(EventRow::TABLE)? {
            replaced += self.compact_tenant::<EventRow>(&tenant, &today)?;
        }
        for tenant in self.tenants_of(ShownRow::TABLE)? {
            replaced += self.compact_tenant::<ShownRow>(&tenant, &today)?;
        }
        for tenant in self.tenants_of(CandidateRow::TABLE)? {
            replaced += self.compact_tenant::<CandidateRow>(&tenant, &today)?;
        }
        Ok(replaced)
    }

    fn compact_tenant<R: Row>(&self, tenant: &TenantId, today: &str) -> Result<usize, Error> {
        let (files, replaced) = self.listing(R::TABLE, tenant)?;
        // What a compaction that was cut short left behind.
        for file in &replaced {
            self.objects.remove(&file.place.path(R::TABLE))?;
        }
        let mut gone = replaced.len();
        for day in files.chunk_by(|a, b| a.place.day == b.place.day) {
            let small: Vec<&Held> = day.iter().filter(|file| file.bytes < LARGE).collect();
            let is_over = day.first().is_some_and(|file| file.place.day.as_str() < today);
            if !is_over && small.len() < MANY {
                continue;
            }
            let mut group: Vec<&Held> = Vec::new();
            let mut bytes = 0;
            for file in small {
                if bytes + file.bytes > TOGETHER {
                    gone += self.merge::<R>(&group)?;
                    (group, bytes) = (Vec::new(), 0);
                }
                bytes += file.bytes;
                group.push(file);
            }
            gone += self.merge::<R>(&group)?;
        }
        Ok(gone)
    }

    /// Makes one file of several of a day; how many it replaced.
    fn merge<R: Row>(&self, files: &[&Held]) -> Result<usize, Error> {
        let (Some(first), true) = (files.first(), files.len() > 1) else { return Ok(0) };
        let held: Vec<Held> = files.iter().map(|file| (*file).clone()).collect();
        let mut rows: Vec<R> = self.rows(&held, Span::ALL, &Silent)?;
        once_by_origin(&mut rows);
        let mut deliveries = BTreeSet::new();
        let mut replaces = BTreeSet::new();
        for file in files {
            let metadata = self.objects.metadata(&file.place.path(R::TABLE), file.bytes)?;
            deliveries.extend(parse_deliveries(&cells::entry(&metadata, DELIVERIES).unwrap_or_default()));
            // Whoever has read what a merged file stood for has read it as well.
            replaces.extend(file.replaces.iter().cloned());
            replaces.insert(file.place.name.clone());
        }
        let deliveries: Vec<(u64, u64)> = deliveries.into_iter().collect();
        let replaces: Vec<String> = replaces.into_iter().collect();
        let listed = replaces.join(",");
        let place = Place { name: layout::merged(&listed), ..first.place.clone() };
        let path = place.path(R::TABLE);
        let footer = [(DELIVERIES, format_deliveries(&deliveries)), (REPLACES, listed)];
        let bytes = cells::write(&rows, &footer).map_err(Error::parquet("write", path.as_ref()))?;
        self.objects.put(&path, bytes)?;
        for file in files {
            self.objects.remove(&file.place.path(R::TABLE))?;
        }
        Ok(files.len())
    }
}
