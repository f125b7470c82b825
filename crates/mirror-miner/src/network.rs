//! The miner's access to the network: the metagraph, and calls to other axons.
//!
//! The chain and other axons are queried only when a behaviour needs them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mirror_auth::Signer;
use mirror_identity::Hotkey;
use mirror_links::{Fate, Links, Transport};
use mirror_net::{alarm, metadata};
use mirror_proto::bittensor::ForwardTextPromptingRequest;
use mirror_proto::bittensor::text_prompting_client::TextPromptingClient;
use mirror_proto::protocol::{BITTENSOR_VERSION, METAGRAPH_SYNC_BLOCKS, REPLY_LIMIT, SERVES_NO_AXON};
use mirror_seed::{CallId, Seed};
use mirror_subtensor_client::{Detail, Metagraph, Neuron, RequestError, SubtensorClient};
use mirror_telemetry::spans::{self, Kind};
use mirror_telemetry::{Instrument, Span, TraceContext, span};
use tonic::{Request, Status};

use crate::behaviour::Call;

/// Time for which a cached metagraph of the latest block is used.
const SYNC_TIME: Duration = Duration::from_secs(2);

/// Maximum time that a call waits for a metagraph.
const METAGRAPH_DEADLINE: Duration = Duration::from_secs(5);

/// The reason for which a duplicated request is sent again.
const DUPLICATE: &str = "duplicate";

/// Clients of the chain and of other axons, shared by the axons of a miner process.
pub struct Network {
    seed: Seed,
    subtensor: SubtensorClient,
    links: Arc<Links>,
    /// The last closed block when step 0 begins. `None` if blocks do not close by steps.
    first_block: Option<u64>,
    cached: tokio::sync::Mutex<Option<CachedMetagraph>>,
    latest: tokio::sync::Mutex<Option<Latest>>,
    axons: Mutex<HashMap<SocketAddr, TextPromptingClient<Transport>>>,
}

/// The latest metagraph, for decisions about callers.
struct Latest {
    /// Time of the last request, which may have failed.
    at: Instant,
    /// `None` if the chain has never answered.
    view: Option<Arc<MetagraphView>>,
}

/// The metagraph of the latest request.
struct CachedMetagraph {
    /// The requested block. `None` for the latest block.
    block: Option<u64>,
    at: Instant,
    /// The view of an earlier request if the reply to this one was invalid.
    view: Arc<MetagraphView>,
}

/// The metagraph at a block, with an index of its neurons by hotkey.
#[derive(Debug)]
pub struct MetagraphView {
    /// The metagraph.
    pub metagraph: Metagraph,
    uids: HashMap<Hotkey, u32>,
}

impl Network {
    /// Creates the network access of a miner process.
    pub fn new(seed: Seed, subtensor: &SubtensorClient, links: Arc<Links>, first_block: Option<u64>) -> Self {
        Self {
            seed,
            links,
            subtensor: subtensor.with_deadline(METAGRAPH_DEADLINE),
            first_block,
            cached: tokio::sync::Mutex::default(),
            latest: tokio::sync::Mutex::default(),
            axons: Mutex::default(),
        }
    }

    /// Returns the metagraph for a call. If blocks close by steps, this is the metagraph at a block before the call's
    /// step, the same in each run. Otherwise, and for manual calls, it is at most a few seconds old.
    ///
    /// If the subtensor sends an invalid metagraph, the last valid one is returned.
    ///
    /// # Errors
    /// Returns an error if the subtensor does not reply in time, rejects the request, or sends an invalid metagraph
    /// before any valid one.
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

    /// Returns the latest metagraph, at most a few seconds old, or the last one if the chain does not answer. `None` if
    /// it has never answered. Callers cannot choose the block, and cause at most one request in [`SYNC_TIME`].
    pub(crate) async fn latest(&self) -> Option<Arc<MetagraphView>> {
        let mut latest = self.latest.lock().await;
        let last = match &*latest {
            Some(last) if last.at.elapsed() < SYNC_TIME => return last.view.clone(),
            Some(last) => last.view.clone(),
            None => None,
        };
        let view = match self.subtensor.metagraph(None, Detail::Lite).await {
            Ok(metagraph) => Some(Arc::new(MetagraphView::new(metagraph))),
            Err(error) => {
                tracing::warn!(%error, "the chain does not return the stakes of callers");
                last
            }
        };
        *latest = Some(Latest {
            at: Instant::now(),
            view: view.clone(),
        });
        view
    }

    /// Forwards `call` to the axon of `uid` in the name of the signer. The identity keeps the call's numbers and is
    /// marked as relayed.
    pub async fn relay(&self, call: &Call, uid: u32, signer: &Arc<Signer>) -> Result<String, Status> {
        let view = self.view(&call.id).await;
        let view = view.map_err(|error| Status::unavailable(error.to_string()))?;
        let neuron = view.metagraph.neurons.get(uid as usize);
        let (receiver, address) = neuron
            .and_then(|neuron| Some((neuron.hotkey, neuron.axon?)))
            .ok_or_else(|| Status::unavailable(format!("uid {uid} {SERVES_NO_AXON}")))?;
        let id = CallId {
            caller: signer.hotkey().bytes(),
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
            hotkey: signer.address().to_owned(),
            messages,
            timeout: call.timeout.as_secs_f32(),
        });
        request.set_timeout(call.timeout);
        let lane = signer.lane(receiver);
        lane.sign(request.metadata_mut());
        let context = self.context(&id);
        metadata::write(request.metadata_mut(), &id, &context);
        let span = relay_span(&context, uid);
        let plan = self.links.plan(call.id.uid, &id);
        if plan.fate != Fate::Pass {
            request.extensions_mut().insert(plan.fate);
        }
        // The deadline in the request limits the wait for the start of a reply, this timeout the wait for its end.
        let mut axon = self.axon(address);
        let relaying = async {
            if let Some(delay) = plan.delay {
                alarm::sleep(delay).await;
            }
            if plan.duplicated {
                let (mut axon, mut again) = (axon.clone(), copy_of(&request));
                let lane = signer.lane(receiver);
                lane.sign(again.metadata_mut());
                let context = below(&context, DUPLICATE, 0);
                metadata::write(again.metadata_mut(), &id, &context);
                let span = relay_span(&context, uid);
                span.record("mirror.repeated", DUPLICATE);
                // The first reply counts, so that of the second request is discarded.
                let repeated = async move {
                    let ended = axon.forward(again).await.map(drop);
                    drop(lane);
                    ended
                };
                tokio::spawn(tokio::time::timeout(call.timeout, repeated.instrument(span)));
            }
            axon.forward(request).await
        };
        let reply = tokio::time::timeout(call.timeout, relaying.instrument(span.clone())).await;
        let reply = reply.unwrap_or_else(|_| Err(Status::deadline_exceeded("no reply before the deadline")));
        if let Err(status) = &reply {
            span.fail(status.message());
        }
        Ok(reply?.into_inner().response)
    }

    fn axon(&self, address: SocketAddr) -> TextPromptingClient<Transport> {
        let mut axons = self.axons.lock().unwrap_or_else(PoisonError::into_inner);
        let new =
            || TextPromptingClient::new(Transport::lazy(address)).max_decoding_message_size(REPLY_LIMIT);
        axons.entry(address).or_insert_with(new).clone()
    }

    /// Returns the context of a relayed call, which belongs to the call in progress. A repeated call has another span,
    /// and so do the calls that it causes.
    fn context(&self, call: &CallId) -> TraceContext {
        if let Some(current) = mirror_telemetry::current() {
            return below(&current, "relay", call.uid.into());
        }
        let drawn = self.seed.about_call("relay", call).bytes();
        let (mut trace, mut span) = ([0; 16], [0; 8]);
        trace.copy_from_slice(&drawn[..16]);
        span.copy_from_slice(&drawn[16..24]);
        TraceContext::new(trace, span)
    }
}

/// Returns the context of a span under another one, with an id that follows from its name and number.
fn below(parent: &TraceContext, name: &str, nth: u64) -> TraceContext {
    let trace = parent.trace.to_bytes();
    let of_parent = u64::from_be_bytes(parent.span.to_bytes());
    let span = spans::derived(u128::from_be_bytes(trace), of_parent, name, nth);
    TraceContext {
        is_recorded: parent.is_recorded,
        ..TraceContext::new(trace, span.to_be_bytes())
    }
}

/// Returns the span of a call of another axon.
fn relay_span(context: &TraceContext, uid: u32) -> Span {
    span("axon.relay")
        .id(u64::from_be_bytes(context.span.to_bytes()))
        .kind(Kind::Client)
        .with("mirror.uid", uid)
        .start()
}

/// Returns the same request, with the metadata and the fate of the call.
fn copy_of(request: &Request<ForwardTextPromptingRequest>) -> Request<ForwardTextPromptingRequest> {
    let mut copy = Request::new(request.get_ref().clone());
    *copy.metadata_mut() = request.metadata().clone();
    if let Some(fate) = request.extensions().get::<Fate>() {
        copy.extensions_mut().insert(*fate);
    }
    copy
}

impl MetagraphView {
    fn new(metagraph: Metagraph) -> Self {
        let hotkeys = metagraph.neurons.iter().map(|neuron| neuron.hotkey);
        let uids = hotkeys.zip(0..).collect();
        Self { metagraph, uids }
    }

    /// Returns the uid and the neuron of a hotkey.
    pub fn neuron(&self, hotkey: &Hotkey) -> Option<(u32, &Neuron)> {
        let uid = *self.uids.get(hotkey)?;
        Some((uid, self.metagraph.neurons.get(uid as usize)?))
    }
}
