//! Names of the Hugging Face hub, or of a server that speaks like it: where what they name may lie on this machine, and
//! how it is fetched by plain HTTPS.
//!
//! The coordinator alone finds and fetches; nodes are told folders and files.
//!
//! | module | what it knows |
//! |---|---|
//! | `places` | the folders and the server that the environment names |
//! | `snapshot` | published repositories on the disk, in the layout of the Hugging Face cache |
//! | `fetch` | how a repository's files come into that layout |
//! | [`model`] | where a model or a tokenizer lies that a file names |

mod fetch;
pub mod model;
mod places;
mod snapshot;

pub use fetch::{Choice, HubError, Progress, fetch};
pub use places::{Places, is_name};
pub use snapshot::{SnapshotError, files, find, repository};

/// What a repository holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A data set.
    Dataset,
    /// A model, or a tokenizer.
    Model,
}

impl Kind {
    /// As caches and the server's listings call it.
    fn plural(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Model => "models",
        }
    }

    /// What stands before the name in the address of a file.
    fn in_addresses(self) -> &'static str {
        match self {
            Self::Dataset => "datasets/",
            Self::Model => "",
        }
    }
}
