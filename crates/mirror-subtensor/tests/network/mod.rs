//! A network of two miners (uids 0 and 1) and some validators (uids from 2), and the requests that they send to the
//! node.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use mirror_identity::{Owner, PublicKey, SecretKey};
use mirror_net::channel;
use mirror_proto::mirror::v1::subtensor_barrier_client::SubtensorBarrierClient;
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient;
use mirror_proto::mirror::v1::subtensor_control_client::SubtensorControlClient;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{
    BlockClosed, CurrentBlockRequest, DispatchError, ServeAxon, SetWeights, SignedTransaction, StepReport,
    Weight,
};
use mirror_proto::protocol::COORDINATOR;
use mirror_seed::Seed;
use mirror_spec::launch::{
    BarrierMember, GenesisBalance, GenesisLaunch, GenesisNeuron, GenesisNomination, GenesisOwner, Launch,
    SubtensorLaunch,
};
use mirror_spec::{BlockTime, ChainPreset};
use mirror_subtensor_client::transaction::sign_call;
use mirror_test_support::certificates;
use mirror_test_support::launch::launch as launch_of;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub(crate) const MINERS: u8 = 2;

/// The subnet's owner, who has no uid but a balance.
pub(crate) const OWNER: u8 = 90;

/// Returns the secret hotkey of a uid.
pub(crate) fn hot(uid: u8) -> SecretKey {
    SecretKey::hotkey(&Seed::root(7), Owner::Miner(uid.into()))
}

/// Returns the secret coldkey of a uid.
pub(crate) fn cold(uid: u8) -> SecretKey {
    SecretKey::coldkey(&Seed::root(7), Owner::Miner(uid.into()))
}

/// Returns the public hotkey of a uid.
pub(crate) fn hotkey(uid: u8) -> PublicKey {
    hot(uid).public()
}

/// Returns the public coldkey of a uid.
pub(crate) fn coldkey(uid: u8) -> PublicKey {
    cold(uid).public()
}

/// A call with the key that signs it.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) key: SecretKey,
    pub(crate) nonce: u64,
    pub(crate) call: Call,
}

impl Request {
    /// Signs the call for a window that begins with `block`.
    pub(crate) fn signed(&self, block: u64) -> SignedTransaction {
        sign_call(&self.key, self.nonce, block, self.call.clone())
    }
}

pub(crate) fn launch(state: &Path, validators: u8) -> SubtensorLaunch {
    let neuron = |uid| GenesisNeuron {
        hotkey: hotkey(uid).hex(),
        coldkey: coldkey(uid).hex(),
        stake: if uid < MINERS { 0 } else { 1_000 },
        validator_permit: uid >= MINERS,
        weights: Vec::new(),
        bonds: Vec::new(),
        axon: None,
    };
    SubtensorLaunch {
        state: state.to_owned(),
        genesis: GenesisLaunch {
            netuid: 1,
            block: 1,
            rules: ChainPreset::Small,
            hyperparameters: [("tempo".to_owned(), 4), ("validator_epoch_length".to_owned(), 4)].into(),
            owner: Some(GenesisOwner {
                hotkey: hotkey(OWNER).hex(),
                coldkey: coldkey(OWNER).hex(),
            }),
            neurons: (0..MINERS + validators).map(neuron).collect(),
            nominations: vec![GenesisNomination {
                hotkey: hotkey(2).hex(),
                coldkey: coldkey(0).hex(),
                stake: 7,
            }],
            balances: vec![GenesisBalance {
                coldkey: coldkey(OWNER).hex(),
                free: 10_000,
            }],
        },
        block_time: BlockTime::PerStep,
        barrier: (MINERS..MINERS + validators)
            .map(|uid| BarrierMember {
                hotkey: hotkey(uid).hex(),
                node: COORDINATOR.to_owned(),
            })
            .collect(),
        coordinator: None,
        snapshot_blocks: 16,
    }
}

/// Returns the launch config of a node with this role.
pub(crate) fn launched(role: SubtensorLaunch, incarnation: u32) -> Launch<SubtensorLaunch> {
    Launch {
        incarnation,
        ..launch_of("subtensor", role)
    }
}

/// Clients of one node.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) subtensor: SubtensorClient<Channel>,
    pub(crate) barrier: SubtensorBarrierClient<Channel>,
    pub(crate) control: SubtensorControlClient<Channel>,
}

pub(crate) async fn connect(address: SocketAddr) -> Result<Clients, tonic::transport::Error> {
    let channel = Channel::from_shared(format!("http://{address}"))
        .expect("a socket address makes a URI")
        .connect()
        .await?;
    let secure = channel::secure(
        address,
        certificates::identity(COORDINATOR).connecting_to("subtensor"),
    );
    Ok(Clients {
        subtensor: SubtensorClient::new(channel),
        barrier: SubtensorBarrierClient::new(secure.clone()),
        control: SubtensorControlClient::new(secure),
    })
}

/// Returns the chain's name of a refusal, empty if there is none.
pub(crate) fn refusal_name(refusal: Option<i32>) -> String {
    DispatchError::from_field(refusal).map_or_else(String::new, |error| error.to_string())
}

impl Clients {
    /// Signs and submits a request for a window that begins now. Returns the refusal, empty if there is none, and the
    /// block.
    pub(crate) async fn submit(&mut self, asked: Request) -> Result<(String, u64), Status> {
        let current = self.subtensor.get_current_block(CurrentBlockRequest {}).await?;
        self.submit_signed(asked.signed(current.into_inner().block)).await
    }

    /// Submits a signed transaction. Returns the refusal, empty if there is none, and the block.
    pub(crate) async fn submit_signed(&mut self, signed: SignedTransaction) -> Result<(String, u64), Status> {
        let reply = self.subtensor.submit(signed).await?.into_inner();
        Ok((refusal_name(reply.refusal), reply.block))
    }
}

/// The step stream of one validator.
pub(crate) struct Steps {
    hotkey: PublicKey,
    reports: mpsc::Sender<StepReport>,
    answers: Streaming<BlockClosed>,
}

impl Steps {
    pub(crate) async fn open(
        barrier: &mut SubtensorBarrierClient<Channel>,
        hotkey: PublicKey,
    ) -> Result<Self, Status> {
        let (reports, outgoing) = mpsc::channel(1);
        let answers = barrier.steps(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self {
            hotkey,
            reports,
            answers,
        })
    }

    /// Reports a step and waits for its block.
    pub(crate) async fn report(&mut self, step: u64) -> Result<BlockClosed, Status> {
        let report = StepReport {
            hotkey: self.hotkey.bytes().to_vec(),
            step,
        };
        let gone = || Status::unavailable("the stream has ended");
        self.reports.send(report).await.map_err(|_| gone())?;
        self.answers.message().await?.ok_or_else(gone)
    }
}

pub(crate) fn serve_axon(uid: u8, nonce: u64, port: u16) -> Request {
    Request {
        key: hot(uid),
        nonce,
        call: Call::ServeAxon(ServeAxon {
            ip: Ipv4Addr::LOCALHOST.to_string(),
            port: port.into(),
        }),
    }
}

pub(crate) fn set_weights(uid: u8, nonce: u64, weights: &[Weight]) -> Request {
    Request {
        key: hot(uid),
        nonce,
        call: Call::SetWeights(SetWeights {
            uids: weights.iter().map(|weight| weight.uid).collect(),
            weights: weights.iter().map(|weight| weight.weight).collect(),
            version_key: 0,
        }),
    }
}
