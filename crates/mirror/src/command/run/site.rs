//! The places where the nodes of runs can be started.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use mirror_certificates::Authority;
use mirror_cluster::agents::{Agents, Directory};
use mirror_cluster::local::{Binaries, LocalProcesses};
use mirror_coordinator::{Finished, Options, Prepared};
use mirror_kubernetes::cluster::ApiServers;
use mirror_kubernetes::directory::PodDirectory;
use mirror_kubernetes::plan::Plan;
use mirror_net::tls::Identity;
use mirror_proto::protocol::COORDINATOR;
use mirror_runs::{Recorder, RunDirectory};
use mirror_spec::{Experiment, Model};

use super::super::{Misuse, place};
use super::StartArguments;
use crate::agents_file::AgentsFile;

/// The place where the nodes of runs are started.
#[derive(Debug)]
pub(super) enum Site {
    /// This machine, with the programs of the nodes.
    Here(Box<Binaries>),
    /// Machines with agents.
    Agents(Box<AgentsFile>),
    /// The pods of a run in a cluster.
    Pods(Pods),
}

/// The pods of a run in a cluster, which the pod of its coordinator uses.
#[derive(Debug)]
pub(in crate::command) struct Pods {
    /// The pods and their nodes.
    pub(in crate::command) plan: Plan,
    /// Certificate and key of the authority of the agents.
    pub(in crate::command) authority: [String; 2],
    /// Addresses at which the API server may be.
    pub(in crate::command) api_servers: ApiServers,
    /// IP address of this pod.
    pub(in crate::command) address: IpAddr,
    /// Time within which a pod must be ready.
    pub(in crate::command) start: Duration,
}

impl Site {
    /// Returns the site that the command line names.
    pub(super) fn of(start: &StartArguments) -> anyhow::Result<Self> {
        Ok(match &start.agents {
            Some(file) => Self::Agents(Box::new(AgentsFile::read(file).map_err(Misuse::of)?)),
            None => Self::Here(Box::new(place::binaries()?)),
        })
    }

    /// Returns the authority that issues the certificates of a run.
    pub(super) fn authority(&self) -> anyhow::Result<Arc<Authority>> {
        Ok(Arc::new(match self {
            Self::Here(_) => Authority::new()?,
            Self::Agents(agents) => agents.authority()?,
            Self::Pods(Pods {
                authority: [certificate, key],
                ..
            }) => Authority::from_pem(certificate.clone(), key)?,
        }))
    }

    /// Starts the nodes of a run and waits for its end.
    pub(super) async fn execute(
        &self,
        experiment: &Experiment,
        model: &Model,
        data: Prepared,
        run: RunDirectory,
        options: Options,
    ) -> anyhow::Result<Finished> {
        let logs = run.layout().logs();
        let recorder = Recorder::start(run, Recorder::SEGMENT_BYTES)?;
        match self {
            Self::Here(binaries) => {
                let (placement, exits) =
                    LocalProcesses::new((**binaries).clone(), logs).context("cannot start nodes")?;
                mirror_coordinator::run(experiment, model, data, recorder, placement, exits, options).await
            }
            Self::Agents(agents) => {
                let place = (agents.assigned(), agents.address);
                let run = at_agents(experiment, model, data, (recorder, logs), place, options);
                Box::pin(run).await
            }
            Self::Pods(pods) => {
                let cluster = pods.api_servers.clone().connect().await?;
                let directory = PodDirectory::new(&cluster, &pods.plan, pods.start);
                let place = (directory, pods.address);
                let run = at_agents(experiment, model, data, (recorder, logs), place, options);
                Box::pin(run).await
            }
        }
    }
}

/// Starts the nodes of a run at agents and waits for its end. `recorder` is the recorder of the run and the folder of
/// its logs, and `place` the directory of the agents and the IP address at which they reach this machine.
async fn at_agents<D: Directory>(
    experiment: &Experiment,
    model: &Model,
    data: Prepared,
    recorder: (Recorder, PathBuf),
    place: (D, IpAddr),
    options: Options,
) -> anyhow::Result<Finished> {
    let ((recorder, logs), (directory, address)) = (recorder, place);
    let certificate = options.authority.issue(COORDINATOR)?;
    let identity = Identity::new(&certificate).context("the certificate of the coordinator")?;
    let run = recorder.run_id().to_owned();
    let (placement, exits) =
        Agents::new(directory, identity, run, address, logs).context("cannot start nodes")?;
    mirror_coordinator::run(experiment, model, data, recorder, placement, exits, options).await
}
