//! Which rows of a data set an experiment uses.

use std::num::NonZeroUsize;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use crate::Row;

/// A choice of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sample {
    /// Every row, in the order of the data.
    #[default]
    All,
    /// The first rows, in the order of the data.
    First(NonZeroUsize),
    /// Rows drawn without replacement, in the order drawn; the same seed draws the same rows.
    Random {
        /// How many rows.
        n: NonZeroUsize,
        /// Seeds the generator (`ChaCha8`).
        seed: u64,
    },
}

/// The sample asks for what the data does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the sample asks for {wanted} rows, the data set has {available}")]
pub struct SampleError {
    /// Rows that were asked for.
    pub wanted: usize,
    /// Rows that there are.
    pub available: usize,
}

impl Sample {
    /// The chosen rows of `rows`.
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
    fn random_gives_rows_without_replacement() {
        let data: HashSet<Row> = rows(100).into_iter().collect();
        let drawn = random(40, 7).apply(rows(100)).unwrap();
        let distinct: HashSet<Row> = drawn.iter().cloned().collect();
        assert_eq!(drawn.len(), 40);
        assert_eq!(distinct.len(), 40);
        assert!(distinct.is_subset(&data));
    }

    #[test]
    fn random_follows_its_seed() {
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
    fn more_than_there_is_names_both_numbers() {
        let message = "the sample asks for 6 rows, the data set has 5";
        let first = Sample::First(NonZeroUsize::new(6).unwrap());
        assert_eq!(first.apply(rows(5)).unwrap_err().to_string(), message);
        assert_eq!(random(6, 0).apply(rows(5)).unwrap_err().to_string(), message);
    }
}
