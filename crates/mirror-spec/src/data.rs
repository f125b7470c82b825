//! The `data` section: the data set of questions and answers.

use serde::{Deserialize, Serialize};

use crate::declare::{choice, keys};
use crate::key::{Described, HasKeys, Kind};

keys! {
    /// The `data` section: the data set of questions and answers.
    pub struct Data {
        /// Name of the data.
        id: String,
        /// A file, a directory, the name of a data set, or `builtin`.
        path: String,
        /// Column of the question. Upstream's files specify it in `schema`.
        question: String = "question",
        /// Column of the answers. Upstream's files specify it in `schema`.
        answer: String = "answer",
        /// The rows to use.
        sample: Sample = { "method": "all" },
    }
}

keys! {
    /// A selection of the rows of a data set, as written in a file.
    pub struct SampleKeys: Copy Eq {
        /// Method of selection: all rows, the first n, or n at random.
        method: SampleMethod = "all",
        /// Number of rows.
        n: Option<u32> [Integer(1..=u32::MAX as i128)],
        /// Random seed of the selection.
        seed: u64 = 42,
    }
}

choice! {
    /// A method of selecting rows.
    pub enum SampleMethod {
        /// All rows.
        All = "all",
        /// The first n rows.
        First = "first",
        /// n random rows, without replacement.
        Random = "random",
    }
}

/// A selection of the rows of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Sample {
    /// All rows.
    All,
    /// The first n rows.
    First {
        /// Number of rows.
        n: u32,
    },
    /// n random rows, without replacement.
    Random {
        /// Number of rows.
        n: u32,
        /// Random seed of the selection.
        seed: u64,
    },
}

impl Described for Sample {
    const KIND: Kind = Kind::Table(SampleKeys::KEYS);
}

impl<'a, N: crate::at::Tree> crate::at::At<'a, N, Sample> {
    /// Returns the same place as a map of keys.
    pub fn keys(self) -> crate::at::At<'a, N, SampleKeys> {
        self.same()
    }
}
