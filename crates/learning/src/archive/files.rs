//! Where the archive's files are, and how one is put into place. It must not know what is in them.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use shared_models::{TenantId, Timestamp};

use super::Error;

/// The UTC day of a moment, as its folder is named.
pub(super) fn day_of(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| "unknown".to_owned(), |moment| moment.strftime("%Y-%m-%d").to_string())
}

pub(super) fn folder(root: &Path, tenant: &TenantId, day: &str) -> PathBuf {
    root.join(tenant.as_str()).join(day)
}

/// The names in a folder, sorted; none when it is not there. Files being written are left out.
pub(super) fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", folder)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("list", folder))?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// The Parquet files of a day.
pub(super) fn parquet_files(folder: &Path) -> Result<Vec<String>, Error> {
    Ok(names(folder)?.into_iter().filter(|name| name.ends_with(".parquet")).collect())
}

/// Puts a file into place: written aside, synced, renamed, and the folder synced, so that a file that
/// is there is whole, also after a power cut.
pub(super) fn place(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let aside = folder.join(format!(".{}-{}-{name}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let target = folder.join(name);
    let mut file = fs::File::create(&aside).map_err(Error::io("create", &aside))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &aside))?;
    fs::rename(&aside, &target).map_err(Error::io("put into place", &target))?;
    sync(folder)
}

pub(super) fn sync(folder: &Path) -> Result<(), Error> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))
}
