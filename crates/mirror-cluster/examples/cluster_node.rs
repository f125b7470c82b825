//! A node for tests that answers health checks or misbehaves, depending on the first word of its name: `serve-0`,
//! `spin-3`. With `--port N` and no launch config it acts as a foreign program without a health service.

use std::future::pending;
use std::process::ExitCode;

use anyhow::{Context, bail};
use mirror_net::server::Limits;
use mirror_node::Control;
use mirror_spec::launch::Launch;
use serde::de::IgnoredAny;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

fn main() -> ExitCode {
    match std::env::args()
        .skip_while(|argument| argument != "--port")
        .nth(1)
    {
        Some(port) => serve_foreign(&port),
        None => mirror_node::run(serve),
    }
}

async fn serve(
    launch: Launch<IgnoredAny>,
    listener: TcpListener,
    shutdown: CancellationToken,
    _control: Control,
) -> anyhow::Result<()> {
    eprintln!("{} in its incarnation {}", launch.node, launch.incarnation);
    let routes = Routes::default();
    let limits = Limits::default();
    match launch.node.split('-').next().unwrap_or_default() {
        "serve" => mirror_net::server::serve(listener, routes, limits, shutdown.cancelled()).await?,
        "deaf" => mirror_net::server::serve(listener, routes, limits, pending()).await?,
        "mute" => shutdown.cancelled().await,
        "spin" => loop {
            std::hint::spin_loop();
        },
        "fail" => bail!("its name requests a failure"),
        other => bail!("no such behaviour: {other}"),
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn serve_foreign(port: &str) -> ExitCode {
    let serving = async {
        let listener = TcpListener::bind(("127.0.0.1", port.parse()?)).await?;
        Server::builder()
            .add_routes(Routes::default())
            .serve_with_incoming(TcpIncoming::from(listener))
            .await
            .context("cannot serve")
    };
    match serving.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
