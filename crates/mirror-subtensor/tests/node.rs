//! Tests of the node over gRPC, in this process.

mod network;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;

use futures::future::select;
use mirror_identity::PublicKey;
use mirror_node::Control;
use mirror_proto::mirror::v1::subtensor_explorer_client::SubtensorExplorerClient;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{
    AddHoldRequest, Applied, BalanceRequest, BecomeDelegate, BeginRequest, BlockHashRequest,
    DelegatesRequest, DispatchError, ForceRegister, ForceSetBalance, HoldRequest, Hyperparameter,
    IssuanceRequest, MetadataRequest, Metagraph, MetagraphRequest, MoveStake, NominatorsRequest,
    PublishMetadata, Register, RetireRequest, ServeAxon, SetHyperparameter, SetWeights, SignedTransaction,
    Stake, SubnetInfoRequest, Transaction, WatchRequest, Weight,
};
use mirror_spec::BlockTime;
use mirror_spec::launch::SubtensorLaunch;
use mirror_subtensor_client::transaction::sign;
use network::{
    Clients, MINERS, OWNER, Request, Steps, cold, coldkey, connect, hot, hotkey, launch, launched,
    serve_axon, set_weights,
};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// A running node and its clients.
struct Running {
    clients: Clients,
    address: SocketAddr,
    shutdown: CancellationToken,
    served: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(launch: SubtensorLaunch) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(mirror_subtensor::serve(
            launched(launch, 0),
            listener,
            shutdown.clone(),
            Control::default(),
        ));
        let clients = connect(address).await.expect("the node listens");
        Self {
            clients,
            address,
            shutdown,
            served,
        }
    }

    async fn end(self) {
        self.shutdown.cancel();
        self.served
            .await
            .expect("the node does not panic")
            .expect("the node ends without an error");
    }

    async fn begin(&mut self) -> u64 {
        self.clients
            .control
            .begin(BeginRequest {})
            .await
            .expect("begins")
            .into_inner()
            .block
    }

    async fn steps(&mut self, uid: u8) -> Steps {
        Steps::open(&mut self.clients.barrier, hotkey(uid))
            .await
            .expect("the stream opens")
    }

    /// Submits a request. Returns the refusal, empty if there is none, and the block.
    async fn submit(&mut self, asked: Request) -> Result<(String, u64), Status> {
        self.clients.submit(asked).await
    }

    async fn metagraph(&mut self) -> Metagraph {
        self.metagraph_at(None)
            .await
            .expect("there is always a metagraph")
    }

    async fn metagraph_at(&mut self, block: Option<u64>) -> Result<Metagraph, Status> {
        Ok(self
            .clients
            .subtensor
            .get_metagraph(MetagraphRequest { block, lite: false })
            .await?
            .into_inner())
    }

    async fn retire(&mut self, uid: u8) -> u64 {
        let request = RetireRequest {
            hotkey: hotkey(uid).bytes().to_vec(),
            reason: "it died".to_owned(),
        };
        self.clients
            .control
            .retire(request)
            .await
            .expect("members can be retired")
            .into_inner()
            .block
    }

    async fn release(&mut self, step: u64) -> Result<u64, Status> {
        Ok(self
            .clients
            .control
            .release(HoldRequest { step })
            .await?
            .into_inner()
            .block)
    }

    async fn add_hold(&mut self, step: Option<u64>) -> Result<u64, Status> {
        let added = self.clients.control.add_hold(AddHoldRequest { step });
        Ok(added.await?.into_inner().step)
    }

    async fn await_hold(&mut self, step: u64) -> Result<u64, Status> {
        Ok(self
            .clients
            .control
            .await_hold(HoldRequest { step })
            .await?
            .into_inner()
            .block)
    }
}

fn state() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Reports `step` on all streams concurrently. Returns the number of the block, which must be the same for all.
async fn report_all<const N: usize>(streams: [&mut Steps; N], step: u64) -> u64 {
    let reports = streams.map(|stream| stream.report(step));
    let closed = futures::future::try_join_all(reports)
        .await
        .expect("the step closes");
    assert!(
        closed
            .iter()
            .all(|block| (block.block, block.step) == (closed[0].block, step))
    );
    closed[0].block
}

#[tokio::test]
async fn a_block_closes_when_all_three_validators_have_reported() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 3)).await;
    assert_eq!(
        node.submit(serve_axon(0, 1, 8091)).await.expect("valid"),
        (String::new(), 1)
    );
    assert_eq!(node.metagraph().await.neurons[0].ip, "");
    assert_eq!((node.begin().await, node.begin().await), (1, 1));
    let metagraph = node.metagraph().await;
    assert_eq!((metagraph.block, metagraph.version), (1, 2));
    assert_eq!(
        (&metagraph.neurons[0].ip[..], metagraph.neurons[0].port),
        ("127.0.0.1", 8091)
    );

    let (mut a, mut b, mut c) = (node.steps(2).await, node.steps(3).await, node.steps(4).await);
    for step in 0..3 {
        let uid_weights = [Weight { uid: 0, weight: 1 }, Weight { uid: 9, weight: 1 }];
        let nonce = step + 1;
        node.submit(set_weights(2, nonce, &uid_weights[..1]))
            .await
            .expect("valid");
        node.submit(set_weights(3, nonce, &uid_weights))
            .await
            .expect("valid");
        node.submit(set_weights(4, nonce, &uid_weights[..1]))
            .await
            .expect("valid");
        let (a, b, c) = tokio::join!(a.report(step), b.report(step), c.report(step));
        let (a, b, c) = (a.expect("closes"), b.expect("closes"), c.expect("closes"));
        assert_eq!((a.block, a.step), (step + 2, step));
        assert_eq!(a.applied, [Applied { nonce, refusal: None }]);
        assert_eq!(
            b.applied,
            [Applied {
                nonce,
                refusal: Some(DispatchError::InvalidUid.into())
            }]
        );
        assert_eq!(c.applied, a.applied);
        assert_eq!((b.block, c.block), (a.block, a.block));
        assert_eq!(
            (b.metagraph_version, c.metagraph_version),
            (a.metagraph_version, a.metagraph_version)
        );
    }
    // The epochs of netuid 1 with tempo 4 fall on blocks 3, 8, …: two thirds of the stake vote for uid 0.
    let incentives: Vec<_> = node
        .metagraph()
        .await
        .neurons
        .iter()
        .map(|neuron| neuron.incentive)
        .collect();
    assert_eq!(incentives, [65_535, 0, 0, 0, 0]);
    drop((a, b, c));
    node.end().await;
}

#[tokio::test]
async fn steps_may_be_counted_from_one() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    node.begin().await;
    let mut a = node.steps(2).await;
    assert_eq!(report_all([&mut a], 1).await, 2);
    assert_eq!(report_all([&mut a], 2).await, 3);
}

#[tokio::test]
async fn a_validator_that_returns_receives_closed_steps_again() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 2)).await;
    node.begin().await;
    let (mut a, mut b) = (node.steps(2).await, node.steps(3).await);
    node.submit(set_weights(2, 1, &[Weight { uid: 1, weight: 5 }]))
        .await
        .expect("valid");
    report_all([&mut a, &mut b], 0).await;
    report_all([&mut a, &mut b], 1).await;
    // The validator dies with its stream. That retires no validator: its partner's report waits.
    drop(a);
    let waiting = tokio::spawn(async move { (b.report(2).await, b) });
    let mut again = node.steps(2).await;
    let first = again.report(0).await.expect("closed before");
    assert_eq!((first.block, first.step), (2, 0));
    assert_eq!(
        first.applied,
        [Applied {
            nonce: 1,
            refusal: None
        }]
    );
    assert_eq!(again.report(1).await.expect("closed before").block, 3);
    assert!(!waiting.is_finished());
    assert_eq!(again.report(2).await.expect("closes now").block, 4);
    let (heard, _) = waiting.await.expect("no panic");
    assert_eq!(heard.expect("closes now").block, 4);
}

#[tokio::test]
async fn the_later_report_of_a_validator_supersedes_the_earlier_one() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 2)).await;
    node.begin().await;
    let (mut one, mut two, mut partner) = (node.steps(2).await, node.steps(2).await, node.steps(3).await);
    let (by_one, by_two) = (pin!(one.report(0)), pin!(two.report(0)));
    let (superseded, counts) = select(by_one, by_two).await.factor_first();
    assert_eq!(
        superseded.expect_err("the other report came later").code(),
        Code::Aborted
    );
    let (closed, of_partner) = tokio::join!(counts, partner.report(0));
    assert_eq!(
        (closed.expect("closes").block, of_partner.expect("closes").block),
        (2, 2)
    );
}

#[tokio::test]
async fn a_retired_validator_is_not_waited_for_until_it_reports_again() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 3)).await;
    node.begin().await;
    let (mut a, mut b, mut c) = (node.steps(2).await, node.steps(3).await, node.steps(4).await);
    report_all([&mut a, &mut b, &mut c], 0).await;
    drop(c);
    // The block that waits only for uid 4 closes with its retirement.
    let (closed, retired) = tokio::join!(report_all([&mut a, &mut b], 1), node.retire(4));
    assert_eq!((closed, retired), (3, 3));
    assert_eq!(node.retire(4).await, 3);
    assert_eq!(report_all([&mut a, &mut b], 2).await, 4);
    // Uid 4 returns and catches up with the closed steps.
    let mut c = node.steps(4).await;
    assert_eq!(c.report(1).await.expect("closed before").block, 3);
    assert_eq!(c.report(2).await.expect("closed before").block, 4);
    assert_eq!(report_all([&mut a, &mut b, &mut c], 3).await, 5);
    assert_eq!(report_all([&mut a, &mut b, &mut c], 4).await, 6);
}

#[tokio::test]
async fn transactions_submitted_during_a_hold_are_in_the_next_block() {
    let state = state();
    let launch = launch(state.path(), 2);
    let mut node = Running::start(launch.clone()).await;
    node.begin().await;
    assert_eq!(node.add_hold(Some(1)).await.expect("it lies ahead"), 1);
    let (mut a, mut b) = (node.steps(2).await, node.steps(3).await);
    report_all([&mut a, &mut b], 0).await;
    assert_eq!(
        node.release(1).await.expect_err("not yet").code(),
        Code::FailedPrecondition
    );
    assert_eq!(node.release(2).await.expect_err("no hold").code(), Code::NotFound);
    assert_eq!(
        node.await_hold(2).await.expect_err("no hold").code(),
        Code::NotFound
    );

    let held = tokio::spawn(async move { report_all([&mut a, &mut b], 1).await });
    assert_eq!(node.await_hold(1).await.expect("the hold is reached"), 3);
    assert_eq!(node.metagraph().await.block, 3);
    assert!(!held.is_finished());
    // The node may die during a hold. The validators and the coordinator then repeat their calls.
    held.abort();
    node.end().await;
    let mut node = Running::start(launch).await;
    assert_eq!(node.await_hold(1).await.expect("the hold is active"), 3);
    let (mut a, mut b) = (node.steps(2).await, node.steps(3).await);
    let held = tokio::spawn(async move { (report_all([&mut a, &mut b], 1).await, a, b) });
    node.submit(serve_axon(1, 1, 9_999)).await.expect("valid");
    assert_eq!(node.metagraph().await.neurons[1].port, 0);
    assert_eq!(
        (
            node.release(1).await.expect("active"),
            node.release(1).await.expect("again")
        ),
        (3, 3)
    );
    let (block, mut a, mut b) = held.await.expect("no panic");
    assert_eq!(block, 3);
    assert_eq!(report_all([&mut a, &mut b], 2).await, 4);
    assert_eq!(node.metagraph_at(Some(3)).await.expect("held").neurons[1].port, 0);
    assert_eq!(
        node.metagraph_at(Some(4)).await.expect("held").neurons[1].port,
        9_999
    );
    assert_eq!(
        node.add_hold(Some(2)).await.expect_err("closed").code(),
        Code::FailedPrecondition
    );
    assert_eq!(node.add_hold(None).await.expect("the open step"), 3);
    let held = tokio::spawn(async move { report_all([&mut a, &mut b], 3).await });
    assert_eq!(node.await_hold(3).await.expect("the hold is reached"), 5);
    node.release(3).await.expect("active");
    assert_eq!(held.await.expect("no panic"), 5);
    assert_eq!(node.await_hold(1).await.expect("the hold was released"), 3);
}

#[tokio::test]
async fn a_transaction_that_arrives_twice_takes_effect_once() {
    let state = state();
    let launch = launch(state.path(), 1);
    let mut node = Running::start(launch.clone()).await;
    let register = Request {
        key: hot(50),
        nonce: 1,
        call: Call::Register(Register {
            coldkey: coldkey(50).bytes().to_vec(),
        }),
    };
    assert_eq!(
        node.submit(register.clone()).await.expect("valid"),
        (String::new(), 1)
    );
    assert_eq!(
        node.submit(register.clone()).await.expect("valid"),
        (String::new(), 1)
    );
    node.begin().await;
    assert_eq!(
        node.submit(register.clone()).await.expect("valid"),
        (String::new(), 1)
    );
    node.end().await;
    let mut node = Running::start(launch).await;
    assert_eq!(
        node.submit(register.clone()).await.expect("valid"),
        (String::new(), 1)
    );
    let below = Request { nonce: 0, ..register };
    assert_eq!(node.submit(below).await.expect("valid"), ("Stale".to_owned(), 2));
    assert_eq!(node.metagraph().await.neurons.len(), usize::from(MINERS) + 2);
}

#[tokio::test]
async fn watchers_receive_every_version_of_the_metagraph() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    let mut versions = node
        .clients
        .subtensor
        .watch_metagraph(WatchRequest { lite: false })
        .await
        .expect("streams")
        .into_inner();
    let first = versions
        .message()
        .await
        .expect("valid")
        .expect("there is a first version");
    assert_eq!((first.version, first.block), (1, 0));
    node.begin().await;
    let mut a = node.steps(2).await;
    node.submit(serve_axon(0, 1, 8091)).await.expect("valid");
    report_all([&mut a], 0).await;
    let second = versions.message().await.expect("valid").expect("it changed");
    assert_eq!(
        (second.version, second.block, second.neurons[0].port),
        (2, 2, 8091)
    );
    assert_eq!(node.metagraph().await, second);
    assert_eq!(node.metagraph_at(Some(1)).await.expect("held").version, 1);
    drop(a);
    node.end().await;
    assert!(
        versions
            .message()
            .await
            .expect("the stream ends without an error")
            .is_none()
    );
}

#[tokio::test]
async fn nominators_are_listed_by_coldkey() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    let request = NominatorsRequest {
        hotkey: hotkey(2).bytes().to_vec(),
    };
    let nominators = node
        .clients
        .subtensor
        .get_nominators(request)
        .await
        .expect("valid")
        .into_inner()
        .nominators;
    let nominators: Vec<_> = nominators
        .iter()
        .map(|nominator| (&nominator.coldkey[..], nominator.stake))
        .collect();
    assert_eq!(
        nominators,
        [(&coldkey(0).bytes()[..], 7), (&coldkey(2).bytes()[..], 1_000)]
    );
    assert_eq!(node.metagraph().await.neurons[2].stake, 1_007);
}

#[tokio::test]
async fn stakes_balances_and_issuance_are_reported() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    let by = |key, nonce, call| Request { key, nonce, call };
    let take = BecomeDelegate {
        hotkey: hotkey(0).bytes().to_vec(),
        take: Some(6_553),
    };
    let added = MoveStake {
        hotkey: hotkey(0).bytes().to_vec(),
        amount: 4_000,
    };
    let tempo = SetHyperparameter {
        name: "tempo".to_owned(),
        value: 9,
    };
    node.submit(by(cold(0), 1, Call::BecomeDelegate(take)))
        .await
        .expect("valid");
    node.begin().await;
    for asked in [
        by(cold(OWNER), 1, Call::AddStake(added)),
        by(cold(OWNER), 2, Call::SetHyperparameter(tempo)),
    ] {
        node.submit(asked).await.expect("valid");
    }
    let mut member = node.steps(2).await;
    assert_eq!(report_all([&mut member], 0).await, 2);
    drop(member);

    let mut accounts = SubtensorExplorerClient::connect(format!("http://{}", node.address))
        .await
        .expect("the node listens");
    let request = BalanceRequest {
        coldkey: coldkey(OWNER).bytes().to_vec(),
        block: None,
    };
    let balance = accounts.get_balance(request).await.expect("valid").into_inner();
    assert_eq!((balance.free, balance.staked), (6_000, 4_000));
    let staked_with = Stake {
        hotkey: hotkey(0).bytes().to_vec(),
        amount: 4_000,
    };
    assert_eq!(balance.stakes, [staked_with]);
    let then = BalanceRequest {
        coldkey: coldkey(OWNER).bytes().to_vec(),
        block: Some(1),
    };
    let then = accounts.get_balance(then).await.expect("held").into_inner();
    assert_eq!((then.free, then.staked), (10_000, 0));
    let delegates = accounts.get_delegates(DelegatesRequest {}).await.expect("valid");
    let delegates = delegates.into_inner().delegates.into_iter();
    let takes: BTreeMap<_, _> = delegates
        .map(|delegate| (delegate.hotkey, delegate.take))
        .collect();
    // Uid 2 is nominated from the start, with the default take of 18 %.
    let expected = [(0, 6_553), (2, 11_796)].map(|(uid, take)| (hotkey(uid).bytes().to_vec(), take));
    assert_eq!(takes, expected.into());
    let issuance = accounts
        .get_issuance(IssuanceRequest {})
        .await
        .expect("valid")
        .into_inner();
    assert_eq!(
        (issuance.genesis, issuance.minted, issuance.pending),
        (11_007, 2_000_000_000, 2_000_000_000)
    );
    assert_eq!(issuance.total, 2_000_011_007);
    let metagraph = node.metagraph().await;
    let rules = metagraph.hyperparameters.expect("it has hyperparameters");
    assert_eq!(rules.tempo, 9);
    assert!(rules.all.contains(&Hyperparameter {
        name: "tempo".to_owned(),
        value: 9
    }));
    assert_eq!(metagraph.neurons[0].nominators.len(), 1);
    node.end().await;
}

#[tokio::test]
async fn metadata_balances_and_forced_registrations_survive_a_restart() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    node.begin().await;
    let by = |key, nonce, call| Request { key, nonce, call };
    let publish = |data: &[u8]| Call::PublishMetadata(PublishMetadata { data: data.to_vec() });
    let balance = Call::ForceSetBalance(ForceSetBalance {
        coldkey: coldkey(8).bytes().to_vec(),
        free: 3_000,
    });
    let seat = Call::ForceRegister(ForceRegister {
        hotkey: hotkey(9).bytes().to_vec(),
        coldkey: coldkey(8).bytes().to_vec(),
        stake: 70,
        free: 600,
    });
    for asked in [
        by(hot(0), 1, publish(b"a model")),
        by(cold(OWNER), 1, balance),
        by(cold(OWNER), 2, seat),
    ] {
        assert_eq!(node.submit(asked).await.expect("valid").0, "");
    }
    let too_long = node.submit(by(hot(0), 2, publish(&[0; 129]))).await;
    assert_eq!(
        too_long.map_err(|status| status.code()),
        Err(Code::InvalidArgument)
    );
    let mut member = node.steps(2).await;
    report_all([&mut member], 0).await;
    drop(member);
    node.end().await;

    // Everything is still there after a restart.
    let node = Running::start(launch(state.path(), 1)).await;
    let mut explorer = SubtensorExplorerClient::connect(format!("http://{}", node.address))
        .await
        .expect("the node listens");
    let request = MetadataRequest {
        hotkey: hotkey(0).bytes().to_vec(),
    };
    let metadata = explorer.get_metadata(request).await.expect("valid").into_inner();
    assert_eq!((&metadata.data[..], metadata.block), (&b"a model"[..], Some(2)));
    let request = BalanceRequest {
        coldkey: coldkey(8).bytes().to_vec(),
        block: None,
    };
    let balance = explorer.get_balance(request).await.expect("valid").into_inner();
    assert_eq!((balance.free, balance.staked), (3_600, 70));
    let info = explorer.get_subnet_info(SubnetInfoRequest {}).await;
    let info = info.expect("valid").into_inner();
    assert_eq!((info.block, info.netuid, info.neurons), (2, 1, 4));
    assert_eq!((info.existential_deposit, info.transfer_fee), (500, 0));
    assert_eq!(info.owner_coldkey, coldkey(OWNER).bytes());
    assert_eq!(info.hyperparameters.expect("it has hyperparameters").tempo, 4);
    let mut hashes = Vec::new();
    for block in [None, Some(0), Some(1), Some(2)] {
        let hash = explorer.get_block_hash(BlockHashRequest { block }).await;
        hashes.push(hash.expect("held").into_inner());
    }
    assert_eq!(hashes[0], hashes[3]);
    assert!(hashes[1].hash != hashes[2].hash && hashes[2].hash != hashes[3].hash);
    assert_eq!(hashes[0].hash.len(), 32);
    let ahead = explorer.get_block_hash(BlockHashRequest { block: Some(3) }).await;
    let refused = ahead.expect_err("the block has not closed");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    node.end().await;
}

#[tokio::test]
async fn a_lite_metagraph_omits_weights() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    node.submit(set_weights(2, 1, &[Weight { uid: 1, weight: 5 }]))
        .await
        .expect("valid");
    node.begin().await;
    for (block, lite, weights) in [
        (None, false, 1),
        (Some(1), false, 1),
        (None, true, 0),
        (Some(1), true, 0),
    ] {
        let request = MetagraphRequest { block, lite };
        let metagraph = node.clients.subtensor.get_metagraph(request).await.expect("held");
        assert_eq!(metagraph.into_inner().neurons[2].weights.len(), weights);
    }
    node.end().await;
}

#[tokio::test]
async fn the_clock_closes_blocks_after_begin() {
    let state = state();
    let mut launch = launch(state.path(), 1);
    launch.block_time = BlockTime::Seconds(0.001);
    // Epochs would create further versions.
    launch.genesis.hyperparameters.insert("tempo".to_owned(), 0);
    let mut node = Running::start(launch.clone()).await;
    let mut versions = node
        .clients
        .subtensor
        .watch_metagraph(WatchRequest { lite: false })
        .await
        .expect("streams")
        .into_inner();
    versions
        .message()
        .await
        .expect("valid")
        .expect("there is a first version");
    assert_eq!(node.metagraph().await.block, 0);
    node.begin().await;
    node.submit(serve_axon(0, 1, 8091)).await.expect("valid");
    let changed = versions
        .message()
        .await
        .expect("valid")
        .expect("the clock closes a block");
    assert_eq!(changed.neurons[0].port, 8091);
    let mut steps = node.steps(2).await;
    assert_eq!(
        steps.report(0).await.expect_err("no barrier").code(),
        Code::FailedPrecondition
    );
    drop(steps);
    node.end().await;
    // After a restart the clock runs without another `Begin`.
    let mut node = Running::start(launch).await;
    let mut versions = node
        .clients
        .subtensor
        .watch_metagraph(WatchRequest { lite: false })
        .await
        .expect("streams")
        .into_inner();
    let before = versions
        .message()
        .await
        .expect("valid")
        .expect("there is a first version");
    assert!(before.block >= changed.block);
    node.submit(serve_axon(0, 2, 8092)).await.expect("valid");
    let after = versions
        .message()
        .await
        .expect("valid")
        .expect("the clock closes a block");
    assert_eq!(after.neurons[0].port, 8092);
    drop(versions);
    node.end().await;
}

#[tokio::test]
async fn health_checks_are_answered() {
    let state = state();
    let node = Running::start(launch(state.path(), 1)).await;
    let channel = Channel::from_shared(format!("http://{}", node.address)).expect("a URI");
    let mut health = HealthClient::new(channel.connect().await.expect("the node listens"));
    let answer = health
        .check(HealthCheckRequest::default())
        .await
        .expect("healthy")
        .into_inner();
    assert_eq!(answer.status, 1);
}

#[tokio::test]
async fn malformed_requests_are_refused_and_change_nothing() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    let of = |call| Transaction {
        signer: hotkey(0).bytes().to_vec(),
        nonce: 1,
        from_block: 0,
        until_block: 9,
        call,
    };
    let axon = |ip: &str, port| {
        of(Some(Call::ServeAxon(ServeAxon {
            ip: ip.to_owned(),
            port,
        })))
    };
    let set = |uids, weights| {
        of(Some(Call::SetWeights(SetWeights {
            uids,
            weights,
            version_key: 0,
        })))
    };
    let malformed = [
        of(None),
        Transaction {
            from_block: 10,
            ..axon("127.0.0.1", 1)
        },
        Transaction {
            until_block: 4_096,
            ..axon("127.0.0.1", 1)
        },
        of(Some(Call::Register(Register { coldkey: vec![0; 33] }))),
        axon("", 1),
        axon("localhost", 1),
        axon("127.0.0.1", 0),
        axon("127.0.0.1", 65_536),
        axon(&"1".repeat(1_000_000), 1),
        set(vec![0; 65_537], vec![1; 65_537]),
        set(vec![65_536], vec![1]),
        set(vec![0], vec![65_536]),
    ];
    let mut submit = async |signed| {
        let submitted = node.clients.submit_signed(signed).await;
        submitted.expect_err("malformed").code()
    };
    for transaction in malformed {
        assert_eq!(submit(sign(&hot(0), &transaction)).await, Code::InvalidArgument);
    }
    let no_transaction = SignedTransaction {
        transaction: vec![0xff; 40],
        signature: hot(0).sign(&[0xff; 40]).bytes().to_vec(),
    };
    assert_eq!(submit(no_transaction).await, Code::InvalidArgument);
    let too_long = set(vec![60_000; 1_000_000], vec![60_000; 1_000_000]);
    assert_eq!(submit(sign(&hot(0), &too_long)).await, Code::OutOfRange);

    node.begin().await;
    let unknown = PublicKey::from_bytes([77; 32]);
    let mut stranger = Steps::open(&mut node.clients.barrier, unknown)
        .await
        .expect("the stream opens");
    let refused = stranger.report(0).await.expect_err("not a member");
    assert_eq!(
        (refused.code(), refused.message()),
        (
            Code::NotFound,
            &*format!("hotkey {unknown} is not a member of the barrier")
        )
    );
    let mut member = node.steps(2).await;
    report_all([&mut member], 0).await;
    assert_eq!(
        member.report(7).await.expect_err("ahead").code(),
        Code::FailedPrecondition
    );
    assert_eq!(
        node.metagraph_at(Some(3))
            .await
            .expect_err("not closed yet")
            .code(),
        Code::FailedPrecondition
    );
    assert_eq!(
        node.metagraph_at(Some(u64::MAX))
            .await
            .expect_err("not closed yet")
            .code(),
        Code::FailedPrecondition
    );
    let short = NominatorsRequest { hotkey: vec![1] };
    let refused = node
        .clients
        .subtensor
        .get_nominators(short)
        .await
        .expect_err("not a key");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let reason = RetireRequest {
        hotkey: hotkey(2).bytes().to_vec(),
        reason: "x".repeat(1_025),
    };
    assert_eq!(
        node.clients
            .control
            .retire(reason)
            .await
            .expect_err("too long")
            .code(),
        Code::InvalidArgument
    );
    assert_eq!(node.metagraph().await.version, 1);
}

#[tokio::test]
async fn reports_of_steps_closed_long_ago_are_refused() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    node.begin().await;
    let mut a = node.steps(2).await;
    for step in 0..1_025 {
        report_all([&mut a], step).await;
    }
    assert_eq!(a.report(1).await.expect("the oldest answered step").block, 3);
    let forgotten = a.report(0).await.expect_err("no longer answered");
    assert_eq!(forgotten.code(), Code::OutOfRange);
}

/// Returns the error with which a node with this launch config refuses to serve.
async fn refused(launch: SubtensorLaunch) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let error = mirror_subtensor::serve(
        launched(launch, 0),
        listener,
        CancellationToken::new(),
        Control::default(),
    )
    .await;
    format!("{:#}", error.expect_err("the node refuses to serve"))
}

#[track_caller]
fn assert_says(message: &str, words: &str) {
    assert!(message.contains(words), "expected `{words}` in: {message}");
}

#[tokio::test]
async fn a_log_of_another_chain_is_refused() {
    let state = state();
    let node = Running::start(launch(state.path(), 1)).await;
    // The running node locks its log.
    assert_says(
        &refused(launch(state.path(), 1)).await,
        "written by another process",
    );
    node.end().await;
    assert_says(&refused(launch(state.path(), 2)).await, "another genesis");

    let foreign = tempfile::tempdir().expect("a temporary folder");
    write_journal(foreign.path(), &[b"a row of something else"]);
    assert_says(&refused(launch(foreign.path(), 1)).await, "not a chain log");
}

#[tokio::test]
async fn a_damaged_log_is_refused_and_a_torn_tail_is_cut_off() {
    let state = state();
    let mut node = Running::start(launch(state.path(), 1)).await;
    node.submit(serve_axon(0, 1, 8091)).await.expect("valid");
    node.begin().await;
    node.end().await;
    let segment = state.path().join("000001.journal");
    let whole = std::fs::read(&segment).expect("the node wrote it");

    // The part of the next record that a killed node had written.
    let torn = [&whole[..], &[9, 0, 0, 0, 1, 2, 3, 4, 5]].concat();
    std::fs::write(&segment, torn).expect("it can be written");
    let mut node = Running::start(launch(state.path(), 1)).await;
    assert_eq!(node.metagraph().await.block, 1);
    assert_eq!(node.begin().await, 1);
    assert_eq!(node.metagraph().await.neurons[0].port, 8091);
    node.end().await;

    // Synced records do not tear: the history contains a later version than the log.
    std::fs::write(&segment, &whole[..whole.len() - 1]).expect("it can be written");
    assert_says(
        &refused(launch(state.path(), 1)).await,
        "the end of the log is missing",
    );

    let mut damaged = whole;
    damaged[20] ^= 1;
    std::fs::write(&segment, &damaged).expect("it can be written");
    assert_says(&refused(launch(state.path(), 1)).await, "damaged");
}

#[tokio::test]
async fn an_inconsistent_launch_config_is_refused() {
    let state = state();
    let with = |change: &dyn Fn(&mut SubtensorLaunch)| {
        let mut launch = launch(state.path(), 1);
        change(&mut launch);
        refused(launch)
    };
    let message = with(&|launch| launch.barrier[0].hotkey = "7f".to_owned()).await;
    assert_says(
        &message,
        "member 0 of the barrier: a key is 64 hexadecimal digits",
    );
    let message = with(&|launch| launch.genesis.neurons[1].coldkey = String::new()).await;
    assert_says(&message, "coldkey of uid 1");
    let message = with(&|launch| launch.genesis.neurons[1] = launch.genesis.neurons[0].clone()).await;
    assert_says(&message, "neurons 0 and 1 have the same hotkey");
    let message = with(&|launch| {
        launch.genesis.hyperparameters.insert("temp".to_owned(), 1);
    });
    assert_says(&message.await, "there is no hyperparameter `temp`");
    let message = with(&|launch| {
        launch
            .genesis
            .hyperparameters
            .insert("max_allowed_uids".to_owned(), 0);
    });
    assert_says(&message.await, "max_allowed_uids must be 1 to 65536");
    let message = with(&|launch| launch.genesis.block = 0).await;
    assert_says(&message, "the first block is numbered 1 to");
    for seconds in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
        let message = with(&|launch| launch.block_time = BlockTime::Seconds(seconds)).await;
        assert_says(&message, "expected 0.001 or more");
    }
}

fn write_journal(folder: &Path, records: &[&[u8]]) {
    let mut writer = mirror_journal::Writer::open(folder, 1 << 20)
        .expect("the folder is new")
        .writer;
    writer.append_batch(records).expect("the disk has space");
}
