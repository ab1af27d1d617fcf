//! Reading the archive: the events of a tenant within a span, each once, in time order.

use rayon::prelude::*;
use rustc_hash::FxHashSet;
use shared_models::{TenantId, Timestamp, event::Event};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Archive, Error,
    columns::{self, Row},
    files,
};
use crate::progress::{Progress, Unit};

/// From a moment up to, and without, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: Timestamp,
    /// The moment after the last.
    pub to: Timestamp,
}

impl Span {
    /// All time.
    pub const ALL: Self = Self { from: Timestamp(i64::MIN), to: Timestamp(i64::MAX) };
}

impl Archive {
    /// The events of a tenant that happened within a span, in time order, ties by id. An event that
    /// was published twice is given once, as it stood at its first stream position.
    ///
    /// # Errors
    /// When a file cannot be read or holds what no event can.
    pub fn read(&self, tenant: &TenantId, span: Span, progress: &dyn Progress) -> Result<Vec<Event>, Error> {
        let mut paths = Vec::new();
        for day in files::names(&self.root.join(tenant.as_str()))? {
            let folder = files::folder(&self.root, tenant, &day);
            let names = files::parquet_files(&folder)?;
            // A day's file may stand beside files that it replaces, when a compaction was cut short.
            let mut replaced = FxHashSet::default();
            for name in names.iter().filter(|name| name.starts_with(super::compact::PREFIX)) {
                let listed = columns::footer(&folder.join(name), columns::REPLACES)?.unwrap_or_default();
                replaced.extend(listed.split(',').map(str::to_owned));
            }
            paths.extend(names.into_iter().filter(|name| !replaced.contains(name)).map(|name| folder.join(name)));
        }
        let stage = progress.stage("read the archive", Unit::Rows, None);
        let parts: Result<Vec<Vec<Row>>, Error> = paths
            .par_iter()
            .map(|path| {
                let rows = columns::read(path, span)?;
                stage.advance(rows.len() as u64);
                Ok(rows)
            })
            .collect();
        let mut rows: Vec<Row> = parts?.into_iter().flatten().collect();
        rows.par_sort_unstable_by(|a, b| {
            let order = |row: &Row| (row.event.occurred_at, row.sequence);
            order(a)
                .cmp(&order(b))
                .then_with(|| a.event.id.cmp(&b.event.id))
                .then_with(|| a.event.user.cmp(&b.event.user))
        });
        let mut seen = FxHashSet::with_capacity_and_hasher(rows.len(), rustc_hash::FxBuildHasher);
        let mut text = String::new();
        rows.retain(|row| {
            text.clear();
            text.push_str(row.event.user.as_str());
            text.push('\u{1f}');
            text.push_str(row.event.id.as_str());
            seen.insert(xxh3_128(text.as_bytes()))
        });
        stage.finish(&format!("{} events", rows.len()));
        Ok(rows.into_iter().map(|row| row.event).collect())
    }
}
