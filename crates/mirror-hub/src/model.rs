//! Finds the folder of the model or tokenizer that an experiment file specifies: a path, or a name that is looked up on
//! this machine and then on the hub.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{Choice, HubError, Kind, Places, Progress, SnapshotError, fetch, find, is_name, repository};

/// Maximum size of a download in bytes.
const BYTES_MAX: u64 = 256 << 30;

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";
const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// A part of a model in its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `config.json`.
    Config,
    /// The parameters, in one of the supported formats.
    Parameters,
    /// `tokenizer.json`.
    Tokenizer,
}

/// The model or tokenizer that an experiment file specifies.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Path of a folder, or `name` or `owner/name`. An existing folder has precedence over a name.
    pub path_or_name: &'a str,
    /// The required parts.
    pub parts: &'a [Part],
    /// Base of relative paths: the folder of the experiment file.
    pub base_dir: &'a Path,
    /// Whether requests to the hub are forbidden.
    pub offline: bool,
}

/// Error from finding a model or a tokenizer.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The text is neither an existing folder nor a valid name.
    #[error("the folder {path} does not exist, and `{requested}` is not a valid name of a model")]
    NoSuchFolder {
        /// The folder that the text would refer to.
        path: PathBuf,
        /// The text in the experiment file.
        requested: String,
    },
    /// The folder lacks a required part.
    #[error("{folder} has no {missing}")]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// The missing file.
        missing: &'static str,
    },
    /// The name was not found on this machine, and requests to the hub are forbidden.
    #[error(
        "the model or tokenizer `{name}` was not found in {looked_in}, and the run is offline; {}",
        remedies(.name)
    )]
    Offline {
        /// The name in the experiment file.
        name: String,
        /// The places that were searched.
        looked_in: String,
    },
    /// The name was not found on this machine, and the download from the hub failed.
    #[error(
        "the model or tokenizer `{name}` was not found in {looked_in}, and the download from the hub failed; {}",
        remedies(.name)
    )]
    NotFound {
        /// The name in the experiment file.
        name: String,
        /// The places that were searched.
        looked_in: String,
        /// The error of the download.
        #[source]
        source: Box<HubError>,
    },
    /// A cache cannot be read, or is ambiguous.
    #[error(transparent)]
    Cache(#[from] SnapshotError),
}

/// Finds the folder that `request` specifies. Downloads it if it is not on this machine and the run is not offline.
///
/// # Errors
/// Returns an error if the folder is not found or lacks a required part.
pub fn locate(
    request: &Request<'_>,
    places: &Places,
    progress: &dyn Fn(Progress<'_>),
) -> Result<PathBuf, ModelError> {
    let name = request.path_or_name;
    let path = request.base_dir.join(name);
    if path.is_dir() {
        return complete(path, request.parts);
    }
    if !is_name(name) {
        return Err(ModelError::NoSuchFolder {
            path,
            requested: name.to_owned(),
        });
    }
    let own = places.mirror_models.as_deref().map(|folder| folder.join(name));
    if let Some(folder) = own.filter(|folder| folder.is_dir()) {
        return complete(folder, request.parts);
    }
    for root in places.caches() {
        let found = find(&root, Kind::Model, name)?;
        // The cache may contain only some parts, downloaded for another experiment.
        if let Some(folder) = found.filter(|folder| first_missing(folder, request.parts).is_none()) {
            return Ok(folder);
        }
    }
    let looked_in = || places.describe("$MIRROR_MODELS", places.mirror_models.as_ref());
    if request.offline {
        return Err(ModelError::Offline {
            name: name.to_owned(),
            looked_in: looked_in(),
        });
    }
    let not_found = |source| ModelError::NotFound {
        name: name.to_owned(),
        looked_in: looked_in(),
        source: Box::new(source),
    };
    let root = places.own_cache().ok_or_else(|| not_found(HubError::NoCache))?;
    let choice = Choice {
        of: &|files| chosen(files, request.parts),
        wanted: "all required parts of the model (config.json, tokenizer.json, parameters)",
        bytes_max: BYTES_MAX,
    };
    fetch(&places.hub_endpoint, Kind::Model, name, &root, &choice, progress).map_err(not_found)?;
    match find(&root, Kind::Model, name)? {
        Some(folder) => complete(folder, request.parts),
        None => Err(ModelError::NoSuchFolder {
            path: repository(&root, Kind::Model, name),
            requested: name.to_owned(),
        }),
    }
}

fn complete(folder: PathBuf, parts: &[Part]) -> Result<PathBuf, ModelError> {
    match first_missing(&folder, parts) {
        Some(missing) => Err(ModelError::Incomplete { folder, missing }),
        None => Ok(folder),
    }
}

/// Returns the file of the first required part that a folder lacks, or `None` if it is complete.
fn first_missing(folder: &Path, parts: &[Part]) -> Option<&'static str> {
    let has = |name: &str| folder.join(name).is_file();
    parts.iter().find_map(|part| match part {
        Part::Config => (!has(CONFIG)).then_some(CONFIG),
        Part::Tokenizer => (!has(TOKENIZER)).then_some(TOKENIZER),
        Part::Parameters => (![WHOLE, INDEX, PYTORCH].into_iter().any(has)).then_some(WHOLE),
    })
}

/// Returns the files of a repository that contain these parts, or `None` if one is missing.
fn chosen(files: &[String], parts: &[Part]) -> Option<Vec<String>> {
    let has = |name: &str| files.iter().any(|file| file == name);
    let only = |name: &str| has(name).then(|| vec![name.to_owned()]);
    let mut chosen = Vec::new();
    for part in parts {
        chosen.extend(match part {
            Part::Config => only(CONFIG)?,
            Part::Tokenizer => [only(TOKENIZER)?, only(TOKENIZER_CONFIG).unwrap_or_default()].concat(),
            Part::Parameters if has(WHOLE) => only(WHOLE)?,
            Part::Parameters if has(INDEX) => {
                let is_shard = |file: &&String| file.starts_with("model-") && file.ends_with(".safetensors");
                let shards = files.iter().filter(is_shard).cloned();
                shards.chain([INDEX.to_owned()]).collect()
            }
            Part::Parameters => only(PYTORCH)?,
        });
    }
    Some(chosen)
}

fn remedies(name: &str) -> String {
    format!(
        "put its files under $MIRROR_MODELS/{name}/, download it into the Hugging Face cache, or run with network \
         access and without --offline"
    )
}

#[cfg(test)]
mod tests;
