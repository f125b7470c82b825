//! Secret files of certificates: those with which the commands control a running network, and those of a chain that
//! serves several runs.
//!
//! Only the owner can read the files. The key of a run's authority is in no file: it exists in the memory of the
//! coordinator.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use mirror_certificates::Authority;
use mirror_proto::protocol::{COORDINATOR, OPERATOR};
use mirror_runs::Layout;
use mirror_spec::launch::Credentials;
use serde::{Deserialize, Serialize};

/// Maximum size of a file, in bytes.
const FILE_LIMIT: u64 = 64 << 10;

/// File of the authority's certificate, in a folder of certificates.
const AUTHORITY: &str = "authority.pem";

/// File of the authority's key, in the folder of a chain that serves several runs.
const AUTHORITY_KEY: &str = "authority.key";

/// File of the operator's certificate, in the folder of a run.
const OPERATOR_CERTIFICATE: &str = "operator.pem";

/// File of the operator's key, in the folder of a run.
const OPERATOR_KEY: &str = "operator.key";

/// The folder of a run's certificates, which is removed when this is dropped.
pub(crate) struct Published(PathBuf);

impl Drop for Published {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove the certificates of the run");
        }
    }
}

/// Writes the certificate of the operator of a run, with which the commands control the network.
pub(crate) fn publish(layout: &Layout, authority: &Authority) -> anyhow::Result<Published> {
    let folder = layout.certificates();
    create_private_folder(&folder)?;
    let Credentials {
        authority,
        certificate,
        key,
    } = authority.issue(OPERATOR)?;
    let published = Published(folder);
    for (name, text) in [
        (AUTHORITY, authority),
        (OPERATOR_CERTIFICATE, certificate),
        (OPERATOR_KEY, key),
    ] {
        write_private(&published.0.join(name), &text)?;
    }
    Ok(published)
}

/// Reads the certificate of the operator of a run. `None` if the run has none, because it has ended.
///
/// # Errors
/// Returns an error if a file cannot be read, for example because it belongs to another user.
pub fn operator(layout: &Layout) -> io::Result<Option<Credentials>> {
    let read = |name| read_text(&layout.certificates().join(name));
    let credentials = || -> io::Result<Credentials> {
        Ok(Credentials {
            authority: read(AUTHORITY)?,
            certificate: read(OPERATOR_CERTIFICATE)?,
            key: read(OPERATOR_KEY)?,
        })
    };
    match credentials() {
        Ok(credentials) => Ok(Some(credentials)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The contents of the file with which a run uses a chain that serves several runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainClient {
    /// Address of the chain.
    pub address: SocketAddr,
    /// The certificate that the coordinator and the validators of the run show to the chain.
    pub credentials: Credentials,
}

impl ChainClient {
    /// Writes the file of a chain with a new certificate.
    pub(crate) fn write(path: &Path, address: SocketAddr, authority: &Authority) -> anyhow::Result<()> {
        let client = Self {
            address,
            credentials: authority.issue(COORDINATOR)?,
        };
        write_private(path, &serde_json::to_string(&client)?)
    }

    /// Reads the file of a chain.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is invalid.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(serde_json::from_str(&read_text(path)?)?)
    }
}

/// Opens the authority of a chain that serves several runs, or creates it in `folder`.
pub(crate) fn authority_in(folder: &Path) -> anyhow::Result<Authority> {
    let (certificate, key) = (folder.join(AUTHORITY), folder.join(AUTHORITY_KEY));
    if certificate.exists() {
        let read = |path: &Path| read_text(path).with_context(|| format!("cannot read {}", path.display()));
        return Authority::from_pem(read(&certificate)?, &read(&key)?)
            .with_context(|| format!("the authority in {} is not valid", folder.display()));
    }
    create_private_folder(folder)?;
    let authority = Authority::new()?;
    // The certificate comes last: it exists only if the key does.
    write_private(&key, &authority.key())?;
    write_private(&certificate, authority.certificate())?;
    Ok(authority)
}

/// Writes a file that only the owner can read, in place of an earlier one. A reader never sees a part of it.
pub(crate) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    mirror_files::replace_private(path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Creates a folder that only the owner can open.
fn create_private_folder(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot create the folder {}", path.display()))
}

/// Reads a small text file.
fn read_text(path: &Path) -> io::Result<String> {
    let invalid = |problem| io::Error::new(io::ErrorKind::InvalidData, problem);
    let bytes = mirror_files::read_at_most(File::open(path)?, FILE_LIMIT)?
        .ok_or_else(|| invalid(format!("the file has more than {FILE_LIMIT} bytes")))?;
    String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))
}
