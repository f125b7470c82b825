//! The file with which `mirror run --agents` finds the agents of the nodes, and the certificates that it names.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, ensure};
use mirror_certificates::Authority;
use mirror_cluster::agents::{AgentAddress, Directory};
use mirror_spec::launch::Credentials;
use serde::Deserialize;

/// Maximum size of the file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The name in the certificate that all agents of an authority share.
const AGENT: &str = "agent";

/// Certificate and key of the authority, in the folder of the certificates.
const AUTHORITY: [&str; 2] = ["ca.crt", "ca.key"];

/// Certificate and key that the agents share, in the folder of the certificates.
const SHARED: [&str; 2] = ["tls.crt", "tls.key"];

/// The agents that run the nodes of a network.
#[derive(Debug)]
pub(crate) struct AgentsFile {
    pub(crate) authority: Authority,
    /// The IP address at which the agents and their nodes reach the coordinator.
    pub(crate) address: IpAddr,
    agents: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Folder with the certificate and the key of the authority, relative to the folder of the file.
    credentials: PathBuf,
    address: IpAddr,
    agents: Vec<Entry>,
}

/// An agent and the nodes that it may run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    address: SocketAddr,
    /// Names of nodes. A `*` at the end stands for any text.
    nodes: Vec<String>,
}

impl Entry {
    fn may_run(&self, node: &str) -> bool {
        self.nodes.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => node.starts_with(start),
            None => pattern == node,
        })
    }
}

impl AgentsFile {
    /// Reads the file, and the authority in the folder that it names.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let in_file = || format!("cannot read the agents in {}", path.display());
        let file = File::open(path).with_context(in_file)?;
        let bytes = mirror_files::read_at_most(file, MAX_FILE).with_context(in_file)?;
        let bytes = bytes.with_context(|| format!("{} has more than {MAX_FILE} bytes", path.display()))?;
        let content: Content = serde_yaml::from_slice(&bytes).with_context(in_file)?;
        ensure!(
            !content.agents.is_empty(),
            "{} names no agent: add an entry to `agents`",
            path.display()
        );
        ensure!(
            !content.address.is_unspecified(),
            "{}: `address` is {}, at which no agent can reach the coordinator: give an IP address of this machine",
            path.display(),
            content.address
        );
        let folder = path.parent().unwrap_or(Path::new("")).join(content.credentials);
        Ok(Self {
            authority: authority_in(&folder)?,
            address: content.address,
            agents: content.agents,
        })
    }

    /// Returns the agents for one run.
    pub(crate) fn assigned(&self) -> AssignedAgents {
        AssignedAgents {
            agents: self.agents.clone(),
            of_nodes: Mutex::default(),
        }
    }

    /// Returns the authority for one run.
    pub(crate) fn authority(&self) -> anyhow::Result<Authority> {
        Ok(Authority::from_pem(
            self.authority.certificate().to_owned(),
            &self.authority.key(),
        )?)
    }
}

/// The agents of the nodes of a run. A node keeps its agent. A node without one gets, of those that may run it, the
/// agent with the fewest nodes, and of several such agents the first in the file.
#[derive(Debug)]
pub(crate) struct AssignedAgents {
    agents: Vec<Entry>,
    /// Index of the agent of each node that was started.
    of_nodes: Mutex<HashMap<String, usize>>,
}

impl Directory for AssignedAgents {
    async fn agent_of(&self, node: &str) -> io::Result<AgentAddress> {
        let mut of_nodes = self.of_nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let nodes_of = |agent: usize| of_nodes.values().filter(|of| **of == agent).count();
        let fitting = (0..self.agents.len()).filter(|index| self.agents[*index].may_run(node));
        let known = of_nodes.get(node).copied();
        let index = known.or_else(|| fitting.min_by_key(|index| nodes_of(*index)));
        let index = index.ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!(
                    "no agent may run {node}: add it to the `nodes` of an agent in the file of the agents"
                ),
            )
        })?;
        of_nodes.insert(node.to_owned(), index);
        Ok(AgentAddress {
            name: AGENT.to_owned(),
            address: self.agents[index].address,
        })
    }
}

/// Reads the authority of agents.
fn authority_in(folder: &Path) -> anyhow::Result<Authority> {
    let read = |name: &str| {
        let path = folder.join(name);
        fs::read_to_string(&path).with_context(|| {
            format!(
                "cannot read {}: `mirror agents certificates {}` creates it",
                path.display(),
                folder.display()
            )
        })
    };
    let [certificate, key] = AUTHORITY;
    Authority::from_pem(read(certificate)?, &read(key)?)
        .with_context(|| format!("the authority in {} is not valid", folder.display()))
}

/// Creates an authority in a folder, with a certificate for its agents. Returns `false` if the folder has them already.
pub(crate) fn create_certificates(folder: &Path) -> anyhow::Result<bool> {
    let files = [AUTHORITY, SHARED].concat();
    let existing: Vec<&str> = files
        .iter()
        .copied()
        .filter(|name| folder.join(name).exists())
        .collect();
    if existing.len() == files.len() {
        authority_in(folder)?;
        return Ok(false);
    }
    ensure!(
        existing.is_empty(),
        "{} has only {}: remove them to create new certificates",
        folder.display(),
        existing.join(", ")
    );
    fs::create_dir_all(folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    let authority = Authority::new()?;
    let Credentials { certificate, key, .. } = authority.issue(AGENT)?;
    let own = (AUTHORITY, [authority.certificate(), &authority.key()]);
    let shared = (SHARED, [&*certificate, &*key]);
    for (names, [certificate, key]) in [own, shared] {
        let [certificate_file, key_file] = names.map(|name| folder.join(name));
        let in_words = |path: &Path| format!("cannot write {}", path.display());
        mirror_files::replace(&certificate_file, certificate.as_bytes())
            .with_context(|| in_words(&certificate_file))?;
        mirror_files::replace_private(&key_file, key.as_bytes()).with_context(|| in_words(&key_file))?;
    }
    Ok(true)
}
