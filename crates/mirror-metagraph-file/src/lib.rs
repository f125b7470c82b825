//! A subnet as a file: who is in it, with which stake, and what each said of the others.
//!
//! A [`MetagraphFile`] is a table with a row a neuron, in JSON (a list of objects) or in Parquet, as the file's name
//! ends. An experiment can start from one, and a run can be written as one; what was written reads as the same again.
//! The files come from other people's programs, so everything in them is checked, and all that is wrong is told at
//! once.
//!
//! | column | what | if absent |
//! |---|---|---|
//! | `uid` | 0 to the number of rows less one, each once, in any order | an error |
//! | `hotkey`, `coldkey` | ss58 addresses; a hotkey belongs to one row | an error |
//! | `stake` | rao, a whole number | an error |
//! | `permit` | whether it may set weights for others | `false` |
//! | `weights` | pairs of a uid and a weight, 0 to 65,535; each uid once | none |
//! | `bonds` | pairs of a uid and a bond, likewise | none |

mod json;
mod parquet;
mod row;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use mirror_identity::{Coldkey, Hotkey};

/// Most bytes of a file.
pub const MAX_BYTES: u64 = 64 << 20;

/// Most neurons: a uid has 16 bits.
pub const MAX_NEURONS: usize = 65_536;

/// Most rao of all neurons together: what the chain can count.
pub const MAX_STAKE: u64 = i64::MAX as u64;

/// A subnet at a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetagraphFile {
    /// By uid, from 0.
    pub neurons: Vec<Neuron>,
}

/// A neuron of a metagraph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neuron {
    /// Speaks for it.
    pub hotkey: Hotkey,
    /// Owns it.
    pub coldkey: Coldkey,
    /// Rao.
    pub stake: u64,
    /// May set weights for others.
    pub permit: bool,
    /// What it said of others: uid and weight.
    pub weights: Vec<(u16, u16)>,
    /// What it has in others: uid and bond.
    pub bonds: Vec<(u16, u16)>,
}

/// Why a file is no metagraph, or could not be written as one.
#[derive(Debug, thiserror::Error)]
#[error("{}: {what}", path.display())]
pub struct MetagraphFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: Cause,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Its name does not say its form.
    #[error("its name ends neither in `.json` nor in `.parquet`, the two forms of a metagraph")]
    Form,
    /// It could not be read or written.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is larger than any metagraph.
    #[error("more than {} MiB: too large for a metagraph", MAX_BYTES >> 20)]
    TooLarge,
    /// It is not a list of objects in JSON, or a value is of another kind.
    #[error("not a metagraph in JSON, a list of objects with `uid`, `hotkey`, `coldkey`, `stake`: {0}")]
    Json(serde_json::Error),
    /// It is not Parquet, or damaged.
    #[error("cannot be read as Parquet: {0}")]
    Parquet(String),
    /// Its rows contradict themselves.
    #[error(transparent)]
    Rows(#[from] Problems),
}

/// All that is wrong with the rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// The first of them, each with its place.
    pub first: Vec<String>,
    /// How many there are.
    pub total: usize,
}

/// Problems that are told one by one.
const TOLD: usize = 20;

impl Problems {
    fn push(&mut self, problem: String) {
        self.total += 1;
        if self.first.len() < TOLD {
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
    /// Reads a file and checks it.
    pub fn read(path: &Path) -> Result<Self, MetagraphFileError> {
        read(path).map_err(|what| MetagraphFileError {
            path: path.to_owned(),
            what,
        })
    }

    /// Writes a file, over one that is there.
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
