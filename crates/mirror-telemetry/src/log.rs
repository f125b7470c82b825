//! The log of a process: lines on its standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// A process's log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not in tracing's syntax.
    #[error(
        "`{filter}` is no log filter: expected a level (`info`) or directives (`mirror_validator=debug,warn`)"
    )]
    Filter {
        /// As given.
        filter: String,
        /// Why not.
        source: tracing_subscriber::filter::ParseError,
    },
    /// A log was set up before in this process.
    #[error("this process has a log already")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Writes events that pass `filter` to standard error, a line each.
pub fn init(filter: &str) -> Result<(), LogError> {
    let directives = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LogError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_env_filter(directives)
        .finish();
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(())
}
