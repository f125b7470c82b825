//! The gRPC services: `Subtensor` for neurons, `SubtensorBarrier` for validators, `SubtensorExplorer` for observers and
//! `SubtensorControl` for the coordinator. They check messages, pass them to the task and return its answers.

use std::collections::HashMap;
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use mirror_chain::{Block, BlockUnavailable, DispatchError};
use mirror_identity::Hotkey;
use mirror_net::server::{Callers, MESSAGE_LIMIT, Services};
use mirror_net::tls::{Identity, PeerName};
use mirror_proto::mirror::v1::subtensor_barrier_server::{SubtensorBarrier, SubtensorBarrierServer};
use mirror_proto::mirror::v1::subtensor_control_server::{SubtensorControl, SubtensorControlServer};
use mirror_proto::mirror::v1::subtensor_explorer_server::{SubtensorExplorer, SubtensorExplorerServer};
use mirror_proto::mirror::v1::subtensor_server::{Subtensor, SubtensorServer};
use mirror_proto::mirror::v1::{
    AddHoldReply, AddHoldRequest, Balance, BalanceRequest, BeginReply, BeginRequest, BlockClosed, BlockHash,
    BlockHashRequest, CurrentBlock, CurrentBlockRequest, Delegates, DelegatesRequest, HoldReply, HoldRequest,
    Issuance, IssuanceRequest, Metadata, MetadataRequest, Metagraph, MetagraphRequest, Nominators,
    NominatorsRequest, RetireReply, RetireRequest, SettleReply, SettleRequest, SignedTransaction, StepReport,
    SubmitReply, SubnetInfo, SubnetInfoRequest, WatchRequest,
};
use mirror_proto::protocol::COORDINATOR;
use mirror_subtensor_client::transaction::VerificationError;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::admission::{self, AdmissionError, SignedTx};
use crate::barrier::BarrierError;
use crate::node::{CallError, Handle, SubmitAnswer};
use crate::wire::{self, Detail, Malformed};

/// Maximum number of concurrent metagraph streams.
const WATCHERS: usize = 1_024;

/// Maximum length of the reason for a retirement, in bytes.
const REASON_BYTES: usize = 1_024;

#[derive(Clone)]
struct Service {
    node: Handle,
    /// The names in the certificates of the programs that report the steps of the barrier's members.
    reporters: Arc<HashMap<Hotkey, String>>,
    /// Ends streams and waiting calls at shutdown.
    ending: CancellationToken,
    watchers: Arc<Semaphore>,
    /// Permits for checking signatures on blocking threads. Everything else runs on a single thread.
    checking: Arc<Semaphore>,
}

/// Returns the services of a node. Their streams end when `ending` is cancelled.
///
/// Every caller may submit transactions and read the chain, as with a public node of the real chain. Only validators
/// with a certificate report steps, and only the coordinator controls the chain.
pub(crate) fn services(
    node: Handle,
    reporters: HashMap<Hotkey, String>,
    identity: Identity,
    ending: CancellationToken,
) -> Services {
    let service = Service {
        node,
        reporters: Arc::new(reporters),
        ending,
        watchers: Arc::new(Semaphore::new(WATCHERS)),
        checking: Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZero::get))),
    };
    let subtensor = SubtensorServer::new(service.clone()).max_decoding_message_size(MESSAGE_LIMIT);
    let explorer = SubtensorExplorerServer::new(service.clone()).max_decoding_message_size(MESSAGE_LIMIT);
    let barrier = SubtensorBarrierServer::new(service.clone()).max_decoding_message_size(MESSAGE_LIMIT);
    let control = SubtensorControlServer::new(service).max_decoding_message_size(MESSAGE_LIMIT);
    Services::new(Some(identity))
        .open(subtensor)
        .open(explorer)
        .only(Callers::Certified, barrier)
        .only(Callers::Named(&[COORDINATOR]), control)
}

#[tonic::async_trait]
impl Subtensor for Service {
    async fn submit(&self, request: Request<SignedTransaction>) -> Result<Response<SubmitReply>, Status> {
        let answer = match self.admit(request.into_inner()).await? {
            Ok(signed_tx) => self.node.submit(signed_tx).await?,
            Err(AdmissionError::Unverified(VerificationError::BadSignature)) => SubmitAnswer {
                open: self.node.current().borrow().block().next(),
                submitted: Err(DispatchError::BadProof),
            },
            Err(senseless) => return Err(Status::invalid_argument(senseless.to_string())),
        };
        let reply = match answer.submitted {
            Ok(submitted) => SubmitReply {
                refusal: None,
                block: submitted.block().0,
            },
            Err(error) => SubmitReply {
                refusal: Some(wire::dispatch_error(error).into()),
                block: answer.open.0,
            },
        };
        Ok(Response::new(reply))
    }

    async fn get_current_block(
        &self,
        _request: Request<CurrentBlockRequest>,
    ) -> Result<Response<CurrentBlock>, Status> {
        let Block(block) = self.node.current().borrow().block();
        Ok(Response::new(CurrentBlock { block }))
    }

    async fn get_metagraph(&self, request: Request<MetagraphRequest>) -> Result<Response<Metagraph>, Status> {
        let MetagraphRequest { block, lite } = request.into_inner();
        let metagraph = match block.map(Block) {
            None => self.node.current().borrow().message(detail(lite)),
            Some(block) => {
                let metagraph = self.node.metagraph_at(block).await?;
                wire::metagraph(&metagraph, block, detail(lite))
            }
        };
        Ok(Response::new(metagraph))
    }

    type WatchMetagraphStream = BoxStream<'static, Result<Metagraph, Status>>;

    async fn watch_metagraph(
        &self,
        request: Request<WatchRequest>,
    ) -> Result<Response<Self::WatchMetagraphStream>, Status> {
        let place = Arc::clone(&self.watchers).try_acquire_owned();
        let place = place.map_err(|_| {
            Status::resource_exhausted(format!(
                "too many streams watch the metagraph: the limit is {WATCHERS}"
            ))
        })?;
        let detail = detail(request.into_inner().lite);
        let mut current = self.node.current();
        current.mark_changed();
        let state = (current, detail, place);
        let versions = stream::unfold(state, async |(mut current, detail, place)| {
            // An error means that the node has ended, which ends the stream.
            current.changed().await.ok()?;
            let message = current.borrow_and_update().message(detail);
            Some((Ok(message), (current, detail, place)))
        });
        Ok(Response::new(self.until_the_end(versions.boxed())))
    }

    async fn get_nominators(
        &self,
        request: Request<NominatorsRequest>,
    ) -> Result<Response<Nominators>, Status> {
        let hotkey = wire::key("hotkey", &request.into_inner().hotkey)?;
        let nominators = self
            .node
            .read(move |chain| chain.nominators(&hotkey).collect::<Vec<_>>());
        Ok(Response::new(wire::nominators(&nominators.await?)))
    }
}

#[tonic::async_trait]
impl SubtensorBarrier for Service {
    type StepsStream = BoxStream<'static, Result<BlockClosed, Status>>;

    async fn steps(
        &self,
        request: Request<Streaming<StepReport>>,
    ) -> Result<Response<Self::StepsStream>, Status> {
        let caller = PeerName::of(&request)?;
        // A report is answered before the next is read, so at most one report of a stream waits.
        let state = (self.clone(), caller, request.into_inner());
        let answers = stream::try_unfold(state, async |(service, caller, mut reports)| {
            let Some(report) = reports.message().await? else {
                return Ok(None);
            };
            let closed = service.report_step(&caller, &report).await?;
            Ok(Some((closed, (service, caller, reports))))
        });
        Ok(Response::new(self.until_the_end(answers.boxed())))
    }
}

#[tonic::async_trait]
impl SubtensorExplorer for Service {
    async fn get_delegates(
        &self,
        _request: Request<DelegatesRequest>,
    ) -> Result<Response<Delegates>, Status> {
        let delegates = self.node.read(|chain| wire::delegates(chain.delegates()));
        Ok(Response::new(delegates.await?))
    }

    async fn get_balance(&self, request: Request<BalanceRequest>) -> Result<Response<Balance>, Status> {
        let BalanceRequest { coldkey, block } = request.into_inner();
        let coldkey = wire::key("coldkey", &coldkey)?;
        let held = self.node.read(move |chain| {
            let block = block.map_or(chain.block(), Block);
            chain.holdings_at(coldkey, block)
        });
        let held = held.await?.map_err(CallError::BlockUnavailable)?;
        Ok(Response::new(wire::balance(&held)))
    }

    async fn get_issuance(&self, _request: Request<IssuanceRequest>) -> Result<Response<Issuance>, Status> {
        let issuance = self
            .node
            .read(|chain| wire::issuance(&chain.issuance(), chain.burn()));
        Ok(Response::new(issuance.await?))
    }

    async fn get_subnet_info(
        &self,
        _request: Request<SubnetInfoRequest>,
    ) -> Result<Response<SubnetInfo>, Status> {
        let info = self.node.read(wire::subnet_info);
        Ok(Response::new(info.await?))
    }

    async fn get_block_hash(
        &self,
        request: Request<BlockHashRequest>,
    ) -> Result<Response<BlockHash>, Status> {
        let block = request.into_inner().block;
        let hashed = self.node.read(move |chain| {
            let block = block.map_or(chain.block(), Block);
            chain.block_hash(block).map(|hash| (block, hash))
        });
        let (block, hash) = hashed.await?.map_err(CallError::BlockUnavailable)?;
        Ok(Response::new(BlockHash {
            block: block.0,
            hash: hash.0.to_vec(),
        }))
    }

    async fn get_metadata(&self, request: Request<MetadataRequest>) -> Result<Response<Metadata>, Status> {
        let hotkey = wire::key("hotkey", &request.into_inner().hotkey)?;
        let metadata = self
            .node
            .read(move |chain| wire::metadata(chain.metadata(&hotkey)));
        Ok(Response::new(metadata.await?))
    }
}

#[tonic::async_trait]
impl SubtensorControl for Service {
    async fn begin(&self, _request: Request<BeginRequest>) -> Result<Response<BeginReply>, Status> {
        let block = self.node.begin().await?;
        Ok(Response::new(BeginReply { block: block.0 }))
    }

    async fn settle(&self, _request: Request<SettleRequest>) -> Result<Response<SettleReply>, Status> {
        let block = self.node.settle().await?;
        Ok(Response::new(SettleReply { block: block.0 }))
    }

    async fn retire(&self, request: Request<RetireRequest>) -> Result<Response<RetireReply>, Status> {
        let RetireRequest { hotkey, reason } = request.into_inner();
        let hotkey = wire::key("hotkey", &hotkey)?;
        if reason.len() > REASON_BYTES {
            return Err(Status::invalid_argument(format!(
                "the reason is longer than {REASON_BYTES} bytes"
            )));
        }
        let block = self.node.retire(hotkey, reason).await?;
        Ok(Response::new(RetireReply { block: block.0 }))
    }

    async fn add_hold(&self, request: Request<AddHoldRequest>) -> Result<Response<AddHoldReply>, Status> {
        let step = self.node.add_hold(request.into_inner().step).await?;
        Ok(Response::new(AddHoldReply { step }))
    }

    async fn await_hold(&self, request: Request<HoldRequest>) -> Result<Response<HoldReply>, Status> {
        let block = tokio::select! {
            block = self.node.await_hold(request.into_inner().step) => block?,
            () = self.ending.cancelled() => return Err(CallError::Ending.into()),
        };
        Ok(Response::new(HoldReply { block: block.0 }))
    }

    async fn release(&self, request: Request<HoldRequest>) -> Result<Response<HoldReply>, Status> {
        let block = self.node.release(request.into_inner().step).await?;
        Ok(Response::new(HoldReply { block: block.0 }))
    }
}

impl Service {
    /// Checks a transaction on a blocking thread. Transactions that are submitted concurrently have no order to
    /// preserve.
    async fn admit(&self, signed: SignedTransaction) -> Result<Result<SignedTx, AdmissionError>, Status> {
        let checking = Arc::clone(&self.checking).acquire_owned().await;
        let checking = checking.map_err(|_| CallError::Ending)?;
        let checked = tokio::task::spawn_blocking(move || {
            let _one_a_thread = checking;
            admission::admit(&signed)
        });
        Ok(checked.await.map_err(|_| CallError::Ending)?)
    }

    /// Passes the report of a step on, if the caller reports the steps of this validator.
    async fn report_step(&self, caller: &PeerName, report: &StepReport) -> Result<BlockClosed, Status> {
        let hotkey = wire::key("hotkey", &report.hotkey)?;
        // The barrier refuses a hotkey that is not one of its members.
        if let Some(reporter) = self.reporters.get(&hotkey)
            && reporter != caller.as_str()
        {
            return Err(Status::permission_denied(format!(
                "`{}` cannot report the steps of {hotkey}: only `{reporter}` can",
                caller.as_str()
            )));
        }
        Ok(self.node.report(hotkey, report.step).await?)
    }

    fn until_the_end<T: 'static>(&self, stream: BoxStream<'static, T>) -> BoxStream<'static, T> {
        stream.take_until(self.ending.clone().cancelled_owned()).boxed()
    }
}

fn detail(lite: bool) -> Detail {
    if lite { Detail::Lite } else { Detail::Full }
}

impl From<Malformed> for Status {
    fn from(error: Malformed) -> Self {
        Self::invalid_argument(error.to_string())
    }
}

impl From<CallError> for Status {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        match error {
            CallError::Barrier(BarrierError::UnknownMember { .. } | BarrierError::NoHold { .. }) => {
                Self::not_found(message)
            }
            CallError::Barrier(BarrierError::TooOld { .. })
            | CallError::BlockUnavailable(BlockUnavailable::TooOld { .. }) => Self::out_of_range(message),
            CallError::Barrier(
                BarrierError::Ahead { .. } | BarrierError::NotStanding { .. } | BarrierError::Closed { .. },
            )
            | CallError::BlockUnavailable(BlockUnavailable::NotClosed { .. })
            | CallError::ByTheClock => Self::failed_precondition(message),
            CallError::Barrier(BarrierError::TooManyHolds { .. }) => Self::resource_exhausted(message),
            CallError::ReportedElsewhere | CallError::Retired => Self::aborted(message),
            CallError::History(_) => Self::data_loss(message),
            CallError::Ending => Self::unavailable(message),
        }
    }
}
