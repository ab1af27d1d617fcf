//! The Gowalla check-ins in the split of NGCF and LightGCN: what the factor solver is measured on.
//!
//! It is no importer: users and items are bare numbers, and there is no time. Each line of
//! `train.txt` and `test.txt` is a user followed by that user's items. Protocol: He et al.,
//! "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation" (SIGIR 2020).
//!
//! The lists are in an order, and `test.txt` holds what would follow the list of `train.txt`: the
//! test share of an item rises from 0.18 to 0.30 with the mean place at which it stands in the lists of
//! `train.txt`, and varies over items 2.7 times as much as a random draw does. A random part of the
//! training data is therefore no stand-in for the test part; the ends of the lists are.

use std::{
    fs,
    path::{Path, PathBuf},
};

use shared_models::ErrorCode;

use crate::factors::{self, Interactions};

/// How fast the weights of a list fade, chosen on the validation part: from 1 at its end to `e^-2` at its beginning.
pub const FADING: f32 = 2.0;

/// What was held out of what.
#[derive(Clone, Debug)]
pub struct Split {
    /// What a recommender may learn from. What a user did last tells most of what comes next, as in serving, where
    /// confidence fades with age ([`releases::factors::confidence`]): without a time, the n-th of m entries weighs
    /// `e^(-fading · (1 - n / m))`. Fading 0 weighs all 1.
    pub train: Interactions,
    /// What it must find.
    pub test: Interactions,
}

/// Why the folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is not there or cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A word is no number.
    #[error("{}:{line} holds {word:?}, which is no number", path.display())]
    Word {
        /// In which file.
        path: PathBuf,
        /// On which line, from 1.
        line: usize,
        /// What stands there.
        word: String,
    },
    /// The numbers make no matrix.
    #[error("interactions of {} make no matrix", path.display())]
    Matrix {
        /// Of which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: factors::Error,
    },
}

impl Error {
    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorCode::NotFound,
            Self::Read { .. } => ErrorCode::Unavailable,
            Self::Word { .. } | Self::Matrix { .. } => ErrorCode::InvalidArgument,
        }
    }
}

/// Reads `train.txt` and `test.txt` of a folder.
///
/// # Errors
/// When a file is not there, or holds something other than numbers.
pub fn read(folder: &Path, fading: f32) -> Result<Split, Error> {
    let (train_path, test_path) = (folder.join("train.txt"), folder.join("test.txt"));
    let ((train, train_users), (test, test_users)) = (entries(&train_path, fading)?, entries(&test_path, 0.0)?);
    let users = train_users.max(test_users);
    let items = train.iter().chain(&test).map(|entry| entry.1 as usize + 1).max().unwrap_or(0);
    let matrix = |path: PathBuf, entries: &[_]| {
        Interactions::from_entries(users, items, entries).map_err(|source| Error::Matrix { path, source })
    };
    Ok(Split { train: matrix(train_path, &train)?, test: matrix(test_path, &test)? })
}

/// Reads `train.txt` alone: the ends of its lists, `share` of each, are held out in place of the test part.
/// A list of one item is kept whole.
///
/// # Errors
/// When the file is not there, or holds something other than numbers.
pub fn read_for_tuning(folder: &Path, share: f64, fading: f32) -> Result<Split, Error> {
    let path = folder.join("train.txt");
    let (entries, users) = entries(&path, 0.0)?;
    let items = entries.iter().map(|entry| entry.1 as usize + 1).max().unwrap_or(0);
    let (mut kept, mut held_out) = (Vec::with_capacity(entries.len()), Vec::new());
    for list in entries.chunk_by(|a, b| a.0 == b.0) {
        let end = (list.len() as f64 * share.clamp(0.0, 1.0)).ceil() as usize;
        let (head, tail) = list.split_at(list.len().saturating_sub(end).max(1));
        kept.extend(
            head.iter().enumerate().map(|(at, (user, item, _))| (*user, *item, weight(fading, at, head.len()))),
        );
        held_out.extend_from_slice(tail);
    }
    let matrix = |entries: &[_]| {
        Interactions::from_entries(users, items, entries).map_err(|source| Error::Matrix { path: path.clone(), source })
    };
    Ok(Split { train: matrix(&kept)?, test: matrix(&held_out)? })
}

/// User, item and weight.
type Entry = (u32, u32, f32);

/// The pairs of a file, and how many users it numbers: one may have no item.
fn entries(path: &Path, fading: f32) -> Result<(Vec<Entry>, usize), Error> {
    let text = fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let (mut entries, mut users) = (Vec::new(), 0);
    for (line, content) in text.lines().enumerate() {
        let number = |word: &str| {
            word.parse::<u32>().map_err(|_| Error::Word {
                path: path.to_owned(),
                line: line + 1,
                word: word.to_owned(),
            })
        };
        let mut words = content.split_ascii_whitespace();
        if let Some(user) = words.next() {
            let user = number(user)?;
            users = users.max(user as usize + 1);
            let items: Vec<&str> = words.collect();
            for (at, item) in items.iter().enumerate() {
                entries.push((user, number(item)?, weight(fading, at, items.len())));
            }
        }
    }
    Ok((entries, users))
}

/// What the entry at this place of a list weighs.
fn weight(fading: f32, at: usize, length: usize) -> f32 {
    (-fading * (1.0 - (at as f32 + 1.0) / length as f32)).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_user_and_the_users_items() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::write(folder.path().join("train.txt"), "0 3 1\n1 0\n2\n").unwrap();
        fs::write(folder.path().join("test.txt"), "0 4 \n").unwrap();
        let split = read(folder.path(), 2.0).unwrap();
        assert_eq!((split.train.rows(), split.train.columns()), (3, 5));
        // The list was 3, then 1: the last weighs 1, the first of two e^-1.
        assert_eq!(split.train.row(0).0, [1, 3]);
        assert_eq!(split.train.row(0).1, [1.0, (-1.0_f32).exp()]);
        assert_eq!(split.test.row(0).0, [4]);
        assert!(split.train.row(2).0.is_empty());
    }

    #[test]
    fn the_ends_of_the_lists_are_held_out_for_tuning() {
        let folder = tempfile::TempDir::new().unwrap();
        fs::write(folder.path().join("train.txt"), "0 3 1 9 2\n1 0\n").unwrap();
        let split = read_for_tuning(folder.path(), 0.25, 0.0).unwrap();
        assert_eq!((split.train.row(0).0, split.test.row(0).0), (&[1, 3, 9][..], &[2][..]));
        assert_eq!((split.train.row(1).0, split.test.row(1).0), (&[0][..], &[][..]));
        assert_eq!(split.test.columns(), 10);
    }

    #[test]
    fn errors_name_file_and_line() {
        let folder = tempfile::TempDir::new().unwrap();
        assert_eq!(read(folder.path(), 0.0).unwrap_err().code(), ErrorCode::NotFound);
        fs::write(folder.path().join("train.txt"), "0 1\n1 x\n").unwrap();
        fs::write(folder.path().join("test.txt"), "").unwrap();
        let error = read(folder.path(), 0.0).unwrap_err();
        assert!(error.to_string().ends_with("train.txt:2 holds \"x\", which is no number"), "{error}");
    }
}
