//! The log of a process, written to standard error.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::clock::LogTime;
use crate::spans::SpanLayer;

/// The log of a process could not be initialised.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not have the syntax of tracing.
    #[error(
        "`{filter}` is not a log filter: expected a level (`info`) or directives (`mirror_validator=debug,warn`)"
    )]
    Filter {
        /// The filter as given.
        filter: String,
        /// The parse error.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The log of this process is already initialised.
    #[error("the log of this process is already initialised")]
    Twice(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Initialises the log and the recording of spans. Events that pass `filter` are written to standard error, one line
/// each, with the time of the node ([`crate::clock`]). A line that cannot be written, for example because the disk is
/// full, is lost. Spans are recorded by `spans`, or not at all if it is `None`.
pub fn init(filter: &str, spans: Option<SpanLayer>) -> Result<(), LogError> {
    let directives = EnvFilter::builder()
        .parse(filter)
        .map_err(|source| LogError::Filter {
            filter: filter.to_owned(),
            source,
        })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_timer(LogTime)
        // The report of a failed write would itself be written to standard error, and panic when that fails.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    let subscriber = tracing_subscriber::registry()
        .with(lines.with_filter(directives))
        .with(spans.map(|spans| spans.with_filter(SpanLayer::filter())));
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(())
}
