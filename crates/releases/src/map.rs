//! A file mapped into memory: the one place of this crate with unsafe code.

use std::{fs::File, io};

/// A mapped file, read-only.
#[derive(Debug)]
pub(crate) struct Map(memmap2::Mmap);

impl Map {
    /// Maps a file that is not empty.
    #[expect(unsafe_code, reason = "memory that follows a file is the operating system's to give")]
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        // SAFETY: nobody changes the file while it is mapped. A release is written under another name, put into its
        // place by renaming and never written again; whoever removes one unlinks it, which leaves a map as it is.
        // The bytes are verified through the map that then serves. Only somebody who writes into the store past
        // this crate could pull the pages away, and could as well write anything else into it.
        let map = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self(map))
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
