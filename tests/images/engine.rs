//! A Docker engine: the one that is already reachable, or one that is started for the test.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use mirror_tests::eventually;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// An engine that can be reached.
pub(crate) struct Engine {
    /// The value of `DOCKER_HOST` for the clients. `None` for the engine that they reach without one.
    host: Option<String>,
    own: Option<Own>,
}

/// An engine that was started for the test. It ends when this is dropped.
struct Own {
    daemon: Child,
    /// The images, containers and sockets of the engine.
    folder: TempDir,
}

impl Engine {
    /// Finds an engine or starts one. Returns `None` and prints the reason if this user cannot have one.
    ///
    /// # Panics
    ///
    /// Panics in CI if there is no engine.
    pub(crate) fn find() -> Option<Self> {
        match Self::reachable().map_or_else(Self::start, Ok) {
            Ok(engine) => Some(engine),
            Err(reason) => {
                assert!(std::env::var_os("CI").is_none(), "no Docker: {reason}");
                eprintln!("skipped: no Docker: {reason}");
                None
            }
        }
    }

    fn reachable() -> Option<Self> {
        let engine = Self {
            host: None,
            own: None,
        };
        engine.is_ready().then_some(engine)
    }

    /// Starts an engine without a bridge and rules of a firewall, for containers on the network of the host.
    fn start() -> Result<Self, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let host = format!("unix://{}", at("socket").display());
        let log = File::create_new(at("log")).expect("a file for the log");
        let daemon = Command::new("dockerd")
            .arg("--data-root")
            .arg(at("data"))
            .arg("--exec-root")
            .arg(at("exec"))
            .arg("--pidfile")
            .arg(at("pid"))
            .args(["--host", &host, "--bridge=none", "--iptables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .map_err(|error| format!("no engine is reachable, and `dockerd` cannot be started: {error}"))?;
        let mut engine = Self {
            host: Some(host),
            own: Some(Own { daemon, folder }),
        };
        eventually("the Docker engine is ready or has ended", || {
            if engine.is_ready() {
                return Some(Ok(()));
            }
            let own = engine.own.as_mut().expect("it was started above");
            let status = own.daemon.try_wait().expect("a child can be waited for")?;
            let log = std::fs::read_to_string(own.folder.path().join("log")).expect("the log can be read");
            Some(Err(format!("`dockerd` ended ({status}):\n{log}")))
        })?;
        Ok(engine)
    }

    fn is_ready(&self) -> bool {
        let asked = self
            .client(Path::new("docker"))
            .args(["info", "--format", "{{.ID}}"])
            .output();
        asked.is_ok_and(|output| output.status.success())
    }

    /// Returns the command `program`, which reaches this engine.
    pub(crate) fn client(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.envs(self.host.iter().map(|host| ("DOCKER_HOST", host)));
        command.stdin(Stdio::null());
        command
    }

    /// Runs `docker` with the arguments `words`, which must succeed, and returns its output.
    #[track_caller]
    pub(crate) fn docker(&self, words: &[&str]) -> String {
        let output = self.try_docker(words);
        assert!(output.status.success(), "docker {words:?}: {output:?}");
        String::from_utf8(output.stdout)
            .expect("the output is text")
            .trim_end()
            .to_owned()
    }

    /// Runs `docker` with the arguments `words`.
    pub(crate) fn try_docker(&self, words: &[&str]) -> Output {
        self.client(Path::new("docker"))
            .args(words)
            .output()
            .expect("`docker` starts")
    }

    /// Returns the command of Docker's compose, which is a plugin of the client or a program.
    pub(crate) fn compose(&self) -> Command {
        if self.try_docker(&["compose", "version"]).status.success() {
            let mut compose = self.client(Path::new("docker"));
            compose.arg("compose");
            return compose;
        }
        self.client(Path::new("docker-compose"))
    }
}

impl Own {
    /// Unmounts the network namespace of the containers, which an engine leaves in its folder when it ends.
    fn unmount_network(&self) {
        let namespace = self.folder.path().join("exec/netns/default");
        if namespace.exists() {
            let unmounted = Command::new("umount").arg("--lazy").arg(&namespace).status();
            assert!(
                std::thread::panicking() || unmounted.is_ok_and(|status| status.success()),
                "cannot unmount {}",
                namespace.display()
            );
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // An engine that ends on request ends its containers, and unmounts their file systems.
        let asked = kill_process(Pid::from_child(&self.daemon), Signal::TERM);
        let ended = self.daemon.wait();
        self.unmount_network();
        assert!(
            std::thread::panicking() || (asked.is_ok() && ended.is_ok()),
            "the Docker engine did not end: {asked:?} {ended:?}"
        );
    }
}
