//! What a miner can learn of the network: the metagraph, and other axons by asking them.
//!
//! Nothing is asked of the chain or of anybody before a behaviour wants to know.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mirror_identity::Hotkey;
use mirror_net::{channel, metadata};
use mirror_proto::bittensor::ForwardTextPromptingRequest;
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use mirror_proto::protocol::{BITTENSOR_VERSION, METAGRAPH_SYNC_BLOCKS, REPLY_LIMIT, SERVES_NO_AXON};
use mirror_seed::{CallId, Seed};
use mirror_subtensor_client::{Detail, Metagraph, Neuron, RequestError, SubtensorClient};
use mirror_telemetry::TraceContext;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::behaviour::Call;

/// Time for which one is good where blocks close by the clock.
const SYNC_TIME: Duration = Duration::from_secs(2);

/// The longest time that a call waits for a metagraph.
const METAGRAPH_DEADLINE: Duration = Duration::from_secs(5);

/// The network, as far as a miner process has asked.
pub struct Network {
    seed: Seed,
    subtensor: SubtensorClient,
    /// The block that has closed when step 0 begins, where blocks close by steps.
    first_block: Option<u64>,
    cached: tokio::sync::Mutex<Option<CachedMetagraph>>,
    axons: Mutex<HashMap<SocketAddr, TextPromptingClient<Channel>>>,
}

/// The metagraph of the last request for one.
struct CachedMetagraph {
    /// The block that was asked for; `None`: the last.
    block: Option<u64>,
    at: Instant,
    /// That of an earlier request, where the reply to this one was invalid.
    view: Arc<MetagraphView>,
}

/// The metagraph at a block, with its neurons by hotkey.
#[derive(Debug)]
pub struct MetagraphView {
    /// The metagraph.
    pub metagraph: Metagraph,
    uids: HashMap<Hotkey, u32>,
}

impl Network {
    /// The network around `subtensor`.
    pub fn new(seed: Seed, subtensor: &SubtensorClient, first_block: Option<u64>) -> Self {
        Self {
            seed,
            subtensor: subtensor.with_deadline(METAGRAPH_DEADLINE),
            first_block,
            cached: tokio::sync::Mutex::default(),
            axons: Mutex::default(),
        }
    }

    /// The metagraph as a call finds it. Where blocks close by steps it is that of a block before the call's step, the
    /// same in each run; else, and for manual calls, one of the last seconds.
    ///
    /// The last valid metagraph stands in for one that is invalid.
    ///
    /// # Errors
    /// The subtensor did not answer in time, or refused, or its first metagraph is invalid.
    pub async fn view(&self, call: &CallId) -> Result<Arc<MetagraphView>, RequestError> {
        let of_query = call.call.is_of_query();
        let block = self
            .first_block
            .filter(|_| of_query)
            .map(|first| first.saturating_add(call.step - call.step % METAGRAPH_SYNC_BLOCKS));
        let mut cached = self.cached.lock().await;
        if let Some(cached) = &*cached
            && cached.block == block
            && (block.is_some() || cached.at.elapsed() < SYNC_TIME)
        {
            return Ok(cached.view.clone());
        }
        let view = match (self.subtensor.metagraph(block, Detail::Lite).await, &*cached) {
            (Ok(metagraph), _) => Arc::new(MetagraphView::new(metagraph)),
            (Err(RequestError::Metagraph(error)), Some(last)) => {
                let kept = last.view.metagraph.block;
                tracing::warn!(%error, kept, "the subtensor sent an invalid metagraph, so the last one is kept");
                last.view.clone()
            }
            (Err(error), _) => return Err(error),
        };
        *cached = Some(CachedMetagraph {
            block,
            at: Instant::now(),
            view: view.clone(),
        });
        Ok(view)
    }

    /// Asks the axon of `uid` what `call` asks, in the name of `asker`. The call's numbers go on, marked as relayed.
    pub async fn relay(&self, call: &Call, uid: u32, asker: &Hotkey) -> Result<String, Status> {
        let view = self.view(&call.id).await;
        let view = view.map_err(|error| Status::unavailable(error.to_string()))?;
        let axon = view
            .metagraph
            .neurons
            .get(uid as usize)
            .and_then(|neuron| neuron.axon);
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

impl MetagraphView {
    fn new(metagraph: Metagraph) -> Self {
        let hotkeys = metagraph.neurons.iter().map(|neuron| neuron.hotkey);
        let uids = hotkeys.zip(0..).collect();
        Self { metagraph, uids }
    }

    /// The neuron of a hotkey, with its uid.
    pub fn neuron(&self, hotkey: &Hotkey) -> Option<(u32, &Neuron)> {
        let uid = *self.uids.get(hotkey)?;
        Some((uid, self.metagraph.neurons.get(uid as usize)?))
    }
}
