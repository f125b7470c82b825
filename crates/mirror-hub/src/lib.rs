//! Data sets and models of the Hugging Face hub, or of a compatible server: finds them on this machine by name, and
//! downloads them by HTTPS.
//!
//! Only the coordinator uses this crate. Nodes receive the paths of folders and files.
//!
//! | module | content |
//! |---|---|
//! | `places` | the folders and the server from the environment variables |
//! | `snapshot` | repositories on disk, in the layout of the Hugging Face cache |
//! | `fetch` | the download of files into that layout |
//! | [`model`] | the search for the folder of a model or a tokenizer |

mod fetch;
pub mod model;
mod places;
mod snapshot;

pub use fetch::{Choice, HubError, Progress, fetch};
pub use places::{Places, is_name};
pub use snapshot::{SnapshotError, files, find, repository};

/// Kind of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A data set.
    Dataset,
    /// A model or a tokenizer.
    Model,
}

impl Kind {
    /// Returns the name of the kind in caches and in the listings of the server.
    fn plural(self) -> &'static str {
        match self {
            Self::Dataset => "datasets",
            Self::Model => "models",
        }
    }

    /// Returns the prefix of the repository name in the URL of a file.
    fn in_addresses(self) -> &'static str {
        match self {
            Self::Dataset => "datasets/",
            Self::Model => "",
        }
    }
}
