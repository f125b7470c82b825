//! Interrupts of a run by Ctrl-C or SIGTERM.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The time from the second interrupt to the end of this program, whatever it is doing.
const LAST_CHANCE: Duration = Duration::from_secs(3);

/// The first Ctrl-C or SIGTERM ends the run in order, the second at once.
pub(in crate::command) async fn watch_interrupts(
    stop: CancellationToken,
    now: CancellationToken,
) -> anyhow::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let words = [
        (stop, "ending the run in order; once more ends it at once"),
        (now, "ending at once"),
    ];
    for (token, word) in words {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted?,
            _ = terminate.recv() => {}
        }
        eprintln!("{word}");
        token.cancel();
    }
    // The nodes are being killed. What still goes on after that is the writing of tables and of the report.
    tokio::time::sleep(LAST_CHANCE).await;
    eprintln!("the run is left as it is; `mirror runs recover` makes its tables, `mirror report` its report");
    std::process::exit(1);
}
