//! The state of pods, as the API server reports it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;

use crate::cluster::Cluster;
use crate::manifests::COMPONENT;

/// Names of the containers of this project's pods.
const CONTAINERS: [&str; 2] = ["agent", "coordinator"];

/// Time in seconds after which a watch is begun anew. It is shorter than the longest pause within an answer, because a
/// watch sends nothing while no pod changes.
const WATCH_SECONDS: u32 = 20;

/// A pod of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Identifier of the pod. Another pod of the same name has another one.
    pub uid: String,
    /// Kind of the pod, such as `miner`.
    pub component: String,
    /// IP address. `None` until the pod has one.
    pub ip: Option<IpAddr>,
    /// State of the pod.
    pub state: PodState,
    /// Number of times that its container was started again.
    pub restarts: u32,
    /// Name of the machine. Empty until the pod has one.
    pub machine: String,
    /// The reason of the last end of its container. `None` if it has never ended.
    pub last_end: Option<String>,
    /// Status with which its container has ended. `None` if it has not.
    pub exit: Option<i32>,
}

/// The state of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodState {
    /// The pod starts, or waits for something.
    Waiting {
        /// Reason in one word, such as `Unschedulable`.
        reason: String,
        /// The message of the cluster. Empty if there is none.
        message: String,
    },
    /// The container runs, but does not answer health checks yet.
    Running,
    /// The container answers health checks.
    Ready,
    /// The pod is being deleted.
    Terminating,
    /// The pod has ended with success.
    Succeeded,
    /// The pod has ended otherwise, and will not be started again.
    Failed {
        /// Reason, such as `OOMKilled` or `Evicted`.
        reason: String,
        /// The message of the cluster. Empty if there is none.
        message: String,
    },
}

impl PodState {
    /// Returns the state in words.
    pub fn in_words(&self) -> String {
        let with = |reason: &str, message: &str| {
            if message.is_empty() {
                reason.to_owned()
            } else {
                format!("{reason}: {}", message.lines().next().unwrap_or_default())
            }
        };
        match self {
            Self::Waiting { reason, message } => with(reason, message),
            Self::Running => "running, not ready".to_owned(),
            Self::Ready => "ready".to_owned(),
            Self::Terminating => "terminating".to_owned(),
            Self::Succeeded => "succeeded".to_owned(),
            Self::Failed { reason, message } => with(&format!("failed ({reason})"), message),
        }
    }

    /// Returns whether the pod waits for something that only a person can give: an image that exists.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, Self::Waiting { reason, .. } if matches!(
            &**reason,
            "InvalidImageName" | "ErrImageNeverPull" | "ImagePullBackOff" | "CreateContainerConfigError"
        ))
    }
}

impl PodView {
    /// Reads the state of a pod.
    pub fn of(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let containers = status.container_statuses.as_deref().unwrap_or_default();
        // Other tools may add containers.
        let ours = containers
            .iter()
            .find(|container| CONTAINERS.contains(&&*container.name));
        let container = ours.or(containers.first());
        let labels = pod.metadata.labels.as_ref();
        let ended = |container: &ContainerStatus| container.state.as_ref()?.terminated.clone();
        let ended_before = |container: &ContainerStatus| container.last_state.as_ref()?.terminated.clone();
        let now = container.and_then(ended);
        let last = now.clone().or_else(|| container.and_then(ended_before));
        Self {
            uid: pod.metadata.uid.clone().unwrap_or_default(),
            component: labels
                .and_then(|labels| labels.get(COMPONENT))
                .cloned()
                .unwrap_or_default(),
            ip: status.pod_ip.as_ref().and_then(|ip| ip.parse().ok()),
            state: state_of(pod, container),
            restarts: container
                .and_then(|container| u32::try_from(container.restart_count).ok())
                .unwrap_or(0),
            machine: pod
                .spec
                .as_ref()
                .and_then(|spec| spec.node_name.clone())
                .unwrap_or_default(),
            last_end: last.map(|end| {
                end.reason
                    .unwrap_or_else(|| format!("exit status {}", end.exit_code))
            }),
            exit: now.map(|end| end.exit_code),
        }
    }
}

fn state_of(pod: &Pod, container: Option<&ContainerStatus>) -> PodState {
    let status = pod.status.clone().unwrap_or_default();
    let message = status.message.clone().unwrap_or_default();
    let state = container
        .and_then(|container| container.state.clone())
        .unwrap_or_default();
    match status.phase.as_deref() {
        Some("Succeeded") => return PodState::Succeeded,
        Some("Failed") => {
            let ended = state.terminated.unwrap_or_default();
            return PodState::Failed {
                reason: status
                    .reason
                    .or(ended.reason)
                    .unwrap_or_else(|| format!("exit status {}", ended.exit_code)),
                message: if message.is_empty() {
                    ended.message.unwrap_or_default()
                } else {
                    message
                },
            };
        }
        _ => {}
    }
    if pod.metadata.deletion_timestamp.is_some() {
        return PodState::Terminating;
    }
    if let Some(waiting) = state.waiting {
        return PodState::Waiting {
            reason: waiting.reason.unwrap_or_else(|| "Waiting".to_owned()),
            message: waiting.message.unwrap_or_default(),
        };
    }
    if let Some(ended) = state.terminated {
        return PodState::Waiting {
            reason: ended.reason.unwrap_or_else(|| "Ended".to_owned()),
            message: format!("its container has ended with status {}", ended.exit_code),
        };
    }
    if state.running.is_some() {
        // The condition also becomes false when the machine of the pod is lost.
        let conditions = status.conditions.unwrap_or_default();
        let is_ready = conditions
            .iter()
            .any(|condition| condition.type_ == "Ready" && condition.status == "True");
        return if is_ready {
            PodState::Ready
        } else {
            PodState::Running
        };
    }
    let conditions = status.conditions.unwrap_or_default();
    let unscheduled = conditions
        .into_iter()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    match unscheduled {
        Some(condition) => PodState::Waiting {
            reason: condition.reason.unwrap_or_else(|| "Unschedulable".to_owned()),
            message: condition.message.unwrap_or_default(),
        },
        None => PodState::Waiting {
            reason: "Pending".to_owned(),
            message: String::new(),
        },
    }
}

/// The pods of a run by name, kept up to date.
pub type Pods = BTreeMap<String, PodView>;

/// Watches the pods that a label selector selects, until the receiver is dropped. A connection that breaks is opened
/// again. The receiver has no pods until the first list has arrived, and an error if the API server refuses the watch.
pub fn watch(cluster: &Cluster, labels: &str) -> watch::Receiver<Watched> {
    let (sender, receiver) = watch::channel(Watched::default());
    let config = watcher::Config::default().labels(labels).timeout(WATCH_SECONDS);
    let events = watcher(cluster.api::<Pod>(), config).default_backoff();
    let cluster = cluster.clone();
    tokio::spawn(async move {
        pin_mut!(events);
        let mut listed = Pods::new();
        loop {
            let event = tokio::select! {
                event = events.next() => event,
                () = sender.closed() => return,
            };
            match event {
                Some(Ok(Event::Init)) => listed.clear(),
                Some(Ok(Event::InitApply(pod))) => {
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    listed.insert(name, PodView::of(&pod));
                }
                Some(Ok(Event::InitDone)) => {
                    let pods = std::mem::take(&mut listed);
                    sender.send_replace(Watched {
                        pods: Some(pods),
                        problem: None,
                    });
                }
                Some(Ok(Event::Apply(pod))) => sender.send_modify(|watched| {
                    watched.problem = None;
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    watched
                        .pods
                        .get_or_insert_default()
                        .insert(name, PodView::of(&pod));
                }),
                Some(Ok(Event::Delete(pod))) => sender.send_modify(|watched| {
                    watched.problem = None;
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    watched.pods.get_or_insert_default().remove(&name);
                }),
                Some(Err(error)) => {
                    let problem = problem_of(&cluster, &error);
                    tracing::warn!("{problem}; trying again");
                    sender.send_modify(|watched| watched.problem = Some(problem));
                }
                None => return,
            }
        }
    });
    receiver
}

fn problem_of(cluster: &Cluster, error: &watcher::Error) -> String {
    let action = "watch pods";
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => cluster.error(action, error).to_string(),
        other => format!("cannot {action}: {other}"),
    }
}

/// The state of a watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// The pods. `None` until the API server has listed them.
    pub pods: Option<Pods>,
    /// The reason why the pods may be out of date. `None` if they are not.
    pub problem: Option<String>,
}

/// Waits until `found` returns something for the pods, at most for `time`. Returns `None` after that time, or if the
/// watch has ended.
pub async fn until<T>(
    watched: &mut watch::Receiver<Watched>,
    time: Duration,
    mut found: impl FnMut(&Watched) -> Option<T>,
) -> Option<T> {
    let waiting = async {
        loop {
            if let Some(found) = found(&watched.borrow_and_update()) {
                return Some(found);
            }
            watched.changed().await.ok()?;
        }
    };
    tokio::time::timeout(time, waiting).await.ok().flatten()
}
