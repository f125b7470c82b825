//! The controllers of stateful sets and jobs, and a kubelet: containers are processes of this machine.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::store::Store;
use super::{Failure, Shared};

/// Pause between two looks at a process or a log.
const PAUSE: Duration = Duration::from_millis(50);

/// Pause before a container is started again.
const BACKOFF: Duration = Duration::from_millis(500);

/// Creates the pods that stateful sets and jobs require, and runs their containers.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut changes = shared.changes.subscribe();
    let mut running: HashMap<String, AbortHandle> = HashMap::new();
    let mut next_ip = 1;
    loop {
        changes.borrow_and_update();
        let wanted = shared.store().missing_pods();
        for mut pod in wanted {
            pod["status"] = json!({ "phase": "Pending" });
            shared.change(|store| store.apply(pod));
        }
        let pods = shared.store().list("pods");
        let uids: HashSet<String> = pods.iter().map(uid_of).collect();
        running.retain(|uid, task| {
            let stays = uids.contains(uid);
            if !stays {
                task.abort();
            }
            stays
        });
        for pod in pods {
            let uid = uid_of(&pod);
            if let Entry::Vacant(entry) = running.entry(uid) {
                let [second, third] = shared.network;
                let ip = Ipv4Addr::new(127, second, third, next_ip);
                next_ip += 1;
                let task = tokio::spawn(run_pod(shared.clone(), pod, ip));
                entry.insert(task.abort_handle());
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn uid_of(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

impl Store {
    /// Returns the pods that stateful sets and jobs require and that do not exist.
    fn missing_pods(&self) -> Vec<Value> {
        let mut missing = Vec::new();
        for set in self.list("statefulsets") {
            for number in 0..set["spec"]["replicas"].as_u64().unwrap_or(0) {
                let name = format!("{}-{number}", name_of(&set));
                missing.extend(self.get("pods", &name).is_none().then(|| pod_of(&set, name)));
            }
        }
        for job in self.list("jobs") {
            let name = format!("{}-x1y2z", name_of(&job));
            let is_new = self.get("pods", &name).is_none() && job["status"].is_null();
            missing.extend(is_new.then(|| pod_of(&job, name)));
        }
        missing
    }
}

fn pod_of(owner: &Value, name: String) -> Value {
    let mut pod = owner["spec"]["template"].clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = name.into();
    pod["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }]);
    pod
}

/// Runs the container of a pod until the pod is deleted.
async fn run_pod(shared: Arc<Shared>, pod: Value, ip: Ipv4Addr) {
    let name = name_of(&pod);
    let set = |status: Value| shared.change(|store| store.set_status("pods", &name, status));
    let container = &pod["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap_or_default();
    for failure in shared.failures() {
        match failure {
            Failure::NoImage(part) if image.contains(part) => {
                let message = format!("Back-off pulling image \"{image}\"");
                let state = json!({ "waiting": { "reason": "ImagePullBackOff", "message": message } });
                return set(
                    json!({ "phase": "Pending", "containerStatuses": [container_status(&container["name"], &state, 0)] }),
                );
            }
            Failure::Unschedulable(kind)
                if pod["metadata"]["labels"]["app.kubernetes.io/component"] == kind =>
            {
                return set(json!({
                    "phase": "Pending",
                    "conditions": [{
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes are available: 1 Insufficient memory.",
                    }],
                }));
            }
            _ => {}
        }
    }
    let is_job = pod["metadata"]["ownerReferences"][0]["kind"] == "Job";
    mount(&shared, &pod, &name);
    let mut restarts = 0;
    loop {
        let state = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        let mut status = json!({
            "phase": "Running",
            "podIP": ip.to_string(),
            "containerStatuses": [container_status(&container["name"], &state, restarts)],
        });
        set(status.clone());
        let ended = {
            let mut child = tokio::process::Command::from(command_of(&shared, &pod, &name, ip, None))
                .kill_on_drop(true)
                .spawn()
                .expect("the program exists");
            fs::write(
                shared.folder_of(&name).join("pid"),
                child.id().unwrap_or_default().to_string(),
            )
            .expect("a file");
            let ready = async {
                wait_until_healthy(ip).await;
                status["containerStatuses"][0]["ready"] = true.into();
                status["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
                set(status);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = child.wait() => ended.expect("it has ended"),
                () = ready => unreachable!("it waits without end"),
            }
        };
        let terminated = json!({ "terminated": terminated(&shared, &name, ended) });
        if is_job {
            let (phase, count) = if ended.success() {
                ("Succeeded", "succeeded")
            } else {
                ("Failed", "failed")
            };
            let job = pod["metadata"]["ownerReferences"][0]["name"].as_str();
            shared.change(|store| {
                let status =
                    json!({ "phase": phase, "containerStatuses": [container_status(&container["name"], &terminated, restarts)] });
                store.set_status("pods", &name, status);
                store.set_status("jobs", job.unwrap_or_default(), json!({ count: 1 }));
            });
            return;
        }
        restarts += 1;
        let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let mut of_container = container_status(&container["name"], &waiting, restarts);
        of_container["lastState"] = terminated;
        set(json!({ "phase": "Running", "podIP": ip.to_string(), "containerStatuses": [of_container] }));
        tokio::time::sleep(BACKOFF).await;
    }
}

fn container_status(name: &Value, state: &Value, restarts: u32) -> Value {
    json!({
        "name": name,
        "image": "",
        "imageID": "",
        "ready": false,
        "restartCount": restarts,
        "state": state,
    })
}

/// Returns the end of a container as the kubelet reports it.
fn terminated(shared: &Shared, pod: &str, ended: ExitStatus) -> Value {
    let out_of_memory = shared.folder_of(pod).join("out-of-memory");
    let reason = if fs::remove_file(out_of_memory).is_ok() {
        "OOMKilled"
    } else if ended.success() {
        "Completed"
    } else {
        "Error"
    };
    let code = ended.code().or(ended.signal().map(|signal| 128 + signal));
    json!({ "exitCode": code, "reason": reason })
}

/// Kills the process of a container, with the reason that a kubelet gives if the pod has no memory left.
pub(super) fn kill_for_memory(shared: &Shared, pod: &str) {
    let folder = shared.folder_of(pod);
    fs::write(folder.join("out-of-memory"), "").expect("a file");
    signal(shared, pod, Signal::KILL);
}

/// Sends a signal to the process of a container.
pub(super) fn signal(shared: &Shared, pod: &str, signal: Signal) {
    let pid = fs::read_to_string(shared.folder_of(pod).join("pid")).expect("the container runs");
    let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("it runs");
}

/// Creates the folders of the volumes of a pod.
fn mount(shared: &Shared, pod: &Value, name: &str) {
    let root = shared.folder_of(name);
    for mounted in pod["spec"]["containers"][0]["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let folder = folder_of(&root, mounted["mountPath"].as_str().unwrap_or_default());
        fs::create_dir_all(&folder).expect("a folder");
        let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        for volume in volumes.filter(|volume| volume["name"] == mounted["name"]) {
            let (resource, source) = if volume["configMap"].is_object() {
                ("configmaps", volume["configMap"]["name"].as_str())
            } else {
                ("secrets", volume["secret"]["secretName"].as_str())
            };
            let Some(source) = source else { continue };
            let Some(object) = shared.store().get(resource, source).cloned() else {
                continue;
            };
            let data = object["data"].as_object().cloned().unwrap_or_default();
            let items = volume["configMap"]["items"].as_array().cloned();
            let items = items.unwrap_or_else(|| {
                let all = data.keys().map(|key| json!({ "key": key, "path": key }));
                all.collect()
            });
            for item in items {
                let path = folder.join(item["path"].as_str().unwrap_or_default());
                fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
                let content = data[item["key"].as_str().unwrap_or_default()].as_str();
                fs::write(path, content.unwrap_or_default()).expect("a file");
            }
        }
    }
}

pub(super) fn folder_of(root: &std::path::Path, mount_path: &str) -> PathBuf {
    root.join("volumes")
        .join(mount_path.trim_matches('/').replace('/', "-"))
}

/// Returns the command of the container of a pod, or another one in its place.
fn command_of(shared: &Shared, pod: &Value, name: &str, ip: Ipv4Addr, words: Option<&[String]>) -> Command {
    let container = &pod["spec"]["containers"][0];
    let root = shared.folder_of(name);
    let mounts: Vec<String> = container["volumeMounts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|mounted| mounted["mountPath"].as_str().map(str::to_owned))
        .collect();
    // A path follows the beginning of an argument, or a `=`.
    let placed = |text: &str| {
        let (start, path) = match text.split_once('=') {
            Some((start, path)) if start.starts_with("--") => (format!("{start}="), path),
            _ => (String::new(), text),
        };
        let mut fitting = mounts
            .iter()
            .filter(|mount| path == **mount || path.starts_with(&format!("{mount}/")));
        let path = match fitting.next() {
            Some(mount) => {
                let folder = folder_of(&root, mount);
                let rest = path[mount.len()..].trim_start_matches('/');
                folder.join(rest).to_string_lossy().into_owned()
            }
            None => path.to_owned(),
        };
        format!("{start}{path}")
    };
    let program = match container["name"].as_str() {
        Some("coordinator") => "mirror",
        _ => "mirror-agent",
    };
    let log = File::options()
        .create(true)
        .append(true)
        .open(root.join("log"))
        .expect("a log");
    let mut command = Command::new(shared.programs.join(program));
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a file"))
        .stderr(log)
        .current_dir(&root)
        .env_remove("KUBECONFIG")
        .envs(shared.environment.iter().map(|(key, value)| (key, value)));
    for variable in container["env"].as_array().into_iter().flatten() {
        let name_of_variable = variable["name"].as_str().unwrap_or_default();
        let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
            Some("status.podIP") => ip.to_string(),
            Some("metadata.name") => name.to_owned(),
            _ => placed(variable["value"].as_str().unwrap_or_default()),
        };
        command.env(name_of_variable, value);
    }
    if pod["spec"]["automountServiceAccountToken"] != false {
        command.env("KUBECONFIG", shared.kubeconfig("coordinator"));
    }
    if let Some(words) = words {
        command.args(words.iter().skip(1));
        return command;
    }
    let words = container["args"].as_array().cloned().unwrap_or_default();
    command.args(words.iter().map(|word| {
        let word = word
            .as_str()
            .unwrap_or_default()
            .replace("$(POD_IP)", &ip.to_string());
        placed(&word)
    }));
    command
}

/// Returns a command in the container of a pod that runs. `None` if it does not run.
pub(super) fn command_in(shared: &Shared, pod: &str, words: &[String]) -> Option<Command> {
    let object = shared.store().get("pods", pod)?.clone();
    if object["status"]["phase"] != "Running" {
        return None;
    }
    let ip = object["status"]["podIP"].as_str()?.parse().ok()?;
    Some(command_of(shared, &object, pod, ip, Some(words)))
}

/// Waits until the health service of a container answers.
async fn wait_until_healthy(ip: Ipv4Addr) {
    let address = format!("http://{ip}:{}", mirror_kubernetes::manifests::HEALTH_PORT);
    loop {
        let endpoint = tonic::transport::Endpoint::from_shared(address.clone()).expect("an address");
        if let Ok(channel) = endpoint.connect().await {
            let reply = HealthClient::new(channel)
                .check(HealthCheckRequest::default())
                .await;
            if reply.is_ok_and(|reply| reply.into_inner().status() == ServingStatus::Serving) {
                return;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Sends the log of a pod until its container has ended.
pub(super) async fn follow_log(shared: Arc<Shared>, pod: String, sender: mpsc::Sender<Bytes>) {
    let path = shared.folder_of(&pod).join("log");
    let mut file = loop {
        match tokio::fs::File::open(&path).await {
            Ok(file) => break file,
            Err(_) if sender.is_closed() || shared.store().get("pods", &pod).is_none() => return,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    loop {
        let phase = shared
            .store()
            .get("pods", &pod)
            .map(|pod| pod["status"]["phase"].clone());
        let runs = phase.is_some_and(|phase| phase == "Running" || phase == "Pending");
        let mut bytes = Vec::new();
        if file.read_to_end(&mut bytes).await.is_err() {
            return;
        }
        if !bytes.is_empty() && sender.send(bytes.into()).await.is_err() {
            return;
        }
        if !runs || sender.is_closed() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
