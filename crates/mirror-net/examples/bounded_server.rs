//! A server with the limits of an axon, which the tests of this crate attack. Its arguments `NAME=NUMBER` change
//! limits. It prints its port, and for each line of its standard input a line with the counters of its bounds.

use std::io::{BufRead, Write};
use std::net::Ipv4Addr;
use std::time::Duration;

use mirror_net::server::{self, Bound, Limits, MESSAGE_LIMIT, Services};
use mirror_proto::bittensor::text_prompting_server::{TextPrompting, TextPromptingServer};
use mirror_proto::bittensor::{
    BackwardTextPromptingRequest, BackwardTextPromptingResponse, ForwardTextPromptingRequest,
    ForwardTextPromptingResponse, MultiForwardTextPromptingRequest, MultiForwardTextPromptingResponse,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, async_trait};

/// Answers a forward with the version of the request, and, if this is above [`LARGE`], with a text of so many bytes.
struct Echo;

/// The greatest version that is answered without a text.
const LARGE: usize = 10_000;

#[async_trait]
impl TextPrompting for Echo {
    async fn forward(
        &self,
        request: Request<ForwardTextPromptingRequest>,
    ) -> Result<Response<ForwardTextPromptingResponse>, Status> {
        let version = request.into_inner().version;
        let bytes = usize::try_from(version).ok().filter(|bytes| *bytes > LARGE);
        Ok(Response::new(ForwardTextPromptingResponse {
            version,
            response: "x".repeat(bytes.unwrap_or_default()),
            ..ForwardTextPromptingResponse::default()
        }))
    }

    async fn multi_forward(
        &self,
        _request: Request<MultiForwardTextPromptingRequest>,
    ) -> Result<Response<MultiForwardTextPromptingResponse>, Status> {
        Err(Status::unimplemented("this server only answers forwards"))
    }

    async fn backward(
        &self,
        _request: Request<BackwardTextPromptingRequest>,
    ) -> Result<Response<BackwardTextPromptingResponse>, Status> {
        Err(Status::unimplemented("this server only answers forwards"))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut limits = Limits::axons(1);
    for argument in std::env::args().skip(1) {
        let (name, number) = argument.split_once('=').ok_or("an argument has no `=`")?;
        let number: u64 = number.parse()?;
        match name {
            "preface_ms" => limits.preface_timeout = Duration::from_millis(number),
            "first_request_ms" => limits.first_request_timeout = Duration::from_millis(number),
            "idle_ms" => limits.idle_timeout = Duration::from_millis(number),
            "body_ms" => limits.body_timeout = Duration::from_millis(number),
            "descriptors" => setrlimit(
                Resource::Nofile,
                Rlimit {
                    current: Some(number),
                    maximum: Some(number),
                },
            )?,
            other => return Err(format!("there is no limit `{other}`").into()),
        }
    }
    let counters = limits.counters.clone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?.port());
    let (end, ended) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let counts = Bound::ALL.iter().map(|bound| counters.get(*bound).to_string());
            let counts: Vec<_> = counts.collect();
            let printed = writeln!(std::io::stdout(), "{}", counts.join(" "));
            if line.is_err() || printed.is_err() {
                break;
            }
        }
        drop(end);
    });
    let service = TextPromptingServer::new(Echo).max_decoding_message_size(MESSAGE_LIMIT);
    let ended = async {
        // The thread sends nothing: the end of its input drops the sender.
        let _: Result<(), _> = ended.await;
    };
    tokio::select! {
        served = server::serve(listener, Services::default().open(service), limits, std::future::pending()) => served?,
        () = ended => {}
    }
    Ok(())
}
