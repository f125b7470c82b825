//! `mirror fault`: adds, lists and ends faults of a running network, and exports those that were added.

mod export;

use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use mirror_analysis::terminal_table::{Alignment, TerminalColumn, TerminalTable};
use mirror_output::message;
use mirror_proto::mirror::v1::{AddFaultRequest, ClearFaultsRequest, ListFaultsRequest, ListedFault};
use mirror_proto::protocol::FAULT_OVER;
use mirror_runs::Run;
use serde_json::json;

use super::running::{self, RunningNetwork, with_notice};
use super::{Misuse, RunsDir, Status, place, terminal};

/// Maximum size of a fault in bytes.
const MAX_FAULT: u64 = 512 << 10;

/// Printed while a change waits for the block boundary.
const WAITING: &str = "waiting for the end of the step…";

#[derive(Debug, Args)]
pub(super) struct FaultArguments {
    #[command(flatten)]
    runs_dir: RunsDir,
    #[command(subcommand)]
    command: FaultCommand,
}

#[derive(Debug, Subcommand)]
enum FaultCommand {
    /// Adds a fault, which begins with the next step unless it names a later time
    Add {
        /// Run: an id or the start of one, `last`, or a path
        run: String,
        /// An entry of `faults` in YAML, such as `{pause: uid 5, for: 5s}`; `-` reads standard input
        fault: String,
    },
    /// Lists the faults of a running network
    List {
        /// Run: an id or the start of one, `last`, or a path
        run: String,
        /// Lists only the faults that are planned or in effect
        #[arg(long)]
        active: bool,
        /// Prints the faults as JSON
        #[arg(long)]
        json: bool,
        /// Prints every column, even if the table is wider than the terminal
        #[arg(long, conflicts_with = "json")]
        wide: bool,
    },
    /// Ends a fault, or all faults, and removes what is planned
    Clear {
        /// Run: an id or the start of one, `last`, or a path
        run: String,
        /// Name of the fault [default: all]
        id: Option<String>,
    },
    /// Prints the faults that were added by commands as a section `faults` that repeats them
    Export {
        /// Run, in progress or ended: an id or the start of one, `last`, or a path
        run: String,
    },
}

pub(super) fn fault(arguments: &FaultArguments) -> anyhow::Result<Status> {
    let runs_dir = &arguments.runs_dir.runs_dir;
    match &arguments.command {
        FaultCommand::Add { run, fault } => add(runs_dir, run, fault),
        FaultCommand::List {
            run,
            active,
            json,
            wide,
        } => {
            let (name, mut faults) = listed(runs_dir, run)?;
            if *active {
                faults.retain(|fault| fault.state != FAULT_OVER);
            }
            if *json {
                print_json(&faults)?;
            } else if faults.is_empty() {
                let which = if *active { " planned or in effect" } else { "" };
                writeln!(
                    std::io::stdout(),
                    "no faults{which}: `mirror fault add {name} '{{pause: uid 0, for: 5s}}'` adds one"
                )?;
            } else {
                print_table(faults, terminal::width(*wide))?;
            }
            Ok(Status::Done)
        }
        FaultCommand::Clear { run, id } => clear(runs_dir, run, id.clone()),
        FaultCommand::Export { run } => {
            let yaml = export::export(&Run::open(place::run(runs_dir, run)?)?)?;
            write!(std::io::stdout(), "{yaml}")?;
            Ok(Status::Done)
        }
    }
}

fn add(runs_dir: &Path, run: &str, fault: &str) -> anyhow::Result<Status> {
    let fault = match fault {
        "-" => from_stdin()?,
        fault => fault.to_owned(),
    };
    let added = running::block_on(async {
        let network = RunningNetwork::find(runs_dir, run)?;
        let mut client = network.client();
        let added = client.add_fault(AddFaultRequest { fault });
        let added = with_notice(WAITING, added).await;
        Ok(added.map_err(|status| network.problem(&status))?.into_inner())
    })?;
    writeln!(std::io::stdout(), "{}: {}", added.id, added.state)?;
    if !added.detail.is_empty() {
        writeln!(std::io::stdout(), "{}", added.detail)?;
    }
    for warning in added.warnings {
        message!("warning: {warning}");
    }
    Ok(Status::Done)
}

fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    std::io::stdin()
        .lock()
        .take(MAX_FAULT + 1)
        .read_to_string(&mut text)
        .context("cannot read the fault from standard input")?;
    if text.len() as u64 > MAX_FAULT {
        let error = anyhow!("the fault on standard input is larger than {MAX_FAULT} bytes");
        return Err(Misuse::of(error).into());
    }
    Ok(text)
}

/// Returns the name of a run and its faults.
fn listed(runs_dir: &Path, run: &str) -> anyhow::Result<(String, Vec<ListedFault>)> {
    running::block_on(async {
        let network = RunningNetwork::find(runs_dir, run)?;
        let request = RunningNetwork::quick_request(ListFaultsRequest {});
        let listed = network.client().list_faults(request).await;
        let listed = listed.map_err(|status| network.problem(&status))?;
        Ok((network.name, listed.into_inner().faults))
    })
}

fn print_json(faults: &[ListedFault]) -> anyhow::Result<()> {
    let faults = faults.iter().map(|fault| {
        json!({
            "id": fault.id,
            "kind": fault.kind,
            "who": fault.who,
            "state": fault.state,
            "begins": fault.begins,
            "ends": (!fault.ends.is_empty()).then_some(&fault.ends),
            "manual": fault.manual,
        })
    });
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, &faults.collect::<Vec<_>>())?;
    writeln!(out)?;
    Ok(())
}

fn print_table(faults: Vec<ListedFault>, width: usize) -> anyhow::Result<()> {
    let titles = [
        ("fault", 0),
        ("kind", 3),
        ("nodes", 1),
        ("state", 0),
        ("begins", 1),
        ("ends", 2),
        ("by", 4),
    ];
    let mut table = TerminalTable::new(titles.map(|(title, rank)| TerminalColumn {
        title,
        alignment: Alignment::Left,
        rank,
    }));
    for fault in faults {
        let ends = if fault.ends.is_empty() {
            "–".to_owned()
        } else {
            fault.ends
        };
        let by = if fault.manual { "command" } else { "file" };
        table.push([
            fault.id,
            fault.kind,
            fault.who,
            fault.state,
            fault.begins,
            ends,
            by.to_owned(),
        ]);
    }
    writeln!(std::io::stdout(), "{}", table.fitted(width))?;
    Ok(())
}

fn clear(runs_dir: &Path, run: &str, id: Option<String>) -> anyhow::Result<Status> {
    let cleared = running::block_on(async {
        let network = RunningNetwork::find(runs_dir, run)?;
        let mut client = network.client();
        let cleared = client.clear_faults(ClearFaultsRequest { id });
        let cleared = with_notice(WAITING, cleared).await;
        Ok(cleared
            .map_err(|status| network.problem(&status))?
            .into_inner()
            .cleared)
    })?;
    let mut out = std::io::stdout().lock();
    if cleared.is_empty() {
        writeln!(out, "no fault was in effect or planned")?;
    }
    for id in cleared {
        writeln!(out, "{id}: over")?;
    }
    Ok(Status::Done)
}
