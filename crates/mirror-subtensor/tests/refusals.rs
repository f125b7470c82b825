//! Refusals of the node, by name: transactions that are not signed correctly, and invalid weights.

mod network;

use std::path::Path;

use mirror_chain::{Commitment, Uid, Weights};
use mirror_identity::SecretKey;
use mirror_node::Control;
use mirror_proto::mirror::v1::transaction::Call;
use mirror_proto::mirror::v1::{
    Applied, BeginRequest, CommitWeights, MetagraphRequest, MoveStake, RevealWeights, SetHyperparameter,
    SetWeights, SignedTransaction, Transaction,
};
use mirror_spec::launch::SubtensorLaunch;
use mirror_subtensor_client::transaction::{sign, sign_call, verify};
use network::{
    Clients, MINERS, OWNER, Request, Steps, cold, connect, hot, hotkey, launch, launched, serve_axon,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const VALIDATOR: u8 = MINERS;

/// A node with one validator. The node closes a block with each step that the validator reports.
struct Node {
    clients: Clients,
    steps: Steps,
    step: u64,
}

impl Node {
    async fn start(state: &Path, rules: &[(&str, u64)]) -> Self {
        let mut launch = launch(state, 1);
        let rules = rules.iter().map(|&(name, value)| (name.to_owned(), value));
        launch.genesis.hyperparameters.extend(rules);
        Self::launch(launch).await
    }

    async fn launch(launch: SubtensorLaunch) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("the listener is bound");
        // The node ends with the test's runtime.
        tokio::spawn(mirror_subtensor::serve(
            launched(launch, 0),
            listener,
            CancellationToken::default(),
            Control::default(),
        ));
        let mut clients = connect(address).await.expect("the node listens");
        clients.control.begin(BeginRequest {}).await.expect("begins");
        let steps = Steps::open(&mut clients.barrier, hotkey(VALIDATOR)).await;
        Self {
            clients,
            steps: steps.expect("the stream opens"),
            step: 0,
        }
    }

    /// Closes the open block and returns the outcomes of the validator's transactions in it.
    async fn close(&mut self) -> Vec<Applied> {
        let closed = self.steps.report(self.step).await.expect("the step closes");
        self.step += 1;
        closed.applied
    }

    /// Submits a transaction and returns the refusal in the reply, empty if there is none.
    async fn answer(&mut self, signed: &SignedTransaction) -> String {
        let submitted = self.clients.submit_signed(signed.clone()).await;
        submitted.expect("the request is valid").0
    }

    /// Submits a call of the validator and returns its refusal in the next block, empty if there is none.
    async fn outcome(&mut self, call: Call) -> String {
        let asked = Request {
            key: hot(VALIDATOR),
            nonce: self.step + 1,
            call,
        };
        let taken = self.clients.submit(asked).await.expect("the request is valid");
        assert_eq!(taken.0, "");
        let [applied] = &self.close().await[..] else {
            panic!("one call was submitted")
        };
        network::refusal_name(applied.refusal)
    }

    async fn port(&mut self) -> u32 {
        let now = MetagraphRequest {
            block: None,
            lite: true,
        };
        let metagraph = self.clients.subtensor.get_metagraph(now).await;
        metagraph.expect("there is a metagraph").into_inner().neurons[0].port
    }
}

fn state() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn altered(signed: &SignedTransaction, change: impl FnOnce(&mut Transaction)) -> SignedTransaction {
    let mut transaction = verify(signed).expect("it is signed");
    change(&mut transaction);
    SignedTransaction {
        transaction: sign(&hot(0), &transaction).transaction,
        signature: signed.signature.clone(),
    }
}

#[tokio::test]
async fn only_the_key_of_the_signer_can_sign_a_transaction() {
    let state = state();
    let mut node = Node::start(state.path(), &[]).await;
    let sound = serve_axon(0, 1, 8_091).signed(1);
    let transaction = verify(&sound).expect("it is signed");
    for wrong in [
        sign(&hot(1), &transaction),
        sign(&cold(0), &transaction),
        altered(&sound, |transaction| {
            transaction.signer = hotkey(1).bytes().to_vec();
        }),
        altered(&sound, |transaction| transaction.signer = vec![1; 31]),
        altered(&sound, |transaction| transaction.signer = vec![0xff; 32]),
        altered(&sound, |transaction| transaction.nonce += 1),
        altered(&sound, |transaction| transaction.from_block -= 1),
        altered(&sound, |transaction| transaction.until_block += 1),
        altered(&sound, |transaction| {
            transaction.call = Some(serve_axon(0, 1, 8_092).call);
        }),
        SignedTransaction {
            signature: Vec::new(),
            ..sound.clone()
        },
        SignedTransaction {
            signature: vec![0; 64],
            ..sound.clone()
        },
    ] {
        assert_eq!(node.answer(&wrong).await, "BadProof");
    }
    node.close().await;
    assert_eq!(node.port().await, 0);
    assert_eq!(node.answer(&sound).await, "");
    node.close().await;
    assert_eq!(node.port().await, 8_091);
}

#[tokio::test]
async fn a_repeated_transaction_takes_effect_once_and_is_refused_after_its_window() {
    let state = state();
    let mut node = Node::start(state.path(), &[]).await;
    let in_window = |nonce, from_block, until_block, port| {
        let transaction = Transaction {
            from_block,
            until_block,
            nonce,
            ..verify(&serve_axon(0, nonce, port).signed(0)).expect("it is signed")
        };
        sign(&hot(0), &transaction)
    };
    // Block 2 is open.
    let sound = in_window(5, 2, 4, 8_091);
    assert_eq!(node.answer(&sound).await, "");
    assert_eq!(node.answer(&sound).await, "");
    // Another call with the same nonce is refused. The same call signed for another window is a repetition.
    assert_eq!(node.answer(&in_window(5, 2, 4, 8_094)).await, "Stale");
    assert_eq!(node.answer(&in_window(5, 2, 3, 8_091)).await, "");
    node.close().await;
    assert_eq!(node.port().await, 8_091);
    assert_eq!(node.answer(&in_window(5, 2, 4, 8_094)).await, "Stale");
    // Block 3: another included transaction, so that a repetition that took effect would show.
    assert_eq!(node.answer(&in_window(6, 3, 3, 8_092)).await, "");
    assert_eq!(node.answer(&sound).await, "");
    assert_eq!(node.answer(&in_window(4, 3, 4, 8_093)).await, "Stale");
    assert_eq!(node.answer(&in_window(7, 4, 9, 8_093)).await, "Future");
    assert_eq!(node.answer(&in_window(7, 1, 2, 8_093)).await, "AncientBirthBlock");
    node.close().await;
    node.close().await;
    // Block 5 is open.
    assert_eq!(node.answer(&sound).await, "AncientBirthBlock");
    node.close().await;
    assert_eq!(node.port().await, 8_092);
}

#[tokio::test]
async fn each_call_requires_the_key_that_it_is_for() {
    let state = state();
    let mut node = Node::start(state.path(), &[]).await;
    let unstake = Call::RemoveStake(MoveStake {
        hotkey: hotkey(VALIDATOR).bytes().to_vec(),
        amount: 1,
    });
    assert_eq!(node.outcome(unstake).await, "NotEnoughStakeToWithdraw");
    let tempo = SetHyperparameter {
        name: "tempo".to_owned(),
        value: 9,
    };
    let tempo = Call::SetHyperparameter(tempo);
    assert_eq!(node.outcome(tempo.clone()).await, "NotSubnetOwner");
    let by_owner = |key: SecretKey| sign_call(&key, 1, 1, tempo.clone());
    for (key, value) in [(hot(OWNER), 4), (cold(OWNER), 9)] {
        assert_eq!(node.answer(&by_owner(key)).await, "");
        node.close().await;
        let now = MetagraphRequest {
            block: None,
            lite: true,
        };
        let metagraph = node.clients.subtensor.get_metagraph(now).await.expect("held");
        let rules = metagraph
            .into_inner()
            .hyperparameters
            .expect("it has hyperparameters");
        assert_eq!(rules.tempo, value);
    }
}

fn set(uids: &[u32], weights: &[u32]) -> SetWeights {
    SetWeights {
        uids: uids.to_vec(),
        weights: weights.to_vec(),
        version_key: 0,
    }
}

#[tokio::test]
async fn weights_that_break_a_rule_are_refused_with_the_name_of_the_rule() {
    let state = state();
    let rules = [("min_allowed_weights", 2), ("max_weight_limit", 40_000)];
    let mut node = Node::start(state.path(), &rules).await;
    let cases: [(&[u32], &[u32], &str); 10] = [
        (&[0, 0], &[1, 1], "DuplicateUids"),
        (&[0, 1], &[1], "WeightVecNotEqualSize"),
        (&[0], &[1, 1], "WeightVecNotEqualSize"),
        (&[0, 3], &[1, 1], "InvalidUid"),
        (&[0, 65_535], &[1, 1], "InvalidUid"),
        (&[0], &[1], "NotSettingEnoughWeights"),
        (&[], &[], "NotSettingEnoughWeights"),
        (&[0, 1, 2, 0], &[1, 1, 1, 1], "TooManyUids"),
        (&[0, 1], &[9, 1], "MaxWeightExceeded"),
        // The sum exceeds 16 bits, which must not overflow.
        (&[0, 1, 2], &[65_535, 65_535, 65_535], ""),
    ];
    for (uids, weights, refusal) in cases {
        let outcome = node.outcome(Call::SetWeights(set(uids, weights))).await;
        assert_eq!(outcome, refusal, "{uids:?} {weights:?}");
    }
    // A row of zeros is accepted, as on the real chain.
    assert_eq!(node.outcome(Call::SetWeights(set(&[0, 1], &[0, 0]))).await, "");
}

#[tokio::test]
async fn more_than_the_stake_cannot_be_removed() {
    let state = state();
    let mut launch = launch(state.path(), 1);
    // A validator that is its own coldkey receives the outcomes of its stake calls.
    launch.genesis.neurons[usize::from(VALIDATOR)].coldkey = hotkey(VALIDATOR).hex();
    // No epoch adds to the stake.
    launch.genesis.hyperparameters.insert("tempo".to_owned(), 0);
    let mut node = Node::launch(launch).await;
    let remove = |amount| {
        Call::RemoveStake(MoveStake {
            hotkey: hotkey(VALIDATOR).bytes().to_vec(),
            amount,
        })
    };
    // The validator has staked 1,000, a nominator 7.
    for (amount, refusal) in [
        (1_001, "NotEnoughStakeToWithdraw"),
        (u64::MAX, "NotEnoughStakeToWithdraw"),
        (0, "AmountTooLow"),
        (1_000, ""),
        (1, "NotEnoughStakeToWithdraw"),
    ] {
        assert_eq!(node.outcome(remove(amount)).await, refusal, "{amount}");
    }
}

/// With netuid 1 and tempo 4 an epoch spans the blocks 3 to 7, the next 8 to 12, and so on.
#[tokio::test]
async fn weights_can_be_revealed_only_in_their_epoch() {
    let state = state();
    let rules = [
        ("commit_reveal_weights_enabled", 1),
        ("weights_set_rate_limit", 0),
    ];
    let mut node = Node::start(state.path(), &rules).await;
    let salt = [7, 8, 9];
    let weights = Weights {
        uids: vec![Uid(0), Uid(1)],
        weights: vec![3, 1],
        version_key: 0,
    };
    let commitment = Commitment::new(&hotkey(VALIDATOR), 1, &weights, &salt);
    let commit = Call::CommitWeights(CommitWeights {
        commitment: commitment.0.to_vec(),
    });
    let reveal = |weights: &[u32], salt: &[u16]| {
        Call::RevealWeights(RevealWeights {
            weights: Some(set(&[0, 1], weights)),
            salt: salt.iter().copied().map(u32::from).collect(),
        })
    };
    let sound = reveal(&[3, 1], &salt);

    let in_the_open = Call::SetWeights(set(&[0, 1], &[3, 1]));
    assert_eq!(node.outcome(in_the_open).await, "CommitRevealEnabled");
    // Block 3.
    assert_eq!(node.outcome(sound.clone()).await, "NoWeightsCommitFound");
    assert_eq!(node.outcome(commit.clone()).await, "");
    assert_eq!(node.outcome(sound.clone()).await, "RevealTooEarly");
    node.close().await;
    node.close().await;
    // Block 8.
    let no_match = "InvalidRevealCommitHashNotMatch";
    assert_eq!(node.outcome(reveal(&[3, 1], &[7, 8])).await, no_match);
    assert_eq!(node.outcome(reveal(&[1, 3], &salt)).await, no_match);
    assert_eq!(node.outcome(sound.clone()).await, "");
    assert_eq!(node.outcome(sound.clone()).await, "NoWeightsCommitFound");
    assert_eq!(node.outcome(commit).await, "");
    for _ in 13..18 {
        node.close().await;
    }
    // Block 18: the commitment of block 12 could be revealed in blocks 13 to 17.
    assert_eq!(node.outcome(sound).await, "ExpiredWeightCommit");
}
