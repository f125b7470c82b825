//! `mirror kubernetes status`: the runs of a namespace, or the pods of one.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use mirror_analysis::terminal_table::{Alignment, TerminalColumn, TerminalTable};
use mirror_kubernetes::manifests::of_run;
use mirror_kubernetes::name::RunName;
use mirror_kubernetes::{pods, session};
use serde_json::json;

use super::super::running::block_on;
use super::super::{Misuse, Status, terminal};
use super::{ClusterArguments, run_name};

/// Time within which the API server must have listed the pods.
const LISTED: Duration = Duration::from_secs(30);

#[derive(Debug, Args)]
pub(super) struct StatusArguments {
    /// Name of a run in the cluster. If absent: lists the runs
    #[arg(value_parser = run_name)]
    name: Option<RunName>,
    #[command(flatten)]
    cluster: ClusterArguments,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Prints every column, even if the table is wider than the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
}

pub(super) fn status(arguments: &StatusArguments) -> anyhow::Result<Status> {
    let (values, table) = block_on(async {
        match &arguments.name {
            None => runs(arguments).await,
            Some(name) => pods_of(arguments, name).await,
        }
    })?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &values)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", table.fitted(terminal::width(arguments.wide)))?;
    }
    Ok(Status::Done)
}

fn column(title: &'static str, alignment: Alignment, rank: u8) -> TerminalColumn {
    TerminalColumn {
        title,
        alignment,
        rank,
    }
}

async fn runs(arguments: &StatusArguments) -> anyhow::Result<(serde_json::Value, TerminalTable)> {
    let cluster = arguments.cluster.connect().await.map_err(Misuse::of)?;
    let runs = session::runs(&cluster).await?;
    let mut table = TerminalTable::new([
        column("run", Alignment::Left, 0),
        column("state", Alignment::Left, 0),
        column("started", Alignment::Left, 1),
    ]);
    for run in &runs {
        table.push([run.name.clone(), run.state.to_owned(), run.started.clone()]);
    }
    let values = runs
        .iter()
        .map(|run| json!({ "name": run.name, "state": run.state, "started": run.started }));
    Ok((values.collect(), table))
}

async fn pods_of(
    arguments: &StatusArguments,
    name: &RunName,
) -> anyhow::Result<(serde_json::Value, TerminalTable)> {
    let cluster = arguments.cluster.connect().await.map_err(Misuse::of)?;
    let mut watched = pods::watch(&cluster, &of_run(name));
    let listed = pods::until(&mut watched, LISTED, |watched| watched.pods.clone()).await;
    let problem = watched.borrow().problem.clone();
    let pods =
        listed.with_context(|| problem.unwrap_or_else(|| "the API server has listed no pods".to_owned()))?;
    if pods.is_empty() {
        bail!(
            "the namespace `{}` has no pods of a run `{name}`: `mirror kubernetes status` lists its runs",
            cluster.namespace()
        );
    }
    let mut table = TerminalTable::new([
        column("pod", Alignment::Left, 0),
        column("kind", Alignment::Left, 2),
        column("state", Alignment::Left, 0),
        column("restarts", Alignment::Right, 1),
        column("last end", Alignment::Left, 3),
        column("address", Alignment::Left, 4),
        column("machine", Alignment::Left, 5),
    ]);
    let unknown = || "–".to_owned();
    for (name, pod) in &pods {
        table.push([
            name.clone(),
            pod.component.clone(),
            pod.state.in_words(),
            pod.restarts.to_string(),
            pod.last_end.clone().unwrap_or_else(unknown),
            pod.ip.map_or_else(unknown, |ip| ip.to_string()),
            pod.machine.clone(),
        ]);
    }
    let values = pods.iter().map(|(name, pod)| {
        json!({
            "name": name,
            "component": pod.component,
            "state": pod.state.in_words(),
            "restarts": pod.restarts,
            "last_end": pod.last_end,
            "ip": pod.ip,
            "machine": pod.machine,
        })
    });
    Ok((values.collect(), table))
}
