//! Where a training stands, on disk: after every few epochs both sides, so that one that was cut short goes on from
//! there and comes to the same factors.
//!
//! A checkpoint is named by what it belongs to: this code, the settings and the matrix. Of anything else it is not found.
//! It is written aside, synced and renamed, and ends with a hash of all of it: what does not read back is passed over,
//! and the training begins anew. It is a file of this machine, in its byte order.

use std::{
    fs,
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use super::{Interactions, Settings, lines::Rows};

/// How a file begins; its last character is the form.
const MAGIC: [u8; 16] = *b"setlist factors1";
const PREFIX: &str = "factors-";
const EXTENSION: &str = "checkpoint";

/// Where checkpoints are kept, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// The folder. Whoever trains has it alone.
    pub folder: PathBuf,
    /// After how many epochs one is written; 0 for never.
    pub every: usize,
}

impl Checkpoints {
    /// Removes the checkpoints in the folder: their training is over.
    ///
    /// # Errors
    /// When the file system says no.
    pub fn clear(&self) -> io::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let is_ours = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
            if is_ours && path.extension().is_some_and(|extension| extension == EXTENSION || extension == "part") {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// Where a training stands.
pub(super) struct State {
    /// The epochs that are over.
    pub(super) epochs: usize,
    pub(super) users: Rows,
    pub(super) items: Rows,
}

/// The checkpoint of one training.
pub(super) struct Checkpoint {
    path: PathBuf,
    key: u128,
    every: usize,
}

impl Checkpoint {
    pub(super) fn of(checkpoints: &Checkpoints, interactions: &Interactions, settings: &Settings) -> Option<Self> {
        if checkpoints.every == 0 {
            return None;
        }
        // The number of threads changes nothing.
        let settings = Settings { threads: 0, ..settings.clone() };
        let mut hasher = Xxh3::new();
        hasher.update(format!("{} {settings:?}", env!("CARGO_PKG_VERSION")).as_bytes());
        interactions.hash_into(&mut hasher);
        let key = hasher.digest128();
        let path = checkpoints.folder.join(format!("{PREFIX}{key:032x}.{EXTENSION}"));
        Some(Self { path, key, every: checkpoints.every })
    }

    /// Whether one is due after this epoch. After the last one it is: what follows may be cut short as well.
    pub(super) fn is_due(&self, epoch: usize, of: usize) -> bool {
        epoch.is_multiple_of(self.every) || epoch == of
    }

    /// Where the training stood. What cannot be read is said to the log, and is nothing.
    pub(super) fn read(&self, users: usize, items: usize, dimensions: usize) -> Option<State> {
        match read(&self.path, self.key, users, items, dimensions) {
            Ok(state) => state,
            Err(error) => {
                let (path, reason) = (self.path.display().to_string(), error.to_string());
                tracing::warn!(path, error = reason, "a checkpoint cannot be read: the training begins anew");
                None
            }
        }
    }

    /// Keeps where the training stands. One that cannot be kept is said to the log, and costs the next start time.
    pub(super) fn write(&self, epochs: usize, users: &Rows, items: &Rows) {
        if let Err(error) = write(&self.path, self.key, epochs, users, items) {
            let (path, reason) = (self.path.display().to_string(), error.to_string());
            tracing::warn!(path, error = reason, "a checkpoint is not kept");
        }
    }
}

/// What stands before the numbers: the form, the key, and how many numbers there are of what.
fn head(key: u128, epochs: usize, users: &Rows, items: &Rows) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.extend(key.to_le_bytes());
    for number in [epochs, users.len(), items.len(), users.stride()] {
        head.extend((number as u64).to_le_bytes());
    }
    head
}

fn write(path: &Path, key: u128, epochs: usize, users: &Rows, items: &Rows) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let aside = path.with_extension("part");
    let mut file = BufWriter::new(fs::File::create(&aside)?);
    let mut hasher = Xxh3::new();
    let head = head(key, epochs, users, items);
    for part in [&head[..], bytemuck::cast_slice(users.values()), bytemuck::cast_slice(items.values())] {
        hasher.update(part);
        file.write_all(part)?;
    }
    file.write_all(&hasher.digest128().to_le_bytes())?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&aside, path)
}

fn read(path: &Path, key: u128, users: usize, items: usize, dimensions: usize) -> io::Result<Option<State>> {
    let mut file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => io::BufReader::new(file?),
    };
    let (mut users, mut items) = (Rows::zeros(users, dimensions), Rows::zeros(items, dimensions));
    let expected = head(key, 0, &users, &items);
    let mut head = vec![0_u8; expected.len()];
    file.read_exact(&mut head)?;
    file.read_exact(bytemuck::cast_slice_mut(users.values_mut()))?;
    file.read_exact(bytemuck::cast_slice_mut(items.values_mut()))?;
    let mut hasher = Xxh3::new();
    hasher.update(&head);
    hasher.update(bytemuck::cast_slice(users.values()));
    hasher.update(bytemuck::cast_slice(items.values()));
    let mut hash = [0_u8; 16];
    file.read_exact(&mut hash)?;
    // Past the key stand the epochs, the one number that is not known beforehand.
    let at = MAGIC.len() + size_of::<u128>();
    let mut epochs = [0_u8; 8];
    epochs.copy_from_slice(&head[at..at + 8]);
    head[at..at + 8].fill(0);
    if head != expected || hasher.digest128().to_le_bytes() != hash {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what was written"));
    }
    Ok(Some(State { epochs: u64::from_le_bytes(epochs) as usize, users, items }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize, dimensions: usize) -> Rows {
        let mut rows = Rows::zeros(count, dimensions);
        for (at, value) in rows.values_mut().iter_mut().enumerate() {
            *value = (at as f32).sin();
        }
        rows
    }

    #[test]
    fn what_is_written_reads_back_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints { folder: folder.path().join("work"), every: 2 };
        let matrix = Interactions::from_entries(3, 5, &[(0, 1, 1.0), (2, 4, 2.0)]).unwrap();
        let settings = Settings { dimensions: 7, ..Settings::default() };
        let of = |matrix: &Interactions, settings: &Settings| Checkpoint::of(&checkpoints, matrix, settings).unwrap();
        let checkpoint = of(&matrix, &settings);
        assert!(checkpoint.read(3, 5, 7).is_none());
        assert_eq!([1, 2, 3, 4].map(|epoch| checkpoint.is_due(epoch, 3)), [false, true, true, true]);
        let (users, items) = (rows(3, 7), rows(5, 7));
        checkpoint.write(2, &users, &items);
        let state = checkpoint.read(3, 5, 7).unwrap();
        assert_eq!((state.epochs, state.users.values(), state.items.values()), (2, users.values(), items.values()));
        // Other threads are the same training; another seed, another alpha or other data are another.
        assert!(of(&matrix, &Settings { threads: 3, ..settings }).read(3, 5, 7).is_some());
        assert!(of(&matrix, &Settings { alpha: 1.0, ..settings }).read(3, 5, 7).is_none());
        let other = Interactions::from_entries(3, 5, &[(0, 1, 1.0), (2, 4, 2.5)]).unwrap();
        assert!(of(&other, &settings).read(3, 5, 7).is_none());
        // Damaged or cut short, it is nothing.
        let whole = fs::read(&checkpoint.path).unwrap();
        for at in [3, 40, whole.len() / 2, whole.len() - 1] {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            fs::write(&checkpoint.path, broken).unwrap();
            assert!(checkpoint.read(3, 5, 7).is_none(), "a flipped bit at {at}");
            fs::write(&checkpoint.path, &whole[..at]).unwrap();
            assert!(checkpoint.read(3, 5, 7).is_none(), "cut short at {at}");
        }
        checkpoints.clear().unwrap();
        assert_eq!(fs::read_dir(&checkpoints.folder).unwrap().count(), 0);
        assert!(Checkpoint::of(&Checkpoints { every: 0, ..checkpoints }, &matrix, &settings).is_none());
    }
}
