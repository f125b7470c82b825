//! Sparse matrices of shares: one row per neuron, with an entry for some of the uids.

use std::ops::Add;

use super::I32F32;
use crate::Uid;

/// An entry of a row: the column and the value.
pub(super) type Entry = (Uid, I32F32);

/// A square matrix. Rows keep the order in which their entries were set, and may contain entries of 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matrix {
    pub(super) rows: Vec<Vec<Entry>>,
}

impl Matrix {
    /// Replaces each entry by the result of `change` for its row, its uid and its value.
    pub(super) fn map(mut self, change: impl Fn(usize, Uid, I32F32) -> I32F32) -> Self {
        for (from, row) in self.rows.iter_mut().enumerate() {
            for (uid, value) in row {
                *value = change(from, *uid, *value);
            }
        }
        self
    }

    /// Returns the sum of each row.
    pub(super) fn row_sums(&self) -> Vec<I32F32> {
        let sum = |row: &Vec<Entry>| row.iter().map(|&(_, value)| value).sum();
        self.rows.iter().map(sum).collect()
    }

    /// Returns, for each column, the sum of the entries times the shares of their rows, each product rounded down.
    pub(super) fn column_sums_by(&self, shares: &[I32F32]) -> Vec<I32F32> {
        let mut sums = vec![I32F32::ZERO; self.rows.len()];
        for (row, &share) in self.rows.iter().zip(shares) {
            for &(uid, value) in row {
                let sum = &mut sums[uid.index()];
                *sum = *sum + share.times(value);
            }
        }
        sums
    }

    /// Returns, for each row, the sum of the entries times the shares of their columns, each product rounded down.
    pub(super) fn row_sums_by(&self, shares: &[I32F32]) -> Vec<I32F32> {
        let sum = |row: &Vec<Entry>| {
            row.iter()
                .map(|&(uid, value)| value.times(shares[uid.index()]))
                .sum()
        };
        self.rows.iter().map(sum).collect()
    }

    /// Returns the same as [`Matrix::row_sums_by`] for the matrix with each column divided by its sum.
    pub(super) fn row_sums_of_column_shares_by(&self, shares: &[I32F32]) -> Vec<I32F32> {
        let sums = self.column_sums();
        let part = |&(uid, value): &Entry| value.over(sums[uid.index()]).times(shares[uid.index()]);
        self.rows.iter().map(|row| row.iter().map(part).sum()).collect()
    }

    /// Divides each column by its sum. A column with sum 0 is left unchanged.
    pub(super) fn column_normalised(self) -> Self {
        let sums = self.column_sums();
        self.columns_over(&sums)
    }

    fn column_sums(&self) -> Vec<I32F32> {
        self.columns_folded(Add::add)
    }

    /// Divides each column by its largest entry. A column of zeros is left unchanged.
    pub(super) fn column_upscaled(self) -> Self {
        let largest = self.columns_folded(Ord::max);
        self.columns_over(&largest)
    }

    fn columns_folded(&self, fold: impl Fn(I32F32, I32F32) -> I32F32) -> Vec<I32F32> {
        let mut folded = vec![I32F32::ZERO; self.rows.len()];
        for &(uid, value) in self.rows.iter().flatten() {
            let column = &mut folded[uid.index()];
            *column = fold(*column, value);
        }
        folded
    }

    fn columns_over(self, divisors: &[I32F32]) -> Self {
        self.map(|_, uid, value| value.over(divisors[uid.index()]))
    }
}

/// Collects a row of at most `most` entries with a single allocation.
pub(super) fn row_within(most: usize, entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut row = Vec::with_capacity(most);
    row.extend(entries);
    row
}

/// Divides shares by their sum. If the sum is 0, returns them unchanged.
pub(super) fn normalised(shares: Vec<I32F32>) -> Vec<I32F32> {
    let sum: I32F32 = shares.iter().copied().sum();
    over_sum(shares, sum)
}

/// Divides shares by a sum. If the sum is 0, returns them unchanged.
pub(super) fn over_sum(mut shares: Vec<I32F32>, sum: I32F32) -> Vec<I32F32> {
    if sum != I32F32::ZERO {
        for share in &mut shares {
            *share = share.over(sum);
        }
    }
    shares
}
