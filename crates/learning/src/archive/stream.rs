//! The archive as training reads it where a tenant's history is too long for memory: file by file, a few columns of every
//! event, and whole events of some listeners. It must not know what training makes of them.

use std::borrow::Cow;

use parquet::file::statistics::Statistics;
use rayon::prelude::*;
use shared_models::{TenantId, UserKey, event::Event};

use super::{
    Archive, EVENTS, Error, EventRow, Row as _, cells,
    events::{glances, rows_of_listeners},
    reader::{Held, each_once},
};
use crate::{
    events::{Events, Glance, Sample},
    progress::{Progress, Unit},
};

/// A tenant's events as they stand in the archive's files.
#[derive(Debug)]
pub struct Streamed<'a> {
    archive: &'a Archive,
    files: Vec<Held>,
    /// The last stream position among them.
    pub position: u64,
}

impl Archive {
    /// How many bytes the files of a tenant's events have.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub fn bytes_of_events(&self, tenant: &TenantId) -> Result<u64, Error> {
        Ok(self.files(&EVENTS, tenant)?.iter().map(|file| file.bytes).sum())
    }

    /// A tenant's events, to be read file by file. Files that come later are not among them.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn stream(&self, tenant: &TenantId) -> Result<Streamed<'_>, Error> {
        let files = self.files(&EVENTS, tenant)?;
        let positions: Vec<u64> =
            files.par_iter().map(|file| self.last_position(file)).collect::<Result<_, Error>>()?;
        Ok(Streamed { archive: self, files, position: positions.into_iter().max().unwrap_or_default() })
    }

    /// The last stream position in a file, from what the file says of its columns.
    fn last_position(&self, file: &Held) -> Result<u64, Error> {
        let metadata = self.objects.metadata(&file.place.path(&EVENTS), file.bytes)?;
        let column = EVENTS.index_of("sequence");
        let last = |group: &parquet::file::metadata::RowGroupMetaData| match group.columns().get(column)?.statistics() {
            Some(Statistics::Int64(statistics)) => statistics.max_opt().map(|last| *last as u64),
            _ => None,
        };
        Ok(metadata.row_groups().iter().filter_map(last).max().unwrap_or_default())
    }
}

impl Events for Streamed<'_> {
    fn each(&self, look: &(dyn Fn(&[Glance]) + Sync), progress: &dyn Progress) -> Result<(), Error> {
        let stage = progress.stage("look at the archive", Unit::Rows, None);
        let rows: Vec<usize> = self
            .files
            .par_iter()
            .map(|file| {
                let path = file.place.path(EventRow::TABLE);
                let mut count = 0;
                cells::each_group(EventRow::TABLE, path.as_ref(), self.archive.objects.get(&path)?, |columns| {
                    let glances = glances(columns)?;
                    count += glances.len();
                    stage.advance(glances.len() as u64);
                    look(&glances);
                    Ok(())
                })?;
                Ok(count)
            })
            .collect::<Result<_, Error>>()?;
        stage.finish(&format!("{} rows of {} files", rows.iter().sum::<usize>(), self.files.len()));
        Ok(())
    }

    fn of(&self, sample: Sample, progress: &dyn Progress) -> Result<Cow<'_, [Event]>, Error> {
        let stage = progress.stage("read listeners", Unit::Rows, None);
        let holds = |user: UserKey| sample.holds(user);
        let parts: Vec<Vec<EventRow>> = self
            .files
            .par_iter()
            .map(|file| {
                let path = file.place.path(EventRow::TABLE);
                let (mut names, mut rows) = (cells::Names::default(), Vec::new());
                cells::each_group(EventRow::TABLE, path.as_ref(), self.archive.objects.get(&path)?, |columns| {
                    let before = rows.len();
                    rows_of_listeners(columns, &holds, &mut names, &mut rows)?;
                    stage.advance((rows.len() - before) as u64);
                    Ok(())
                })?;
                Ok(rows)
            })
            .collect::<Result<_, Error>>()?;
        let mut rows: Vec<EventRow> = parts.into_iter().flatten().collect();
        each_once(&mut rows);
        stage.finish(&format!("{} events of {:.1} % of the listeners", rows.len(), sample.share() * 100.0));
        Ok(Cow::Owned(rows.into_iter().map(|row| row.event).collect()))
    }
}
