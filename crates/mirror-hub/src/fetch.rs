//! Fetching a named repository: its listing, then those of its files that are wanted, by plain HTTPS GET.

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
/// For one whole file.
const BODY_TIMEOUT: Duration = Duration::from_hours(1);
/// What is read before progress is told again.
const PIECE: usize = 1 << 16;

/// Why the hub did not give what was asked for.
#[derive(Debug, Error)]
pub enum HubError {
    /// No answer, or a refusal.
    #[error("{url} cannot be fetched")]
    Request {
        /// The address.
        url: String,
        /// Why.
        #[source]
        source: Box<ureq::Error>,
    },
    /// Not JSON, or not a listing.
    #[error("{url} does not hold the listing of a repository")]
    Listing {
        /// The address.
        url: String,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// A revision that could be a path.
    #[error("{url} names the revision `{revision}`, which is not a hash")]
    Revision {
        /// The address.
        url: String,
        /// As it is there.
        revision: String,
    },
    /// None of the files that are wanted.
    #[error("{url} lists no files that are known to be {wanted}")]
    NothingWanted {
        /// The address.
        url: String,
        /// What they would be.
        wanted: &'static str,
    },
    /// More than was asked for.
    #[error("{url} goes past the limit of {bytes_max} bytes")]
    TooLarge {
        /// The address.
        url: String,
        /// The limit, for all files together.
        bytes_max: u64,
    },
    /// The connection was lost half way.
    #[error("{url} broke off while it was read into {path}")]
    Transfer {
        /// The address.
        url: String,
        /// The unfinished file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The cache cannot be written.
    #[error("cannot write {path}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is nowhere to fetch into.
    #[error("there is no cache folder to fetch into: set $XDG_CACHE_HOME or $HOME")]
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

/// Which files of a repository are wanted.
pub struct Choice<'a> {
    /// Those among its paths; `None` where they are not there.
    pub of: &'a dyn Fn(&[String]) -> Option<Vec<String>>,
    /// What they are, for messages.
    pub wanted: &'static str,
    /// The most bytes of all of them together.
    pub bytes_max: u64,
}

/// How far a fetch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A file begins, of so many bytes if the server says.
    Begins {
        /// Its path in the repository.
        file: &'a str,
        /// Its size.
        bytes: Option<u64>,
    },
    /// So many bytes more of it are here.
    Read(u64),
    /// It is here.
    Ends,
}

/// Fetches files of `name` from the server at `endpoint` into the cache `root`, where
/// [`crate::find`] finds their folder. Each file appears whole or not at all, and a new snapshot
/// with all that are wanted.
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
        // There is one of this revision already, with other files, or from another process meanwhile.
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

/// Whether a folder could not be given its name because one that is not empty has it. POSIX leaves the choice of the
/// two.
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

/// Writes what `url` holds to `path`; gives its size, `None` if that goes past `bytes_max`.
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

/// A path of a repository as part of a URL.
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
