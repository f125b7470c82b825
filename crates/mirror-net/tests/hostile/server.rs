//! The program `bounded_server` as a process of a test, and honest calls of it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use mirror_net::channel;
use mirror_net::server::Bound;
use mirror_proto::bittensor::ForwardTextPromptingRequest;
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use tonic::transport::Channel;

/// A running server. It ends when this is dropped.
pub(crate) struct Server {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts a server whose limits `arguments` change.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let tests = std::env::current_exe().expect("a test has a path");
        let folder: PathBuf = tests
            .ancestors()
            .nth(2)
            .expect("tests are in a folder of the target folder")
            .into();
        let mut child = Command::new(folder.join("examples/bounded_server"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example is built with the tests");
        let requests = child.stdin.take().expect("the input is a pipe");
        let mut answers = BufReader::new(child.stdout.take().expect("the output is a pipe"));
        let mut port = String::new();
        answers.read_line(&mut port).expect("the server prints its port");
        let port = port.trim().parse().expect("the server prints its port");
        Self {
            child,
            requests,
            answers,
            address: (Ipv4Addr::LOCALHOST, port).into(),
        }
    }

    /// Returns the number of times that `bound` was reached.
    pub(crate) fn count(&mut self, bound: Bound) -> u64 {
        self.requests.write_all(b"\n").expect("the server runs");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the server runs");
        let count = line.split_whitespace().nth(bound as usize);
        count
            .and_then(|count| count.parse().ok())
            .expect("the server prints a count for each bound")
    }

    /// Returns the greatest amount of memory that the server has used, in MiB.
    pub(crate) fn most_memory(&self) -> u64 {
        let process = procfs::process::Process::new(self.child.id() as i32).expect("the server runs");
        let status = process.status().expect("the server runs");
        status.vmhwm.expect("the kernel reports it") / 1_024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The server has ended if this fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A caller with one connection, which comes from another address than the attacks.
pub(crate) struct Caller(TextPromptingClient<Channel>);

/// Number of honest calls in progress.
const IN_FLIGHT: usize = 8;

/// Duration of one measurement of the rate.
const MEASURE: Duration = Duration::from_millis(400);

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        channel::connect_from(Ipv4Addr::new(127, 0, 0, 2).into());
        Self(TextPromptingClient::new(channel::lazy(address)))
    }

    /// Makes a call, which must succeed.
    pub(crate) async fn call(&self) {
        let request = ForwardTextPromptingRequest {
            version: 400,
            hotkey: "5F3sa2TJAWMqDhXG6jhV4N8ko9SxwGy8TpaNS1repo5EYjQX".to_owned(),
            messages: vec!["{\"role\": \"user\", \"content\": \"How do bees find their way?\"}".to_owned()],
            timeout: 12.0,
        };
        let mut client = self.0.clone();
        let answer = match client.forward(request.clone()).await {
            // As the dendrite does: a call is repeated once if its connection was closed.
            Err(status) if channel::is_own(&status) => client.forward(request).await,
            answered => answered,
        };
        assert_eq!(
            answer.expect("an honest call is answered").into_inner().version,
            400
        );
    }

    /// Returns the number of calls that are answered during one measurement.
    pub(crate) async fn answered(&self) -> u64 {
        let end = Instant::now() + MEASURE;
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..IN_FLIGHT {
            let caller = Self(self.0.clone());
            calls.spawn(async move {
                let mut count = 0;
                while Instant::now() < end {
                    caller.call().await;
                    count += 1;
                }
                count
            });
        }
        calls.join_all().await.into_iter().sum()
    }
}
