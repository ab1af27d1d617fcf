//! Files of bare numbers, as published splits come in: lists of items by user, and columns of a table. A line that is
//! something else is an error that names it: a protocol that drops rows measures something else.

use std::path::Path;

use super::{
    Error,
    lines::{Encoding, Lines, name_of},
};
use crate::progress::Progress;

/// The lines of a file, each a user followed by that user's items, in the file's order.
///
/// # Errors
/// When the file is not there, cannot be read, or holds something other than numbers.
pub fn lists(path: &Path, progress: &dyn Progress) -> Result<Vec<(u32, Vec<u32>)>, Error> {
    let mut lists = Vec::new();
    each_line(path, "give a user and the user's items as whole numbers", progress, |text| {
        let mut words = text.split_ascii_whitespace().map(str::parse::<u32>);
        let Some(user) = words.next() else { return Ok(()) };
        lists.push((user?, words.collect::<Result<Vec<u32>, _>>()?));
        Ok(())
    })?;
    Ok(lists)
}

/// The named columns of a table with a heading, values parted as the heading is: by tabs, else commas, else
/// spaces.
///
/// # Errors
/// When the file is not there, cannot be read, has no such column, or holds something other than numbers there.
pub fn columns<const N: usize>(path: &Path, names: [&str; N], progress: &dyn Progress) -> Result<Vec<[i64; N]>, Error> {
    let mut places: Option<[usize; N]> = None;
    let mut rows = Vec::new();
    let mut absent: Option<Error> = None;
    let mut separator = ',';
    each_line(path, "give whole numbers in every column", progress, |text| {
        let Some(places) = places else {
            separator = ['\t', ',', ' '].into_iter().find(|separator| text.contains(*separator)).unwrap_or(',');
            let known: Vec<&str> = text.split(separator).map(str::trim).collect();
            let mut found = [0; N];
            for (place, name) in found.iter_mut().zip(names) {
                match known.iter().position(|known| *known == name) {
                    Some(at) => *place = at,
                    None => {
                        absent.get_or_insert_with(|| Error::Column {
                            file: name_of(path),
                            column: name.to_owned(),
                            known: known.join(", "),
                        });
                    }
                }
            }
            places = Some(found);
            return Ok(());
        };
        let mut row = [0_i64; N];
        for (value, place) in row.iter_mut().zip(places) {
            *value = text.split(separator).nth(place).unwrap_or_default().trim().parse()?;
        }
        rows.push(row);
        Ok(())
    })
    .map_err(|error| absent.take().unwrap_or(error))?;
    absent.map_or(Ok(rows), Err)
}

/// Rows of whole numbers without a heading, parted by white space: the first N of each line.
///
/// # Errors
/// When the file is not there, cannot be read, or a line has fewer numbers.
pub fn rows<const N: usize>(path: &Path, progress: &dyn Progress) -> Result<Vec<[i64; N]>, Error> {
    let mut rows = Vec::new();
    each_line(path, "give rows of whole numbers", progress, |text| {
        let mut row = [0_i64; N];
        let mut words = text.split_ascii_whitespace();
        for value in &mut row {
            *value = words.next().unwrap_or_default().parse()?;
        }
        rows.push(row);
        Ok(())
    })?;
    Ok(rows)
}

fn each_line(
    path: &Path,
    expected: &'static str,
    progress: &dyn Progress,
    mut line: impl FnMut(&str) -> Result<(), std::num::ParseIntError>,
) -> Result<(), Error> {
    if !path.exists() {
        return Err(Error::Missing { path: path.to_owned(), expected: "give the folder that holds it" });
    }
    let mut lines = Lines::open(path, Encoding::Utf8, progress)?;
    while let Some(next) = lines.next_line()? {
        let wrong =
            || Error::Format { file: format!("{}:{}", lines.name(), next.number), expected: expected.to_owned() };
        line(next.text.as_ref().map_err(|_| wrong())?).map_err(|_| wrong())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.txt");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn lists_are_users_with_their_items() {
        let (_kept, path) = written("0 5 3 \n2\n\n1 7\n");
        assert_eq!(lists(&path, &Silent).unwrap(), [(0, vec![5, 3]), (2, vec![]), (1, vec![7])]);
        let (_kept, path) = written("0 5\n1 x\n");
        let error = lists(&path, &Silent).unwrap_err();
        assert!(error.to_string().starts_with("x.txt:2 is not of this format: give a user"), "{error}");
        assert!(matches!(lists(Path::new("nowhere"), &Silent), Err(Error::Missing { .. })));
    }

    #[test]
    fn columns_are_found_by_name() {
        let (_kept, path) = written("a,b,c\n1,2,3\n4,5,-1\n");
        assert_eq!(columns(&path, ["c", "a"], &Silent).unwrap(), [[3, 1], [-1, 4]]);
        let error = columns(&path, ["c", "d"], &Silent).unwrap_err();
        assert_eq!(error.to_string(), "x.txt has no column \"d\"; it has a, b, c");
        let (_kept, path) = written("a\tb\n1\t2\n");
        assert_eq!(columns(&path, ["b"], &Silent).unwrap(), [[2]]);
        let (_kept, path) = written("a\n1.5\n");
        assert!(columns(&path, ["a"], &Silent).is_err());
    }

    #[test]
    fn rows_have_at_least_so_many_numbers() {
        let (_kept, path) = written("1\t2\t3\n4 5 6\n");
        assert_eq!(rows::<2>(&path, &Silent).unwrap(), [[1, 2], [4, 5]]);
        assert!(rows::<4>(&path, &Silent).is_err());
    }
}
