//! Writing one release: files first, the manifest last, the folder into place by one rename.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use shared_models::{ReleaseId, TenantId};

use crate::{
    Error, Manifest, Refusal,
    manifest::{self, FileEntry, MANIFEST, Meta},
    release::{self, Parts},
    store::{read_verified, sync_folder, write_synced},
};

/// A release in the making. Dropped before [`Writer::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Writer {
    tenant: TenantId,
    folder: PathBuf,
    draft: PathBuf,
    files: BTreeMap<String, FileEntry>,
}

impl Writer {
    pub(crate) fn begin(tenant: TenantId, folder: PathBuf) -> Result<Self, Error> {
        // Two writers of one process differ by the count, two processes by the id.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!(".draft-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let draft = folder.join(name);
        fs::create_dir_all(&draft).map_err(Error::io("create", &draft))?;
        Ok(Self { tenant, folder, draft, files: BTreeMap::new() })
    }

    /// Adds a file.
    ///
    /// # Errors
    /// When the name is no plain file name or is taken, or the disk says no.
    pub fn add_file(&mut self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        if !manifest::is_file_name(name) {
            let detail = format!("{name:?} is no plain file name of a-z, 0-9, '.', '-' and '_'");
            return Err(Error::refused(name, Refusal::Check { detail }));
        }
        if self.files.contains_key(name) {
            return Err(Error::refused(name, Refusal::Check { detail: "it was added before".to_owned() }));
        }
        write_synced(&self.draft.join(name), bytes)?;
        self.files.insert(name.to_owned(), FileEntry { blake3: release::hash(bytes), bytes: bytes.len() as u64 });
        Ok(())
    }

    /// Adds a file of another release of the tenant as it is, after verifying it.
    ///
    /// # Errors
    /// When that release has no such file, or another one than its manifest says, or as [`Writer::add_file`].
    pub fn add_from(&mut self, other: &Manifest, name: &str) -> Result<(), Error> {
        let entry = other.files.get(name).ok_or_else(|| Error::refused(name, Refusal::Missing))?;
        let content = read_verified(&self.folder.join(other.id.as_str()).join(name), name, entry)?;
        self.add_file(name, content.bytes())
    }

    /// Adds all parts, after verifying that they fit each other.
    ///
    /// # Errors
    /// When a reader would refuse the parts, or the disk says no.
    pub fn add_parts(&mut self, parts: &Parts) -> Result<(), Error> {
        for (name, bytes) in release::encode(parts)? {
            self.add_file(&name, &bytes)?;
        }
        Ok(())
    }

    /// Seals the release and puts it into its place, where it can be loaded and promoted. It is not
    /// live yet.
    ///
    /// # Errors
    /// When a measurement is not finite, or the disk says no.
    pub fn commit(mut self, meta: Meta) -> Result<ReleaseId, Error> {
        let (bytes, manifest) = manifest::seal(self.tenant.clone(), meta, std::mem::take(&mut self.files))?;
        write_synced(&self.draft.join(MANIFEST), &bytes)?;
        sync_folder(&self.draft)?;
        let place = self.folder.join(manifest.id.as_str());
        if place.join(MANIFEST).exists() {
            // The same content is there already; the draft goes with `self`.
            return Ok(manifest.id);
        }
        fs::rename(&self.draft, &place).map_err(Error::io("put into place", &place))?;
        sync_folder(&self.folder)?;
        Ok(manifest.id)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        remove_draft(&self.draft);
    }
}

/// Removes what a writer left. After a commit there is nothing at that path; a failure leaves a dot
/// folder that no reader looks into.
fn remove_draft(draft: &Path) {
    drop(fs::remove_dir_all(draft));
}
