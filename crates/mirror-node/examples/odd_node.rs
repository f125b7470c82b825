//! A node whose behaviour its role selects: a word, or the address of a coordinator to connect to. The tests of this
//! crate run it.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::bail;
use mirror_net::channel;
use mirror_proto::mirror::v1::coordinator_client::CoordinatorClient;
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
        address if address.parse::<SocketAddr>().is_ok() => {
            let mut coordinator = CoordinatorClient::new(channel::lazy(address.parse()?));
            coordinator.report(tokio_stream::empty()).await?;
            Ok(())
        }
        other => bail!("no such role: {other}"),
    }
}
