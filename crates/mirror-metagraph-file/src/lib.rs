//! Metagraph files: the neurons of a subnet with their stakes, weights and bonds.
//!
//! A [`MetagraphFile`] is a table with one row per neuron. The extension of the file name selects JSON (a list of
//! objects) or Parquet. An experiment can start from such a file, and a run can be exported to one. A written file
//! reads back unchanged. Files can come from other programs, so all content is checked, and all problems are reported
//! together.
//!
//! | column | content | if absent |
//! |---|---|---|
//! | `uid` | 0 to the number of rows minus one, each once, in any order | an error |
//! | `hotkey`, `coldkey` | ss58 addresses; hotkeys are unique | an error |
//! | `stake` | rao, a whole number | an error |
//! | `permit` | whether the neuron may set weights for others | `false` |
//! | `weights` | pairs of a uid and a weight, 0 to 65,535; each uid once | none |
//! | `bonds` | pairs of a uid and a bond, with the same rules | none |

mod json;
mod parquet;
mod row;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use mirror_identity::{Coldkey, Hotkey};

/// Maximum size of a file in bytes.
pub const MAX_BYTES: u64 = 64 << 20;

/// Maximum number of neurons: a uid has 16 bits.
pub const MAX_NEURONS: usize = 65_536;

/// Maximum total stake of all neurons in rao, which is the limit of the chain.
pub const MAX_STAKE: u64 = i64::MAX as u64;

/// The metagraph of a subnet at a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetagraphFile {
    /// Neurons, indexed by uid.
    pub neurons: Vec<Neuron>,
}

/// A neuron of a metagraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neuron {
    /// Hotkey.
    pub hotkey: Hotkey,
    /// Coldkey, the owner of the neuron.
    pub coldkey: Coldkey,
    /// Stake in rao.
    pub stake: u64,
    /// Whether the neuron may set weights for others.
    pub permit: bool,
    /// Weights that the neuron set: pairs of uid and weight.
    pub weights: Vec<(u16, u16)>,
    /// Bonds that the neuron holds: pairs of uid and bond.
    pub bonds: Vec<(u16, u16)>,
}

/// Error from reading or writing a metagraph file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct MetagraphFileError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub what: Cause,
}

/// Cause of an error with a metagraph file.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The file name has no known extension.
    #[error("the name of a metagraph file must end in `.json` or `.parquet`")]
    Form,
    /// The file could not be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file exceeds [`MAX_BYTES`].
    #[error("larger than {} MiB, the limit for a metagraph file", MAX_BYTES >> 20)]
    TooLarge,
    /// The file is not a JSON list of objects, or a value has the wrong type.
    #[error("not a valid JSON list of objects with `uid`, `hotkey`, `coldkey` and `stake`: {0}")]
    Json(serde_json::Error),
    /// The file is not Parquet, or is damaged.
    #[error("cannot be read as Parquet: {0}")]
    Parquet(String),
    /// The rows are invalid or inconsistent.
    #[error(transparent)]
    Rows(#[from] Problems),
}

/// The problems of the rows of a file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The first problems, each with its position.
    pub first: Vec<String>,
    /// Number of all problems.
    pub total: usize,
}

/// Maximum number of problems that are listed individually.
const MAX_LISTED: usize = 20;

impl Problems {
    fn push(&mut self, problem: String) {
        self.total += 1;
        if self.first.len() < MAX_LISTED {
            self.first.push(problem);
        }
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.first.join("\n  "))?;
        match self.total - self.first.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}

impl std::error::Error for Problems {}

#[derive(Clone, Copy)]
enum Form {
    Json,
    Parquet,
}

impl Form {
    fn of(path: &Path) -> Result<Self, Cause> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("json") => Ok(Self::Json),
            Some("parquet") => Ok(Self::Parquet),
            _ => Err(Cause::Form),
        }
    }
}

impl MetagraphFile {
    /// Reads a file and checks its rows.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is not a valid metagraph file.
    pub fn read(path: &Path) -> Result<Self, MetagraphFileError> {
        read(path).map_err(|what| MetagraphFileError {
            path: path.to_owned(),
            what,
        })
    }

    /// Writes a file and replaces an existing one.
    ///
    /// # Errors
    /// Returns an error if the file name has no known extension, or if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), MetagraphFileError> {
        let write = || {
            let form = Form::of(path)?;
            mirror_files::replace_with(path, |unfinished| match form {
                Form::Json => json::write(self, File::create(unfinished)?),
                Form::Parquet => parquet::write(self, File::create(unfinished)?),
            })
        };
        write().map_err(|what| MetagraphFileError {
            path: path.to_owned(),
            what,
        })
    }
}

fn read(path: &Path) -> Result<MetagraphFile, Cause> {
    let form = Form::of(path)?;
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file").into());
    }
    if metadata.len() > MAX_BYTES {
        return Err(Cause::TooLarge);
    }
    let rows = match form {
        Form::Json => json::read(file)?,
        Form::Parquet => parquet::read(file)?,
    };
    Ok(rows.checked()?)
}
