//! The reference: a unary echo in bare tonic, with as many processes and ports as the system that it is compared with.
//! Servers and caller run on one thread each, with Nagle's algorithm disabled.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures::future::{join_all, try_join_all};
use mirror_auth::{Signer, Verifier, VerifierState};
use mirror_identity::{Hotkey, Owner, SecretKey};
use mirror_seed::Seed;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming, async_trait};

use crate::echo::Payload;
use crate::echo::echo_client::EchoClient;
use crate::echo::echo_server::{Echo, EchoServer};
use crate::network::{self, SEED};

/// The argument of `bare-echo` that makes it check signatures.
pub const SIGNED: &str = "signed";

/// Default size of the payload in bytes, in each direction.
const PAYLOAD: usize = 32;

/// The echo.
#[derive(Debug, Clone, Copy)]
pub struct Mirror;

#[async_trait]
impl Echo for Mirror {
    async fn unary(&self, request: Request<Payload>) -> Result<Response<Payload>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type StreamedStream = Streaming<Payload>;

    async fn streamed(
        &self,
        request: Request<Streaming<Payload>>,
    ) -> Result<Response<Streaming<Payload>>, Status> {
        Ok(Response::new(request.into_inner()))
    }
}

/// Whether the calls of the reference are signed and checked, as those between neurons are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// They are neither signed nor checked.
    Off,
    /// They are signed by the caller and checked by the servers.
    Checked,
}

/// Serves on a number of ports until standard input closes.
pub fn serve(ports: usize, signatures: Signatures) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listeners = try_join_all((0..ports).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))).await?;
        let mut stdout = std::io::stdout().lock();
        for listener in &listeners {
            write!(stdout, "{} ", listener.local_addr()?.port())?;
        }
        writeln!(stdout)?;
        drop(stdout);
        for listener in listeners {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let verifier = Verifier::new(receiver(), Arc::new(VerifierState::default()));
            let checked = move |request: Request<()>| {
                if signatures == Signatures::Checked {
                    let checked = verifier.check(request.metadata());
                    checked.map_err(|refusal| Status::unauthenticated(refusal.to_string()))?;
                }
                Ok(request)
            };
            let service = EchoServer::with_interceptor(Mirror, checked);
            tokio::spawn(
                Server::builder()
                    .add_service(service)
                    .serve_with_incoming(incoming),
            );
        }
        let input_ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        input_ended.await??;
        Ok(())
    })
}

/// Running reference servers. They stop when this is dropped.
pub struct Servers {
    processes: Vec<Child>,
    clients: Vec<EchoClient<Channel>>,
    payload: usize,
    /// Signs the calls. `None` if they are not signed.
    signer: Option<Arc<Signer>>,
}

impl Servers {
    /// Starts `processes` of the program `bare-echo` with `ports` each, and waits until every port has answered a call.
    pub async fn start(program: &str, processes: usize, ports: usize) -> anyhow::Result<Self> {
        Self::start_with(program, processes, ports, Signatures::Off).await
    }

    /// Like [`Servers::start`], with or without signatures.
    pub async fn start_with(
        program: &str,
        processes: usize,
        ports: usize,
        signatures: Signatures,
    ) -> anyhow::Result<Self> {
        let signer = match signatures {
            Signatures::Off => None,
            Signatures::Checked => Some(Arc::new(network::signer()?)),
        };
        let mut servers = Self {
            processes: Vec::with_capacity(processes),
            clients: Vec::with_capacity(processes * ports),
            payload: PAYLOAD,
            signer,
        };
        for _ in 0..processes {
            let child = Command::new(program)
                .arg(ports.to_string())
                .args((signatures == Signatures::Checked).then_some(SIGNED))
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn();
            let child = child.with_context(|| format!("cannot start {program}"))?;
            servers.processes.push(child);
        }
        for child in &mut servers.processes {
            let mut line = String::new();
            let stdout = child.stdout.take().context("standard output is a pipe")?;
            BufReader::new(stdout).read_line(&mut line)?;
            for port in line.split_whitespace() {
                let channel = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?
                    .tcp_nodelay(true)
                    .connect_lazy();
                servers.clients.push(EchoClient::new(channel));
            }
        }
        ensure!(
            servers.clients.len() == processes * ports,
            "a reference server did not start"
        );
        servers
            .ask(&(0..servers.clients.len()).collect::<Vec<_>>())
            .await?;
        Ok(servers)
    }

    /// Sets the payload of further calls in bytes.
    pub fn carry(&mut self, bytes: usize) {
        self.payload = bytes;
    }

    /// Returns the process ids.
    pub fn ids(&self) -> Vec<u32> {
        self.processes.iter().map(Child::id).collect()
    }

    /// Calls the chosen servers concurrently, and waits for all replies.
    pub async fn ask(&self, chosen: &[usize]) -> anyhow::Result<()> {
        try_join_all(chosen.iter().map(|server| self.call(*server))).await?;
        Ok(())
    }

    /// Returns the calls per second over all servers in turn, with `in_flight` concurrent calls during `time`.
    pub async fn calls_per_second(&self, in_flight: usize, time: Duration) -> anyhow::Result<f64> {
        let started = Instant::now();
        let workers = (0..in_flight).map(async |first| {
            let mut calls = 0_u64;
            for turn in 0.. {
                if started.elapsed() >= time {
                    break;
                }
                let server = (first + turn * in_flight) % self.clients.len();
                self.call(server).await?;
                calls += 1;
            }
            anyhow::Ok(calls)
        });
        let calls = join_all(workers).await.into_iter().sum::<anyhow::Result<u64>>()?;
        Ok(calls as f64 / started.elapsed().as_secs_f64())
    }

    async fn call(&self, server: usize) -> anyhow::Result<()> {
        let mut client = self.clients[server].clone();
        let mut request = Request::new(Payload {
            data: vec![7; self.payload],
        });
        // The lane is given back when the call has ended.
        let lane = self.signer.as_ref().map(|signer| signer.lane(receiver()));
        if let Some(lane) = &lane {
            lane.sign(request.metadata_mut());
        }
        let echoed = client.unary(request).await?.into_inner();
        ensure!(
            echoed.data.len() == self.payload,
            "the echo differs from the request"
        );
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for child in &mut self.processes {
            child.stdin = None;
        }
        for child in &mut self.processes {
            if let Err(error) = child.wait() {
                eprintln!("cannot wait for a reference server: {error}");
            }
        }
    }
}

/// Returns the hotkey of the servers.
fn receiver() -> Hotkey {
    SecretKey::hotkey(&Seed::root(SEED), Owner::Miner(0)).public()
}
