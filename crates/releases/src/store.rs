//! The folder of all releases: finding, loading and promoting them.
//!
//! Everything here blocks on the file system: call it from a blocking task.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use shared_models::{ReleaseId, TenantId};

use crate::{
    Error, Manifest, Refusal, Release, Writer,
    array::Content,
    manifest::{self, MANIFEST, MAX_MANIFEST_BYTES},
    promotions::{self, Act, Move, Promotion},
    release,
};

/// The pointer to the release that serves.
const LIVE: &str = "LIVE";
/// The pointer to the release that served before.
const PREVIOUS: &str = "PREVIOUS";
/// Who moves a pointer without a name.
const UNNAMED: &str = "somebody";

/// A folder of releases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    root: Arc<Path>,
}

impl Store {
    /// Opens the folder, and creates it when it is not there.
    ///
    /// # Errors
    /// When the folder cannot be created.
    pub fn open(root: impl AsRef<Path>) -> Result<Self, Error> {
        let root = root.as_ref();
        fs::create_dir_all(root).map_err(Error::io("create", root))?;
        Ok(Self { root: Arc::from(root) })
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Begins a release.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn writer(&self, tenant: &TenantId) -> Result<Writer, Error> {
        Writer::begin(tenant.clone(), self.folder(tenant))
    }

    /// Writes a whole release.
    ///
    /// # Errors
    /// When a reader would refuse the parts, or the disk says no.
    pub fn write(&self, tenant: &TenantId, parts: &release::Parts, meta: manifest::Meta) -> Result<ReleaseId, Error> {
        let mut writer = self.writer(tenant)?;
        writer.add_parts(parts)?;
        writer.commit(meta)
    }

    /// Reads a release's manifest and holds it against its id; the files stay unread.
    ///
    /// # Errors
    /// When there is no such release, the manifest is not the one of that id, or the disk says no.
    pub fn manifest(&self, tenant: &TenantId, id: &ReleaseId) -> Result<Manifest, Error> {
        let not_found = || Error::NotFound { tenant: tenant.clone(), id: id.clone() };
        if !manifest::is_id(id) {
            return Err(not_found());
        }
        let folder = self.folder(tenant).join(id.as_str());
        let path = folder.join(MANIFEST);
        let length = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.is_dir() => return Err(not_found()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::refused(MANIFEST, Refusal::Missing));
            }
            Err(error) => return Err(Error::io("read", path)(error)),
        };
        if length > MAX_MANIFEST_BYTES {
            return Err(Error::refused(MANIFEST, Refusal::Size { expected: MAX_MANIFEST_BYTES, found: length }));
        }
        let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
        manifest::open(tenant, id, &bytes)
    }

    /// Loads a release and verifies all of it: every hash, length, index, order and number.
    ///
    /// # Errors
    /// When there is no such release, anything in it is not sound, or the disk says no.
    pub fn load(&self, tenant: &TenantId, id: &ReleaseId) -> Result<Release, Error> {
        let manifest = self.manifest(tenant, id)?;
        let folder = self.folder(tenant).join(id.as_str());
        let mut files = BTreeMap::new();
        for (name, entry) in &manifest.files {
            files.insert(name.clone(), read_verified(&folder.join(name), name, entry)?);
        }
        Release::read(manifest, files)
    }

    /// The release that serves; `None` when none was ever promoted.
    ///
    /// # Errors
    /// When the pointer holds no release id, or the disk says no.
    pub fn live(&self, tenant: &TenantId) -> Result<Option<ReleaseId>, Error> {
        self.pointer(tenant, LIVE)
    }

    /// The release that served before; `None` when there is none.
    ///
    /// # Errors
    /// As [`Store::live`].
    pub fn previous(&self, tenant: &TenantId) -> Result<Option<ReleaseId>, Error> {
        self.pointer(tenant, PREVIOUS)
    }

    /// Makes a release live. It is loaded and verified first, and is left alone when it is not sound.
    /// Readers see the old pointer or the new one, never a part of either.
    ///
    /// # Errors
    /// As [`Store::load`].
    pub fn promote(&self, tenant: &TenantId, id: &ReleaseId) -> Result<(), Error> {
        self.promote_loaded(&self.load(tenant, id)?, &Act::now(UNNAMED, ""))
    }

    /// Makes a release live that was loaded from this store, and so verified. The act goes into the log of promotions.
    ///
    /// # Errors
    /// When the store no longer has it, or the disk says no.
    pub fn promote_loaded(&self, release: &Release, act: &Act) -> Result<(), Error> {
        let tenant = &release.manifest.tenant;
        self.manifest(tenant, release.id())?;
        self.point(tenant, release.id(), Move::Promote, act)
    }

    /// Makes the previous release live again, and returns it. Called twice, it is undone.
    ///
    /// # Errors
    /// When there is no previous release, it is no longer sound, or the disk says no.
    pub fn roll_back(&self, tenant: &TenantId) -> Result<ReleaseId, Error> {
        self.roll_back_as(tenant, &Act::now(UNNAMED, ""))
    }

    /// The same, by somebody who says why.
    ///
    /// # Errors
    /// As [`Store::roll_back`].
    pub fn roll_back_as(&self, tenant: &TenantId, act: &Act) -> Result<ReleaseId, Error> {
        let id = self.previous(tenant)?.ok_or_else(|| Error::NoneYet { tenant: tenant.clone(), which: "previous" })?;
        self.load(tenant, &id)?;
        self.point(tenant, &id, Move::RollBack, act)?;
        Ok(id)
    }

    /// The log of promotions, oldest first. Lines that cannot be read are passed by.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn promotions(&self, tenant: &TenantId) -> Result<Vec<Promotion>, Error> {
        promotions::read(&self.folder(tenant))
    }

    /// Removes the oldest releases beyond the newest `keep`, never the live one nor the one before; gives what was
    /// removed. Those whose manifests cannot be read are left to people.
    ///
    /// # Errors
    /// When a pointer cannot be read, or the disk says no.
    pub fn prune(&self, tenant: &TenantId, keep: usize) -> Result<Vec<ReleaseId>, Error> {
        let spared = [self.live(tenant)?, self.previous(tenant)?];
        let folder = self.folder(tenant);
        let mut removed = Vec::new();
        for Manifest { id, .. } in self.list(tenant)?.into_iter().skip(keep) {
            if spared.iter().flatten().any(|spared| *spared == id) {
                continue;
            }
            // Out of sight by one rename: whoever looks finds all of it or nothing.
            let (place, aside) = (folder.join(id.as_str()), folder.join(format!(".pruned-{id}")));
            fs::rename(&place, &aside).map_err(Error::io("remove", &place))?;
            fs::remove_dir_all(&aside).map_err(Error::io("remove", &aside))?;
            removed.push(id);
        }
        Ok(removed)
    }

    /// All releases of a tenant whose manifests can be read, newest first, ties by id.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn list(&self, tenant: &TenantId) -> Result<Vec<Manifest>, Error> {
        let folder = self.folder(tenant);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::io("list", folder)(error)),
        };
        let mut manifests = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &folder))?;
            let id = entry.file_name().to_str().and_then(|name| ReleaseId::new(name).ok());
            if let Some(Ok(manifest)) = id.filter(manifest::is_id).map(|id| self.manifest(tenant, &id)) {
                manifests.push(manifest);
            }
        }
        manifests.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        Ok(manifests)
    }

    /// Points LIVE at a release that the caller has verified, and PREVIOUS at the one before; the log says so first.
    pub(crate) fn point(&self, tenant: &TenantId, id: &ReleaseId, what: Move, act: &Act) -> Result<(), Error> {
        // A pointer that cannot be read must not keep a sound release from going live.
        let before = self.live(tenant).ok().flatten();
        if before.as_ref() == Some(id) {
            return Ok(());
        }
        let folder = self.folder(tenant);
        let Act { at, by, why, gates, overridden } = act.clone();
        let promotion = Promotion { at, what, from: before.clone(), to: id.clone(), by, why, gates, overridden };
        promotions::add(&folder, &promotion)?;
        if let Some(before) = before {
            replace(&folder, PREVIOUS, &before)?;
        }
        replace(&folder, LIVE, id)
    }

    fn pointer(&self, tenant: &TenantId, name: &'static str) -> Result<Option<ReleaseId>, Error> {
        let path = self.folder(tenant).join(name);
        let mut bytes = Vec::new();
        match File::open(&path).and_then(|file| file.take(1_024).read_to_end(&mut bytes)) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", path)(error)),
        }
        let text = String::from_utf8_lossy(&bytes);
        let id = ReleaseId::new(text.trim()).ok().filter(manifest::is_id);
        id.map(Some).ok_or_else(|| {
            let detail = format!("it holds {text:?}, which is no release id");
            Error::refused(name, Refusal::Unreadable { detail })
        })
    }

    fn folder(&self, tenant: &TenantId) -> PathBuf {
        self.root.join(tenant.as_str())
    }
}

/// Reads a file only if its length is the listed one, and returns its content only if its hash is.
pub(crate) fn read_verified(path: &Path, name: &str, entry: &manifest::FileEntry) -> Result<Content, Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Error::refused(name, Refusal::Missing)),
        Err(error) => return Err(Error::io("read", path)(error)),
    };
    let check = |found: u64| {
        if found == entry.bytes {
            Ok(())
        } else {
            Err(Error::refused(name, Refusal::Size { expected: entry.bytes, found }))
        }
    };
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    check(length)?;
    let content = Content::of(&mut file, length).map_err(Error::io("read", path))?;
    check(content.bytes().len() as u64)?;
    let found = release::hash(content.bytes());
    if found != entry.blake3 {
        return Err(Error::refused(name, Refusal::Hash { expected: entry.blake3.clone(), found }));
    }
    Ok(content)
}

/// Replaces a pointer: the new text is on disk before its name is, and the name before this returns.
fn replace(folder: &Path, name: &str, id: &ReleaseId) -> Result<(), Error> {
    let draft = folder.join(format!(".{name}.{}", std::process::id()));
    write_synced(&draft, format!("{id}\n").as_bytes())?;
    let place = folder.join(name);
    fs::rename(&draft, &place).map_err(Error::io("replace", &place))?;
    sync_folder(folder)
}

pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(Error::io("write", path))
}

pub(crate) fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}
