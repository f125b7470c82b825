//! A dedicated working directory in which `mirror` runs, and access to the results.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use mirror_runs::tables::Row;
use mirror_runs::{Layout, Run};
use mirror_sql::Engine;
use mirror_test_support::{Process, descendants, eventually, logging_below};
use rustix::process::Signal;
use tempfile::TempDir;

/// The programs of an experiment.
const PROGRAMS: [&str; 5] = [
    "mirror",
    "mirror-subtensor",
    "mirror-miner",
    "mirror-validator",
    "mirror-proxy",
];

/// Environment variables that would let the settings of this machine influence a test.
const OUTSIDE: [&str; 7] = [
    "MIRROR_RUNS",
    "MIRROR_DATA",
    "MIRROR_MODELS",
    "HF_HOME",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "RUST_LOG",
];

/// A dedicated working directory. All processes started in it must have ended when it is dropped.
#[derive(Debug)]
pub struct TestEnv {
    folder: TempDir,
    programs: PathBuf,
    environment: Vec<(String, PathBuf)>,
}

/// A command in progress.
#[derive(Debug)]
pub struct RunningCommand {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    words: String,
    runs: PathBuf,
    /// Run directories that existed when the command started.
    earlier: Vec<PathBuf>,
}

/// The result of a command.
#[derive(Debug)]
pub struct Output {
    /// The exit status. `None` if a signal terminated the command.
    pub status: Option<i32>,
    /// The standard output.
    pub out: String,
    /// The standard error.
    pub err: String,
}

/// Returns the DuckDB executable that answers SQL. Without one, tests that need it are skipped with a message, except
/// in CI, where they fail.
///
/// # Panics
///
/// Panics in CI if there is no executable.
pub fn duckdb() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<Engine>> = OnceLock::new();
    let engine = FOUND.get_or_init(|| match Engine::find() {
        Ok(engine) => Some(engine),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{error}");
            eprintln!("tests of SQL are skipped: {error}");
            None
        }
    });
    engine.as_ref().map(Engine::program)
}

impl TestEnv {
    /// Creates an empty test environment, with the programs that were built next to the test.
    ///
    /// # Panics
    ///
    /// Panics if the programs have not been built.
    pub fn new() -> Self {
        Self::with_programs(built_programs())
    }

    /// Creates an empty test environment, with the programs in the folder `programs`.
    pub fn with_programs(programs: PathBuf) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            programs,
            environment: Vec::new(),
        }
    }

    /// Returns the working directory.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the folder of the programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Returns the folder of the runs, unless a command sets another one.
    pub fn runs_dir(&self) -> PathBuf {
        self.path().join("runs")
    }

    /// Sets an environment variable for all commands that are started from now on.
    pub fn set(&mut self, variable: &str, path: impl Into<PathBuf>) {
        self.environment.push((variable.to_owned(), path.into()));
    }

    /// Writes a file into the working directory and returns its name.
    pub fn file<'a>(&self, name: &'a str, content: impl AsRef<[u8]>) -> &'a str {
        let path = self.path().join(name);
        let folder = path.parent().expect("a file has a parent folder");
        fs::create_dir_all(folder).expect("a folder for the file");
        fs::write(path, content).expect("the file is written");
        name
    }

    /// Starts `mirror` with the arguments `words`.
    pub fn start(&self, words: &[&str]) -> RunningCommand {
        let number = fs::read_dir(self.path()).expect("the working directory").count();
        let out = self.path().join(format!("out-{number}"));
        let err = self.path().join(format!("err-{number}"));
        let create = |path: &Path| File::create_new(path).expect("a file for the output");
        let mut command = Command::new(self.programs.join("mirror"));
        for variable in OUTSIDE {
            command.env_remove(variable);
        }
        command
            .args(words)
            .current_dir(self.path())
            .env("XDG_CACHE_HOME", self.path().join("cache"))
            .env("MIRROR_DUCKDB", duckdb().unwrap_or(Path::new("")))
            .envs(self.environment.iter().map(|(variable, path)| (variable, path)))
            .stdin(Stdio::null())
            .stdout(create(&out))
            .stderr(create(&err));
        RunningCommand {
            earlier: folders(&self.runs_dir()),
            child: command.spawn().expect("`mirror` starts"),
            out,
            err,
            words: words.join(" "),
            runs: self.runs_dir(),
        }
    }

    /// Runs `mirror` with the arguments `words`, and checks that no process is left.
    ///
    /// # Panics
    ///
    /// Panics if a process is left.
    #[track_caller]
    pub fn mirror(&self, words: &[&str]) -> Output {
        let ended = self.start(words).ends();
        assert_eq!(
            logging_below(self.path()),
            [],
            "processes left by {words:?}: {ended:?}"
        );
        ended
    }

    /// Runs an experiment, which must succeed, and opens its run.
    ///
    /// # Panics
    ///
    /// Panics if the command fails or leaves a process.
    #[track_caller]
    pub fn done(&self, file: &str, settings: &[&str]) -> Run {
        let mut running = self.start_run(file, settings);
        let folder = running.folder();
        let ended = running.ends();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(logging_below(self.path()), [], "processes left: {ended:?}");
        Run::open(folder).expect("a run that has ended opens")
    }

    /// Starts an experiment. Each of the `settings` is a `path=value` that overrides the file.
    pub fn start_run(&self, file: &str, settings: &[&str]) -> RunningCommand {
        let mut words = vec!["run", file, "--offline"];
        for setting in settings {
            words.extend(["--set", setting]);
        }
        self.start(&words)
    }

    /// Runs `mirror runs diff` on two runs.
    #[track_caller]
    pub fn diff(&self, first: &Run, second: &Run) -> Output {
        let id = |run: &Run| run.manifest().id.clone();
        self.mirror(&["runs", "diff", &id(first), &id(second)])
    }
}

impl Drop for TestEnv {
    fn drop(&mut self) {
        let left = logging_below(self.path());
        for process in &left {
            process.send(Signal::KILL);
        }
        assert!(
            std::thread::panicking() || left.is_empty(),
            "processes are left: {left:?}"
        );
    }
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl RunningCommand {
    /// Waits until the command has created a run, and returns its directory.
    #[track_caller]
    pub fn folder(&mut self) -> PathBuf {
        let (runs, earlier) = (self.runs.clone(), self.earlier.clone());
        self.watch("the run directory exists", || {
            let mut new = folders(&runs);
            new.retain(|folder| !earlier.contains(folder) && Layout::new(folder).manifest().exists());
            new.pop()
        })
    }

    /// Waits for the process of the node called `name`, and returns it as soon as its program runs, before it is ready.
    #[track_caller]
    pub fn node(&mut self, name: &str) -> Process {
        let (folder, pid) = (self.folder(), self.child.id());
        self.watch(&format!("{name} runs"), || node_of(pid, &folder, name))
    }

    /// Returns the process of the node called `name`, if there is one now.
    pub fn node_now(&mut self, name: &str) -> Option<Process> {
        let folder = self.folder();
        node_of(self.child.id(), &folder, name)
    }

    /// Waits for a descendant process whose log has this file name, and returns it.
    #[track_caller]
    pub fn child_logging(&mut self, log: &str) -> Process {
        let pid = self.child.id();
        self.watch(&format!("a process logs to {log}"), || {
            let mut nodes = descendants(pid).into_iter();
            nodes.find(|process| process.log.as_ref().is_some_and(|path| path.ends_with(log)))
        })
    }

    /// Waits until a number of events of a validator are acknowledged. The experiment must set `record_acknowledged`.
    #[track_caller]
    pub fn until_acknowledged(&mut self, validator: &str, events: usize) {
        let folder = self.folder();
        let what = format!("{events} events of {validator} are acknowledged");
        self.watch(&what, || {
            (acknowledged(&folder, validator).len() >= events).then_some(())
        });
    }

    /// Waits until standard error contains `text`.
    #[track_caller]
    pub fn until_printed(&mut self, text: &str) {
        let err = self.err.clone();
        self.watch(&format!("standard error contains `{text}`"), || {
            fs::read_to_string(&err).ok()?.contains(text).then_some(())
        });
    }

    /// Waits until standard error contains `words`, and returns the word after them.
    #[track_caller]
    pub fn printed_after(&mut self, words: &str) -> String {
        let err = self.err.clone();
        self.watch(&format!("standard error contains a word after `{words}`"), || {
            let text = fs::read_to_string(&err).ok()?;
            let (_, after) = text.split_once(words)?;
            let (word, _) = after.split_once(char::is_whitespace)?;
            Some(word.to_owned())
        })
    }

    /// Sends a signal to the process of `mirror`.
    pub fn send(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal)
            .expect("a child that has not been waited for accepts signals");
    }

    /// Waits until the command ends.
    #[track_caller]
    pub fn ends(mut self) -> Output {
        let child = &mut self.child;
        let status = eventually(&format!("`mirror {}` ends", self.words), || {
            child.try_wait().expect("a child can be waited for")
        });
        self.output(status)
    }

    /// Polls `look` until it returns a value, and panics if the command ends without one.
    #[track_caller]
    fn watch<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        eventually(what, || {
            let seen = look();
            if seen.is_none()
                && let Some(status) = self.child.try_wait().expect("a child can be waited for")
            {
                // The event may have happened between the last poll and the end.
                return Some(look().unwrap_or_else(|| {
                    panic!(
                        "the command ended while waiting: {what}: {:?}",
                        self.output(status)
                    );
                }));
            }
            seen
        })
    }

    fn output(&self, status: ExitStatus) -> Output {
        let read =
            |path| String::from_utf8_lossy(&fs::read(path).expect("the output can be read")).into_owned();
        assert!(status.code().is_some() || status.signal().is_some(), "{status}");
        Output {
            status: status.code(),
            out: read(&self.out),
            err: read(&self.err),
        }
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        // An error means that the process has already ended, as intended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn node_of(coordinator: u32, run: &Path, name: &str) -> Option<Process> {
    let log = Layout::new(run).log(name);
    let mut nodes = descendants(coordinator).into_iter();
    // A process that does not run its program yet still has the name of the thread that starts it.
    nodes.find(|process| process.log.as_ref() == Some(&log) && process.program != "spawner")
}

/// Returns the identities of the acknowledged events that a validator has written to its file, from complete lines
/// only.
pub fn acknowledged(run: &Path, validator: &str) -> Vec<String> {
    let path = Layout::new(run).logs().join(format!("{validator}.acknowledged"));
    let Ok(text) = fs::read_to_string(path) else {
        return Vec::new();
    };
    let whole = text
        .split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'));
    whole.map(str::to_owned).collect()
}

/// Returns all rows of a table.
pub fn rows<R: Row>(run: &Run) -> Vec<R> {
    let rows = run.rows().expect("the table opens");
    rows.collect::<Result<_, _>>().expect("every row is read")
}

/// Returns the folder of release binaries, whose subfolder `deps` contains the test.
fn built_programs() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("a test is in a subfolder of the release folder");
    for program in PROGRAMS {
        let path = folder.join(program);
        assert!(
            path.exists(),
            "{} does not exist: build the programs first, for example with `cargo xtask test`",
            path.display()
        );
    }
    folder.to_owned()
}

fn folders(runs: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}
