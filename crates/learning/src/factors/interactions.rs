//! A sparse matrix of weights, by rows.

use xxhash_rust::xxh3::Xxh3;

use super::Error;

/// Who did what how strongly: rows are users, columns items (or the other way round). Each row's
/// columns ascend; a pair stands once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interactions {
    columns: usize,
    offsets: Vec<usize>,
    indices: Vec<u32>,
    weights: Vec<f32>,
}

impl Interactions {
    /// A matrix from its entries in any order; the weights of a pair that stands twice are added.
    ///
    /// # Errors
    /// When an entry lies outside `rows × columns`, or its weight is not above 0 or not finite.
    pub fn from_entries(rows: usize, columns: usize, entries: &[(u32, u32, f32)]) -> Result<Self, Error> {
        let mut offsets = vec![0_usize; rows + 1];
        for &(row, column, weight) in entries {
            let inside = (row as usize) < rows && (column as usize) < columns;
            if !inside || !weight.is_finite() || weight <= 0.0 {
                return Err(Error::Entry { row, column, weight });
            }
            offsets[row as usize + 1] += 1;
        }
        for row in 0..rows {
            offsets[row + 1] += offsets[row];
        }
        let mut next = offsets.clone();
        let mut sorted = vec![(0_u32, 0.0_f32); entries.len()];
        for &(row, column, weight) in entries {
            sorted[next[row as usize]] = (column, weight);
            next[row as usize] += 1;
        }
        let mut matrix = Self {
            columns,
            offsets: vec![0],
            indices: Vec::with_capacity(entries.len()),
            weights: Vec::with_capacity(entries.len()),
        };
        for row in 0..rows {
            let row = &mut sorted[offsets[row]..offsets[row + 1]];
            // Stable, so that weights are added in the order in which they were given.
            row.sort_by_key(|(column, _)| *column);
            let start = matrix.indices.len();
            for &mut (column, weight) in row {
                match matrix.indices[start..].last() {
                    Some(last) if *last == column => {
                        if let Some(sum) = matrix.weights.last_mut() {
                            *sum += weight;
                        }
                    }
                    _ => {
                        matrix.indices.push(column);
                        matrix.weights.push(weight);
                    }
                }
            }
            matrix.offsets.push(matrix.indices.len());
        }
        Ok(matrix)
    }

    /// A matrix from its rows, each of columns that ascend with their weights.
    ///
    /// # Errors
    /// When an entry lies outside the columns, does not ascend, or its weight is not above 0 or not finite.
    pub fn from_rows<'a>(columns: usize, rows: impl Iterator<Item = &'a Vec<(u32, f32)>>) -> Result<Self, Error> {
        let mut matrix = Self { columns, offsets: vec![0], indices: Vec::new(), weights: Vec::new() };
        for (row, entries) in rows.enumerate() {
            let mut next = 0;
            for &(column, weight) in entries {
                let inside = (next..columns).contains(&(column as usize));
                if !inside || !weight.is_finite() || weight <= 0.0 {
                    return Err(Error::Entry { row: row as u32, column, weight });
                }
                next = column as usize + 1;
                matrix.indices.push(column);
                matrix.weights.push(weight);
            }
            matrix.offsets.push(matrix.indices.len());
        }
        Ok(matrix)
    }

    /// Adds all of it to a hash.
    pub(crate) fn hash_into(&self, hasher: &mut Xxh3) {
        hasher.update(&(self.columns as u64).to_le_bytes());
        self.offsets.iter().for_each(|offset| hasher.update(&(*offset as u64).to_le_bytes()));
        hasher.update(bytemuck::cast_slice(&self.indices));
        hasher.update(bytemuck::cast_slice(&self.weights));
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }

    /// How many columns.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// A row's columns, ascending, and their weights; nothing past the end.
    #[inline]
    #[must_use]
    pub fn row(&self, row: usize) -> (&[u32], &[f32]) {
        let (Some(&start), Some(&end)) = (self.offsets.get(row), self.offsets.get(row + 1)) else {
            return (&[], &[]);
        };
        (&self.indices[start..end], &self.weights[start..end])
    }

    /// The entries, by row, then by column.
    pub fn entries(&self) -> impl Iterator<Item = (u32, u32, f32)> + '_ {
        (0..self.rows()).flat_map(move |row| {
            let (columns, weights) = self.row(row);
            columns.iter().zip(weights).map(move |(column, weight)| (row as u32, *column, *weight))
        })
    }

    /// The same pairs with other weights. Unlike those of [`Interactions::from_entries`], they may be any numbers.
    #[must_use]
    pub fn map(&self, weight: impl Fn(u32, u32, f32) -> f32) -> Self {
        let weights = self.entries().map(|(row, column, old)| weight(row, column, old)).collect();
        Self { columns: self.columns, offsets: self.offsets.clone(), indices: self.indices.clone(), weights }
    }

    /// The sum of each column's weights.
    #[must_use]
    pub fn column_sums(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.columns];
        for (column, weight) in self.indices.iter().zip(&self.weights) {
            sums[*column as usize] += f64::from(*weight);
        }
        sums
    }

    /// Columns as rows.
    #[must_use]
    pub fn transpose(&self) -> Self {
        let mut offsets = vec![0_usize; self.columns + 1];
        for &column in &self.indices {
            offsets[column as usize + 1] += 1;
        }
        for column in 0..self.columns {
            offsets[column + 1] += offsets[column];
        }
        let mut next = offsets.clone();
        let mut indices = vec![0_u32; self.indices.len()];
        let mut weights = vec![0.0_f32; self.indices.len()];
        // Rows ascend here, so each column's list of rows ascends.
        for (row, column, weight) in self.entries() {
            let at = &mut next[column as usize];
            indices[*at] = row;
            weights[*at] = weight;
            *at += 1;
        }
        Self { columns: self.rows(), offsets, indices, weights }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn transposing_twice_changes_nothing(entries in prop::collection::vec((0_u32..9, 0_u32..7, 0.5_f32..4.0), 0..80)) {
            let matrix = Interactions::from_entries(9, 7, &entries).unwrap();
            prop_assert_eq!(&matrix.transpose().transpose(), &matrix);
            let total: f64 = entries.iter().map(|(_, _, weight)| f64::from(*weight)).sum();
            prop_assert!((matrix.column_sums().iter().sum::<f64>() - total).abs() < 1e-3);
            for row in 0..9 {
                prop_assert!(matrix.row(row).0.is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn rows_that_ascend_are_the_matrix_of_their_entries() {
        let rows = [vec![(1, 5.0)], vec![], vec![(0, 1.0), (2, 1.5)]];
        let matrix = Interactions::from_rows(3, rows.iter()).unwrap();
        assert_eq!(matrix, Interactions::from_entries(3, 3, &[(2, 2, 1.5), (0, 1, 5.0), (2, 0, 1.0)]).unwrap());
        for row in [vec![(3, 1.0)], vec![(1, 1.0), (1, 1.0)], vec![(1, 1.0), (0, 1.0)], vec![(0, -1.0)]] {
            assert!(Interactions::from_rows(3, [row.clone()].iter()).is_err(), "{row:?}");
        }
    }

    #[test]
    fn a_pair_given_twice_stands_once() {
        let matrix = Interactions::from_entries(2, 3, &[(1, 2, 1.0), (0, 1, 5.0), (1, 0, 1.0), (1, 2, 0.5)]).unwrap();
        assert_eq!(matrix.row(1), (&[0, 2][..], &[1.0, 1.5][..]));
        assert_eq!(matrix.len(), 3);
        assert_eq!(matrix.row(9), (&[][..], &[][..]));
    }

    #[test]
    fn entries_outside_are_refused() {
        for entry in [(2, 0, 1.0), (0, 3, 1.0), (0, 0, 0.0), (0, 0, -1.0), (0, 0, f32::NAN), (0, 0, f32::INFINITY)] {
            assert!(Interactions::from_entries(2, 3, &[entry]).is_err(), "{entry:?}");
        }
    }
}
