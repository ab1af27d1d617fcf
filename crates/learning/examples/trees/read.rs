//! Tables from files: LibSVM text, CSV, and arrays of numpy.

use std::{error::Error, fs, path::Path};

use learning::trees::Table;

/// A table that was read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    columns: Vec<Vec<f32>>,
    labels: Vec<f32>,
    groups: Option<Vec<u32>>,
}

impl Read {
    pub(crate) fn width(&self) -> usize {
        self.columns.len()
    }

    /// Columns that a file does not name are 0, as LibSVM has it.
    pub(crate) fn widen(&mut self, width: usize) {
        let rows = self.labels.len();
        self.columns.resize_with(width.max(self.columns.len()), || vec![0.0; rows]);
    }

    pub(crate) fn table(&self) -> Table<'_> {
        Table {
            columns: self.columns.iter().map(Vec::as_slice).collect(),
            labels: &self.labels,
            weights: None,
            groups: self.groups.as_deref(),
        }
    }
}

/// Reads a file by what its name ends with.
pub(crate) fn read(path: &Path) -> Result<Read, Box<dyn Error>> {
    let named = |error: Box<dyn Error>| -> Box<dyn Error> { format!("{}: {error}", path.display()).into() };
    let parse = match path.extension().and_then(|extension| extension.to_str()) {
        Some("npy") => numpy,
        Some("csv") => csv,
        _ => libsvm,
    };
    let mut table = fs::read(path).map_err(Into::into).and_then(|bytes| parse(&bytes)).map_err(named)?;
    let mut query = path.as_os_str().to_owned();
    query.push(".query");
    if let Ok(text) = fs::read_to_string(query) {
        table.groups = Some(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?);
    }
    Ok(table)
}

fn libsvm(bytes: &[u8]) -> Result<Read, Box<dyn Error>> {
    let text = std::str::from_utf8(bytes)?;
    let mut table = Read::default();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or(line)) {
        let mut words = line.split_whitespace();
        let Some(label) = words.next() else { continue };
        let row = table.labels.len();
        table.labels.push(label.parse()?);
        for word in words.filter(|word| !word.starts_with("qid:")) {
            let (column, number) = word.split_once(':').ok_or_else(|| format!("{word:?} is not column:number"))?;
            let column: usize = column.parse()?;
            if column > 1 << 20 {
                return Err(format!("column {column} is too large").into());
            }
            table.columns.resize_with(table.columns.len().max(column + 1), Vec::new);
            table.columns[column].resize(row, 0.0);
            table.columns[column].push(number.parse()?);
        }
    }
    let rows = table.labels.len();
    table.columns.iter_mut().for_each(|column| column.resize(rows, 0.0));
    Ok(table)
}

fn csv(bytes: &[u8]) -> Result<Read, Box<dyn Error>> {
    let text = std::str::from_utf8(bytes)?;
    let mut table = Read::default();
    for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        for (place, word) in line.split(',').map(str::trim).enumerate() {
            // An empty place is a missing number.
            let number = if word.is_empty() { f32::NAN } else { word.parse()? };
            match place.checked_sub(1) {
                None => table.labels.push(number),
                Some(column) => {
                    table.columns.resize_with(table.columns.len().max(column + 1), Vec::new);
                    table.columns[column].push(number);
                }
            }
        }
    }
    Ok(table)
}

/// The format of numpy, <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>: two dimensions of
/// little-endian `f32`, in either order.
fn numpy(bytes: &[u8]) -> Result<Read, Box<dyn Error>> {
    let head = bytes.get(10..).filter(|_| bytes.starts_with(b"\x93NUMPY\x01")).ok_or("no numpy array of version 1")?;
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let (head, data) = head.split_at_checked(length).ok_or("the head is cut off")?;
    let head = std::str::from_utf8(head)?;
    let after = |name: &str| head.split_once(name).map(|(_, rest)| rest.trim_start_matches([':', ' ', '\'', '(']));
    if !after("'descr'").is_some_and(|rest| rest.starts_with("<f4")) {
        return Err("expected numbers of type <f4".into());
    }
    let is_by_column = after("'fortran_order'").is_some_and(|rest| rest.starts_with("True"));
    let shape = after("'shape'").and_then(|rest| rest.split(')').next()).ok_or("no shape")?;
    let shape: Vec<usize> = shape.split(',').map(|n| n.trim().parse()).collect::<Result<_, _>>()?;
    let [rows, width] = shape[..] else { return Err("expected two dimensions".into()) };
    let numbers = data.as_chunks::<4>().0;
    if Some(numbers.len()) != rows.checked_mul(width) || width == 0 {
        return Err("the data has another length than its shape says".into());
    }
    let mut columns: Vec<Vec<f32>> = if is_by_column {
        numbers.chunks(rows.max(1)).map(|column| column.iter().map(|n| f32::from_le_bytes(*n)).collect()).collect()
    } else {
        (0..width)
            .map(|column| numbers.iter().skip(column).step_by(width).map(|n| f32::from_le_bytes(*n)).collect())
            .collect()
    };
    let labels = columns.remove(0);
    Ok(Read { columns, labels, groups: None })
}
