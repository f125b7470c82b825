//! A network of two miners (uids 0 and 1) and some validators (uids from 2), and what they say to the node.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use mirror_config::experiment::{BlockTime, ChainPreset};
use mirror_config::launch::{
    GenesisBalance, GenesisLaunch, GenesisNeuron, GenesisNomination, GenesisOwner, Launch, SubtensorLaunch,
};
use mirror_identity::PublicKey;
use mirror_proto::mirror::v1::subtensor_client::SubtensorClient;
use mirror_proto::mirror::v1::subtensor_control_client::SubtensorControlClient;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{BlockClosed, ServeAxon, SetWeights, StepReport, Transaction, Weight};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub(crate) const MINERS: u8 = 2;

/// Of no uid: the subnet's owner, who has money.
pub(crate) const OWNER: u8 = 90;

/// The hotkey of a uid.
pub(crate) fn hotkey(uid: u8) -> PublicKey {
    PublicKey::from_bytes([uid + 1; 32])
}

/// The coldkey of a uid.
pub(crate) fn coldkey(uid: u8) -> PublicKey {
    PublicKey::from_bytes([uid + 101; 32])
}

pub(crate) fn launch(state: &Path, validators: u8) -> SubtensorLaunch {
    let neuron = |uid| GenesisNeuron {
        hotkey: hotkey(uid).hex(),
        coldkey: coldkey(uid).hex(),
        stake: if uid < MINERS { 0 } else { 1_000 },
        validator_permit: uid >= MINERS,
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
            .map(|uid| hotkey(uid).hex())
            .collect(),
        holds: Vec::new(),
        coordinator: None,
        snapshot_blocks: 16,
    }
}

/// What a node is told that plays this role.
pub(crate) fn launched(role: SubtensorLaunch, incarnation: u32) -> Launch<SubtensorLaunch> {
    Launch {
        node: "subtensor".to_owned(),
        incarnation,
        parent: std::process::id(),
        listen: (Ipv4Addr::LOCALHOST, 0).into(),
        log: "warn".to_owned(),
        seed: 7,
        role,
    }
}

/// Clients of one node.
#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) subtensor: SubtensorClient<Channel>,
    pub(crate) control: SubtensorControlClient<Channel>,
}

pub(crate) async fn connect(address: SocketAddr) -> Result<Clients, tonic::transport::Error> {
    let channel = Channel::from_shared(format!("http://{address}"))
        .expect("a socket address makes a URI")
        .connect()
        .await?;
    Ok(Clients {
        subtensor: SubtensorClient::new(channel.clone()),
        control: SubtensorControlClient::new(channel),
    })
}

/// The stream of one validator.
pub(crate) struct Steps {
    hotkey: PublicKey,
    reports: mpsc::Sender<StepReport>,
    answers: Streaming<BlockClosed>,
}

impl Steps {
    pub(crate) async fn open(
        subtensor: &mut SubtensorClient<Channel>,
        hotkey: PublicKey,
    ) -> Result<Self, Status> {
        let (reports, outgoing) = mpsc::channel(1);
        let answers = subtensor.steps(ReceiverStream::new(outgoing)).await?.into_inner();
        Ok(Self {
            hotkey,
            reports,
            answers,
        })
    }

    /// Reports a step and hears of its block.
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

pub(crate) fn serve_axon(uid: u8, nonce: u64, port: u16) -> Transaction {
    Transaction {
        hotkey: hotkey(uid).bytes().to_vec(),
        nonce,
        call: Some(Call::ServeAxon(ServeAxon {
            ip: Ipv4Addr::LOCALHOST.to_string(),
            port: port.into(),
        })),
    }
}

pub(crate) fn set_weights(uid: u8, nonce: u64, weights: &[Weight]) -> Transaction {
    Transaction {
        hotkey: hotkey(uid).bytes().to_vec(),
        nonce,
        call: Some(Call::SetWeights(SetWeights {
            uids: weights.iter().map(|weight| weight.uid).collect(),
            weights: weights.iter().map(|weight| weight.weight).collect(),
            version_key: 0,
        })),
    }
}
