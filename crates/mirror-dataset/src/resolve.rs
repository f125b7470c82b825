//! From what an experiment file calls its data to the rows: a path, a name, or `builtin`.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::hub::{self, HubError};
use crate::source::{Format, SourceError, load_files, load_path};
use crate::{Row, Schema, builtin, snapshot};

/// The name of the data set inside the binary.
const BUILTIN: &str = "builtin";
const OFFICIAL_HUB: &str = "https://huggingface.co";

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

/// Where named data sets are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `$MIRROR_DATA`: a folder with `<name>/` or `<name>.jsonl` and so on.
    pub mirror_data: Option<PathBuf>,
    /// `$HF_HOME`, by default `~/.cache/huggingface`; its `hub` folder is the Hugging Face cache.
    pub hf_home: Option<PathBuf>,
    /// Our own cache: `$XDG_CACHE_HOME/mirror-neuron`, by default `~/.cache/mirror-neuron`. What is
    /// fetched from the hub is kept in its `hub` folder and found there without a network.
    pub cache: Option<PathBuf>,
    /// `$HF_ENDPOINT`, by default the official hub.
    pub hub_endpoint: String,
}

/// Why there are no rows.
#[derive(Debug, Error)]
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
    #[error("both {first} and {second} fit the name; name the owner, or the files to use by their path")]
    Ambiguous { first: PathBuf, second: PathBuf },
    #[error("cannot read {path}")]
    Io { path: PathBuf, source: io::Error },
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
    let own_cache = places.cache.as_deref().map(|cache| cache.join("hub"));
    let hf_cache = places.hf_home.as_deref().map(|home| home.join("hub"));
    for root in [&hf_cache, &own_cache].into_iter().flatten() {
        if let Some(resolved) = load_snapshot(root, name, &request.schema)? {
            return Ok(resolved);
        }
    }

    if request.offline {
        return Err(ResolveError::Offline {
            name: name.to_owned(),
            looked_in: places.describe(),
        });
    }
    let not_found = |source| ResolveError::NotFound {
        name: name.to_owned(),
        looked_in: places.describe(),
        source: Box::new(source),
    };
    let root = own_cache.ok_or_else(|| not_found(HubError::NoCache))?;
    hub::fetch(&places.hub_endpoint, name, &root).map_err(not_found)?;
    load_snapshot(&root, name, &request.schema)?.ok_or_else(|| ResolveError::NoTrainingSplit {
        folder: snapshot::repository(&root, name),
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
    let Some(snapshot) = snapshot::find(root, name)? else {
        return Ok(None);
    };
    Ok(Some(Resolved {
        rows: load_files(&snapshot.folder, &snapshot.files, schema)?,
        origin: format!("{name}, training split, from {}", snapshot.folder.display()),
    }))
}

/// Whether this can be `name` or `owner/name` on the hub, and so never leaves a folder it is
/// joined to.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=96).contains(&part.len())
            && !part.starts_with(['.', '-'])
            && !part.contains("--")
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    let is_file_name = Format::of(Path::new(text)).is_some();
    !is_file_name && text.split('/').count() <= 2 && text.split('/').all(is_part)
}

impl Places {
    /// The places that the environment names.
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    /// The places that these environment variables name; an empty one counts as not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let path = |name| set(name).map(PathBuf::from);
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
        let hub_endpoint = set("HF_ENDPOINT").map(|endpoint| endpoint.to_string_lossy().into_owned());
        Self {
            mirror_data: path("MIRROR_DATA"),
            hf_home: path("HF_HOME").or_else(|| Some(caches.as_ref()?.join("huggingface"))),
            cache: caches.map(|caches| caches.join("mirror-neuron")),
            hub_endpoint: hub_endpoint.unwrap_or_else(|| OFFICIAL_HUB.to_owned()),
        }
    }

    /// The places on the disk, for people.
    fn describe(&self) -> String {
        let place = |name: &str, path: Option<&PathBuf>| match path {
            Some(path) => format!("{name} ({})", path.display()),
            None => format!("{name} (not set)"),
        };
        format!(
            "{}, nor in {}",
            place("$MIRROR_DATA", self.mirror_data.as_ref()),
            place("the Hugging Face cache", self.hf_home.as_ref()),
        )
    }
}

fn remedies(name: &str) -> String {
    format!(
        "put its files under $MIRROR_DATA/{name}/, or download it into the Hugging Face cache, \
         or run with a network and without --offline"
    )
}

#[cfg(test)]
mod tests;
