//! The node's log: lines on standard error, which the placement keeps in a file a node.

use anyhow::{Context, anyhow};
use tracing_subscriber::EnvFilter;

/// Starts logging what `filter` lets through, in tracing's syntax: `info`, `info,h2=warn`.
pub(crate) fn init(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter).with_context(|| format!("log filter `{filter}`"))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .try_init()
        .map_err(|error| anyhow!(error).context("cannot start logging"))
}
