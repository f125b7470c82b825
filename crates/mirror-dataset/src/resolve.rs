//! From what an experiment file calls its data to the rows: a path, a name, or `builtin`.

use std::path::{Path, PathBuf};

use mirror_hub::{Choice, HubError, Kind, Places, SnapshotError};
use thiserror::Error;

use crate::compiled::SIZE_MAX;
use crate::source::{Format, SourceError, load_files, load_path};
use crate::split::train_files;
use crate::{Row, Schema, builtin};

/// The name of the data set inside the binary.
const BUILTIN: &str = "builtin";

/// What an experiment file says about its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `builtin`; or the path of a `.jsonl`, `.json`, `.csv` or `.parquet` file or of a folder of
    /// those; or a data set's name, `name` or `owner/name`. A path that is there wins over a name.
    pub path_or_name: String,
    /// The columns to read.
    pub schema: Schema,
    /// Whether the hub must not be asked.
    pub offline: bool,
    /// Where a relative path starts: the folder of the experiment file.
    pub base_dir: PathBuf,
}

/// A data set that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// All its rows, in the order of the source; at least one.
    pub rows: Vec<Row>,
    /// What it was and where from, for people.
    pub origin: String,
}

/// Why there are no rows.
#[derive(Debug, Error)]
#[allow(missing_docs, reason = "the message of each variant says what it means")]
pub enum ResolveError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("there is no data at {path}, and `{requested}` cannot be a data set's name")]
    NoSuchPath { path: PathBuf, requested: String },
    #[error(
        "the data set `{name}` was not found: it is not in {looked_in}, and the run is offline; {}",
        remedies(.name)
    )]
    Offline { name: String, looked_in: String },
    #[error(
        "the data set `{name}` was not found: it is not in {looked_in}, and the hub did not give it; {}",
        remedies(.name)
    )]
    NotFound {
        name: String,
        looked_in: String,
        #[source]
        source: Box<HubError>,
    },
    #[error(
        "{folder} has no files that are known to be the training split; name the file to use by its path"
    )]
    NoTrainingSplit { folder: PathBuf },
    #[error(transparent)]
    Cache(#[from] SnapshotError),
}

/// Finds and reads the data set that `request` asks for.
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
        wanted: "the training split",
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

/// Whether this can be a data set's name on the hub: a file's name cannot.
fn is_name(text: &str) -> bool {
    mirror_hub::is_name(text) && Format::of(Path::new(text)).is_none()
}

fn remedies(name: &str) -> String {
    format!(
        "put its files under $MIRROR_DATA/{name}/, or download it into the Hugging Face cache, \
         or run with a network and without --offline"
    )
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod hub_tests;
