//! The test environment of a validator: axons with scripted replies, a chain whose blocks close at every report, and a
//! coordinator that the test controls.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::stream;
use mirror_net::channel;
use mirror_net::server::{Callers, Services};
use mirror_node::Control;
use mirror_proto::bittensor::text_prompting_server::{TextPrompting, TextPromptingServer};
use mirror_proto::bittensor::{
    BackwardTextPromptingRequest, BackwardTextPromptingResponse, ForwardTextPromptingRequest,
    ForwardTextPromptingResponse, MultiForwardTextPromptingRequest, MultiForwardTextPromptingResponse,
};
use mirror_proto::mirror::v1::neuron_client::NeuronClient;
use mirror_proto::mirror::v1::subtensor_barrier_server::{SubtensorBarrier, SubtensorBarrierServer};
use mirror_proto::mirror::v1::subtensor_server::{Subtensor, SubtensorServer};
use mirror_proto::mirror::v1::{
    Applied, BlockClosed, CurrentBlock, CurrentBlockRequest, DispatchError, Hyperparameter, Hyperparameters,
    Metagraph, MetagraphRequest, NeuronInfo, Nominators, NominatorsRequest, QueryProgress, QueryRequest,
    SignedTransaction, StepReport, SubmitReply, Transaction, WatchRequest, record,
};
use mirror_proto::protocol::{COORDINATOR, SUBTENSOR};
use mirror_spec::launch::{Launch, ValidatorLaunch};
use mirror_spec::{BlockTime, Method, NeuronSettings, Query, TrainArgs};
use mirror_spec::{
    ConstantArgs, ConstantRewardArgs, DummyReward, DummyRewardArgs, GatingModel, RewardModel, StepArgs, Value,
};
use mirror_subtensor_client::transaction;
use mirror_test_support::{certificates, coordinator, launch, loopback};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming, async_trait};

/// The last closed block when a validator starts.
pub(crate) const FIRST_BLOCK: u64 = 1;

// --- axons ---

/// Returns an axon's completion for the last message.
pub(crate) type Says = fn(&str) -> &'static str;

struct Axon {
    says: Says,
    rewards: mpsc::UnboundedSender<f32>,
}

#[async_trait]
impl TextPrompting for Axon {
    async fn forward(
        &self,
        request: Request<ForwardTextPromptingRequest>,
    ) -> Result<Response<ForwardTextPromptingResponse>, Status> {
        let messages = request.into_inner().messages;
        let last = messages
            .last()
            .ok_or_else(|| Status::invalid_argument("no message"))?;
        let last: serde_json::Value = serde_json::from_str(last).expect("a validator sends JSON");
        let response = (self.says)(last["content"].as_str().expect("the message has a content")).to_owned();
        Ok(Response::new(ForwardTextPromptingResponse {
            response,
            ..Default::default()
        }))
    }

    async fn multi_forward(
        &self,
        _: Request<MultiForwardTextPromptingRequest>,
    ) -> Result<Response<MultiForwardTextPromptingResponse>, Status> {
        Err(Status::unimplemented("validators do not call this"))
    }

    async fn backward(
        &self,
        request: Request<BackwardTextPromptingRequest>,
    ) -> Result<Response<BackwardTextPromptingResponse>, Status> {
        for reward in request.into_inner().rewards {
            self.rewards
                .send(reward)
                .map_err(|_| Status::unavailable("the test has ended"))?;
        }
        Ok(Response::new(BackwardTextPromptingResponse::default()))
    }
}

// --- the chain ---

/// A chain that closes a block at each report of a step.
#[derive(Clone, Default)]
pub(crate) struct Chain(Arc<Mutex<State>>);

#[derive(Default)]
pub(crate) struct State {
    axons: Vec<Option<SocketAddr>>,
    /// A uid whose hotkey changes, and the block from which the new hotkey applies.
    pub(crate) newcomer: Option<(usize, u64)>,
    /// Number of blocks between two settings of weights.
    pub(crate) epoch_length: u64,
    /// Whether weights must be committed to first and revealed an epoch later.
    pub(crate) commits: bool,
    /// The reason for which the next weights are rejected when their block closes.
    pub(crate) refusal: Option<DispatchError>,
    block: u64,
    waiting: Vec<Transaction>,
    /// Blocks whose metagraphs were requested.
    pub(crate) asked: Vec<Option<u64>>,
    /// Applied transactions, with their block.
    pub(crate) applied: Vec<(u64, Transaction)>,
}

impl Chain {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no thread panicked with the lock")
    }

    fn close_block(&self, report: &StepReport) -> BlockClosed {
        let mut state = self.state();
        state.block += 1;
        let block = state.block;
        let refusal = state.refusal.map(i32::from);
        let applied = std::mem::take(&mut state.waiting);
        let messages = applied.iter().map(|transaction| Applied {
            nonce: transaction.nonce,
            refusal,
        });
        let messages = messages.collect();
        state
            .applied
            .extend(applied.into_iter().map(|transaction| (block, transaction)));
        BlockClosed {
            block,
            step: report.step,
            metagraph_version: 1,
            applied: messages,
        }
    }
}

#[async_trait]
impl SubtensorBarrier for Chain {
    type StepsStream = UnboundedReceiverStream<Result<BlockClosed, Status>>;

    async fn steps(
        &self,
        request: Request<Streaming<StepReport>>,
    ) -> Result<Response<Self::StepsStream>, Status> {
        let mut reports = request.into_inner();
        let (sender, messages) = mpsc::unbounded_channel();
        let chain = self.clone();
        tokio::spawn(async move {
            while let Ok(Some(report)) = reports.message().await {
                if sender.send(Ok(chain.close_block(&report))).is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(UnboundedReceiverStream::new(messages)))
    }
}

#[async_trait]
impl Subtensor for Chain {
    type WatchMetagraphStream = stream::Empty<Result<Metagraph, Status>>;

    async fn submit(&self, request: Request<SignedTransaction>) -> Result<Response<SubmitReply>, Status> {
        let transaction = transaction::verify(request.get_ref()).expect("validators sign their transactions");
        let mut state = self.state();
        state.waiting.push(transaction);
        let block = state.block + 1;
        Ok(Response::new(SubmitReply {
            block,
            ..SubmitReply::default()
        }))
    }

    async fn get_current_block(
        &self,
        _: Request<CurrentBlockRequest>,
    ) -> Result<Response<CurrentBlock>, Status> {
        let block = self.state().block;
        Ok(Response::new(CurrentBlock { block }))
    }

    async fn get_metagraph(&self, request: Request<MetagraphRequest>) -> Result<Response<Metagraph>, Status> {
        let mut state = self.state();
        let block = request.into_inner().block;
        state.asked.push(block);
        let block_told = block.unwrap_or(state.block);
        let newcomer = state.newcomer.filter(|(_, from)| block_told >= *from);
        let neurons = state.axons.iter().enumerate().map(|(uid, axon)| {
            let is_new = newcomer.is_some_and(|(newcomer, _)| newcomer == uid);
            NeuronInfo {
                uid: uid as u32,
                hotkey: vec![if is_new { 99 } else { uid as u8 }; 32],
                coldkey: vec![uid as u8; 32],
                ip: axon.map(|axon| axon.ip().to_string()).unwrap_or_default(),
                port: axon.map(|axon| axon.port().into()).unwrap_or_default(),
                ..NeuronInfo::default()
            }
        });
        let all = [
            ("tempo", state.epoch_length),
            ("min_allowed_weights", 1),
            ("max_weight_limit", 65_535),
            ("validator_exclude_quantile", 0),
            ("validator_epoch_length", state.epoch_length),
            ("commit_reveal_weights_enabled", state.commits.into()),
            ("commit_reveal_period", 1),
            ("immunity_period", 0),
        ];
        let all = all.map(|(name, value)| Hyperparameter {
            name: name.to_owned(),
            value,
        });
        let hyperparameters = Hyperparameters {
            all: all.into(),
            ..Hyperparameters::default()
        };
        Ok(Response::new(Metagraph {
            version: 1,
            block: block_told,
            hyperparameters: Some(hyperparameters),
            neurons: neurons.collect(),
        }))
    }

    async fn watch_metagraph(
        &self,
        _: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchMetagraphStream>, Status> {
        Err(Status::unimplemented("validators do not call this"))
    }

    async fn get_nominators(&self, _: Request<NominatorsRequest>) -> Result<Response<Nominators>, Status> {
        Ok(Response::new(Nominators::default()))
    }
}

// --- the validator ---

/// A validator with its test environment.
pub(crate) struct Network {
    pub(crate) chain: Chain,
    pub(crate) client: NeuronClient<Channel>,
    /// Reported records, in order. Each was acknowledged.
    pub(crate) records: mpsc::UnboundedReceiver<record::Kind>,
    /// Rewards that axons received.
    pub(crate) rewards: mpsc::UnboundedReceiver<f32>,
    _state: TempDir,
}

impl Network {
    /// Starts a validator and one axon for each entry of `says`. `None` for a uid without an axon. `shape` changes the
    /// launch config of the validator.
    pub(crate) async fn start(says: &[Option<Says>], shape: impl FnOnce(&mut ValidatorLaunch)) -> Self {
        let (messages, rewards) = mpsc::unbounded_channel();
        let mut axons = Vec::new();
        for says in says {
            axons.push(match says {
                Some(says) => {
                    let axon = Axon {
                        says: *says,
                        rewards: messages.clone(),
                    };
                    Some(loopback::serve(Services::default().open(TextPromptingServer::new(axon))).await)
                }
                None => None,
            });
        }
        let chain = Chain::default();
        {
            let mut state = chain.state();
            state.axons = axons;
            state.axons.push(None);
            state.block = FIRST_BLOCK;
            state.epoch_length = 1_000;
        }
        let subtensor = loopback::serve(
            Services::new(Some(certificates::identity(SUBTENSOR)))
                .open(SubtensorServer::new(chain.clone()))
                .only(Callers::Certified, SubtensorBarrierServer::new(chain.clone())),
        )
        .await;
        let (coordinator, records) = coordinator::records().await;
        let state = tempfile::tempdir().expect("a temporary folder");
        let mut role = launch(says.len() as u32, state.path(), subtensor, coordinator);
        shape(&mut role);
        let (listener, address) = loopback::listen().await;
        let launch = Launch {
            listen: address,
            seed: 5,
            ..launch::launch("validator-0", role)
        };
        tokio::spawn(mirror_validator::serve(
            launch,
            listener,
            CancellationToken::new(),
            Control::default(),
        ));
        Self {
            chain,
            client: NeuronClient::new(channel::secure(
                address,
                certificates::identity(COORDINATOR).connecting_to("validator-0"),
            )),
            records,
            rewards,
            _state: state,
        }
    }

    /// Runs the query. Returns its last progress and all records that were reported.
    pub(crate) async fn query(&mut self) -> (QueryProgress, Vec<record::Kind>) {
        let progress = self
            .client
            .query(QueryRequest {})
            .await
            .expect("the validator has a query");
        let mut progress = progress.into_inner();
        let mut last = QueryProgress::default();
        while let Some(next) = progress.message().await.expect("the query succeeds") {
            last = next;
        }
        assert!(last.finished, "{last:?}");
        let mut records = Vec::new();
        // All records are acknowledged when a query is over, and were collected before that.
        while let Ok(record) = self.records.try_recv() {
            records.push(record);
        }
        (last, records)
    }
}

/// Builds a launch config with scores that rise with the uid and a reward of one per character.
fn launch(miners: u32, state: &Path, subtensor: SocketAddr, coordinator: SocketAddr) -> ValidatorLaunch {
    let scores = StepArgs {
        lo: 0.0,
        hi: 1.0,
        length: miners.max(1),
        start: 0,
    };
    ValidatorLaunch {
        index: 0,
        uid: miners,
        num_nodes: miners,
        netuid: 1,
        state: state.to_owned(),
        checkpoints: state.join("checkpoints"),
        resume: None,
        subtensor,
        subtensor_credentials: None,
        coordinator,
        device: "cpu".to_owned(),
        alpha: 0.01,
        neuron: NeuronSettings {
            training_timeout: 30.0,
            inference_timeout: 30.0,
            ..NeuronSettings::default()
        },
        behaviour: mirror_spec::ValidatorBehaviour::Honest(mirror_spec::NoArgs {}),
        gating_model: GatingModel::ConstantGatingModel(mirror_spec::ConstantGatingArgs {
            value: Value::StepValue(scores),
        }),
        reward_model: RewardModel::DummyRewardModel(DummyRewardArgs {
            reward_type: DummyReward::QuestionLength,
        }),
        query: None,
        questions: None,
        block_time: BlockTime::PerStep,
        links: Vec::new(),
        rules: Vec::new(),
        untimed: false,
        injected: None,
        time_scale: 1.0,
        acknowledged: None,
    }
}

/// Returns a reward model that gives every completion the same reward.
pub(crate) fn equal_rewards() -> RewardModel {
    let value = |value| Value::ConstantValue(ConstantArgs { value });
    RewardModel::ConstantRewardModel(ConstantRewardArgs {
        forward_value: value(1.0),
        backward_value: value(0.0),
    })
}

/// Returns a query with this number of training steps.
pub(crate) fn train(steps: u64, args: &TrainArgs) -> Query {
    Query {
        id: "training".to_owned(),
        chunk_size: 1,
        save_interval: 100,
        ignore_attr: Vec::new(),
        method: Method::Train(TrainArgs {
            max_iter: steps,
            ..args.clone()
        }),
    }
}
