//! Errors of reading a model: its configuration, its parameters and its tokenizer.

use std::io;
use std::path::PathBuf;

use tch::Kind;

use crate::torch::DeviceError;

/// Error from loading or saving a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The device is not available.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A file is missing or cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file is larger than the limit for its kind.
    #[error("{path} is larger than {most} bytes, the limit for a file of this kind")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        most: u64,
    },
    /// A JSON file does not have the expected content.
    #[error("{path} is malformed")]
    Json {
        /// The file.
        path: PathBuf,
        /// The cause, with its position.
        source: serde_json::Error,
    },
    /// The architecture is not supported.
    #[error("{path}: `model_type` is `{found}`, but the supported architectures are {known}")]
    Architecture {
        /// The `config.json`.
        path: PathBuf,
        /// The value of `model_type`.
        found: String,
        /// The supported architectures.
        known: &'static str,
    },
    /// An option of a JSON file has an invalid or unsupported value.
    #[error("{path}: `{key}` is {found}: {expected}")]
    Option {
        /// The file, usually `config.json`.
        path: PathBuf,
        /// The option.
        key: String,
        /// Its value.
        found: String,
        /// Description of the supported values.
        expected: String,
    },
    /// There is no file of parameters.
    #[error(
        "{folder} contains no parameters: expected model.safetensors, model.safetensors.index.json or \
         pytorch_model.bin; set `random_init: true` to draw the parameters at random"
    )]
    NoWeights {
        /// The folder of the model.
        folder: PathBuf,
    },
    /// A file of parameters is truncated or is not in the format that its name indicates.
    #[error("{path} is truncated or damaged; download or export it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The error from libtorch.
        source: tch::TchError,
    },
    /// The file lacks a tensor that the model requires.
    #[error("{path} has no tensor `{name}`")]
    Missing {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// The file contains tensors that the model does not have.
    #[error("{path} belongs to another model: it contains the unexpected tensor `{name}`{}", others(*.count))]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The name of the first such tensor.
        name: String,
        /// The number of such tensors.
        count: usize,
    },
    /// A tensor does not have the shape that the model requires.
    #[error("{path}: tensor `{name}` has the shape {found:?}, but the model requires {expected:?}")]
    Shape {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<i64>,
        /// The required shape.
        expected: Vec<i64>,
    },
    /// A tensor does not contain floating-point numbers.
    #[error("{path}: tensor `{name}` has the type {found:?}, but parameters must be floating-point numbers")]
    Type {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type.
        found: Kind,
    },
    /// A tensor contains NaN or infinity.
    #[error("{path}: tensor `{name}` has elements that are NaN or infinite")]
    NotFinite {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A file of parameters cannot be written.
    #[error("cannot write {path}")]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// The error from libtorch.
        source: tch::TchError,
    },
    /// There is no tokenizer.
    #[error("{folder} contains no tokenizer: tokenizer.json is missing")]
    NoTokenizer {
        /// The folder.
        folder: PathBuf,
    },
    /// A tokenizer cannot be read or used.
    #[error("cannot use the tokenizer {path}: {reason}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The error from the tokenizer library.
        reason: String,
    },
    /// The tokenizer produces ids for which the model has no embedding.
    #[error(
        "the tokenizer {tokenizer} produces ids up to {highest}, but the model has embeddings only for 0 to {}; use \
         the tokenizer of the model",
        .embeddings - 1
    )]
    Vocabulary {
        /// The file of the tokenizer.
        tokenizer: PathBuf,
        /// The highest id of the tokenizer.
        highest: u32,
        /// Number of rows of the embedding.
        embeddings: i64,
    },
}

fn others(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        _ => format!(" and {} others", count - 1),
    }
}

impl ModelError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
