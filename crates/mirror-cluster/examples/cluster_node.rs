//! A node for tests that answers health checks or misbehaves, depending on the first word of its name: `serve-0`,
//! `spin-3`. With `--port N` and no launch config it acts as a foreign program without a health service.

use std::future::pending;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use mirror_net::server::{Limits, Services};
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
    let services = Services::default();
    let limits = Limits::default();
    match launch.node.split('-').next().unwrap_or_default() {
        "serve" => mirror_net::server::serve(listener, services, limits, shutdown.cancelled()).await?,
        "deaf" => mirror_net::server::serve(listener, services, limits, pending()).await?,
        "mute" => shutdown.cancelled().await,
        "spin" => loop {
            std::hint::spin_loop();
        },
        // Writes the file of its log again and again, and continues when it cannot.
        "write" => loop {
            let written = std::io::stderr().write_all(b"written\n");
            tracing::info!("logged");
            if let Err(error) = written {
                anyhow::ensure!(error.raw_os_error() == Some(27), "expected EFBIG: {error}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        },
        // Uses 1 MiB more each time.
        "grow" => {
            let mut grown = Vec::new();
            while !shutdown.is_cancelled() {
                grown.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
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
