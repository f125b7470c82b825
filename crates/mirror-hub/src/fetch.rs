//! Download of a repository by HTTPS GET: first its listing, then the requested files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use ureq::Agent;

use crate::Kind;
use crate::snapshot::repository;

const LISTING_BYTES_MAX: u64 = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// Timeout for the body of one file.
const BODY_TIMEOUT: Duration = Duration::from_hours(1);
/// Number of bytes between two reports of progress.
const PIECE: usize = 1 << 16;

/// Error from downloading from the hub.
#[derive(Debug, Error)]
pub enum HubError {
    /// The request failed or was refused.
    #[error("{url} cannot be fetched")]
    Request {
        /// URL of the request.
        url: String,
        /// The cause.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The response is not JSON, or is not a listing.
    #[error("{url} did not return a repository listing")]
    Listing {
        /// URL of the request.
        url: String,
        /// The cause, with its position.
        #[source]
        source: serde_json::Error,
    },
    /// The revision is not a hash, so it could be a path.
    #[error("{url} returned the revision `{revision}`, which is not a hash")]
    Revision {
        /// URL of the request.
        url: String,
        /// The revision in the listing.
        revision: String,
    },
    /// The listing does not contain the requested files.
    #[error("{url} does not list {wanted}")]
    NothingWanted {
        /// URL of the request.
        url: String,
        /// Description of the requested files.
        wanted: &'static str,
    },
    /// The files exceed the size limit.
    #[error("{url} exceeds the limit of {bytes_max} bytes for all files together")]
    TooLarge {
        /// URL of the request.
        url: String,
        /// The limit in bytes for all files together.
        bytes_max: u64,
    },
    /// The transfer of a file was interrupted.
    #[error("the transfer of {url} to {path} was interrupted")]
    Transfer {
        /// URL of the request.
        url: String,
        /// Path of the incomplete file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// A file or folder of the cache cannot be written.
    #[error("cannot write {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// There is no cache folder.
    #[error("there is no cache folder for downloads: set $XDG_CACHE_HOME or $HOME")]
    NoCache,
}

#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

/// The files of a repository that are requested.
pub struct Choice<'a> {
    /// Selects the requested paths from all paths of the repository. Returns `None` if they are missing.
    pub of: &'a dyn Fn(&[String]) -> Option<Vec<String>>,
    /// Description of the requested files, for messages.
    pub wanted: &'static str,
    /// Size limit in bytes for all requested files together.
    pub bytes_max: u64,
}

/// Progress of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The download of a file begins.
    Begins {
        /// Path of the file in the repository.
        file: &'a str,
        /// Size in bytes. `None` if the server does not state it.
        bytes: Option<u64>,
    },
    /// Number of bytes received since the last report.
    Read(u64),
    /// The download of the file is complete.
    Ends,
}

/// Downloads files of `name` from the server at `endpoint` into the cache `root`, where [`crate::find`] finds their
/// folder. Each file appears atomically, and a new snapshot appears together with all requested files.
///
/// # Errors
/// Returns an error if a request fails, if the requested files are missing or too large, or if the cache cannot be
/// written.
pub fn fetch(
    endpoint: &str,
    kind: Kind,
    name: &str,
    root: &Path,
    choice: &Choice<'_>,
    progress: &dyn Fn(Progress<'_>),
) -> Result<(), HubError> {
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(RESPONSE_TIMEOUT))
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .build()
        .into();
    let endpoint = endpoint.trim_end_matches('/');
    let listing_url = format!("{endpoint}/api/{}/{name}", kind.plural());
    let listing = fetch_listing(&agent, &listing_url)?;
    let paths: Vec<String> = listing.siblings.into_iter().map(|file| file.rfilename).collect();
    let wanted = (choice.of)(&paths).ok_or(HubError::NothingWanted {
        url: listing_url,
        wanted: choice.wanted,
    })?;

    let repository = repository(root, kind, name);
    let snapshots = repository.join("snapshots");
    let references = repository.join("refs");
    for folder in [&snapshots, &references] {
        fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    }
    let unfinished = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(&repository)
        .map_err(|source| failed(&repository, source))?;

    let mut bytes_left = choice.bytes_max;
    for path in &wanted {
        let encoded = percent_encode(path);
        let before = kind.in_addresses();
        let url = format!("{endpoint}/{before}{name}/resolve/{}/{encoded}", listing.sha);
        let into = unfinished.path().join(base_name(path));
        let watched = |response: &ureq::http::Response<ureq::Body>| {
            let bytes = response.body().content_length();
            progress(Progress::Begins { file: path, bytes });
        };
        let bytes = fetch_file(&agent, &url, &into, bytes_left, &watched, progress)?;
        bytes_left -= bytes.ok_or(HubError::TooLarge {
            url,
            bytes_max: choice.bytes_max,
        })?;
    }

    let snapshot = snapshots.join(&listing.sha);
    match mirror_files::publish(unfinished.path(), &snapshot) {
        Ok(()) => {}
        // A snapshot of this revision exists already, with other files or from a concurrent process.
        Err(error) if is_there(&error) => {
            for path in &wanted {
                let file = snapshot.join(base_name(path));
                mirror_files::publish(&unfinished.path().join(base_name(path)), &file)
                    .map_err(|source| failed(&file, source))?;
            }
        }
        Err(source) => return Err(failed(&snapshot, source)),
    }
    let reference = references.join("main");
    mirror_files::replace(&reference, listing.sha.as_bytes()).map_err(|source| failed(&reference, source))
}

/// Returns whether a folder could not be renamed because a folder with the new name exists and is not empty. POSIX
/// allows both error kinds.
fn is_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
    )
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn fetch_listing(agent: &Agent, url: &str) -> Result<Listing, HubError> {
    let mut response = get(agent, url)?;
    let text = response
        .body_mut()
        .with_config()
        .limit(LISTING_BYTES_MAX)
        .read_to_vec()
        .map_err(|source| HubError::Request {
            url: url.to_owned(),
            source: Box::new(source),
        })?;
    let listing: Listing = serde_json::from_slice(&text).map_err(|source| HubError::Listing {
        url: url.to_owned(),
        source,
    })?;
    let is_hash =
        (7..=64).contains(&listing.sha.len()) && listing.sha.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hash {
        return Err(HubError::Revision {
            url: url.to_owned(),
            revision: listing.sha,
        });
    }
    Ok(listing)
}

/// Downloads `url` to `path`. Returns the size in bytes, or `None` if it exceeds `bytes_max`.
fn fetch_file(
    agent: &Agent,
    url: &str,
    path: &Path,
    bytes_max: u64,
    begins: &dyn Fn(&ureq::http::Response<ureq::Body>),
    progress: &dyn Fn(Progress<'_>),
) -> Result<Option<u64>, HubError> {
    let response = get(agent, url)?;
    begins(&response);
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    let mut file = File::create(path).map_err(|source| failed(path, source))?;
    let mut bytes = 0;
    loop {
        let mut piece = body.by_ref().take(PIECE as u64);
        let read = io::copy(&mut piece, &mut file).map_err(|source| HubError::Transfer {
            url: url.to_owned(),
            path: path.to_owned(),
            source,
        })?;
        if read == 0 {
            break;
        }
        bytes += read;
        if bytes > bytes_max {
            return Ok(None);
        }
        progress(Progress::Read(read));
    }
    file.sync_all().map_err(|source| failed(path, source))?;
    progress(Progress::Ends);
    Ok(Some(bytes))
}

fn get(agent: &Agent, url: &str) -> Result<ureq::http::Response<ureq::Body>, HubError> {
    agent.get(url).call().map_err(|source| HubError::Request {
        url: url.to_owned(),
        source: Box::new(source),
    })
}

/// Encodes the path of a file in a repository for a URL.
fn percent_encode(path: &str) -> String {
    path.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push_str(&hex::encode_upper([byte]));
        }
        encoded
    })
}

fn failed(path: &Path, source: io::Error) -> HubError {
    HubError::Io {
        path: path.to_owned(),
        source,
    }
}
