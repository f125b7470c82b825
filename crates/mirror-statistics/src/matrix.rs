//! Tables of numbers.

use nalgebra::DMatrix;

/// A table of finite numbers with at least one row and one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    columns: usize,
    /// One row after the other.
    values: Vec<f64>,
}

/// Values that form no [`Matrix`]. Rows and columns are numbered from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MatrixError {
    /// There is no value.
    #[error("the table has no rows or no columns")]
    Empty,
    /// The rows have different lengths.
    #[error("row {row} has {found} columns, but the first row has {expected}")]
    Ragged {
        /// The first row of another length than row 0.
        row: usize,
        /// Its number of columns.
        found: usize,
        /// The number of columns of row 0.
        expected: usize,
    },
    /// A value is infinite or not a number.
    #[error(
        "the value in row {row}, column {column} is {value}: leave out rows with values that are not finite"
    )]
    NotFinite {
        /// The row of the value.
        row: usize,
        /// The column of the value.
        column: usize,
        /// The value.
        value: f64,
    },
}

impl Matrix {
    /// Creates a table from its rows.
    ///
    /// # Errors
    ///
    /// Returns an error if there are no values, if the rows differ in length, or if a value is not finite.
    pub fn from_rows<R: AsRef<[f64]>>(rows: &[R]) -> Result<Self, MatrixError> {
        let columns = rows.first().map_or(0, |row| row.as_ref().len());
        if columns == 0 {
            return Err(MatrixError::Empty);
        }
        let mut values = Vec::with_capacity(rows.len() * columns);
        for (number, row) in rows.iter().enumerate() {
            let row = row.as_ref();
            if row.len() != columns {
                return Err(MatrixError::Ragged {
                    row: number,
                    found: row.len(),
                    expected: columns,
                });
            }
            if let Some(column) = row.iter().position(|value| !value.is_finite()) {
                return Err(MatrixError::NotFinite {
                    row: number,
                    column,
                    value: row[column],
                });
            }
            values.extend_from_slice(row);
        }
        Ok(Self { columns, values })
    }

    /// Returns the number of rows, at least 1.
    pub fn row_count(&self) -> usize {
        self.values.len() / self.columns
    }

    /// Returns the number of columns, at least 1.
    pub fn column_count(&self) -> usize {
        self.columns
    }

    /// Returns the rows in their order.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[f64]> {
        self.values.chunks_exact(self.columns)
    }

    /// Returns a table of the rows with the given numbers, of which there is at least one.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let row = |row: &usize| &self.values[row * self.columns..(row + 1) * self.columns];
        Self {
            columns: self.columns,
            values: rows.iter().flat_map(row).copied().collect(),
        }
    }

    /// Returns the mean of each column. The mean of equal values is that value, without a rounding error.
    pub(crate) fn column_means(&self) -> Vec<f64> {
        let mut first = self.values[..self.columns].to_vec();
        let mut deviations = vec![0.0; self.columns];
        for row in self.rows() {
            for (column, value) in row.iter().enumerate() {
                deviations[column] += value - first[column];
            }
        }
        let rows = self.row_count() as f64;
        for (mean, deviation) in first.iter_mut().zip(deviations) {
            *mean += deviation / rows;
        }
        first
    }

    /// Returns the deviations from `center`, which has one value per column.
    pub(crate) fn deviations(&self, center: &[f64]) -> DMatrix<f64> {
        let mut deviations = DMatrix::from_row_slice(self.row_count(), self.columns, &self.values);
        for (mut column, center) in deviations.column_iter_mut().zip(center) {
            column.add_scalar_mut(-center);
        }
        deviations
    }
}
