//! Reading the archive: which files count, and the rows of a tenant within a span, each once.

use rayon::prelude::*;
use rustc_hash::FxHashSet;
use shared_models::{TenantId, Timestamp, event::Event};
use xxhash_rust::xxh3::xxh3_128;

use super::{
    Archive, CandidateRow, EVENTS, Error, EventRow, REPLACES, Row, ShownRow, cells,
    layout::{self, MERGED, Place},
    schema::Table,
};
use crate::progress::{Progress, Stage, Unit};

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

/// A file of a tenant that counts: one that no other stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where it is.
    pub place: Place,
    /// How many bytes it has.
    pub bytes: u64,
    /// The names, in the same day, of the files that it stands for.
    pub replaces: Vec<String>,
}

impl Archive {
    /// Whose events it holds.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        self.tenants_of(&EVENTS)
    }

    /// Who has rows in a table.
    pub(super) fn tenants_of(&self, table: &'static Table) -> Result<Vec<TenantId>, Error> {
        let folders = self.objects.folders(&object_store::path::Path::from(table.name))?;
        Ok(folders.iter().filter_map(layout::tenant_of).collect())
    }

    /// The files of a tenant in a table that count, in the order of their days and names. A merged file may stand
    /// beside files that it replaces while a compaction is under way, or when one was cut short: those are left out.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn files(&self, table: &'static Table, tenant: &TenantId) -> Result<Vec<Held>, Error> {
        Ok(self.listing(table, tenant)?.0)
    }

    /// The files that count, and those that others stand for.
    pub(super) fn listing(&self, table: &'static Table, tenant: &TenantId) -> Result<(Vec<Held>, Vec<Held>), Error> {
        let objects = self.objects.list(&layout::folder(table, tenant))?;
        let mut files: Vec<Held> = objects
            .par_iter()
            .filter_map(|object| Some((Place::parse(&object.location)?, object)))
            .map(|(place, object)| {
                let mut replaces = Vec::new();
                if place.name.starts_with(MERGED) {
                    let metadata = self.objects.metadata(&object.location, object.size)?;
                    let listed = cells::entry(&metadata, REPLACES).unwrap_or_default();
                    replaces = listed.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
                }
                Ok(Held { place, bytes: object.size, replaces })
            })
            .collect::<Result<_, Error>>()?;
        files.sort_by(|a, b| a.place.cmp(&b.place));
        let replaced: FxHashSet<(String, String)> = files
            .iter()
            .flat_map(|file| file.replaces.iter().map(|name| (file.place.day.clone(), name.clone())))
            .collect();
        let counts = |file: &Held| !replaced.contains(&(file.place.day.clone(), file.place.name.clone()));
        Ok(files.into_iter().partition(counts))
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn bytes(&self, table: &'static Table, place: &Place) -> Result<bytes::Bytes, Error> {
        self.objects.get(&place.path(table))
    }

    /// The rows of files, each row once, in no order.
    pub(super) fn rows<R: Row>(&self, files: &[Held], span: Span, stage: &dyn Stage) -> Result<Vec<R>, Error> {
        let parts: Vec<Vec<R>> = files
            .par_iter()
            .map(|file| {
                let path = file.place.path(R::TABLE);
                let rows = cells::read(path.as_ref(), self.objects.get(&path)?, span)?;
                stage.advance(rows.len() as u64);
                Ok(rows)
            })
            .collect::<Result<_, Error>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// The events of a tenant that happened within a span, in time order, ties by stream position. An event that was
    /// published twice is given once, as it first happened.
    ///
    /// # Errors
    /// When a file cannot be read or holds what no event can.
    pub fn read(&self, tenant: &TenantId, span: Span, progress: &dyn Progress) -> Result<Vec<Event>, Error> {
        let files = self.files(&EVENTS, tenant)?;
        let stage = progress.stage("read the archive", Unit::Rows, None);
        let mut rows: Vec<EventRow> = self.rows(&files, span, stage.as_ref())?;
        each_once(&mut rows);
        stage.finish(&format!("{} events", rows.len()));
        Ok(rows.into_iter().map(|row| row.event).collect())
    }

    /// The cards that were shown to a tenant's listeners in answers asked for within a span, in the order of the
    /// stream.
    ///
    /// # Errors
    /// When a file cannot be read or holds what no card can.
    pub fn read_recommendations(
        &self,
        tenant: &TenantId,
        span: Span,
        progress: &dyn Progress,
    ) -> Result<Vec<ShownRow>, Error> {
        let files = self.files(ShownRow::TABLE, tenant)?;
        let stage = progress.stage("read recommendations", Unit::Rows, None);
        let mut rows: Vec<ShownRow> = self.rows(&files, span, stage.as_ref())?;
        once_by_origin(&mut rows);
        stage.finish(&format!("{} cards", rows.len()));
        Ok(rows)
    }

    /// The candidates of answers that were asked for within a span and recorded whole, in the order of the stream.
    ///
    /// # Errors
    /// When a file cannot be read or holds what no candidate can.
    pub fn read_candidates(
        &self,
        tenant: &TenantId,
        span: Span,
        progress: &dyn Progress,
    ) -> Result<Vec<CandidateRow>, Error> {
        let files = self.files(CandidateRow::TABLE, tenant)?;
        let stage = progress.stage("read candidates", Unit::Rows, None);
        let mut rows: Vec<CandidateRow> = self.rows(&files, span, stage.as_ref())?;
        once_by_origin(&mut rows);
        stage.finish(&format!("{} candidates", rows.len()));
        Ok(rows)
    }
}

/// Puts rows in the order of the stream and leaves those out that stand in two files.
pub(super) fn once_by_origin<R: Row>(rows: &mut Vec<R>) {
    rows.par_sort_unstable_by(|a, b| a.origin().cmp(b.origin()));
    rows.dedup_by(|a, b| a.origin().message == b.origin().message && a.origin().index == b.origin().index);
}

/// Puts events in time order and leaves those out that came before. What is left does not depend on the order or on how
/// often a row is given: of rows with one user and event id, the least by time and origin stays.
pub(super) fn each_once(rows: &mut Vec<EventRow>) {
    rows.par_sort_unstable_by(|a, b| {
        a.event.occurred_at.cmp(&b.event.occurred_at).then_with(|| a.origin.cmp(&b.origin))
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
}
