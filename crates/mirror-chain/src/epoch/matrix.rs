//! Sparse matrices of shares: a row a neuron, in it the uids that it has an entry for.

use std::ops::Add;

use super::I32F32;
use crate::Uid;

/// An entry of a row.
pub(super) type Entry = (Uid, I32F32);

/// A square matrix. Rows keep the order in which their entries were set, and may hold entries of 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Matrix {
    pub(super) rows: Vec<Vec<Entry>>,
}

impl Matrix {
    /// Each entry replaced, its row and its uid given.
    pub(super) fn map(mut self, change: impl Fn(usize, Uid, I32F32) -> I32F32) -> Self {
        for (from, row) in self.rows.iter_mut().enumerate() {
            for (uid, value) in row {
                *value = change(from, *uid, *value);
            }
        }
        self
    }

    /// The sum of each row.
    pub(super) fn row_sums(&self) -> Vec<I32F32> {
        let sum = |row: &Vec<Entry>| row.iter().map(|&(_, value)| value).sum();
        self.rows.iter().map(sum).collect()
    }

    /// For each column, the sum over the rows of the row's share times the entry, each product rounded down.
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

    /// For each row, the sum over its entries of the entry times the column's share, each product rounded down.
    pub(super) fn row_sums_by(&self, shares: &[I32F32]) -> Vec<I32F32> {
        let sum = |row: &Vec<Entry>| {
            row.iter()
                .map(|&(uid, value)| value.times(shares[uid.index()]))
                .sum()
        };
        self.rows.iter().map(sum).collect()
    }

    /// As [`Matrix::row_sums_by`], of the entries' shares in the sums of their columns.
    pub(super) fn row_sums_of_column_shares_by(&self, shares: &[I32F32]) -> Vec<I32F32> {
        let sums = self.column_sums();
        let part = |&(uid, value): &Entry| value.over(sums[uid.index()]).times(shares[uid.index()]);
        self.rows.iter().map(|row| row.iter().map(part).sum()).collect()
    }

    /// Each column divided by its sum; one that sums to 0 stays.
    pub(super) fn column_normalised(self) -> Self {
        let sums = self.column_sums();
        self.columns_over(&sums)
    }

    fn column_sums(&self) -> Vec<I32F32> {
        self.columns_folded(Add::add)
    }

    /// Each column divided by its largest entry; one of zeros stays.
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

/// A row of at most so many entries, in memory that was asked for once.
pub(super) fn row_within(most: usize, entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut row = Vec::with_capacity(most);
    row.extend(entries);
    row
}

/// Shares divided by their sum; if that is 0, as they are.
pub(super) fn normalised(shares: Vec<I32F32>) -> Vec<I32F32> {
    let sum: I32F32 = shares.iter().copied().sum();
    over_sum(shares, sum)
}

/// Shares divided by a sum; if that is 0, as they are.
pub(super) fn over_sum(mut shares: Vec<I32F32>, sum: I32F32) -> Vec<I32F32> {
    if sum != I32F32::ZERO {
        for share in &mut shares {
            *share = share.over(sum);
        }
    }
    shares
}
