//! Interrupts of a run by Ctrl-C or SIGTERM.

use std::time::Duration;

use mirror_output::message;
use tokio_util::sync::CancellationToken;

/// Time from the second interrupt to the exit of this program, even if it is still busy.
const EXIT_DELAY: Duration = Duration::from_secs(3);

/// Waits for Ctrl-C or SIGTERM. The first one shuts the run down in order, the second one kills it.
pub(in crate::command) async fn watch_interrupts(
    stop: CancellationToken,
    now: CancellationToken,
) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let words = [
        (stop, "shutting the run down in order; interrupt again to kill it"),
        (now, "killing the run"),
    ];
    for (token, word) in words {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
        message!("{word}");
        token.cancel();
    }
    // The nodes are being killed. Only the writing of tables and of the report may still be in progress.
    tokio::time::sleep(EXIT_DELAY).await;
    message!("the run was not finished; `mirror runs recover` writes its tables, `mirror report` its report");
    std::process::exit(1);
}
