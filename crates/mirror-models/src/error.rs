//! What can be wrong with a model that a file names: its description, its parameters, its tokenizer.

use std::io;
use std::path::PathBuf;

use tch::Kind;

use crate::torch::DeviceError;

/// Why a model cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A device that is not there.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// A file is not there, or cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Larger than a file of its kind has a reason to be.
    #[error("{path} is larger than {most} bytes, and no such file has a reason to be")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        most: u64,
    },
    /// A file of JSON does not hold what it should.
    #[error("{path} cannot be understood")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// An architecture that is not built here.
    #[error("{path}: `model_type` is `{found}`, and the architectures known here are {known}")]
    Architecture {
        /// The `config.json`.
        path: PathBuf,
        /// As written there.
        found: String,
        /// Those that are.
        known: &'static str,
    },
    /// An option of `config.json` with a value that is not supported, or that makes no sense.
    #[error("{path}: `{key}` is {found}: {expected}")]
    Option {
        /// The `config.json`.
        path: PathBuf,
        /// The option.
        key: String,
        /// As written there.
        found: String,
        /// What it could be.
        expected: String,
    },
    /// No file of parameters.
    #[error(
        "{folder} holds no parameters: neither model.safetensors, nor model.safetensors.index.json, nor \
         pytorch_model.bin; `random_init: true` draws them at random"
    )]
    NoWeights {
        /// The model's folder.
        folder: PathBuf,
    },
    /// A file of parameters that is cut short, or is not what it is called.
    #[error("{path} is cut short or damaged; fetch or export it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// libtorch's word on it.
        source: tch::TchError,
    },
    /// A tensor that the architecture has and the file does not.
    #[error("{path} has no tensor `{name}`")]
    Missing {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// Tensors that the model has no place for.
    #[error("{path} is of another model: there is no place here for its tensor `{name}`{}", others(*.count))]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// The first of them.
        name: String,
        /// How many they are.
        count: usize,
    },
    /// A tensor of another shape than the description says.
    #[error("{path}: tensor `{name}` has the shape {found:?}, and by the description it is {expected:?}")]
    Shape {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// As it is.
        found: Vec<i64>,
        /// As it should be.
        expected: Vec<i64>,
    },
    /// A tensor of integers, say.
    #[error("{path}: tensor `{name}` is of type {found:?}, and parameters are floating-point numbers")]
    Type {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// As it is.
        found: Kind,
    },
    /// NaN or infinity in a tensor.
    #[error("{path}: tensor `{name}` has elements that are NaN or infinite")]
    NotFinite {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
    },
    /// A checkpoint that cannot be written.
    #[error("cannot write {path}")]
    Unwritten {
        /// The file.
        path: PathBuf,
        /// libtorch's word on it.
        source: tch::TchError,
    },
    /// No tokenizer there.
    #[error("{folder} holds no tokenizer: there is no tokenizer.json")]
    NoTokenizer {
        /// The folder.
        folder: PathBuf,
    },
    /// A tokenizer that cannot be read.
    #[error("{path} holds no tokenizer that can be used: {reason}")]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// The tokenizer library's word on it.
        reason: String,
    },
    /// Ids for which the model has no embedding.
    #[error(
        "the tokenizer {tokenizer} gives ids up to {highest}, and the model has embeddings for 0 to {}; use the \
         tokenizer that belongs to the model",
        .embeddings - 1
    )]
    Vocabulary {
        /// The tokenizer's file.
        tokenizer: PathBuf,
        /// Its highest id.
        highest: u32,
        /// Rows of the embedding.
        embeddings: i64,
    },
}

fn others(count: usize) -> String {
    match count {
        0 | 1 => String::new(),
        _ => format!(", nor for {} others", count - 1),
    }
}

impl ModelError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
