//! `mirror kubernetes run`: starts an experiment in a cluster, shows its progress, and collects and deletes its run.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use mirror_kubernetes::cluster::Cluster;
use mirror_kubernetes::manifests::of_run;
use mirror_kubernetes::name::RunName;
use mirror_kubernetes::plan::{Component, Plan};
use mirror_kubernetes::pods::{self, PodState, Pods, Watched};
use mirror_kubernetes::session::{self, Collected, SessionError};
use mirror_kubernetes::settings::Settings;
use mirror_output::message;
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::super::run::StartArguments;
use super::super::running::block_on;
use super::super::{Misuse, Status};
use super::coordinate::HOLDING;
use super::planned::{SettingsArguments, network, plan};
use super::{ClusterArguments, files, run_name, status_of};

/// Pause between two attempts to collect a run that has not ended.
const PAUSE: Duration = Duration::from_secs(1);

/// Time between two lines about the pods.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// The letters of the suffix that distinguishes runs of the same file, without those that look alike.
const LETTERS: &[u8] = b"23456789bcdfghjkmnpqrstvwxz";

#[derive(Debug, Args)]
pub(super) struct RunInClusterArguments {
    #[command(flatten)]
    start: StartArguments,
    #[command(flatten)]
    settings: SettingsArguments,
    #[command(flatten)]
    cluster: ClusterArguments,
    /// Name of the run, with which the names of its objects begin. If absent: from the name of the file
    #[arg(long, value_parser = run_name)]
    name: Option<RunName>,
    /// Leaves the objects of the run in the cluster
    #[arg(long)]
    keep: bool,
}

pub(super) fn run(arguments: &RunInClusterArguments) -> anyhow::Result<Status> {
    let Some(loaded) = arguments.start.load() else {
        return Ok(Status::Misused);
    };
    let settings = arguments.settings.load()?;
    let file = arguments.start.file();
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let of_file = || anyhow::Ok(RunName::with_suffix(&stem, &suffix()?)?);
    let name = arguments.name.clone().map_or_else(of_file, Ok)?;
    let plan = plan(name.clone(), &network(&loaded, file)?);
    let mut inputs = files::inputs(&arguments.start)?;
    block_on(async {
        let context = arguments.cluster.context.as_deref();
        let api_server = Cluster::api_server(context).await.map_err(Misuse::of)?;
        inputs
            .arguments
            .extend(api_server.map(|address| format!("--api-server={address}")));
        let cluster = arguments.cluster.connect().await.map_err(Misuse::of)?;
        session::check_quotas(&cluster, &plan).await?;
        let words = arguments.cluster.words();
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            outcome = started(arguments, &cluster, &plan, &inputs, &settings) => return outcome,
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
        message!("{}", continues(&name, &words));
        Ok(Status::Failed)
    })
}

/// Returns a random suffix of five letters.
fn suffix() -> anyhow::Result<String> {
    let mut bytes = [0; 5];
    SysRng.try_fill_bytes(&mut bytes)?;
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
    Ok(bytes.into_iter().map(letter).collect())
}

/// Starts a run, follows it to its end, collects it and deletes it.
async fn started(
    arguments: &RunInClusterArguments,
    cluster: &Cluster,
    plan: &Plan,
    inputs: &mirror_kubernetes::manifests::launcher::Inputs,
    settings: &Settings,
) -> anyhow::Result<Status> {
    let name = &plan.run;
    let namespace = cluster.namespace();
    if let Err(error) = session::start(cluster, name, inputs, settings).await {
        if !matches!(error, SessionError::Exists { .. }) {
            delete(arguments, cluster, name).await;
        }
        return Err(error.into());
    }
    message!(
        "the run `{name}` is started in the namespace `{namespace}`, with {} pods",
        plan.pods() + 1
    );
    let words = arguments.cluster.words();
    let collected = match followed(arguments, cluster, plan, settings).await {
        Ok(collected) => collected,
        Err(Failure::Over(error)) => {
            delete(arguments, cluster, name).await;
            return Err(error);
        }
        Err(Failure::Following(error)) => {
            message!("{}", continues(name, &words));
            return Err(error);
        }
    };
    delete(arguments, cluster, name).await;
    for folder in &collected.folders {
        message!("{}", folder.display());
    }
    Ok(status_of(collected.status))
}

/// Deletes a run that has ended, unless it is to be kept.
async fn delete(arguments: &RunInClusterArguments, cluster: &Cluster, name: &RunName) {
    let words = arguments.cluster.words();
    if arguments.keep {
        message!("the objects of the run stay: `mirror kubernetes delete {name}{words}` deletes them");
    } else if let Err(error) = session::delete(cluster, name).await {
        message!("the run was not deleted: {error}; try `mirror kubernetes delete {name}{words}`");
    }
}

/// Returns the commands for a run that this command no longer follows.
fn continues(name: &RunName, words: &str) -> String {
    format!(
        "the run `{name}` continues in the cluster:\n  mirror kubernetes status {name}{words}\n  mirror kubernetes \
         collect {name}{words}\n  mirror kubernetes delete {name}{words}"
    )
}

/// The reason why a run was not collected.
enum Failure {
    /// The run cannot continue.
    Over(anyhow::Error),
    /// The run may continue, or wait to be collected.
    Following(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Following(error.into())
    }
}

/// Shows a run until it has ended, and collects it.
async fn followed(
    arguments: &RunInClusterArguments,
    cluster: &Cluster,
    plan: &Plan,
    settings: &Settings,
) -> Result<Collected, Failure> {
    let name = &plan.run;
    let watched = pods::watch(cluster, &of_run(name));
    let within = Duration::from_secs(settings.start_seconds.into());
    let following = async {
        let pod = coordinator(watched.clone(), within)
            .await
            .map_err(Failure::Over)?;
        session::follow_log(cluster, &pod, |line| {
            message!("{line}");
            !line.starts_with(HOLDING)
        })
        .await?;
        loop {
            match session::collect(cluster, name, arguments.start.runs_dir()).await {
                Err(SessionError::Running(_)) => tokio::time::sleep(PAUSE).await,
                Err(SessionError::Gone(_)) => {
                    return Err(Failure::Over(anyhow!(gone(&watched.borrow(), &pod))));
                }
                collected => return Ok(collected?),
            }
        }
    };
    tokio::select! {
        outcome = following => outcome,
        never = show_pods(watched.clone(), plan.pods()) => match never {},
    }
}

/// Waits until the coordinator has started. Returns the name of its pod.
async fn coordinator(mut watched: watch::Receiver<Watched>, within: Duration) -> anyhow::Result<String> {
    let of_coordinator = |pods: &Pods| {
        let mut pods = pods.iter();
        let found = pods.find(|(_, pod)| pod.component == Component::Coordinator.as_str());
        found.map(|(name, pod)| (name.clone(), pod.state.clone()))
    };
    let started = pods::until(&mut watched, within, |watched| {
        let (name, state) = of_coordinator(watched.pods.as_ref()?)?;
        match &state {
            state if state.needs_a_person() => Some(Err(anyhow!(
                "the pod {name} of the coordinator cannot start: {}",
                state.in_words()
            ))),
            PodState::Waiting { .. } | PodState::Terminating => None,
            PodState::Failed { .. } | PodState::Running | PodState::Ready | PodState::Succeeded => {
                Some(Ok(name))
            }
        }
    });
    if let Some(started) = started.await {
        return started;
    }
    let watched = watched.borrow();
    let state = match (&watched.problem, watched.pods.as_ref().and_then(of_coordinator)) {
        (Some(problem), _) => problem.clone(),
        (None, Some((name, state))) => format!("{name}: {}", state.in_words()),
        (None, None) => "its job has created no pod".to_owned(),
    };
    Err(anyhow!(
        "the coordinator has not started within {} s: {state}",
        within.as_secs()
    ))
}

/// Returns why the coordinator is gone.
fn gone(watched: &Watched, pod: &str) -> String {
    let state = watched.pods.as_ref().and_then(|pods| pods.get(pod));
    let state = state.map_or_else(|| "it was deleted".to_owned(), |pod| pod.state.in_words());
    format!("the pod {pod} of the coordinator has ended, and the run with it: {state}")
}

/// Prints how many pods are ready, and why others are not, whenever that changes.
async fn show_pods(mut watched: watch::Receiver<Watched>, nodes: usize) -> std::convert::Infallible {
    let mut shown_ready = None;
    let mut shown: BTreeMap<String, String> = BTreeMap::new();
    loop {
        if let Some(pods) = &watched.borrow_and_update().pods {
            let of_nodes = || {
                let pods = pods.iter();
                pods.filter(|(_, pod)| pod.component != Component::Coordinator.as_str())
            };
            let ready = of_nodes().filter(|(_, pod)| pod.state == PodState::Ready).count();
            if of_nodes().next().is_some() && shown_ready.is_none_or(|shown| ready > shown) {
                message!("{ready} of {nodes} pods with nodes are ready");
                shown_ready = Some(ready);
            }
            for (name, pod) in pods {
                let is_notable = match &pod.state {
                    PodState::Waiting { reason, .. } => {
                        !matches!(&**reason, "ContainerCreating" | "PodInitializing" | "Pending")
                    }
                    PodState::Failed { .. } => true,
                    _ => false,
                };
                let words = pod.state.in_words();
                if is_notable && shown.get(name) != Some(&words) {
                    message!("pod {name}: {words}");
                    shown.insert(name.clone(), words);
                }
            }
        }
        if watched.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(BETWEEN_LINES).await;
    }
}
