//! What a miner can learn of the network: the metagraph, and other axons by asking them.
//!
//! Nothing is asked of the chain or of anybody before a behaviour wants to know.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mirror_identity::Hotkey;
use mirror_net::tracer::{Traced, Tracer};
use mirror_net::{channel, metadata};
use mirror_proto::bittensor::ForwardTextPromptingRequest;
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient;
use mirror_proto::mirror::v1::{Metagraph, MetagraphRequest, NeuronInfo};
use mirror_proto::protocol::{BITTENSOR_VERSION, METAGRAPH_SYNC_BLOCKS, REPLY_LIMIT, SERVES_NO_AXON};
use mirror_seed::{CallId, Seed};
use mirror_telemetry::TraceContext;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::behaviour::Call;

/// Time for which one is good where blocks close by the clock.
const SYNC_TIME: Duration = Duration::from_secs(2);

/// Time for the chain to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a metagraph without weights and bonds.
const METAGRAPH_LIMIT: usize = 64 << 20;

/// The network, as far as a miner process has asked.
pub struct Network {
    seed: Seed,
    subtensor: SocketAddr,
    tracer: Tracer,
    /// The block that has closed when step 0 begins, where blocks close by steps.
    first_block: Option<u64>,
    seen: tokio::sync::Mutex<Option<Seen>>,
    axons: Mutex<HashMap<SocketAddr, TextPromptingClient<Channel>>>,
}

/// A metagraph that was fetched.
struct Seen {
    /// The block that was asked for; `None`: the last.
    block: Option<u64>,
    at: Instant,
    view: Arc<View>,
}

/// The metagraph at a block.
#[derive(Debug, Default)]
pub struct View {
    block: u64,
    /// Blocks after its registration in which a neuron is not replaced.
    immunity_period: u64,
    neurons: Vec<Neuron>,
    uids: HashMap<Hotkey, u32>,
}

/// A neuron, as far as a miner cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neuron {
    /// Rao.
    pub stake: u64,
    /// Block of its registration.
    pub registered: u64,
    /// Where its axon listens, if it serves one.
    pub axon: Option<SocketAddr>,
}

impl Network {
    /// The network around `subtensor`.
    pub fn new(seed: Seed, subtensor: SocketAddr, tracer: Tracer, first_block: Option<u64>) -> Self {
        Self {
            seed,
            subtensor,
            tracer,
            first_block,
            seen: tokio::sync::Mutex::default(),
            axons: Mutex::default(),
        }
    }

    /// The metagraph as a call finds it. Where blocks close by steps it is that of a block before the call's step, the same
    /// in each run; else, and for calls by hand, one of the last seconds.
    pub async fn view(&self, call: &CallId) -> Result<Arc<View>, Status> {
        let of_query = call.call.is_of_query();
        let block = self
            .first_block
            .filter(|_| of_query)
            .map(|first| first.saturating_add(call.step - call.step % METAGRAPH_SYNC_BLOCKS));
        let mut seen = self.seen.lock().await;
        if let Some(seen) = &*seen
            && seen.block == block
            && (block.is_some() || seen.at.elapsed() < SYNC_TIME)
        {
            return Ok(seen.view.clone());
        }
        let mut client = SubtensorClient::<Traced>::new(self.tracer.channel(self.subtensor))
            .max_decoding_message_size(METAGRAPH_LIMIT);
        let mut request = Request::new(MetagraphRequest { block, lite: true });
        request.set_timeout(PATIENCE);
        let view = Arc::new(View::from(client.get_metagraph(request).await?.into_inner()));
        *seen = Some(Seen {
            block,
            at: Instant::now(),
            view: view.clone(),
        });
        Ok(view)
    }

    /// Asks the axon of `uid` what `call` asks, in the name of `asker`. The call's numbers go on, marked as relayed.
    pub async fn relay(&self, call: &Call, uid: u32, asker: &Hotkey) -> Result<String, Status> {
        let view = self.view(&call.id).await?;
        let axon = view.neurons.get(uid as usize).and_then(|neuron| neuron.axon);
        let address = axon.ok_or_else(|| Status::unavailable(format!("uid {uid} {SERVES_NO_AXON}")))?;
        let id = CallId {
            caller: asker.bytes(),
            uid,
            call: call.id.call.relayed(),
            ..call.id
        };
        let messages = call.messages.iter().map(serde_json::to_string);
        let messages = messages
            .collect::<Result<_, _>>()
            .map_err(|error| Status::internal(error.to_string()))?;
        let mut request = Request::new(ForwardTextPromptingRequest {
            version: BITTENSOR_VERSION,
            hotkey: asker.to_string(),
            messages,
            timeout: call.timeout.as_secs_f32(),
        });
        request.set_timeout(call.timeout);
        metadata::write(request.metadata_mut(), &id, &self.context(&id));
        // A deadline on the wire ends the wait for a reply's beginning, and this one that for its end.
        let mut axon = self.axon(address);
        let reply = tokio::time::timeout(call.timeout, axon.forward(request)).await;
        let reply = reply.map_err(|_| Status::deadline_exceeded("no answer in time"))??;
        Ok(reply.into_inner().response)
    }

    fn axon(&self, address: SocketAddr) -> TextPromptingClient<Channel> {
        let mut axons = self.axons.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || TextPromptingClient::new(channel::lazy(address)).max_decoding_message_size(REPLY_LIMIT);
        axons.entry(address).or_insert_with(new).clone()
    }

    fn context(&self, call: &CallId) -> TraceContext {
        let drawn = self.seed.about_call("relay", call).bytes();
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&drawn[..16]);
        span.copy_from_slice(&drawn[16..24]);
        TraceContext::new(trace, span)
    }
}

impl View {
    /// The neuron of a hotkey, with its uid.
    pub fn neuron(&self, hotkey: &Hotkey) -> Option<(u32, &Neuron)> {
        let uid = *self.uids.get(hotkey)?;
        Some((uid, self.neurons.get(uid as usize)?))
    }

    /// Whether the chain protects a neuron from being replaced.
    pub fn is_immune(&self, uid: u32) -> bool {
        let neuron = self.neurons.get(uid as usize);
        neuron.is_some_and(|neuron| self.block.saturating_sub(neuron.registered) < self.immunity_period)
    }
}

impl From<Metagraph> for View {
    fn from(metagraph: Metagraph) -> Self {
        let rules = metagraph
            .hyperparameters
            .map(|rules| rules.all)
            .unwrap_or_default();
        let immunity = rules.iter().find(|rule| rule.name == "immunity_period");
        let hotkey = |(uid, neuron): (u32, &NeuronInfo)| {
            let bytes = neuron.hotkey.as_slice().try_into().ok()?;
            Some((Hotkey::from_bytes(bytes), uid))
        };
        Self {
            block: metagraph.block,
            immunity_period: immunity.map_or(0, |rule| rule.value),
            uids: (0..).zip(&metagraph.neurons).filter_map(hotkey).collect(),
            neurons: metagraph.neurons.iter().map(neuron).collect(),
        }
    }
}

fn neuron(info: &NeuronInfo) -> Neuron {
    let ip: Option<IpAddr> = info.ip.parse().ok();
    let port = u16::try_from(info.port).ok();
    Neuron {
        stake: info.stake,
        registered: info.block_at_registration,
        axon: ip.zip(port).map(SocketAddr::from),
    }
}
