//! `mirror nodes`: lists the nodes of a running network.

use std::io::Write;

use clap::Args;
use mirror_analysis::terminal_table::{Alignment, TerminalColumn, TerminalTable};
use mirror_proto::mirror::v1::{NodeList, RunningNode};
use serde_json::json;

use super::running::{self, RunningNetwork};
use super::runs::size_of;
use super::{RunsDir, Status, terminal};

#[derive(Debug, Args)]
pub(super) struct NodesArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Prints the nodes as JSON
    #[arg(long)]
    json: bool,
    /// Prints every column, even if the table is wider than the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn nodes(arguments: &NodesArguments) -> anyhow::Result<Status> {
    let list = running::block_on(async {
        let network = RunningNetwork::find(&arguments.runs_dir.runs_dir, &arguments.run)?;
        network.nodes().await
    })?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &as_json(&list))?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", table(&list).fitted(terminal::width(arguments.wide)))?;
        writeln!(out, "{}", progress(&list))?;
    }
    Ok(Status::Done)
}

fn as_json(list: &NodeList) -> serde_json::Value {
    let nodes = list.nodes.iter().map(|node| {
        json!({
            "name": node.name,
            "uids": node.uids,
            "state": node.state,
            "pid": node.pid,
            "memory": node.memory,
            "cpu_time": node.cpu_time,
            "restarts": node.incarnation,
            "address": (!node.address.is_empty()).then_some(&node.address),
            "faults": node.faults,
        })
    });
    json!({
        "phase": list.phase,
        "steps_done": list.steps_done,
        "steps_total": list.steps_total,
        "subtensor": list.subtensor,
        "nodes": nodes.collect::<Vec<_>>(),
    })
}

fn table(list: &NodeList) -> TerminalTable {
    let column = |title, alignment, rank| TerminalColumn {
        title,
        alignment,
        rank,
    };
    let mut table = TerminalTable::new([
        column("node", Alignment::Left, 0),
        column("uids", Alignment::Left, 2),
        column("state", Alignment::Left, 0),
        column("pid", Alignment::Right, 4),
        column("memory", Alignment::Right, 5),
        column("CPU time", Alignment::Right, 6),
        column("restarts", Alignment::Right, 3),
        column("address", Alignment::Left, 7),
        column("faults", Alignment::Left, 1),
    ]);
    for node in &list.nodes {
        table.push(row(node));
    }
    table
}

fn row(node: &RunningNode) -> [String; 9] {
    let unknown = || "–".to_owned();
    let given = |text: &str| match text {
        "" => unknown(),
        text => text.to_owned(),
    };
    [
        node.name.clone(),
        given(&node.uids),
        node.state.clone(),
        node.pid.map_or_else(unknown, |pid| pid.to_string()),
        node.memory.map_or_else(unknown, size_of),
        node.cpu_time
            .map_or_else(unknown, |seconds| format!("{seconds:.1} s")),
        node.incarnation.to_string(),
        given(&node.address),
        given(&node.faults.join(", ")),
    ]
}

/// Returns the progress of the queries in words.
pub(super) fn progress(list: &NodeList) -> String {
    let (done, total) = (list.steps_done, list.steps_total);
    match (list.phase.as_str(), total) {
        ("starting", _) => "the nodes are starting".to_owned(),
        ("standing", 0) => "no query: the validators wait for calls".to_owned(),
        ("standing", _) => {
            format!("the queries have ended after {done} of {total} steps, and the network stays")
        }
        _ => format!("{done} of {total} steps done"),
    }
}
