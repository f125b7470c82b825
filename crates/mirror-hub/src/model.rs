//! Where a model or a tokenizer lies that an experiment file names: a path, or a name that is looked for on this
//! machine and then on the hub.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::{Choice, HubError, Kind, Places, Progress, SnapshotError, fetch, find, is_name, repository};

/// Bytes of a model that are fetched, at most.
const BYTES_MAX: u64 = 256 << 30;

const WHOLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const PYTORCH: &str = "pytorch_model.bin";
const CONFIG: &str = "config.json";
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";

/// A part of what a folder of a model may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `config.json`.
    Config,
    /// The parameters, in one of their forms.
    Parameters,
    /// `tokenizer.json`.
    Tokenizer,
}

/// What an experiment file names.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// A folder's path, or `name` or `owner/name`. A folder that is there wins over a name.
    pub path_or_name: &'a str,
    /// What is needed of it.
    pub parts: &'a [Part],
    /// Where a relative path starts: the folder of the experiment file.
    pub base_dir: &'a Path,
    /// Whether the hub must not be asked.
    pub offline: bool,
}

/// Why there is no such folder.
#[derive(Debug, Error)]
pub enum ModelError {
    /// Neither a folder nor a name.
    #[error("there is no folder {path}, and `{requested}` cannot be a model's name")]
    NoSuchFolder {
        /// Where it would be.
        path: PathBuf,
        /// As it was written.
        requested: String,
    },
    /// A folder without what is needed of it.
    #[error("{folder} has no {missing}")]
    Incomplete {
        /// The folder.
        folder: PathBuf,
        /// The file that it should have.
        missing: &'static str,
    },
    /// Nowhere on this machine, and the hub must not be asked.
    #[error(
        "the model or tokenizer `{name}` was not found: it is not in {looked_in}, and the run is offline; {}",
        remedies(.name)
    )]
    Offline {
        /// As it was written.
        name: String,
        /// The places.
        looked_in: String,
    },
    /// Nowhere on this machine, and the hub did not give it.
    #[error(
        "the model or tokenizer `{name}` was not found: it is not in {looked_in}, and the hub did not give it; {}",
        remedies(.name)
    )]
    NotFound {
        /// As it was written.
        name: String,
        /// The places.
        looked_in: String,
        /// The hub's word.
        #[source]
        source: Box<HubError>,
    },
    /// A cache that does not tell.
    #[error(transparent)]
    Cache(#[from] SnapshotError),
}

/// Finds the folder that `request` asks for, fetching it where it is nowhere on this machine.
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
        // A part may have been fetched for another experiment.
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
        wanted: "the parts of a model that are needed (config.json, tokenizer.json, parameters)",
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

/// What a folder lacks first of what is needed of it.
fn first_missing(folder: &Path, parts: &[Part]) -> Option<&'static str> {
    let has = |name: &str| folder.join(name).is_file();
    parts.iter().find_map(|part| match part {
        Part::Config => (!has(CONFIG)).then_some(CONFIG),
        Part::Tokenizer => (!has(TOKENIZER)).then_some(TOKENIZER),
        Part::Parameters => (![WHOLE, INDEX, PYTORCH].into_iter().any(has)).then_some(WHOLE),
    })
}

/// The files of a repository that hold these parts; `None` where one is missing.
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
        "put its files under $MIRROR_MODELS/{name}/, or download it into the Hugging Face cache, or run with a network \
         and without --offline"
    )
}

#[cfg(test)]
mod tests;
