//! Where a training stands, on disk: after every few epochs its tables, so that one that was cut short goes on from
//! there and comes to the same numbers.
//!
//! A checkpoint is named by what it belongs to: this code, the settings and the matrix. Of anything else it is not found.
//! It is written aside, synced and renamed, and ends with a hash of all of it: what does not read back is passed over,
//! and the training begins anew. It is a file of this machine, in its byte order. It must not know what the tables mean.

use std::{
    fmt::Debug,
    fs,
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3;

use crate::factors::Interactions;

/// How a file begins; its last character is the form.
const MAGIC: [u8; 16] = *b"setlist training";
const FORM: u8 = b'2';
const EXTENSION: &str = "checkpoint";

/// What is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Factors of users and items.
    Factors,
    /// Vectors of items by contrast.
    Contrast,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Factors, Self::Contrast];

    /// How its files' names begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Factors => "factors-",
            Self::Contrast => "contrast-",
        }
    }
}

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
            let begins = |name: &str| Kind::ALL.iter().any(|kind| name.starts_with(kind.prefix()));
            let is_ours = path.file_name().is_some_and(|name| begins(&name.to_string_lossy()));
            if is_ours && path.extension().is_some_and(|extension| extension == EXTENSION || extension == "part") {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// The checkpoint of one training.
pub(crate) struct Checkpoint {
    path: PathBuf,
    key: u128,
    every: usize,
}

impl Checkpoint {
    /// That of a training with `settings`, of which nothing is left out that changes a number.
    pub(crate) fn of(
        checkpoints: &Checkpoints,
        kind: Kind,
        interactions: &Interactions,
        settings: &impl Debug,
    ) -> Option<Self> {
        if checkpoints.every == 0 {
            return None;
        }
        let mut hasher = Xxh3::new();
        hasher.update(format!("{} {settings:?}", env!("CARGO_PKG_VERSION")).as_bytes());
        interactions.hash_into(&mut hasher);
        let key = hasher.digest128();
        let path = checkpoints.folder.join(format!("{}{key:032x}.{EXTENSION}", kind.prefix()));
        Some(Self { path, key, every: checkpoints.every })
    }

    /// Whether one is due after this epoch. After the last one it is: what follows may be cut short as well.
    pub(crate) fn is_due(&self, epoch: usize, of: usize) -> bool {
        epoch.is_multiple_of(self.every) || epoch == of
    }

    /// Where the training stood: the epochs that are over, and the tables as they were after them. `None` where there is
    /// nothing to go on from; the tables then hold anything. What cannot be read is said to the log, and is nothing.
    pub(crate) fn read(&self, tables: &mut [&mut [f32]]) -> Option<usize> {
        match read(&self.path, self.key, tables) {
            Ok(epochs) => epochs,
            Err(error) => {
                let (path, reason) = (self.path.display().to_string(), error.to_string());
                tracing::warn!(path, error = reason, "a checkpoint cannot be read: the training begins anew");
                None
            }
        }
    }

    /// Keeps where the training stands. One that cannot be kept is said to the log, and costs the next start time.
    pub(crate) fn write(&self, epochs: usize, tables: &[&[f32]]) {
        if let Err(error) = write(&self.path, self.key, epochs, tables) {
            let (path, reason) = (self.path.display().to_string(), error.to_string());
            tracing::warn!(path, error = reason, "a checkpoint is not kept");
        }
    }
}

/// What stands before the numbers: the form, the key, the epochs, and how many numbers there are in each table.
fn head(key: u128, epochs: usize, lengths: impl Iterator<Item = usize>) -> Vec<u8> {
    let mut head = MAGIC.to_vec();
    head.push(FORM);
    head.extend(key.to_le_bytes());
    for number in std::iter::once(epochs).chain(lengths) {
        head.extend((number as u64).to_le_bytes());
    }
    head
}

fn write(path: &Path, key: u128, epochs: usize, tables: &[&[f32]]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let aside = path.with_extension("part");
    let mut file = BufWriter::new(fs::File::create(&aside)?);
    let mut hasher = Xxh3::new();
    let head = head(key, epochs, tables.iter().map(|table| table.len()));
    for part in std::iter::once(&head[..]).chain(tables.iter().map(|table| bytemuck::cast_slice(table))) {
        hasher.update(part);
        file.write_all(part)?;
    }
    file.write_all(&hasher.digest128().to_le_bytes())?;
    file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    fs::rename(&aside, path)
}

fn read(path: &Path, key: u128, tables: &mut [&mut [f32]]) -> io::Result<Option<usize>> {
    let mut file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => io::BufReader::new(file?),
    };
    let expected = head(key, 0, tables.iter().map(|table| table.len()));
    let mut head = vec![0_u8; expected.len()];
    file.read_exact(&mut head)?;
    let mut hasher = Xxh3::new();
    hasher.update(&head);
    for table in tables {
        file.read_exact(bytemuck::cast_slice_mut(table))?;
        hasher.update(bytemuck::cast_slice(table));
    }
    let mut hash = [0_u8; 16];
    file.read_exact(&mut hash)?;
    // Past the key stand the epochs, the one number that is not known beforehand.
    let at = MAGIC.len() + 1 + size_of::<u128>();
    let mut epochs = [0_u8; 8];
    epochs.copy_from_slice(&head[at..at + 8]);
    head[at..at + 8].fill(0);
    if head != expected || hasher.digest128().to_le_bytes() != hash {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is not what was written"));
    }
    Ok(Some(u64::from_le_bytes(epochs) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a training of tables of 21 and 35 numbers stood.
    fn read(checkpoint: &Checkpoint) -> Option<(usize, Vec<f32>, Vec<f32>)> {
        let (mut first, mut second) = (vec![0.0; 21], vec![0.0; 35]);
        let epochs = checkpoint.read(&mut [&mut first, &mut second])?;
        Some((epochs, first, second))
    }

    #[test]
    fn what_is_written_reads_back_and_nothing_else_does() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints { folder: folder.path().join("work"), every: 2 };
        let matrix = Interactions::from_entries(3, 5, &[(0, 1, 1.0), (2, 4, 2.0)]).unwrap();
        let of = |kind, matrix: &Interactions, settings: &str| {
            Checkpoint::of(&checkpoints, kind, matrix, &settings).unwrap()
        };
        let checkpoint = of(Kind::Factors, &matrix, "as set");
        assert!(read(&checkpoint).is_none());
        assert_eq!([1, 2, 3, 4].map(|epoch| checkpoint.is_due(epoch, 3)), [false, true, true, true]);
        let table = |count: usize| (0..count).map(|at| (at as f32).sin()).collect::<Vec<f32>>();
        checkpoint.write(2, &[&table(21), &table(35)]);
        assert_eq!(read(&checkpoint), Some((2, table(21), table(35))));
        // Other settings, other data, and what is trained otherwise, are another training.
        assert!(read(&of(Kind::Factors, &matrix, "set otherwise")).is_none());
        assert!(read(&of(Kind::Contrast, &matrix, "as set")).is_none());
        let other = Interactions::from_entries(3, 5, &[(0, 1, 1.0), (2, 4, 2.5)]).unwrap();
        assert!(read(&of(Kind::Factors, &other, "as set")).is_none());
        assert_eq!(checkpoint.read(&mut [&mut table(35), &mut table(21)]), None, "tables of another form");
        // Damaged or cut short, it is nothing.
        let whole = fs::read(&checkpoint.path).unwrap();
        for at in [3, 40, whole.len() / 2, whole.len() - 1] {
            let mut broken = whole.clone();
            broken[at] ^= 1;
            fs::write(&checkpoint.path, broken).unwrap();
            assert!(read(&checkpoint).is_none(), "a flipped bit at {at}");
            fs::write(&checkpoint.path, &whole[..at]).unwrap();
            assert!(read(&checkpoint).is_none(), "cut short at {at}");
        }
        of(Kind::Contrast, &matrix, "as set").write(1, &[&[0.5]]);
        fs::write(checkpoints.folder.join("somebody's.checkpoint"), "else").unwrap();
        checkpoints.clear().unwrap();
        let left: Vec<_> = fs::read_dir(&checkpoints.folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["somebody's.checkpoint"]);
        let never = Checkpoints { every: 0, ..checkpoints };
        assert!(Checkpoint::of(&never, Kind::Factors, &matrix, &"as set").is_none());
    }
}
