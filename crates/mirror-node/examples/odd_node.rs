//! A node whose behaviour its role, a word, selects. The tests of this crate run it.

use std::process::ExitCode;

use anyhow::bail;
use mirror_spec::launch::Launch;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    mirror_node::run(serve)
}

async fn serve(
    launch: Launch<String>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    match launch.role.as_str() {
        "accept" => loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                connection = listener.accept() => drop(connection?),
            }
        },
        "spin" => loop {
            std::hint::spin_loop();
        },
        "fail" => bail!("the role is `fail`"),
        "print" => {
            println!("after the announcement");
            Ok(())
        }
        other => bail!("no such role: {other}"),
    }
}
