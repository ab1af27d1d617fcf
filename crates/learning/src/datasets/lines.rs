//! Reading text files line by line, plain or gzipped, in UTF-8 or Latin-1, with progress in bytes.
//! It must not know what the lines mean.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::read::MultiGzDecoder;

use super::Error;
use crate::progress::{Progress, Stage, Unit};

/// How a file's bytes are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8; a line that is not is a bad row.
    Utf8,
    /// ISO 8859-1: every byte is a character.
    Latin1,
}

/// A file being read, with its name for reports: the path's last component.
pub(super) struct Lines {
    reader: Box<dyn BufRead>,
    path: PathBuf,
    name: String,
    number: u64,
    encoding: Encoding,
    buffer: Vec<u8>,
    stage: Arc<dyn Stage>,
}

/// One line without its line end. `text` is an error where the bytes are no text.
pub(super) struct Line {
    /// From 1.
    pub(super) number: u64,
    pub(super) text: Result<String, &'static str>,
}

/// The bytes of a file, and the stage that counts them.
pub(super) type Opened = (Box<dyn Read>, Arc<dyn Stage>);

/// Opens a file, unpacking it when its name ends with `.gz`; the stage counts bytes on disk.
pub(super) fn open(path: &Path, progress: &dyn Progress) -> Result<Opened, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    let stage = progress.stage(&name_of(path), Unit::Bytes, Some(bytes));
    let counted = Counted { inner: BufReader::with_capacity(256 * 1024, file), stage: Arc::clone(&stage) };
    let gzipped = path.extension().is_some_and(|extension| extension == "gz");
    Ok((if gzipped { Box::new(MultiGzDecoder::new(counted)) } else { Box::new(counted) }, stage))
}

/// The path's last component, for reports.
pub(super) fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

impl Lines {
    pub(super) fn open(path: &Path, encoding: Encoding, progress: &dyn Progress) -> Result<Self, Error> {
        let (reader, stage) = open(path, progress)?;
        Ok(Self {
            reader: Box::new(BufReader::with_capacity(256 * 1024, reader)),
            path: path.to_owned(),
            name: name_of(path),
            number: 0,
            encoding,
            buffer: Vec::new(),
            stage,
        })
    }

    /// The file's name for reports.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The next line; `None` at the end. Empty lines count but are not given.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, Error> {
        loop {
            self.buffer.clear();
            let read = self
                .reader
                .read_until(b'\n', &mut self.buffer)
                .map_err(|source| Error::Read { path: self.path.clone(), source })?;
            if read == 0 {
                self.stage.finish("");
                return Ok(None);
            }
            self.number += 1;
            let mut bytes = self.buffer.as_slice();
            if self.number == 1 {
                bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            }
            bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
            if bytes.is_empty() {
                continue;
            }
            let text = match self.encoding {
                Encoding::Latin1 => Ok(bytes.iter().map(|byte| char::from(*byte)).collect()),
                Encoding::Utf8 => std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| "not UTF-8 text"),
            };
            return Ok(Some(Line { number: self.number, text }));
        }
    }
}

/// A reader that tells a stage what it has read.
struct Counted<R> {
    inner: R,
    stage: Arc<dyn Stage>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.stage.advance(read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::progress::Silent;

    fn all(name: &str, bytes: &[u8], encoding: Encoding) -> Vec<(u64, Result<String, &'static str>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let mut lines = Lines::open(&path, encoding, &Silent).unwrap();
        std::iter::from_fn(|| lines.next_line().unwrap()).map(|line| (line.number, line.text)).collect()
    }

    #[test]
    fn line_ends_marks_and_empty_lines_do_not_show() {
        let check = |bytes: &[u8], encoding, expected: &[(u64, Result<&str, &'static str>)]| {
            let expected: Vec<_> = expected.iter().map(|(n, text)| (*n, text.map(str::to_owned))).collect();
            assert_eq!(all("x.txt", bytes, encoding), expected);
        };
        check(b"\xef\xbb\xbfa\r\n\nb", Encoding::Utf8, &[(1, Ok("a")), (3, Ok("b"))]);
        check(b"caf\xe9\n", Encoding::Latin1, &[(1, Ok("caf\u{e9}"))]);
        check(b"caf\xe9\nok\n", Encoding::Utf8, &[(1, Err("not UTF-8 text")), (2, Ok("ok"))]);
    }

    #[test]
    fn gzipped_files_read_as_plain_ones() {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"one\ntwo\n").unwrap();
        assert_eq!(
            all("x.csv.gz", &packer.finish().unwrap(), Encoding::Utf8),
            vec![(1, Ok("one".to_owned())), (2, Ok("two".to_owned()))]
        );
    }

    #[test]
    fn an_absent_file_is_named() {
        let error = Lines::open(Path::new("nowhere.txt"), Encoding::Utf8, &Silent).err().unwrap();
        assert_eq!(error.to_string(), "could not read nowhere.txt");
    }
}
