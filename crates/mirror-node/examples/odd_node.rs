//! A node whose behaviour its role selects: a word, or the address of a coordinator to connect to. The tests of this
//! crate run it.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::bail;
use mirror_net::channel;
use mirror_node::Control;
use mirror_proto::mirror::v1::FaultState;
use mirror_proto::mirror::v1::coordinator_client::CoordinatorClient;
use mirror_spec::launch::Launch;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    mirror_node::run(serve)
}

async fn serve(
    launch: Launch<String>,
    listener: TcpListener,
    shutdown: CancellationToken,
    control: Control,
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
        "apply" => {
            control.on_apply(apply).map_err(anyhow::Error::msg)?;
            shutdown.cancelled().await;
            Ok(())
        }
        "apply-late" => {
            let mut line = String::new();
            let (mut connection, _) = listener.accept().await?;
            connection.read_to_string(&mut line).await?;
            control.on_apply(apply).map_err(anyhow::Error::msg)?;
            drop(connection);
            shutdown.cancelled().await;
            Ok(())
        }
        "fail" => bail!("the role is `fail`"),
        "print" => {
            println!("after the announcement");
            Ok(())
        }
        address if address.parse::<SocketAddr>().is_ok() => {
            let mut coordinator = CoordinatorClient::new(channel::lazy(address.parse()?));
            coordinator.report(tokio_stream::empty()).await?;
            Ok(())
        }
        other => bail!("no such role: {other}"),
    }
}

/// Prints the rules of a fault state, and refuses those that are `bad`.
fn apply(state: &FaultState) -> Result<(), String> {
    let rules = String::from_utf8_lossy(&state.rules);
    if rules == "bad" {
        return Err("there is no rule `bad`".to_owned());
    }
    tracing::info!("revision {} has the rules {rules:.20}", state.revision);
    Ok(())
}
