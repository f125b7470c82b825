//! Errors of values that are found after the experiment file has been read.

use std::fmt::{self, Display};

/// An error of a value that is found after its file has been read, such as the path of data that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValueError {
    /// The keys and list indices that lead to the value, such as `["expect", "0", "sql"]`.
    pub path: Vec<String>,
    /// Description of the problem.
    pub message: String,
    /// Instructions for a fix.
    pub help: String,
}

impl Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ValueError {}
