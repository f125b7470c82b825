//! The records that the coordinator receives of the chain over gRPC: each once, even if the node is killed in between.

mod network;

use mirror_node::Control;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use mirror_proto::mirror::v1::record::Kind;
use mirror_proto::mirror::v1::{BeginRequest, DispatchError, EpochFindings, SettleRequest, Weight};
use mirror_spec::launch::SubtensorLaunch;
use mirror_test_support::coordinator;
use mirror_test_support::loopback::listen;
use network::{MINERS, Steps, connect, launch, launched, serve_axon, set_weights};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(role: &SubtensorLaunch) -> Self {
        let (listener, address) = listen().await;
        let shutdown = CancellationToken::new();
        let node = mirror_subtensor::serve(
            launched(role.clone(), 0),
            listener,
            shutdown.clone(),
            Control::default(),
        );
        Self {
            address,
            shutdown,
            served: tokio::spawn(node),
        }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.served
            .await
            .expect("no panic")
            .expect("the node ends without an error");
    }
}

/// The role of a node with one validator that reports to `coordinator`.
fn role(state: &Path, coordinator: SocketAddr) -> SubtensorLaunch {
    SubtensorLaunch {
        coordinator: Some(coordinator),
        ..launch(state, 1)
    }
}

/// Returns the epochs among the records received so far.
fn epochs(records: &mut mpsc::UnboundedReceiver<Kind>) -> BTreeMap<u64, EpochFindings> {
    std::iter::from_fn(|| records.try_recv().ok())
        .filter_map(|kind| match kind {
            Kind::Epoch(epoch) => Some((epoch.epoch, epoch)),
            _ => None,
        })
        .collect()
}

/// Closes the blocks of the steps. The validator sets all weight on the first miner.
async fn work(address: SocketAddr, steps: std::ops::Range<u64>) {
    let mut clients = connect(address).await.expect("the node listens");
    if steps.start == 0 {
        let transactions = [
            serve_axon(0, 1, 4_000),
            set_weights(MINERS, 1, &[Weight { uid: 0, weight: 7 }]),
            // A uid that no neuron has.
            set_weights(MINERS, 2, &[Weight { uid: 9, weight: 7 }]),
        ];
        for transaction in transactions {
            let (refusal, _) = clients.submit(transaction).await.expect("submits");
            assert_eq!(refusal, "");
        }
    }
    clients.control.begin(BeginRequest {}).await.expect("begins");
    let mut validator = Steps::open(&mut clients.barrier, network::hotkey(MINERS))
        .await
        .expect("the stream opens");
    for step in steps {
        validator.report(step).await.expect("the block closes");
    }
}

#[tokio::test]
async fn transactions_and_epochs_are_reported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (address, mut records) = coordinator::records().await;
    let node = Running::start(&role(folder.path(), address)).await;
    work(node.address, 0..5).await;
    // The second call closes no block. With tempo 4 and netuid 1, epochs run at blocks with (block + 2) % 5 == 0.
    for _ in 0..2 {
        let mut control = connect(node.address).await.expect("the node listens").control;
        let settled = control.settle(SettleRequest {}).await.expect("it settles");
        assert_eq!(settled.into_inner().block, 8);
    }
    node.end().await;

    let Some(Kind::Transactions(first)) = records.recv().await else {
        panic!("the first block's transactions come first")
    };
    let asked: Vec<_> = first
        .transactions
        .iter()
        .map(|transaction| {
            (
                transaction.nonce,
                transaction.call.as_str(),
                transaction.arguments.as_str(),
                DispatchError::from_field(transaction.refusal),
            )
        })
        .collect();
    assert_eq!(first.block, 1);
    // In the order (signer, nonce).
    let mut by_signer = [
        (
            network::hotkey(0),
            vec![(1, "serve_axon", "127.0.0.1:4000", None)],
        ),
        (
            network::hotkey(MINERS),
            vec![
                (1, "set_weights", "0:7 (1 uids, version key 0)", None),
                (
                    2,
                    "set_weights",
                    "9:7 (1 uids, version key 0)",
                    Some(DispatchError::InvalidUid),
                ),
            ],
        ),
    ];
    by_signer.sort_by_key(|(hotkey, _)| hotkey.bytes());
    let expected: Vec<_> = by_signer.into_iter().flat_map(|(_, asked)| asked).collect();
    assert_eq!(asked, expected);
    let epochs = epochs(&mut records);
    assert_eq!(epochs.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(epochs[&2].block, 8);
    let epoch = &epochs[&1];
    assert_eq!((epoch.block, epoch.first_uid, epoch.neurons.len()), (3, 0, 3));
    let [chosen, other, validator] = &epoch.neurons[..] else {
        panic!("there are three")
    };
    // The reward of three blocks: half for the miner that has all weights, half for the validator.
    let half = 3_000_000_000 / 2;
    assert_eq!(
        (chosen.incentive, chosen.server_emission, chosen.stake),
        (65_535, half, half)
    );
    assert_eq!(
        (other.incentive, other.server_emission, other.validator_emission),
        (0, 0, 0)
    );
    assert_eq!(
        (validator.dividends, validator.validator_emission),
        (65_535, half)
    );
    // The validator's own 1,000 and its nominator's 7 are staked.
    assert_eq!(validator.stake, half + 1_007);
    assert_eq!(
        (&validator.bonded[..], &validator.bonds[..]),
        (&[0][..], &[65_535][..])
    );
}

#[tokio::test]
async fn unacknowledged_records_are_sent_again_after_a_restart() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (listener, unreachable) = listen().await;
    drop(listener);
    // There is no listener at the address, so the node ends with unacknowledged records.
    let node = Running::start(&role(folder.path(), unreachable)).await;
    work(node.address, 0..12).await;
    node.shutdown.cancel();
    let ended = node
        .served
        .await
        .expect("no panic")
        .expect_err("the records were not acknowledged");
    assert!(ended.to_string().contains("did not acknowledge"), "{ended:#}");

    let (address, mut records) = coordinator::records().await;
    let node = Running::start(&role(folder.path(), address)).await;
    work(node.address, 12..16).await;
    node.end().await;
    let epochs = epochs(&mut records);
    assert_eq!(epochs.keys().copied().collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(
        epochs.values().map(|epoch| epoch.block).collect::<Vec<_>>(),
        [3, 8, 13]
    );
}
