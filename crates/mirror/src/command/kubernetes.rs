//! `mirror kubernetes`: runs experiments in a Kubernetes cluster.

mod chaos_mesh;
mod coordinate;
mod files;
mod planned;
mod render;
mod run;
mod status;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use mirror_kubernetes::cluster::{Cluster, ClusterError};
use mirror_kubernetes::name::RunName;
use mirror_kubernetes::session::{self, ENDED};
use mirror_output::message;
use mirror_spec::LogFormat;

use super::running::block_on;
use super::{Misuse, RunsDir, Status};

#[derive(Debug, Args)]
pub(super) struct KubernetesArguments {
    #[command(subcommand)]
    command: KubernetesCommand,
}

#[derive(Debug, Subcommand)]
enum KubernetesCommand {
    /// Runs an experiment in a cluster, and collects and deletes its run
    Run(run::RunInClusterArguments),
    /// Prints the manifests of an experiment, without a cluster
    Render(render::RenderArguments),
    /// Lists the runs of a namespace, or the pods of one
    Status(status::StatusArguments),
    /// Fetches a run that has ended
    Collect {
        /// Name of the run in the cluster
        #[arg(value_parser = run_name)]
        name: RunName,
        #[command(flatten)]
        cluster: ClusterArguments,
        #[command(flatten)]
        runs_dir: RunsDir,
    },
    /// Deletes a run with all its objects
    Delete {
        /// Name of the run in the cluster
        #[arg(value_parser = run_name)]
        name: RunName,
        #[command(flatten)]
        cluster: ClusterArguments,
    },
    /// Runs an experiment from the pod of its coordinator
    #[command(hide = true)]
    Coordinate(coordinate::CoordinateArguments),
    /// Writes the runs of this pod to standard output, if they have ended
    #[command(hide = true)]
    Archive(RunsDir),
    /// Notes that the runs of this pod were collected
    #[command(hide = true)]
    Release(RunsDir),
}

/// The cluster, and the namespace in it.
#[derive(Debug, Args)]
struct ClusterArguments {
    /// Context of the kubeconfig file. If absent: the current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Namespace of the run. If absent: that of the context
    #[arg(long, short, value_name = "NAME")]
    namespace: Option<String>,
}

impl ClusterArguments {
    async fn connect(&self) -> Result<Cluster, ClusterError> {
        Cluster::connect(self.context.as_deref(), self.namespace.as_deref()).await
    }

    /// Returns the options with which another command reaches the same namespace.
    fn words(&self) -> String {
        let option = |name: &str, value: &Option<String>| {
            value
                .as_ref()
                .map_or_else(String::new, |value| format!(" --{name} {value}"))
        };
        option("context", &self.context) + &option("namespace", &self.namespace)
    }
}

fn run_name(text: &str) -> Result<RunName, String> {
    RunName::new(text).map_err(|error| error.to_string())
}

pub(super) fn kubernetes(arguments: KubernetesArguments) -> anyhow::Result<Status> {
    // A run in the pod of its coordinator sets its own filter.
    if !matches!(arguments.command, KubernetesCommand::Coordinate(_)) {
        mirror_telemetry::init("mirror_kubernetes=warn", LogFormat::Pretty, None)?;
    }
    match arguments.command {
        KubernetesCommand::Run(arguments) => run::run(&arguments),
        KubernetesCommand::Render(arguments) => render::render(&arguments),
        KubernetesCommand::Status(arguments) => status::status(&arguments),
        KubernetesCommand::Collect {
            name,
            cluster,
            runs_dir,
        } => block_on(async {
            let cluster = cluster.connect().await.map_err(Misuse::of)?;
            let collected = session::collect(&cluster, &name, &runs_dir.runs_dir).await?;
            for folder in &collected.folders {
                message!("{}", folder.display());
            }
            Ok(status_of(collected.status))
        }),
        KubernetesCommand::Delete { name, cluster } => block_on(async {
            let cluster = cluster.connect().await.map_err(Misuse::of)?;
            session::delete(&cluster, &name).await?;
            message!("the run `{name}` is deleted");
            Ok(Status::Done)
        }),
        KubernetesCommand::Coordinate(arguments) => coordinate::coordinate(arguments),
        KubernetesCommand::Archive(folder) => {
            session::write_archive(&folder.runs_dir, std::io::stdout().lock())?;
            Ok(Status::Done)
        }
        KubernetesCommand::Release(folder) => {
            coordinate::release(&folder.runs_dir)?;
            Ok(Status::Done)
        }
    }
}

/// Returns the exit status of a run for that of its coordinator.
fn status_of(code: u8) -> Status {
    match code {
        0 => Status::Done,
        2 => Status::Misused,
        3 => Status::Unexpected,
        _ => Status::Failed,
    }
}

/// Returns the file that marks the end of the runs of this pod.
fn ended_file(runs_dir: &Path) -> PathBuf {
    runs_dir.join(ENDED)
}
