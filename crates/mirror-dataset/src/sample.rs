//! Selection of the rows of a data set that an experiment uses.

use std::num::NonZeroUsize;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::Row;

/// A selection of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sample {
    /// Every row, in the order of the data.
    #[default]
    All,
    /// The first rows, in the order of the data.
    First(NonZeroUsize),
    /// Rows drawn without replacement, in the order of the draws. The same random seed gives the same rows.
    Random {
        /// Number of rows.
        n: NonZeroUsize,
        /// Random seed of the generator (`ChaCha8`).
        seed: u64,
    },
}

/// Error for a sample that is larger than the data set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the sample requires {wanted} rows, but the data set has only {available}: set `data.sample.n` to {available} or less"
)]
pub struct SampleError {
    /// Number of requested rows.
    pub wanted: usize,
    /// Number of rows in the data set.
    pub available: usize,
}

impl Sample {
    /// Returns the selected rows of `rows`.
    ///
    /// # Errors
    /// Returns an error if there are fewer rows than requested.
    pub fn apply(self, mut rows: Vec<Row>) -> Result<Vec<Row>, SampleError> {
        let available = rows.len();
        let check = |n: NonZeroUsize| {
            if n.get() > available {
                return Err(SampleError {
                    wanted: n.get(),
                    available,
                });
            }
            Ok(n.get())
        };
        match self {
            Self::All => Ok(rows),
            Self::First(n) => {
                rows.truncate(check(n)?);
                Ok(rows)
            }
            Self::Random { n, seed } => {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                let drawn = rand::seq::index::sample(&mut rng, available, check(n)?);
                let mut slots: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
                Ok(drawn
                    .into_iter()
                    .map(|index| slots[index].take().expect("no index is drawn twice"))
                    .collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn rows(count: usize) -> Vec<Row> {
        (0..count)
            .map(|index| Row {
                question: format!("question {index}"),
                answers: vec![index.to_string()],
            })
            .collect()
    }

    fn random(n: usize, seed: u64) -> Sample {
        Sample::Random {
            n: NonZeroUsize::new(n).unwrap(),
            seed,
        }
    }

    #[test]
    fn all_and_first_keep_the_order_of_the_data() {
        assert_eq!(Sample::All.apply(rows(5)).unwrap(), rows(5));
        let first = Sample::First(NonZeroUsize::new(3).unwrap());
        assert_eq!(first.apply(rows(5)).unwrap(), rows(3));
    }

    #[test]
    fn random_rows_are_drawn_without_replacement() {
        let data: HashSet<Row> = rows(100).into_iter().collect();
        let drawn = random(40, 7).apply(rows(100)).unwrap();
        let distinct: HashSet<Row> = drawn.iter().cloned().collect();
        assert_eq!(drawn.len(), 40);
        assert_eq!(distinct.len(), 40);
        assert!(distinct.is_subset(&data));
    }

    #[test]
    fn random_rows_depend_on_the_seed() {
        let draw = |seed| random(40, seed).apply(rows(100)).unwrap();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn every_row_can_be_drawn() {
        let all: HashSet<Row> = random(100, 1).apply(rows(100)).unwrap().into_iter().collect();
        assert_eq!(all, rows(100).into_iter().collect());
    }

    #[test]
    fn a_sample_that_is_too_large_names_both_numbers() {
        let message =
            "the sample requires 6 rows, but the data set has only 5: set `data.sample.n` to 5 or less";
        let first = Sample::First(NonZeroUsize::new(6).unwrap());
        assert_eq!(first.apply(rows(5)).unwrap_err().to_string(), message);
        assert_eq!(random(6, 0).apply(rows(5)).unwrap_err().to_string(), message);
    }
}
