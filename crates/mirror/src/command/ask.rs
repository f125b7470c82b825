//! `mirror ask`: asks one axon of a running network, as a client that is not in the network.

use std::error::Error as _;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;
use mirror_auth::{DendriteId, Signer};
use mirror_identity::{Hotkey, Owner, SecretKey};
use mirror_net::channel;
use mirror_net::tracer::Tracer;
use mirror_output::message;
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use mirror_proto::bittensor::{ForwardTextPromptingRequest, ForwardTextPromptingResponse};
use mirror_proto::protocol::{BITTENSOR_VERSION, REPLY_LIMIT};
use mirror_runs::Layout;
use mirror_seed::Seed;
use mirror_subtensor_client::{Detail, SubtensorClient};
use serde::Serialize;
use tonic::{Code, Request, Status as GrpcStatus};

use super::key::PasswordArguments;
use super::running::{self, RunningNetwork};
use super::{Misuse, RunsDir, Status, terminal};

/// Time that the chain has to return the metagraph.
const CHAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum timeout of a call in seconds.
const MAX_TIMEOUT: f64 = 3_600.0;

#[derive(Debug, Args)]
pub(super) struct AskArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// The uid of the axon
    uid: u32,
    /// The question
    question: String,
    /// Timeout of the call
    #[arg(long, default_value = "12s", value_name = "TIME", value_parser = timeout)]
    timeout: Duration,
    /// Key file of the hotkey that signs the call [default: that of an unknown caller]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    password: PasswordArguments,
    /// Prints the reply as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    runs_dir: RunsDir,
}

fn timeout(text: &str) -> Result<Duration, String> {
    let seconds = mirror_spec::notation::seconds(text);
    let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds <= MAX_TIMEOUT);
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "expected a time of at most an hour, such as `12s` or `500ms`".to_owned())
}

/// A message in the encoding of the protocol.
#[derive(Serialize)]
struct Message<'a> {
    role: &'a str,
    content: &'a str,
}

/// An axon that was asked.
struct Asked {
    uid: u32,
    axon: SocketAddr,
    /// Time to connect. `None` if there was no connection.
    connected: Option<Duration>,
    /// Time from the request to its end.
    took: Duration,
    reply: Result<ForwardTextPromptingResponse, GrpcStatus>,
    /// Explanation of a missing reply.
    problem: Option<String>,
}

pub(super) fn ask(arguments: &AskArguments) -> anyhow::Result<Status> {
    let asked = running::block_on(async {
        let network = RunningNetwork::find(&arguments.runs_dir.runs_dir, &arguments.run)?;
        let (receiver, axon) = axon(&network, arguments.uid).await?;
        let request = request(&network, arguments, receiver)?;
        Ok(call(&network, arguments, axon, request).await)
    })?;
    asked.print(arguments.json)?;
    Ok(match &asked.problem {
        None => Status::Done,
        Some(problem) => {
            message!("error: {problem}");
            Status::Failed
        }
    })
}

/// Returns the hotkey of a uid and the address of its axon, from the chain.
async fn axon(network: &RunningNetwork, uid: u32) -> anyhow::Result<(Hotkey, SocketAddr)> {
    let chain = network.nodes().await?.subtensor;
    let address = chain
        .parse()
        .with_context(|| format!("the coordinator names the chain `{chain}`"))?;
    let tracer = Tracer::new(&Seed::root(0), "ask", 0);
    let client = SubtensorClient::new(tracer, address).with_deadline(CHAIN_TIMEOUT);
    let metagraph = client.metagraph(None, Detail::Lite).await.with_context(|| {
        format!(
            "the chain at {chain} does not return the metagraph (`mirror nodes {}` shows its state)",
            network.name
        )
    })?;
    let count = metagraph.neurons.len();
    let Some(neuron) = metagraph.neurons.get(uid as usize) else {
        return Err(Misuse::of(match count.checked_sub(1) {
            Some(last) => anyhow!("the network has no uid {uid}: its uids are 0 to {last}"),
            None => anyhow!("the network has no uid yet"),
        })
        .into());
    };
    let served = neuron.axon.map(|address| (neuron.hotkey, address));
    served.ok_or_else(|| {
        let error = anyhow!(
            "uid {uid} serves no axon: ask a miner (`mirror nodes {}`)",
            network.name
        );
        Misuse::of(error).into()
    })
}

/// Returns the request with which a validator of the run would ask the question of a neuron, signed by the hotkey of
/// the key file, or by one that is not registered.
fn request(
    network: &RunningNetwork,
    arguments: &AskArguments,
    receiver: Hotkey,
) -> anyhow::Result<Request<ForwardTextPromptingRequest>> {
    let path = Layout::new(network.folder()).resolved();
    let loaded = mirror_config::load(&path)
        .map_err(|problems| anyhow!("cannot read {}: {problems}", path.display()))?;
    let model = loaded
        .experiment
        .model
        .context("the experiment of the run has no `model`")?;
    let encoded = |role, content| serde_json::to_string(&Message { role, content });
    let key = match &arguments.key {
        Some(file) => arguments.password.open(file)?.key(),
        None => SecretKey::hotkey(&Seed::root(0).child("ask"), Owner::Validator(0)),
    };
    let dendrite = DendriteId::random().context("cannot draw the identifier of the dendrite")?;
    let signer = Arc::new(Signer::new(key, dendrite, BITTENSOR_VERSION));
    let mut request = Request::new(ForwardTextPromptingRequest {
        version: BITTENSOR_VERSION,
        hotkey: signer.address().to_owned(),
        messages: vec![
            encoded("system", &model.neuron.base_prompt)?,
            encoded("user", &arguments.question)?,
        ],
        timeout: arguments.timeout.as_secs_f32(),
    });
    signer.lane(receiver).sign(request.metadata_mut());
    Ok(request)
}

async fn call(
    network: &RunningNetwork,
    arguments: &AskArguments,
    axon: SocketAddr,
    mut request: Request<ForwardTextPromptingRequest>,
) -> Asked {
    let (uid, timeout, started) = (arguments.uid, arguments.timeout, Instant::now());
    let states = format!("`mirror nodes {}` shows the state of its node", network.name);
    let mut asked = Asked {
        uid,
        axon,
        connected: None,
        took: Duration::ZERO,
        reply: Err(GrpcStatus::deadline_exceeded("no reply before the timeout")),
        problem: None,
    };
    let channel = match channel::endpoint(axon).connect().await {
        Ok(channel) => channel,
        Err(error) => {
            let reason = std::iter::successors(error.source(), |cause| (*cause).source()).last();
            let reason = reason.map_or_else(|| error.to_string(), ToString::to_string);
            asked.problem = Some(format!(
                "cannot connect to the axon of uid {uid} at {axon}: {reason} ({states})"
            ));
            asked.reply = Err(GrpcStatus::unavailable(reason));
            return asked;
        }
    };
    asked.connected = Some(started.elapsed());
    let mut client = TextPromptingClient::new(channel).max_decoding_message_size(REPLY_LIMIT);
    request.set_timeout(timeout);
    let sent = Instant::now();
    if let Ok(reply) = tokio::time::timeout(timeout, client.forward(request)).await {
        asked.reply = reply.map(tonic::Response::into_inner);
    }
    asked.took = sent.elapsed();
    if asked.reply.as_ref().is_err_and(channel::has_timed_out) {
        asked.reply = Err(GrpcStatus::deadline_exceeded("no reply before the timeout"));
    }
    asked.problem = asked.reply.as_ref().err().map(|status| {
        if status.code() == Code::DeadlineExceeded {
            format!("the axon of uid {uid} at {axon} did not reply within {timeout:?} ({states})")
        } else {
            let words = status.code().description();
            format!(
                "the call of the axon of uid {uid} at {axon} failed: {words}: {}",
                terminal::printable(status.message())
            )
        }
    });
    asked
}

impl Asked {
    fn print(&self, as_json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let code = self.reply.as_ref().map_or_else(GrpcStatus::code, |_| Code::Ok);
        let reply = self.reply.as_ref().ok();
        if as_json {
            let value = serde_json::json!({
                "uid": self.uid,
                "axon": self.axon,
                "completion": reply.map(|reply| &reply.response),
                "return_code": reply.map(|reply| reply.return_code().as_str_name()),
                "return_message": reply.map(|reply| &reply.return_message),
                "grpc_code": format!("{code:?}"),
                "connect_time": self.connected.map(|time| time.as_secs_f64()),
                "reply_time": self.took.as_secs_f64(),
                "error": self.problem,
            });
            serde_json::to_writer_pretty(&mut out, &value)?;
            writeln!(out)?;
            return Ok(());
        }
        if let Some(reply) = reply {
            writeln!(out, "{}\n", terminal::printable(&reply.response))?;
            writeln!(
                out,
                "return code  {} ({})",
                reply.return_code().as_str_name(),
                terminal::printable(&reply.return_message)
            )?;
        }
        writeln!(out, "gRPC status  {code:?}")?;
        if let Some(connected) = self.connected {
            writeln!(out, "connected    in {:.1} ms", connected.as_secs_f64() * 1e3)?;
            writeln!(out, "ended        after {:.1} ms", self.took.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}
