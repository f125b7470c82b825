//! The operations of a person on runs in a cluster: start, list, follow, collect and delete them.
//!
//! The config map of a run owns its other objects, so the cluster deletes them with it. Nothing about a run is kept
//! outside of the cluster.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::{Component as PathPart, Path, PathBuf};
use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{AttachParams, LogParams};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cluster::{Cluster, ClusterError};
use crate::manifests::launcher::{self, Inputs, job_name};
use crate::manifests::{COMPONENT, INSTANCE, MANAGED_BY, NAME, NAME_VALUE, of_all_runs, of_run};
use crate::name::RunName;
use crate::plan::{Component, Plan};
use crate::settings::Settings;

/// Pause before a stream that has broken is opened again.
const PAUSE: Duration = Duration::from_secs(1);

/// Number of attempts to fetch a run of which the connection breaks.
const ATTEMPTS: u32 = 5;

/// Size of the buffer between the connection and the file, in bytes.
const BUFFER: usize = 1 << 20;

/// Maximum size of an archive of runs, in bytes. Its files have no more bytes than it.
const MAX_ARCHIVE: u64 = 64 << 30;

/// Maximum number of files and folders in an archive.
const MAX_ENTRIES: usize = 1_000_000;

/// Name of the coordinator's container.
const COORDINATOR: &str = Component::Coordinator.as_str();

/// Maximum size of the error output of a program in a container, in bytes.
const MAX_ERRORS: u64 = 64 << 10;

/// The last file in the archive of runs. It has the exit status of the coordinator.
pub const ENDED: &str = ".ended";

/// An operation on a run that failed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// A request failed.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The namespace has no room for the pods.
    #[error(
        "the run needs {needed} pods (one for each node, and one for the coordinator), and the quota `{quota}` of the \
         namespace `{namespace}` has room for {room}: set `network.axons_per_process` to put several miners into a pod, \
         or use another namespace"
    )]
    Quota {
        /// Number of pods.
        needed: usize,
        /// Name of the quota.
        quota: String,
        /// Namespace of the quota.
        namespace: String,
        /// Number of pods that it leaves.
        room: i64,
    },
    /// A run with this name exists.
    #[error(
        "the namespace `{namespace}` has objects of a run `{run}` already: `mirror kubernetes delete {run}` deletes it, which \
         takes the cluster some seconds"
    )]
    Exists {
        /// Name of the run.
        run: String,
        /// Namespace of the run.
        namespace: String,
    },
    /// There is no such run.
    #[error(
        "the namespace `{namespace}` has no run `{run}`: `mirror kubernetes status` lists those that it has"
    )]
    Unknown {
        /// Name of the run.
        run: String,
        /// The namespace.
        namespace: String,
    },
    /// The objects of the run were created by another tool.
    #[error("the run `{run}` was not started by `mirror kubernetes run`: delete it with {with}")]
    Foreign {
        /// Name of the run.
        run: String,
        /// A command in words.
        with: String,
    },
    /// The run has not ended.
    #[error("the run `{0}` has not ended: `mirror kubernetes status {0}` shows its pods")]
    Running(String),
    /// The container of the coordinator has ended, and the run with it.
    #[error(
        "the coordinator of the run `{0}` is gone, and the run with it: a run is kept for the `holdMinutes` of the \
         settings after its end"
    )]
    Gone(String),
    /// A program in a container failed.
    #[error("cannot fetch the run: {0}")]
    Fetch(String),
    /// A file of the archive is not acceptable.
    #[error("cannot unpack the run: {0}")]
    Unpack(String),
    /// A file cannot be written here.
    #[error("cannot write {}: {source}", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// A run in a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunView {
    /// Name of the run.
    pub name: String,
    /// Time at which it was started, as the API server writes it (RFC 3339).
    pub started: String,
    /// State of the job: `running`, `succeeded`, `failed`, or `not started`.
    pub state: &'static str,
}

/// Checks that the quotas of the namespace have room for the pods of a run.
///
/// # Errors
///
/// Returns an error if one has not, or the API server refuses.
pub async fn check_quotas(cluster: &Cluster, plan: &Plan) -> Result<(), SessionError> {
    let needed = plan.pods() + 1;
    for quota in cluster.list("v1", "ResourceQuota", "").await? {
        for key in ["pods", "count/pods"] {
            let count = |part: &str| quota["status"][part][key].as_str()?.parse::<i64>().ok();
            let Some(hard) = count("hard") else { continue };
            let room = hard - count("used").unwrap_or(0);
            if i64::try_from(needed).unwrap_or(i64::MAX) > room {
                return Err(SessionError::Quota {
                    needed,
                    quota: quota["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
                    namespace: cluster.namespace().to_owned(),
                    room,
                });
            }
        }
    }
    Ok(())
}

/// Creates the objects that start a run.
///
/// # Errors
///
/// Returns an error if there is a run with this name, or the API server refuses an object. Objects that were created
/// before stay, and [`delete`] removes them.
pub async fn start(
    cluster: &Cluster,
    run: &RunName,
    inputs: &Inputs,
    settings: &Settings,
) -> Result<(), SessionError> {
    let mut objects = launcher::objects(run, inputs, settings).into_iter();
    let Some(first) = objects.next() else {
        return Ok(());
    };
    // The cluster deletes the job of a deleted run later than its config map.
    let exists = cluster.get(&first).await?.is_some() || cluster.get(&job_object(run)).await?.is_some();
    if exists {
        return Err(SessionError::Exists {
            run: run.to_string(),
            namespace: cluster.namespace().to_owned(),
        });
    }
    let owner = cluster.apply(&first).await?;
    for mut object in objects {
        set_owner(&mut object, &owner);
        set_subject_namespace(&mut object, cluster.namespace());
        cluster.apply(&object).await?;
    }
    Ok(())
}

/// Makes `owner` the owner of an object, which the cluster deletes with it.
pub fn set_owner(object: &mut Value, owner: &Value) {
    object["metadata"]["ownerReferences"] = json!([{
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }]);
}

/// Sets the namespace of the service accounts that a role binding names.
pub fn set_subject_namespace(object: &mut Value, namespace: &str) {
    let subjects = object.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects.into_iter().flatten() {
        subject["namespace"] = namespace.into();
    }
}

/// Lists the runs of the namespace, the oldest first.
///
/// # Errors
///
/// Returns an error if the API server refuses, or cannot be reached.
pub async fn runs(cluster: &Cluster) -> Result<Vec<RunView>, SessionError> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let jobs = cluster.list("batch/v1", "Job", &of_all_runs()).await?;
    let state = |run: &str| {
        let job = jobs
            .iter()
            .find(|job| job["metadata"]["labels"][INSTANCE] == run)
            .map(|job| &job["status"]);
        let count = |key: &str| job.and_then(|status| status[key].as_u64()).unwrap_or(0);
        match job {
            None => "not started",
            Some(_) if count("succeeded") > 0 => "succeeded",
            Some(_) if count("failed") > 0 => "failed",
            Some(_) => "running",
        }
    };
    let mut runs: Vec<RunView> = cluster
        .list("v1", "ConfigMap", &of_all_runs())
        .await?
        .iter()
        .map(|object| {
            let name = text(&object["metadata"]["labels"][INSTANCE]);
            RunView {
                state: state(&name),
                started: text(&object["metadata"]["creationTimestamp"]),
                name,
            }
        })
        .collect();
    runs.sort_by(|one, other| (&one.started, &one.name).cmp(&(&other.started, &other.name)));
    Ok(runs)
}

/// Deletes a run. The cluster deletes the objects that it owns.
///
/// # Errors
///
/// Returns an error if there is no such run, if another tool has created it, or if the API server refuses.
pub async fn delete(cluster: &Cluster, run: &RunName) -> Result<(), SessionError> {
    let root = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": run.as_str() } });
    let Some(found) = cluster.get(&root).await? else {
        return Err(unknown(cluster, run));
    };
    if found["metadata"]["labels"][NAME] != NAME_VALUE {
        return Err(unknown(cluster, run));
    }
    let foreign = |with: String| SessionError::Foreign {
        run: run.to_string(),
        with,
    };
    let namespace = cluster.namespace();
    if found["metadata"]["labels"][MANAGED_BY] == "Helm" {
        return Err(foreign(format!("`helm uninstall {run} --namespace {namespace}`")));
    }
    if let Some(job) = cluster.get(&job_object(run)).await?
        && job["metadata"]["ownerReferences"].is_null()
    {
        let manifests = "`kubectl delete --filename` and the manifests that it was started with";
        return Err(foreign(manifests.to_owned()));
    }
    cluster.delete(&root).await?;
    Ok(())
}

/// Returns the type and the name of the job of a run.
fn job_object(run: &RunName) -> Value {
    json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": job_name(run) } })
}

fn unknown(cluster: &Cluster, run: &RunName) -> SessionError {
    SessionError::Unknown {
        run: run.to_string(),
        namespace: cluster.namespace().to_owned(),
    }
}

/// Returns the name of the newest pod of the coordinator. `None` if there is none.
///
/// # Errors
///
/// Returns an error if the API server refuses, or cannot be reached.
pub async fn coordinator_pod(cluster: &Cluster, run: &RunName) -> Result<Option<String>, SessionError> {
    let selector = format!("{},{COMPONENT}={}", of_run(run), Component::Coordinator.as_str());
    let mut pods = cluster.list("v1", "Pod", &selector).await?;
    let created = |pod: &Value| pod["metadata"]["creationTimestamp"].as_str().map(str::to_owned);
    pods.sort_by_key(created);
    let newest = pods.pop();
    Ok(newest.and_then(|pod| pod["metadata"]["name"].as_str().map(str::to_owned)))
}

/// Calls `take` with each line of the log of a pod, until the log ends or `take` returns `false`. A connection that
/// breaks is opened again, and no line is repeated.
///
/// # Errors
///
/// Returns an error if the API server refuses, or cannot be reached for minutes.
pub async fn follow_log(
    cluster: &Cluster,
    pod: &str,
    mut take: impl FnMut(&str) -> bool,
) -> Result<(), SessionError> {
    let api = cluster.api::<Pod>();
    let parameters = LogParams {
        follow: true,
        container: Some(COORDINATOR.to_owned()),
        ..LogParams::default()
    };
    let mut taken = 0;
    loop {
        let stream = cluster
            .retrying(&format!("follow the log of the pod `{pod}`"), || {
                api.log_stream(pod, &parameters)
            })
            .await?;
        let mut lines = stream.lines();
        let mut seen = 0;
        let broken = loop {
            match lines.try_next().await {
                Ok(Some(line)) => {
                    seen += 1;
                    if seen > taken {
                        taken = seen;
                        if !take(&line) {
                            return Ok(());
                        }
                    }
                }
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        // The log of a container that runs ends with the connection only.
        if !broken && phase(cluster, pod).await? == Phase::Ended {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The phase of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Its container has not started.
    Pending,
    Running,
    /// It has ended, or was deleted.
    Ended,
}

async fn phase(cluster: &Cluster, pod: &str) -> Result<Phase, SessionError> {
    let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod } });
    let found = cluster.get(&object).await?;
    let phase = found.as_ref().and_then(|pod| pod["status"]["phase"].as_str());
    Ok(match phase {
        Some("Pending") => Phase::Pending,
        Some("Running") => Phase::Running,
        _ => Phase::Ended,
    })
}

/// A run that was fetched from a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected {
    /// The folders of the runs and groups.
    pub folders: Vec<PathBuf>,
    /// The exit status of the coordinator.
    pub status: u8,
}

/// Fetches a run that has ended into `runs_dir`, and lets its coordinator end.
///
/// # Errors
///
/// Returns an error if the run has not ended, is gone, or cannot be fetched or written.
pub async fn collect(cluster: &Cluster, run: &RunName, runs_dir: &Path) -> Result<Collected, SessionError> {
    let Some(pod) = coordinator_pod(cluster, run).await? else {
        return Err(unknown(cluster, run));
    };
    match phase(cluster, &pod).await? {
        Phase::Pending => return Err(SessionError::Running(run.to_string())),
        Phase::Running => {}
        Phase::Ended => return Err(SessionError::Gone(run.to_string())),
    }
    let on_disk = |path: &Path, source| SessionError::Disk {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(runs_dir).map_err(|error| on_disk(runs_dir, error))?;
    let folder =
        TempDir::with_prefix_in(".collecting-", runs_dir).map_err(|error| on_disk(runs_dir, error))?;
    let archive = folder.path().join("archive.tar");
    let mut attempt = 1;
    loop {
        match execute(cluster, &pod, "archive", &archive).await {
            Ok(()) => break,
            Err(error) if attempt >= ATTEMPTS => return Err(error),
            Err(error) => tracing::warn!("{error}; trying again"),
        }
        attempt += 1;
        tokio::time::sleep(PAUSE).await;
    }
    let unpacked = folder.path().join("runs");
    let (from, to) = (archive.clone(), unpacked.clone());
    let status = tokio::task::spawn_blocking(move || unpack(&from, &to))
        .await
        .map_err(|error| SessionError::Unpack(error.to_string()))??
        .ok_or_else(|| SessionError::Running(run.to_string()))?;
    let mut folders = Vec::new();
    let entries = fs::read_dir(&unpacked).map_err(|error| on_disk(&unpacked, error))?;
    for entry in entries {
        let entry = entry.map_err(|error| on_disk(&unpacked, error))?;
        let target = runs_dir.join(entry.file_name());
        // The id of a run is unique. A folder of that name is the same run, which an interrupted command has fetched.
        if !target.exists() {
            fs::rename(entry.path(), &target).map_err(|error| on_disk(&target, error))?;
        }
        folders.push(target);
    }
    folders.sort();
    // The coordinator deletes the only other copy.
    let synced = File::open(runs_dir).and_then(|folder| Ok(rustix::fs::syncfs(folder)?));
    synced.map_err(|error| on_disk(runs_dir, error))?;
    if let Err(error) = execute(cluster, &pod, "release", &folder.path().join("released")).await {
        tracing::warn!("the run was fetched, and its coordinator still waits: {error}");
    }
    Ok(Collected { folders, status })
}

/// Executes a command of `mirror kubernetes` in the container of the coordinator, and writes its output to a file.
async fn execute(cluster: &Cluster, pod: &str, command: &str, output: &Path) -> Result<(), SessionError> {
    let failed = |reason: String| SessionError::Fetch(format!("`{command}` in the pod `{pod}`: {reason}"));
    let on_disk = |source| SessionError::Disk {
        path: output.to_owned(),
        source,
    };
    let parameters = AttachParams {
        container: Some(COORDINATOR.to_owned()),
        stdin: false,
        stdout: true,
        stderr: true,
        max_stdout_buf_size: Some(BUFFER),
        ..AttachParams::default()
    };
    let words = ["/usr/bin/mirror", "kubernetes", command];
    let api = cluster.api::<Pod>();
    let mut process = cluster
        .retrying(&format!("execute a program in the pod `{pod}`"), || {
            api.exec(pod, words, &parameters)
        })
        .await?;
    let (Some(mut stdout), Some(mut stderr), Some(status)) =
        (process.stdout(), process.stderr(), process.take_status())
    else {
        return Err(failed("the connection has no streams".to_owned()));
    };
    let mut file = tokio::fs::File::create(output).await.map_err(on_disk)?;
    let writing = async {
        let mut buffer = vec![0; BUFFER];
        let mut size = 0;
        loop {
            match stdout.read(&mut buffer).await {
                Ok(0) => break,
                Ok(count) => {
                    size += count as u64;
                    if size > MAX_ARCHIVE {
                        return Err(failed(format!("it sends more than {MAX_ARCHIVE} bytes")));
                    }
                    file.write_all(&buffer[..count]).await.map_err(on_disk)?;
                }
                Err(error) => return Err(failed(error.to_string())),
            }
        }
        file.flush().await.map_err(on_disk)
    };
    let mut errors = Vec::new();
    let reading = async {
        let broken = |error: io::Error| failed(error.to_string());
        (&mut stderr)
            .take(MAX_ERRORS)
            .read_to_end(&mut errors)
            .await
            .map_err(broken)?;
        // The connection stands still while one of its streams is not read.
        tokio::io::copy(&mut stderr, &mut tokio::io::sink())
            .await
            .map_err(broken)
    };
    tokio::try_join!(writing, reading)?;
    match status.await {
        Some(status) if status.status.as_deref() == Some("Success") => Ok(()),
        Some(status) => {
            let errors = String::from_utf8_lossy(&errors);
            let message = status.message.unwrap_or_default();
            Err(failed(format!("{message} {}", errors.trim())))
        }
        None => Err(failed("the connection broke".to_owned())),
    }
}

/// Unpacks an archive of runs. Returns the exit status of the coordinator. `None` if the run has not ended, so that the
/// archive is empty.
fn unpack(archive: &Path, target: &Path) -> Result<Option<u8>, SessionError> {
    let refused = |error: String| SessionError::Unpack(error);
    fs::create_dir_all(target).map_err(|error| refused(error.to_string()))?;
    let file = File::open(archive).map_err(|error| refused(error.to_string()))?;
    if file.metadata().map_err(|error| refused(error.to_string()))?.len() == 0 {
        return Ok(None);
    }
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut status = None;
    for (number, entry) in archive
        .entries()
        .map_err(|error| refused(error.to_string()))?
        .enumerate()
    {
        if number >= MAX_ENTRIES {
            return Err(refused(format!(
                "it has more than {MAX_ENTRIES} files and folders"
            )));
        }
        let mut entry = entry.map_err(|error| refused(error.to_string()))?;
        let path = entry
            .path()
            .map_err(|error| refused(error.to_string()))?
            .into_owned();
        let is_inside = path.components().all(|part| matches!(part, PathPart::Normal(_)));
        if !is_inside {
            return Err(refused(format!("the path {} leaves the folder", path.display())));
        }
        let kind = entry.header().entry_type();
        if path == Path::new(ENDED) {
            let mut text = String::new();
            io::Read::read_to_string(&mut io::Read::take(&mut entry, 16), &mut text)
                .map_err(|error| refused(error.to_string()))?;
            let number = text.trim().parse();
            status = Some(number.map_err(|_| refused(format!("`{text}` is no exit status")))?);
        } else if kind.is_dir() || kind.is_file() {
            entry
                .unpack_in(target)
                .map_err(|error| refused(format!("{}: {error}", path.display())))?;
        } else {
            return Err(refused(format!(
                "{} is neither a file nor a folder",
                path.display()
            )));
        }
    }
    status
        .ok_or_else(|| refused("the archive is incomplete".to_owned()))
        .map(Some)
}

/// Writes an archive of the runs below `folder` to `output`. The file [`ENDED`] comes last. Writes nothing if there is
/// no such file.
///
/// # Errors
///
/// Returns an error if a file cannot be read, or the output not be written.
pub fn write_archive(folder: &Path, output: impl io::Write) -> io::Result<()> {
    let ended = folder.join(ENDED);
    if !ended.is_file() {
        return Ok(());
    }
    let mut archive = tar::Builder::new(output);
    archive.follow_symlinks(false);
    archive.sparse(false);
    let mut names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        let path = folder.join(&name);
        if path.is_dir() && !name.to_string_lossy().starts_with('.') {
            append(&mut archive, &path, Path::new(&name))?;
        }
    }
    archive.append_path_with_name(&ended, ENDED)?;
    archive.finish()
}

/// Appends a folder with its files and folders, without links.
fn append<W: io::Write>(archive: &mut tar::Builder<W>, folder: &Path, name: &Path) -> io::Result<()> {
    archive.append_dir(name, folder)?;
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (kind, name) = (entry.file_type()?, name.join(entry.file_name()));
        if kind.is_dir() {
            append(archive, &entry.path(), &name)?;
        } else if kind.is_file() {
            archive.append_path_with_name(entry.path(), name)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a folder with a run of two files.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let run = folder.path().join("run-1/tables");
        fs::create_dir_all(&run).expect("a folder");
        fs::write(run.join("events.parquet"), vec![7; 100_000]).expect("a file");
        fs::write(folder.path().join("run-1/run.json"), "{}").expect("a file");
        folder
    }

    #[test]
    fn an_archive_is_unpacked_to_the_same_files() {
        let (from, to) = (folder(), tempfile::tempdir().expect("a folder"));
        let archive = to.path().join("archive");
        let target = to.path().join("runs");
        let pack =
            || write_archive(from.path(), File::create(&archive).expect("a file")).expect("an archive");
        pack();
        assert_eq!(
            unpack(&archive, &target).expect("it is empty"),
            None,
            "the run has not ended"
        );
        fs::write(from.path().join(ENDED), "3").expect("a file");
        pack();
        assert_eq!(unpack(&archive, &target).expect("it is whole"), Some(3));
        let read = |root: &Path| fs::read(root.join("run-1/tables/events.parquet")).expect("a file");
        assert_eq!(read(&target), read(from.path()));
        assert!(target.join("run-1/run.json").is_file());

        let bytes = fs::read(&archive).expect("the archive");
        for length in [1, 600, 50_000, bytes.len() - 2_048] {
            fs::write(&archive, &bytes[..length]).expect("a part of it");
            let error = unpack(&archive, &to.path().join("part")).expect_err("it is incomplete");
            assert!(matches!(error, SessionError::Unpack(_)), "{length}: {error}");
        }
    }

    #[test]
    fn an_archive_cannot_write_outside_of_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let archive = folder.path().join("archive");
        for (name, kind, message) in [
            ("../x", tar::EntryType::Regular, "leaves the folder"),
            ("link", tar::EntryType::Symlink, "neither a file nor a folder"),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_size(0);
            // `set_path` refuses such a path, and an attacker does not.
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_link_name("/etc").expect("a link");
            header.set_cksum();
            let mut builder = tar::Builder::new(File::create(&archive).expect("a file"));
            builder.append(&header, io::empty()).expect("an entry");
            builder.finish().expect("an archive");
            let error = unpack(&archive, &folder.path().join("runs")).expect_err(name);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
