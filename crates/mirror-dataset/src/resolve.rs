//! Finds the rows of the data set that an experiment file specifies: a path, a name, or `builtin`.

use std::path::{Path, PathBuf};

use mirror_hub::{Choice, HubError, Kind, Places, SnapshotError};
use thiserror::Error;

use crate::compiled::SIZE_MAX;
use crate::source::{Format, SourceError, load_files, load_path};
use crate::split::train_files;
use crate::{Row, Schema, builtin};

/// Name of the data set that is compiled into the program.
const BUILTIN: &str = "builtin";

/// The data set that an experiment file specifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `builtin`, or the path of a `.jsonl`, `.json`, `.csv` or `.parquet` file or of a folder of such files, or the
    /// name of a data set (`name` or `owner/name`). An existing path has precedence over a name.
    pub path_or_name: String,
    /// The columns to read.
    pub schema: Schema,
    /// Whether requests to the hub are forbidden.
    pub offline: bool,
    /// Base of relative paths: the folder of the experiment file.
    pub base_dir: PathBuf,
}

/// A data set that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// All rows, in the order of the source. At least one.
    pub rows: Vec<Row>,
    /// Name and location of the data set, for display.
    pub origin: String,
}

/// Error from finding or reading a data set.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant documents it")]
pub enum ResolveError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("{path} does not exist, and `{requested}` is not a valid name of a data set")]
    NoSuchPath { path: PathBuf, requested: String },
    #[error(
        "the data set `{name}` was not found in {looked_in}, and the run is offline; {}",
        remedies(.name)
    )]
    Offline { name: String, looked_in: String },
    #[error(
        "the data set `{name}` was not found in {looked_in}, and the download from the hub failed; {}",
        remedies(.name)
    )]
    NotFound {
        name: String,
        looked_in: String,
        #[source]
        source: Box<HubError>,
    },
    #[error(
        "{folder} has no files that are recognised as the training split; specify the path of the file to use"
    )]
    NoTrainingSplit { folder: PathBuf },
    #[error(transparent)]
    Cache(#[from] SnapshotError),
}

/// Finds and reads the data set that `request` specifies. Downloads it if it is not on this machine and the run is not
/// offline.
///
/// # Errors
/// Returns an error if the data set is not found or cannot be read.
pub fn resolve(request: &Request, places: &Places) -> Result<Resolved, ResolveError> {
    let requested = request.path_or_name.as_str();
    if requested == BUILTIN {
        return Ok(Resolved {
            rows: builtin::rows().cloned().collect(),
            origin: "builtin".to_owned(),
        });
    }
    let path = request.base_dir.join(requested);
    if path.exists() {
        return Ok(Resolved {
            rows: load_path(&path, &request.schema)?,
            origin: path.display().to_string(),
        });
    }
    if !is_name(requested) {
        return Err(ResolveError::NoSuchPath {
            path,
            requested: requested.to_owned(),
        });
    }
    resolve_name(requested, request, places)
}

fn resolve_name(name: &str, request: &Request, places: &Places) -> Result<Resolved, ResolveError> {
    if let Some(path) = places
        .mirror_data
        .as_deref()
        .and_then(|folder| find_in(folder, name))
    {
        return Ok(Resolved {
            rows: load_path(&path, &request.schema)?,
            origin: format!("{name} from {}", path.display()),
        });
    }
    for root in places.caches() {
        if let Some(resolved) = load_snapshot(&root, name, &request.schema)? {
            return Ok(resolved);
        }
    }

    let looked_in = || places.describe("$MIRROR_DATA", places.mirror_data.as_ref());
    if request.offline {
        return Err(ResolveError::Offline {
            name: name.to_owned(),
            looked_in: looked_in(),
        });
    }
    let not_found = |source| ResolveError::NotFound {
        name: name.to_owned(),
        looked_in: looked_in(),
        source: Box::new(source),
    };
    let root = places.own_cache().ok_or_else(|| not_found(HubError::NoCache))?;
    let training_split = Choice {
        of: &train_files,
        wanted: "any files of the training split",
        bytes_max: SIZE_MAX,
    };
    let endpoint = &places.hub_endpoint;
    mirror_hub::fetch(endpoint, Kind::Dataset, name, &root, &training_split, &|_| {}).map_err(not_found)?;
    load_snapshot(&root, name, &request.schema)?.ok_or_else(|| ResolveError::NoTrainingSplit {
        folder: mirror_hub::repository(&root, Kind::Dataset, name),
    })
}

fn find_in(folder: &Path, name: &str) -> Option<PathBuf> {
    let files = Format::ALL.map(|format| format!("{name}.{}", format.extension()));
    [name.to_owned()]
        .into_iter()
        .chain(files)
        .map(|candidate| folder.join(candidate))
        .find(|path| path.exists())
}

fn load_snapshot(root: &Path, name: &str, schema: &Schema) -> Result<Option<Resolved>, ResolveError> {
    let Some(folder) = mirror_hub::find(root, Kind::Dataset, name)? else {
        return Ok(None);
    };
    let Some(train) = train_files(&mirror_hub::files(&folder)?) else {
        return Err(ResolveError::NoTrainingSplit { folder });
    };
    let files: Vec<PathBuf> = train.iter().map(|file| folder.join(file)).collect();
    Ok(Some(Resolved {
        rows: load_files(&folder, &files, schema)?,
        origin: format!("{name}, training split, from {}", folder.display()),
    }))
}

/// Returns whether `text` is a valid name of a data set on the hub and is not the name of a data file.
fn is_name(text: &str) -> bool {
    mirror_hub::is_name(text) && Format::of(Path::new(text)).is_none()
}

fn remedies(name: &str) -> String {
    format!(
        "put its files under $MIRROR_DATA/{name}/, download it into the Hugging Face cache, \
         or run with network access and without --offline"
    )
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod hub_tests;
