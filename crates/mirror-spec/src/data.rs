//! The `data` section: where questions and answers come from.

use serde::{Deserialize, Serialize};

use crate::declare::{choice, keys};
use crate::key::{Described, HasKeys, Kind};

keys! {
    /// The `data` section: where questions and answers come from.
    pub struct Data {
        /// Name of the data.
        id: String,
        /// A file, a folder, a data set's name, or `builtin`.
        path: String,
        /// Column of the question; in upstream's files under `schema`.
        question: String = "question",
        /// Column of the answers; in upstream's files under `schema`.
        answer: String = "answer",
        /// Which rows take part.
        sample: Sample = { "method": "all" },
    }
}

keys! {
    /// Which rows of a data set take part, as a file says it.
    pub struct SampleKeys: Copy Eq {
        /// Every row, the first n, or n at random.
        method: SampleMethod = "all",
        /// Rows.
        n: Option<u32> [Integer(1..=u32::MAX as i128)],
        /// Seed of the draw.
        seed: u64 = 42,
    }
}

choice! {
    /// How rows are taken.
    pub enum SampleMethod {
        /// Every row.
        All = "all",
        /// The first n.
        First = "first",
        /// n at random, without replacement.
        Random = "random",
    }
}

/// Which rows of a data set take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Sample {
    /// Every row.
    All,
    /// The first n.
    First {
        /// Rows.
        n: u32,
    },
    /// n at random, without replacement.
    Random {
        /// Rows.
        n: u32,
        /// Seed of the draw.
        seed: u64,
    },
}

impl Described for Sample {
    const KIND: Kind = Kind::Table(SampleKeys::KEYS);
}

impl<'a, N: crate::at::Tree> crate::at::At<'a, N, Sample> {
    /// The same place by its keys.
    pub fn keys(self) -> crate::at::At<'a, N, SampleKeys> {
        self.same()
    }
}
