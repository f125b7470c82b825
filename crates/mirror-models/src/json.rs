//! Reading of small JSON files with a limit on their size.

use std::fs::File;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::ModelError;

/// Size limit in bytes. The largest such files are the indexes of sharded models. Tokenizers are read elsewhere.
const SIZE_MAX: u64 = 64 << 20;

/// Reads a JSON file.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, ModelError> {
    let read = File::open(path).and_then(|file| mirror_files::read_at_most(file, SIZE_MAX));
    let text = read
        .map_err(ModelError::io(path))?
        .ok_or_else(|| ModelError::TooLarge {
            path: path.to_owned(),
            most: SIZE_MAX,
        })?;
    serde_json::from_slice(&text).map_err(|source| ModelError::Json {
        path: path.to_owned(),
        source,
    })
}

/// Reads a JSON file. Returns `None` if the file does not exist.
pub(crate) fn read_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ModelError> {
    path.exists().then(|| read(path)).transpose()
}
