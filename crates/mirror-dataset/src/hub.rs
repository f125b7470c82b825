//! Fetching a named data set from the Hugging Face hub, or a server that speaks like it: the
//! listing of the repository, then the files of its training split, by plain HTTPS GET.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use ureq::Agent;

use crate::compiled::SIZE_MAX;
use crate::snapshot::repository;
use crate::split::train_files;

const LISTING_BYTES_MAX: u64 = 16 << 20;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// For one whole file.
const BODY_TIMEOUT: Duration = Duration::from_hours(1);

/// Why the hub did not give a data set.
#[derive(Debug, Error)]
pub enum HubError {
    #[error("{url} cannot be fetched")]
    Request {
        url: String,
        #[source]
        source: Box<ureq::Error>,
    },
    #[error("{url} does not hold the listing of a data set")]
    Listing {
        url: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("{url} names the revision `{revision}`, which is not a hash")]
    Revision { url: String, revision: String },
    #[error("{url} lists no files that are known to be the training split")]
    NoTrainingSplit { url: String },
    #[error("{url} goes past the limit of {SIZE_MAX} bytes for a data set")]
    TooLarge { url: String },
    #[error("{url} broke off while it was read into {path}")]
    Transfer {
        url: String,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write {path}")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
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

/// Fetches the training split of `name` from the server at `endpoint` into the cache `root`, where
/// [`crate::snapshot::find`] finds it. The snapshot appears whole or not at all.
pub(crate) fn fetch(endpoint: &str, name: &str, root: &Path) -> Result<(), HubError> {
    let agent: Agent = Agent::config_builder()
        .timeout_resolve(Some(CONNECT_TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(RESPONSE_TIMEOUT))
        .timeout_recv_body(Some(BODY_TIMEOUT))
        .build()
        .into();
    let endpoint = endpoint.trim_end_matches('/');
    let listing_url = format!("{endpoint}/api/datasets/{name}");
    let listing = fetch_listing(&agent, &listing_url)?;
    let paths: Vec<String> = listing.siblings.into_iter().map(|file| file.rfilename).collect();
    let train = train_files(&paths).ok_or(HubError::NoTrainingSplit { url: listing_url })?;

    let repository = repository(root, name);
    let snapshots = repository.join("snapshots");
    let references = repository.join("refs");
    for folder in [&snapshots, &references] {
        fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    }
    let unfinished = tempfile::Builder::new()
        .prefix(".fetching-")
        .tempdir_in(&repository)
        .map_err(|source| failed(&repository, source))?;

    let mut bytes_left = SIZE_MAX;
    for path in &train {
        let base_name = path.rsplit('/').next().unwrap_or(path);
        let encoded = percent_encode(path);
        let url = format!("{endpoint}/datasets/{name}/resolve/{}/{encoded}", listing.sha);
        bytes_left -= fetch_file(&agent, &url, &unfinished.path().join(base_name), bytes_left)?;
    }

    let snapshot = snapshots.join(&listing.sha);
    match fs::rename(unfinished.path(), &snapshot) {
        // Another process has fetched the same revision meanwhile.
        Err(_) if snapshot.is_dir() => {}
        renamed => renamed.map_err(|source| failed(&snapshot, source))?,
    }
    let reference = references.join("main");
    fs::write(&reference, &listing.sha).map_err(|source| failed(&reference, source))
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

/// Writes what `url` holds to `path`; gives its size.
fn fetch_file(agent: &Agent, url: &str, path: &Path, bytes_max: u64) -> Result<u64, HubError> {
    let response = get(agent, url)?;
    let mut body = response.into_body().into_with_config().limit(u64::MAX).reader();
    let mut file = File::create(path).map_err(|source| failed(path, source))?;
    let bytes =
        io::copy(&mut body.by_ref().take(bytes_max + 1), &mut file).map_err(|source| HubError::Transfer {
            url: url.to_owned(),
            path: path.to_owned(),
            source,
        })?;
    if bytes > bytes_max {
        return Err(HubError::TooLarge { url: url.to_owned() });
    }
    file.sync_all().map_err(|source| failed(path, source))?;
    Ok(bytes)
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

#[cfg(test)]
mod tests;
