//! Measures the cost of the bounds of a server and of mutual TLS: calls of an echo, one after the other and 64 in
//! flight, and messages on one stream, compared with bare tonic. Servers and callers have one thread each.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::StreamExt;
use futures::future::try_join_all;
use mirror_benches::bare::Mirror;
use mirror_benches::echo::Payload;
use mirror_benches::echo::echo_client::EchoClient;
use mirror_benches::echo::echo_server::EchoServer;
use mirror_benches::figures::{self, Pair};
use mirror_net::channel;
use mirror_net::server::{self, Callers, Limits, Services};
use mirror_test_support::certificates::identity;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};

/// Duration of each measurement of a pair, and number of pairs.
const MEASURE: Duration = Duration::from_secs(1);
const PAIRS: usize = 9;

/// Number of messages in flight on the stream, and size of a payload in bytes: those of reports of a validator.
const MESSAGES: usize = 16;
const PAYLOAD: usize = 4_096;

/// The name in the certificate of the server, and in that of the caller.
const SERVER: &str = "coordinator";
const CALLER: &str = "validator-0";

/// A kind of server.
#[derive(Clone, Copy)]
enum Kind {
    /// Tonic's server without limits.
    Bare,
    /// The server of all nodes, with a service that is open to every caller.
    Bounded,
    /// The same with mutual TLS.
    Secure,
}

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let [bare, bounded, secure] = [client(Kind::Bare)?, client(Kind::Bounded)?, client(Kind::Secure)?];
        let rows = [
            ("bounded (reference: bare)", &bounded, &bare),
            ("mutual TLS (reference: bounded)", &secure, &bounded),
        ];
        figures::head("calls, one after the other", "us");
        compare(&rows, async |client| Ok(1e6 / calls_per_second(client, 1).await?)).await?;
        figures::head("64 calls in flight", "calls/s");
        compare(&rows, async |client| calls_per_second(client, 64).await).await?;
        figures::head("messages on one stream, 16 in flight", "messages/s");
        compare(&rows, messages_per_second).await
    })
}

type Row<'a> = (&'a str, &'a EchoClient<Channel>, &'a EchoClient<Channel>);

async fn compare(
    rows: &[Row<'_>],
    measure: impl AsyncFn(&EchoClient<Channel>) -> anyhow::Result<f64>,
) -> anyhow::Result<()> {
    for (what, ours, reference) in rows {
        let mut pairs = Vec::with_capacity(PAIRS);
        for number in 0..PAIRS {
            // Neither is always the first.
            let (ours, reference) = if number % 2 == 0 {
                (measure(ours).await?, measure(reference).await?)
            } else {
                let reference = measure(reference).await?;
                (measure(ours).await?, reference)
            };
            pairs.push(Pair { ours, reference });
        }
        figures::line(what, &pairs);
    }
    Ok(())
}

/// Starts a server in a thread, which ends with this process. Returns a client of it.
fn client(kind: Kind) -> anyhow::Result<EchoClient<Channel>> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let served = runtime.block_on(async { serve(kind, TcpListener::from_std(listener)?).await });
        if let Err(error) = &served {
            eprintln!("a server ended: {error:#}");
        }
        served
    });
    Ok(EchoClient::new(connect(kind, address)))
}

async fn serve(kind: Kind, listener: TcpListener) -> anyhow::Result<()> {
    let echo = EchoServer::new(Mirror);
    let services = match kind {
        Kind::Bare => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            return Ok(Server::builder()
                .add_service(echo)
                .serve_with_incoming(incoming)
                .await?);
        }
        Kind::Bounded => Services::default().open(echo),
        Kind::Secure => Services::new(Some(identity(SERVER))).only(Callers::Named(&[CALLER]), echo),
    };
    server::serve(listener, services, Limits::default(), std::future::pending()).await?;
    Ok(())
}

fn connect(kind: Kind, address: SocketAddr) -> Channel {
    match kind {
        Kind::Bare | Kind::Bounded => channel::lazy(address),
        Kind::Secure => channel::secure(address, identity(CALLER).connecting_to(SERVER)),
    }
}

fn payload() -> Payload {
    Payload {
        data: vec![7; PAYLOAD],
    }
}

async fn calls_per_second(client: &EchoClient<Channel>, in_flight: usize) -> anyhow::Result<f64> {
    let started = Instant::now();
    let workers = (0..in_flight).map(async |_| {
        let mut client = client.clone();
        let mut calls = 0_u64;
        while started.elapsed() < MEASURE {
            let echoed = client.unary(payload()).await?.into_inner();
            ensure!(echoed.data.len() == PAYLOAD, "the echo differs from the request");
            calls += 1;
        }
        Ok(calls)
    });
    let calls: u64 = try_join_all(workers).await?.into_iter().sum();
    Ok(calls as f64 / started.elapsed().as_secs_f64())
}

async fn messages_per_second(client: &EchoClient<Channel>) -> anyhow::Result<f64> {
    let (sender, sent) = mpsc::channel(MESSAGES);
    for _ in 0..MESSAGES {
        sender.send(payload()).await?;
    }
    let mut client = client.clone();
    let mut echoed = client.streamed(ReceiverStream::new(sent)).await?.into_inner();
    let started = Instant::now();
    let mut messages = 0_u64;
    while started.elapsed() < MEASURE {
        echoed.next().await.context("the stream has ended")??;
        messages += 1;
        sender.send(payload()).await?;
    }
    Ok(messages as f64 / started.elapsed().as_secs_f64())
}
