//! `mirror up`: starts a network that stays until `mirror down`, as a background process in a session without a
//! terminal.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use mirror_coordinator::ControlFile;
use mirror_output::message;
use mirror_proto::mirror::v1::NodeList;
use mirror_runs::Layout;
use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::run::{self, StartArguments};
use super::running::{self, RunningNetwork};
use super::{Status, nodes};

/// Name of the log of the coordinator.
const LOG: &str = "mirror";

/// The option that makes this program the background process.
const DETACHED: &str = "--detached";

/// Pause between two questions whether the network is ready.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub(super) struct UpArguments {
    #[command(flatten)]
    start: StartArguments,
    /// Keeps the network in this terminal until Ctrl-C or `mirror down`
    #[arg(long)]
    foreground: bool,
    /// Runs as the background process of another `mirror up`
    #[arg(long, hide = true, conflicts_with = "foreground")]
    detached: bool,
}

pub(super) fn up(arguments: UpArguments) -> anyhow::Result<Status> {
    if arguments.detached {
        // The process leads no group, because the shell put it into that of its parent.
        rustix::process::setsid().context("cannot leave the session of the terminal")?;
        run::stand(arguments.start, detach)
    } else if arguments.foreground {
        run::stand(arguments.start, announce)
    } else {
        running::block_on(start(arguments.start.runs_dir()))
    }
}

/// Prints the folder of the run for the parent, and writes all further output to the log of the run.
fn detach(layout: &Layout) -> anyhow::Result<()> {
    std::fs::create_dir_all(layout.logs())?;
    let path = layout.log(LOG);
    let log = File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("cannot open {}", path.display()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", layout.root().display())?;
    out.flush()?;
    rustix::stdio::dup2_stdout(&log)?;
    rustix::stdio::dup2_stderr(&log)?;
    Ok(())
}

/// Prints how to end a network in the foreground.
#[allow(
    clippy::unnecessary_wraps,
    reason = "`run::stand` calls a function that may fail"
)]
fn announce(layout: &Layout) -> anyhow::Result<()> {
    let folder = layout.root().display();
    message!("the run {folder} starts: Ctrl-C or `mirror down {folder}` ends it");
    Ok(())
}

/// Starts the background process, and waits until its network is ready and its queries have begun.
async fn start(runs_dir: &Path) -> anyhow::Result<Status> {
    let mut words = std::env::args_os().skip(1);
    let mut child = Command::new(std::env::current_exe().context("cannot find this program")?)
        .args(words.next())
        .arg(DETACHED)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the background process")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let ready = tokio::select! {
        ready = ready(&mut child, runs_dir) => ready?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            None
        }
        _ = terminate.recv() => None,
    };
    match ready {
        Some(Ready::Network(ready)) => {
            print(&ready.0, &ready.1)?;
            Ok(Status::Done)
        }
        // The process has printed the reason.
        Some(Ready::NotStarted(status)) => Ok(match status.code() {
            Some(2) => Status::Misused,
            Some(0) => Status::Done,
            _ => Status::Failed,
        }),
        None => {
            message!("shutting the network down");
            if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
                rustix::process::kill_process(pid, Signal::TERM)
                    .context("cannot interrupt the background process")?;
            }
            child.wait().await?;
            Ok(Status::Failed)
        }
    }
}

/// The outcome of waiting for a network.
enum Ready {
    Network(Box<(RunningNetwork, NodeList)>),
    /// The process ended before it had created a run.
    NotStarted(ExitStatus),
}

/// Waits until the network of the background process is ready.
async fn ready(child: &mut Child, runs_dir: &Path) -> anyhow::Result<Option<Ready>> {
    let out = child
        .stdout
        .take()
        .context("the process has no standard output")?;
    let mut folder = String::new();
    BufReader::new(out).read_line(&mut folder).await?;
    let Some(folder) = folder.strip_suffix('\n').map(PathBuf::from) else {
        return Ok(Some(Ready::NotStarted(child.wait().await?)));
    };
    let layout = Layout::new(&folder);
    loop {
        if let Some(status) = child.try_wait()? {
            let log = std::fs::read_to_string(layout.log(LOG)).unwrap_or_default();
            // The reason is printed last, after the warnings about single nodes.
            let reason = log
                .rfind("\nerror: ")
                .map_or(log.as_str(), |start| &log[start + 1..]);
            message!("{}", reason.trim_end());
            let name = running::name_of(runs_dir, &folder);
            bail!(
                "the network did not stay: it ended with {status} (`mirror logs {name} {LOG}` prints its whole log)"
            );
        }
        // The file is missing until the coordinator listens, and while the network shuts down.
        if ControlFile::read(&layout).is_ok_and(|file| file.is_some())
            && let Ok(network) = RunningNetwork::of(runs_dir, &folder)
            && let Ok(list) = network.nodes().await
            && list.phase != "starting"
        {
            return Ok(Some(Ready::Network(Box::new((network, list)))));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Prints the run and the commands that control it.
fn print(network: &RunningNetwork, list: &NodeList) -> anyhow::Result<()> {
    let name = &network.name;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{name}")?;
    writeln!(
        out,
        "{} nodes are running, {}\n",
        list.nodes.len(),
        nodes::progress(list)
    )?;
    writeln!(out, "mirror nodes {name}")?;
    writeln!(out, "mirror ask {name} 0 \"What is the capital of France?\"")?;
    writeln!(out, "mirror fault add {name} '{{pause: uid 0, for: 5s}}'")?;
    writeln!(out, "mirror logs {name} validator-0 --follow")?;
    writeln!(out, "mirror down {name}")?;
    Ok(())
}
