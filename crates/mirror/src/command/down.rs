//! `mirror down`: shuts a running network down.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use mirror_proto::mirror::v1::ShutdownRequest;
use mirror_runs::Run;

use super::running::{self, RunningNetwork};
use super::{RunsDir, Status};

/// Pause between two looks at the process of the coordinator.
const PAUSE: Duration = Duration::from_millis(20);

/// Position of the start time in `/proc/<pid>/stat`, counted from the field after the name of the program.
const START_TIME: usize = 19;

#[derive(Debug, Args)]
pub(super) struct DownArguments {
    /// Run: an id or the start of one, `last`, or a path
    #[arg(default_value = "last")]
    run: String,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn down(arguments: &DownArguments) -> anyhow::Result<Status> {
    running::block_on(async {
        let network = RunningNetwork::find(&arguments.runs_dir.runs_dir, &arguments.run)?;
        let start = start_time(network.pid);
        let request = RunningNetwork::quick_request(ShutdownRequest {});
        let asked = network.client().shutdown(request).await;
        asked.map_err(|status| network.problem(&status))?;
        let ended = end_of(network.pid, start);
        running::with_notice(
            "waiting until the nodes have ended and the tables are written…",
            ended,
        )
        .await;
        let state = Run::state_of(network.folder())?;
        writeln!(std::io::stdout(), "{} {}", network.name, state.name())?;
        Ok(Status::Done)
    })
}

/// Waits until a process that had this start time has ended.
async fn end_of(pid: u32, start: Option<String>) {
    while start.is_some() && start_time(pid) == start {
        tokio::time::sleep(PAUSE).await;
    }
}

/// Returns the start time of a process, which distinguishes it from a later one with the same id. `None` if the process
/// has ended.
fn start_time(pid: u32) -> Option<String> {
    let process = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may contain spaces.
    let (_, fields) = process.rsplit_once(") ")?;
    let has_ended = fields.starts_with(['Z', 'X']);
    let start = fields.split(' ').nth(START_TIME)?;
    (!has_ended).then(|| start.to_owned())
}
