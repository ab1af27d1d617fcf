//! Numbers of an artefact: in memory of their own, or where the release's file is mapped.
//!
//! A large artefact is read in place: opening a release copies nothing, processes on one machine share its pages,
//! and the system may drop and read them again as it needs memory.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    marker::PhantomData,
    ops::{Deref, Range},
    sync::Arc,
};

use bytemuck::Pod;

use crate::map::Map;

/// Files below this are read: a page of its own costs a small file more than a copy.
const MAPPED_FROM: u64 = 64 * 1_024;

/// The bytes of a release's file.
#[derive(Debug)]
pub(crate) enum Content {
    /// In memory.
    Read(Vec<u8>),
    /// In the file.
    Mapped(Arc<Map>),
}

impl Content {
    /// A file's content, of this length.
    pub(crate) fn of(file: &mut File, length: u64) -> io::Result<Self> {
        if length >= MAPPED_FROM {
            return Ok(Self::Mapped(Arc::new(Map::of(file)?)));
        }
        let mut bytes = Vec::with_capacity(length as usize);
        file.read_to_end(&mut bytes)?;
        Ok(Self::Read(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map.bytes(),
        }
    }

    pub(crate) fn map(&self) -> Option<&Arc<Map>> {
        match self {
            Self::Read(_) => None,
            Self::Mapped(map) => Some(map),
        }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Read(bytes) => bytes,
            Self::Mapped(map) => map.bytes().to_vec(),
        }
    }
}

/// Read-only numbers, as a slice. Cheap to clone where they are mapped.
#[derive(Clone)]
pub struct Array<T>(Place<T>);

#[derive(Clone)]
enum Place<T> {
    Owned(Vec<T>),
    /// **Invariant:** the range lies in the map and holds whole, aligned numbers.
    Mapped(Arc<Map>, Range<usize>, PhantomData<T>),
}

impl<T: Pod> Array<T> {
    /// The numbers in these bytes of a map; copied where they are not aligned. `None` past the end.
    pub(crate) fn mapped(map: &Arc<Map>, range: Range<usize>) -> Option<Self> {
        let bytes = map.bytes().get(range.clone())?;
        if bytemuck::try_cast_slice::<u8, T>(bytes).is_ok() {
            return Some(Self(Place::Mapped(Arc::clone(map), range, PhantomData)));
        }
        let mut values = vec![T::zeroed(); bytes.len() / size_of::<T>()];
        bytemuck::try_cast_slice_mut(&mut values).ok()?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(values.into())
    }
}

impl<T> From<Vec<T>> for Array<T> {
    fn from(values: Vec<T>) -> Self {
        Self(Place::Owned(values))
    }
}

impl<T> Default for Array<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Pod> Deref for Array<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match &self.0 {
            Place::Owned(values) => values,
            Place::Mapped(map, range, _) => bytemuck::cast_slice(&map.bytes()[range.clone()]),
        }
    }
}

impl<T: Pod + PartialEq> PartialEq for Array<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Pod + fmt::Debug> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_mapped_file_reads_like_its_bytes() {
        let mut file = tempfile::tempfile().unwrap();
        let numbers: Vec<u32> = (0..40_000).collect();
        file.write_all(bytemuck::cast_slice(&numbers)).unwrap();
        let content = Content::of(&mut file, 160_000).unwrap();
        let map = content.map().unwrap();
        assert_eq!(content.bytes(), bytemuck::cast_slice::<u32, u8>(&numbers));
        let some = Array::<u32>::mapped(map, 400..480).unwrap();
        assert_eq!(*some, numbers[100..120]);
        assert_eq!(some, Array::from(numbers[100..120].to_vec()));
        let moved = Array::<u32>::mapped(map, 401..481).unwrap();
        assert_eq!(moved.len(), 20, "what is not aligned is copied");
        assert!(Array::<u32>::mapped(map, 159_996..160_004).is_none());
    }

    #[test]
    fn a_small_file_is_read() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"small").unwrap();
        std::io::Seek::rewind(&mut file).unwrap();
        let content = Content::of(&mut file, 5).unwrap();
        assert!(content.map().is_none());
        assert_eq!(content.into_bytes(), b"small");
    }
}
