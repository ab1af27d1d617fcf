//! The folder of an export: files with their sizes and hashes, and a manifest that is written last. It must not know what
//! is in them.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Error;

/// The name of the manifest.
pub const MANIFEST: &str = "manifest.json";
/// The form of the manifest and of the tables.
pub(super) const FORM: u32 = 1;

/// What an export says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Which form of manifest this is.
    pub form: u32,
    /// Whose everything it is.
    pub tenant: String,
    /// When it was made, in RFC 3339.
    pub exported_at: String,
    /// The version that made it.
    pub setlist: String,
    /// The tables, each with its files.
    pub tables: Vec<TableEntry>,
    /// What could not be exported, in words; empty when everything was.
    pub problems: Vec<String>,
}

/// A table of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableEntry {
    /// Its name, as in the data dictionary.
    pub name: String,
    /// Its rows in all files.
    pub rows: u64,
    /// Its files.
    pub files: Vec<FileEntry>,
}

/// A file of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Where it is, from the export's folder.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its bytes.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// An export that is being written.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    tables: Vec<TableEntry>,
}

impl Folder {
    /// A folder that nothing is in; it is made when it is not there.
    ///
    /// # Errors
    /// When there is anything in it already.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(Error::io("create", &path))?;
        let mut entries = fs::read_dir(&path).map_err(Error::io("list", &path))?;
        if entries.next().is_some() {
            return Err(Error::Taken { path });
        }
        Ok(Self { path, tables: Vec::new() })
    }

    fn table(&mut self, name: &str) -> &mut TableEntry {
        let at = self.tables.iter().position(|table| table.name == name).unwrap_or_else(|| {
            self.tables.push(TableEntry { name: name.to_owned(), rows: 0, files: Vec::new() });
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }

    /// Names a table, which may stay without a row.
    pub(super) fn announce(&mut self, name: &str) {
        self.table(name);
    }

    /// Begins a file of JSON lines.
    pub(super) fn lines(&mut self, table: &str) -> Result<Lines, Error> {
        let path = format!("{table}.jsonl");
        let at = self.path.join(&path);
        let file = File::create_new(&at).map_err(Error::io("create", &at))?;
        let out = Hashed { file: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
        Ok(Lines { table: table.to_owned(), path, at, rows: 0, out })
    }

    /// Ends a file of JSON lines: it is on disk then.
    pub(super) fn close(&mut self, lines: Lines) -> Result<u64, Error> {
        let Lines { table, path, at, rows, mut out } = lines;
        out.flush().and_then(|()| out.file.get_ref().sync_all()).map_err(Error::io("write", &at))?;
        let entry = FileEntry { path, rows, bytes: out.bytes, sha256: hex::encode(out.hash.finalize()) };
        self.enter(&table, entry);
        Ok(rows)
    }

    /// Puts a whole file into a table.
    pub(super) fn put(&mut self, table: &str, path: String, rows: u64, bytes: &[u8]) -> Result<(), Error> {
        let at = self.path.join(&path);
        if let Some(folder) = at.parent() {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let mut file = File::create_new(&at).map_err(Error::io("create", &at))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io("write", &at))?;
        let sha256 = hex::encode(Sha256::digest(bytes));
        self.enter(table, FileEntry { path, rows, bytes: bytes.len() as u64, sha256 });
        Ok(())
    }

    fn enter(&mut self, table: &str, entry: FileEntry) {
        let table = self.table(table);
        table.rows += entry.rows;
        table.files.push(entry);
    }

    /// Writes the manifest: an export with one is whole.
    pub(super) fn finish(self, tenant: &str, exported_at: String, problems: Vec<String>) -> Result<Manifest, Error> {
        let manifest = Manifest {
            form: FORM,
            tenant: tenant.to_owned(),
            exported_at,
            setlist: env!("CARGO_PKG_VERSION").to_owned(),
            tables: self.tables,
            problems,
        };
        let path = self.path.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest).map_err(|source| Error::Json { source })?;
        let mut file = File::create_new(&path).map_err(Error::io("create", &path))?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(Error::io("write", &path))?;
        sync(&self.path)?;
        Ok(manifest)
    }
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))
}

/// A file of JSON lines that is being written.
pub(super) struct Lines {
    table: String,
    path: String,
    at: PathBuf,
    rows: u64,
    out: Hashed,
}

impl Lines {
    /// One more line.
    pub(super) fn push(&mut self, line: &Value) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, line).map_err(|source| Error::Json { source })?;
        self.out.write_all(b"\n").map_err(Error::io("write", &self.at))?;
        self.rows += 1;
        Ok(())
    }
}

/// A file whose bytes are counted and hashed on their way.
struct Hashed {
    file: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        let (done, _) = bytes.split_at(written);
        self.hash.update(done);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
