//! A fake of a Kubernetes cluster, for what cannot run here: an API server on loopback, the controllers of stateful
//! sets and jobs, the garbage collector, and a kubelet whose containers are processes of this machine.
//!
//! It is no cluster: it has one namespace, checks no schemas, isolates nothing, and mounts nothing. The paths of
//! volumes in the arguments of a container are replaced by those of folders. What it does have is what the programs of
//! this project use: server-side apply, lists, watches, logs, connections of `exec`, probes, and permissions by role.

mod exec;
mod kubelet;
mod server;
mod store;

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use mirror_test_support::{eventually, logging_below};
use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::store::Store;

/// The only namespace.
pub const NAMESPACE: &str = "lab";

/// A cluster on loopback. Its processes are killed when it is dropped.
#[derive(Debug)]
pub struct FakeCluster {
    shared: Arc<Shared>,
    ending: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

/// A failure that the cluster is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Images with this in their names cannot be pulled.
    NoImage(&'static str),
    /// Pods of this kind fit on no machine.
    Unschedulable(&'static str),
    /// The API server refuses this verb on this resource, for every caller.
    Forbidden(&'static str, &'static str),
}

/// A request: who made it (`person` or `coordinator`), the verb and the resource.
pub type Request = (String, String, String);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    programs: PathBuf,
    address: SocketAddr,
    /// Second and third part of the IP addresses of the pods.
    network: [u8; 2],
    store: Mutex<Store>,
    /// Number of changes of the store.
    changes: watch::Sender<u64>,
    /// Whether the API server answers.
    is_reachable: watch::Sender<bool>,
    failures: Mutex<Vec<Failure>>,
    requests: Mutex<BTreeSet<Request>>,
    /// Environment variables of all containers.
    environment: Vec<(String, PathBuf)>,
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> Vec<Failure> {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Changes the store, and lets the watches and the controllers know.
    fn change<T>(&self, change: impl FnOnce(&mut Store) -> T) -> T {
        let changed = change(&mut self.store());
        self.changes.send_modify(|changes| *changes += 1);
        changed
    }

    fn folder_of(&self, pod: &str) -> PathBuf {
        self.folder.join("pods").join(pod)
    }

    fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.kubeconfig"))
    }
}

impl FakeCluster {
    /// Starts a cluster whose files are below `folder`, and whose images contain the programs in `programs`.
    /// `environment` is set in all containers.
    ///
    /// # Panics
    ///
    /// Panics if the operating system refuses a thread or an address.
    pub fn start(folder: &Path, programs: &Path, environment: Vec<(String, PathBuf)>) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback address");
        listener.set_nonblocking(true).expect("a socket");
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            programs: programs.to_owned(),
            address: listener.local_addr().expect("an address"),
            // Tests run in processes of their own, at the same time.
            network: [
                64 + (std::process::id() >> 8) as u8 % 64,
                std::process::id() as u8,
            ],
            store: Mutex::default(),
            changes: watch::Sender::new(0),
            is_reachable: watch::Sender::new(true),
            failures: Mutex::default(),
            requests: Mutex::default(),
            environment,
        });
        fs::create_dir_all(folder.join("pods")).expect("a folder");
        for user in ["person", "coordinator"] {
            fs::write(shared.kubeconfig(user), kubeconfig(shared.address, user)).expect("a file");
        }
        let ending = CancellationToken::new();
        let (of_thread, ended) = (shared.clone(), ending.clone());
        let thread = std::thread::spawn(move || run(of_thread, listener, &ended));
        Self {
            shared,
            ending,
            thread: Some(thread),
        }
    }

    /// Returns the kubeconfig file of a person.
    pub fn kubeconfig(&self) -> PathBuf {
        self.shared.kubeconfig("person")
    }

    /// Adds a failure.
    pub fn fail(&self, failure: Failure) {
        let mut failures = self
            .shared
            .failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        failures.push(failure);
    }

    /// Creates an object.
    pub fn create(&self, object: Value) {
        self.shared.change(|store| store.apply(object));
    }

    /// Returns the objects of a resource, such as `pods`.
    pub fn objects(&self, resource: &str) -> Vec<Value> {
        self.shared.store().list(resource)
    }

    /// Returns the kinds and names of all objects.
    pub fn names(&self) -> Vec<String> {
        self.shared.store().names()
    }

    /// Deletes a pod, as its eviction does.
    pub fn delete_pod(&self, name: &str) {
        self.shared.change(|store| store.delete("pods", name));
    }

    /// Asks the container of a pod to end, as the deletion of its pod does first.
    pub fn terminate(&self, pod: &str) {
        kubelet::signal(&self.shared, pod, Signal::TERM);
    }

    /// Returns the folder of a volume of a pod.
    pub fn volume(&self, pod: &str, mount_path: &str) -> PathBuf {
        kubelet::folder_of(&self.shared.folder_of(pod), mount_path)
    }

    /// Ends the container of a pod as the kernel does when the pod has no memory left.
    pub fn kill_for_memory(&self, pod: &str) {
        kubelet::kill_for_memory(&self.shared, pod);
    }

    /// Sets whether the API server answers. If not, it closes all connections.
    pub fn set_reachable(&self, is_reachable: bool) {
        self.shared.is_reachable.send_replace(is_reachable);
    }

    /// Returns the requests that were made.
    pub fn requests(&self) -> BTreeSet<Request> {
        self.shared
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Drop for FakeCluster {
    fn drop(&mut self) {
        self.ending.cancel();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed.
            let _ = thread.join();
            // A node ends after its agent.
            eventually("the processes of the cluster end", || {
                logging_below(&self.shared.folder).is_empty().then_some(())
            });
        }
    }
}

/// Runs the cluster in this thread. The end of its tasks kills the processes of the containers.
fn run(shared: Arc<Shared>, listener: std::net::TcpListener, ending: &CancellationToken) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("a socket");
        tokio::spawn(server::serve(shared.clone(), listener));
        tokio::spawn(kubelet::run(shared));
        ending.cancelled().await;
    });
}

fn kubeconfig(address: SocketAddr, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: fake\n\
         clusters: [{{name: fake, cluster: {{server: 'http://{address}'}}}}]\n\
         contexts: [{{name: fake, context: {{cluster: fake, user: {user}, namespace: {NAMESPACE}}}}}]\n\
         users: [{{name: {user}, user: {{token: {user}}}}}]\n"
    )
}
