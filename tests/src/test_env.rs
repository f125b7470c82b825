//! A working directory of its own in which `mirror` runs, and what it leaves there.

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

/// The programs that make up an experiment.
const PROGRAMS: [&str; 4] = ["mirror", "mirror-subtensor", "mirror-miner", "mirror-validator"];

/// Variables that would let this machine's habits into a test.
const OUTSIDE: [&str; 7] = [
    "MIRROR_RUNS",
    "MIRROR_DATA",
    "MIRROR_MODELS",
    "HF_HOME",
    "HF_ENDPOINT",
    "HF_TOKEN",
    "RUST_LOG",
];

/// A working directory of its own. Nothing of what was started in it may be alive when it goes away.
#[derive(Debug)]
pub struct TestEnv {
    folder: TempDir,
    programs: PathBuf,
    environment: Vec<(String, PathBuf)>,
}

/// A command that goes on.
#[derive(Debug)]
pub struct RunningCommand {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    words: String,
    runs: PathBuf,
    /// Runs that were there before.
    earlier: Vec<PathBuf>,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit status; `None`: a signal ended it.
    pub status: Option<i32>,
    /// All that it printed.
    pub out: String,
    /// All that it complained of.
    pub err: String,
}

/// The DuckDB executable that answers SQL. Where there is none, a test that needs it is skipped and says so, except in
/// CI, where it fails.
///
/// # Panics
/// In CI, without one.
pub fn duckdb() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<Engine>> = OnceLock::new();
    let engine = FOUND.get_or_init(|| match Engine::find() {
        Ok(engine) => Some(engine),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{error}");
            eprintln!("without SQL: {error}");
            None
        }
    });
    engine.as_ref().map(Engine::program)
}

impl TestEnv {
    /// An empty one, with the programs that were built beside the test.
    ///
    /// # Panics
    /// When they were not built.
    pub fn new() -> Self {
        Self::with_programs(built_programs())
    }

    /// An empty one, with the programs in the folder `programs`.
    pub fn with_programs(programs: PathBuf) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            programs,
            environment: Vec::new(),
        }
    }

    /// The working directory.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the programs.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Folder of the runs, unless a command says otherwise.
    pub fn runs_dir(&self) -> PathBuf {
        self.path().join("runs")
    }

    /// Sets a variable for all that is started from now on.
    pub fn set(&mut self, variable: &str, path: impl Into<PathBuf>) {
        self.environment.push((variable.to_owned(), path.into()));
    }

    /// Writes a file into the working directory and returns its name.
    pub fn file<'a>(&self, name: &'a str, content: impl AsRef<[u8]>) -> &'a str {
        let path = self.path().join(name);
        let folder = path.parent().expect("a file lies in a folder");
        fs::create_dir_all(folder).expect("a folder for the file");
        fs::write(path, content).expect("the file is written");
        name
    }

    /// Starts `mirror` with `words`.
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

    /// Has `mirror` do what `words` say. Whatever that is, no process is left behind.
    ///
    /// # Panics
    /// When a process is left.
    #[track_caller]
    pub fn mirror(&self, words: &[&str]) -> Output {
        let ended = self.start(words).ends();
        assert_eq!(
            logging_below(self.path()),
            [],
            "left behind by {words:?}: {ended:?}"
        );
        ended
    }

    /// Runs an experiment that must come to its end, and opens its run.
    ///
    /// # Panics
    /// When it does not end well, or leaves a process behind.
    #[track_caller]
    pub fn done(&self, file: &str, settings: &[&str]) -> Run {
        let mut running = self.start_run(file, settings);
        let folder = running.folder();
        let ended = running.ends();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_eq!(logging_below(self.path()), [], "left behind: {ended:?}");
        Run::open(folder).expect("a run that has ended opens")
    }

    /// Starts an experiment; each of the `settings` is a `path=value` put over the file.
    pub fn start_run(&self, file: &str, settings: &[&str]) -> RunningCommand {
        let mut words = vec!["run", file, "--offline"];
        for setting in settings {
            words.extend(["--set", setting]);
        }
        self.start(&words)
    }

    /// `mirror runs diff` of two runs.
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
            "processes were left behind: {left:?}"
        );
    }
}

impl Default for TestEnv {
    fn default() -> Self {
        Self::new()
    }
}

impl RunningCommand {
    /// The run that it makes, once there is one.
    #[track_caller]
    pub fn folder(&mut self) -> PathBuf {
        let (runs, earlier) = (self.runs.clone(), self.earlier.clone());
        self.watch("a run begins", || {
            let mut new = folders(&runs);
            new.retain(|folder| !earlier.contains(folder) && Layout::new(folder).manifest().exists());
            new.pop()
        })
    }

    /// The process of the node called `name`, once there is one: as soon as its program runs, long before it is ready.
    #[track_caller]
    pub fn node(&mut self, name: &str) -> Process {
        let (folder, pid) = (self.folder(), self.child.id());
        self.watch(&format!("{name} runs"), || node_of(pid, &folder, name))
    }

    /// The process of the node called `name`, if there is one now.
    pub fn node_now(&mut self, name: &str) -> Option<Process> {
        let folder = self.folder();
        node_of(self.child.id(), &folder, name)
    }

    /// The process below it whose log has this file name, once there is one.
    #[track_caller]
    pub fn child_logging(&mut self, log: &str) -> Process {
        let pid = self.child.id();
        self.watch(&format!("a process logs to {log}"), || {
            let mut nodes = descendants(pid).into_iter();
            nodes.find(|process| process.log.as_ref().is_some_and(|path| path.ends_with(log)))
        })
    }

    /// Waits until a validator has so many acknowledged events; the experiment must have them written down.
    #[track_caller]
    pub fn until_acknowledged(&mut self, validator: &str, events: usize) {
        let folder = self.folder();
        let what = format!("{events} events of {validator} are acknowledged");
        self.watch(&what, || {
            (acknowledged(&folder, validator).len() >= events).then_some(())
        });
    }

    /// Waits until standard error holds `text`.
    #[track_caller]
    pub fn until_told(&mut self, text: &str) {
        let err = self.err.clone();
        self.watch(&format!("it tells `{text}`"), || {
            fs::read_to_string(&err).ok()?.contains(text).then_some(())
        });
    }

    /// Waits until standard error holds `words`, and returns the word after them.
    #[track_caller]
    pub fn told_after(&mut self, words: &str) -> String {
        let err = self.err.clone();
        self.watch(&format!("it tells what `{words}`"), || {
            let text = fs::read_to_string(&err).ok()?;
            let (_, after) = text.split_once(words)?;
            let (word, _) = after.split_once(char::is_whitespace)?;
            Some(word.to_owned())
        })
    }

    /// Sends a signal to `mirror` itself.
    pub fn send(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a child that was not waited for takes signals");
    }

    /// Waits until it ends.
    #[track_caller]
    pub fn ends(mut self) -> Output {
        let child = &mut self.child;
        let status = eventually(&format!("`mirror {}` ends", self.words), || {
            child.try_wait().expect("a child can be waited for")
        });
        self.told(status)
    }

    /// Looks again and again while it goes on.
    #[track_caller]
    fn watch<T>(&mut self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        eventually(what, || {
            let seen = look();
            if seen.is_none()
                && let Some(status) = self.child.try_wait().expect("a child can be waited for")
            {
                // It may have happened between the look and the end.
                return Some(look().unwrap_or_else(|| {
                    panic!("it ended before {what}: {:?}", self.told(status));
                }));
            }
            seen
        })
    }

    fn told(&self, status: ExitStatus) -> Output {
        let read = |path| String::from_utf8_lossy(&fs::read(path).expect("the output is there")).into_owned();
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
        // An error means that it has ended, which is what is wanted.
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

/// The identities of the events that a validator had acknowledged, as it wrote them down: whole lines.
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

/// All rows of a table.
pub fn rows<R: Row>(run: &Run) -> Vec<R> {
    let rows = run.rows().expect("the table opens");
    rows.collect::<Result<_, _>>().expect("every row is read")
}

/// The folder of release binaries: that in whose `deps` the test lies.
fn built_programs() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("a test lies two folders deep");
    for program in PROGRAMS {
        let path = folder.join(program);
        assert!(
            path.exists(),
            "{} is not there: build the programs first, `cargo xtask test` does",
            path.display()
        );
    }
    folder.to_owned()
}

fn folders(runs: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}
