//! The calls that the chain accepts and refuses under the rules of Subtensor.

use std::net::Ipv4Addr;
use std::sync::Arc;

use mirror_chain::{
    Applied, Axon, Block, BlockUnavailable, Bond, Call, Chain, DispatchError, Genesis, GenesisError,
    GenesisNeuron, HISTORY_BLOCKS, HISTORY_BYTES, Hyperparameters, Nomination, Nonce, RECENT_TX_BLOCKS, Rao,
    Submitted, Transaction, Uid, Version, Weight, Weights,
};
use mirror_identity::PublicKey;

const VALIDATOR: u8 = 2;

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

/// Two miners (uids 0 and 1) and a validator with a permit (uid 2). The number of a hotkey is its uid.
fn genesis() -> Genesis {
    let neuron = |uid| GenesisNeuron {
        hotkey: key(uid),
        coldkey: key(100 + uid),
        stake: Rao(if uid == VALIDATOR { 1_000 } else { 0 }),
        validator_permit: uid == VALIDATOR,
        weights: Vec::new(),
        bonds: Vec::new(),
        axon: None,
    };
    Genesis {
        neurons: vec![neuron(0), neuron(1), neuron(VALIDATOR)],
        ..Genesis::empty(Hyperparameters::SMALL)
    }
}

fn chain(change: impl FnOnce(&mut Genesis)) -> Chain {
    let mut genesis = genesis();
    change(&mut genesis);
    Chain::genesis(genesis).expect("the genesis of these tests is valid")
}

fn row(pairs: &[(u16, u16)]) -> Weights {
    Weights {
        uids: pairs.iter().map(|&(uid, _)| Uid(uid)).collect(),
        weights: pairs.iter().map(|&(_, weight)| weight).collect(),
        version_key: 0,
    }
}

fn weights(pairs: &[(u16, u16)]) -> Call {
    Call::SetWeights(row(pairs))
}

fn axon(port: u16) -> Call {
    let port = port.try_into().expect("ports of these tests are not 0");
    Call::ServeAxon(Axon {
        ip: Ipv4Addr::LOCALHOST.into(),
        port,
    })
}

/// Submits one call by the hotkey `by` and closes the block.
fn outcome(chain: &mut Chain, by: u8, call: Call) -> Result<(), DispatchError> {
    let nonce = Nonce(chain.block().0);
    chain.submit(Transaction {
        signer: key(by),
        nonce,
        call,
    })?;
    let applied = chain.close_block().applied;
    let [Applied { outcome, .. }] = applied[..] else {
        panic!("expected one transaction, found {applied:?}")
    };
    outcome
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Genesis), by: u8, call: Call, expected: DispatchError) {
    let mut chain = chain(change);
    let before = Arc::clone(chain.metagraph());
    assert_eq!(outcome(&mut chain, by, call), Err(expected));
    assert_eq!(chain.metagraph(), &before);
}

#[test]
fn weights_are_refused_by_the_chains_names() {
    let unequal = Call::SetWeights(Weights {
        uids: vec![Uid(0)],
        weights: vec![1, 2],
        version_key: 0,
    });
    check_refused(|_| {}, VALIDATOR, unequal, DispatchError::WeightVecNotEqualSize);
    check_refused(
        |_| {},
        VALIDATOR,
        weights(&[(0, 1), (1, 1), (2, 1), (0, 1)]),
        DispatchError::TooManyUids,
    );
    check_refused(|_| {}, 77, weights(&[(0, 1)]), DispatchError::NotRegistered);
    let versioned = |genesis: &mut Genesis| genesis.hyperparameters.weights_version_key = 370;
    check_refused(
        versioned,
        VALIDATOR,
        weights(&[(0, 1)]),
        DispatchError::IncorrectNetworkVersionKey,
    );
    check_refused(|_| {}, 0, weights(&[(1, 1)]), DispatchError::NoValidatorPermit);
    check_refused(
        |_| {},
        VALIDATOR,
        weights(&[(0, 1), (0, 1)]),
        DispatchError::DuplicateUids,
    );
    check_refused(
        |_| {},
        VALIDATOR,
        weights(&[(0, 1), (3, 1)]),
        DispatchError::InvalidUid,
    );
    let two_at_least = |genesis: &mut Genesis| genesis.hyperparameters.min_allowed_weights = 2;
    check_refused(
        two_at_least,
        VALIDATOR,
        weights(&[(0, 1)]),
        DispatchError::NotSettingEnoughWeights,
    );
    let half_at_most = |genesis: &mut Genesis| genesis.hyperparameters.max_weight_limit = 32_768;
    check_refused(
        half_at_most,
        VALIDATOR,
        weights(&[(0, 3), (1, 1)]),
        DispatchError::MaxWeightExceeded,
    );
}

#[test]
fn the_first_failed_check_determines_the_error() {
    // The call has no permit, a duplicate uid and an unknown uid. In the chain's order, the permit is checked first.
    check_refused(
        |_| {},
        0,
        weights(&[(9, 1), (9, 1)]),
        DispatchError::NoValidatorPermit,
    );
    check_refused(
        |_| {},
        VALIDATOR,
        weights(&[(9, 1), (9, 1)]),
        DispatchError::DuplicateUids,
    );
}

#[test]
fn a_single_self_weight_needs_no_permit_and_has_no_limit() {
    let strict = |genesis: &mut Genesis| {
        genesis.hyperparameters.min_allowed_weights = 3;
        genesis.hyperparameters.max_weight_limit = 1;
    };
    assert_eq!(outcome(&mut chain(strict), 0, weights(&[(0, 5)])), Ok(()));
}

#[test]
fn the_rate_limit_counts_blocks() {
    let mut chain = chain(|genesis| genesis.hyperparameters.weights_set_rate_limit = 2);
    assert_eq!(outcome(&mut chain, VALIDATOR, weights(&[(0, 1)])), Ok(()));
    assert_eq!(
        outcome(&mut chain, VALIDATOR, weights(&[(0, 1)])),
        Err(DispatchError::SettingWeightsTooFast)
    );
    assert_eq!(outcome(&mut chain, VALIDATOR, weights(&[(0, 1)])), Ok(()));
}

#[test]
fn weights_are_stored_with_the_largest_at_65535() {
    let mut chain = chain(|_| {});
    assert_eq!(outcome(&mut chain, VALIDATOR, weights(&[(1, 1), (0, 2)])), Ok(()));
    let neuron = chain
        .metagraph()
        .neuron(Uid(VALIDATOR.into()))
        .expect("uid 2 is registered");
    let stored: Vec<_> = neuron
        .weights
        .iter()
        .map(|weight| (weight.uid.0, weight.weight))
        .collect();
    assert_eq!(stored, [(1, 32_768), (0, 65_535)]);
    assert_eq!(neuron.last_update, Block(1));
}

#[test]
fn weights_that_are_all_zero_are_accepted() {
    let mut chain = chain(|genesis| genesis.hyperparameters.tempo = 1);
    assert_eq!(outcome(&mut chain, VALIDATOR, weights(&[(0, 0), (1, 0)])), Ok(()));
    chain.close_block();
    assert!(
        chain
            .metagraph()
            .neurons
            .iter()
            .all(|neuron| neuron.incentive == 0)
    );
}

#[test]
fn only_neurons_announce_axons_and_only_at_valid_addresses() {
    let mut chain = chain(|_| {});
    assert_eq!(
        outcome(&mut chain, 77, axon(8091)),
        Err(DispatchError::NotRegistered)
    );
    let nowhere = Axon {
        ip: Ipv4Addr::UNSPECIFIED.into(),
        port: 8091.try_into().expect("the port is not 0"),
    };
    assert_eq!(
        outcome(&mut chain, 0, Call::ServeAxon(nowhere)),
        Err(DispatchError::InvalidIpAddress)
    );
    assert_eq!(chain.metagraph().version, Version(1));
    assert_eq!(outcome(&mut chain, 0, axon(8091)), Ok(()));
    assert_eq!(chain.metagraph().version, Version(2));
    // Announcing the same address again is not a change.
    assert_eq!(outcome(&mut chain, 0, axon(8091)), Ok(()));
    assert_eq!(chain.metagraph().version, Version(2));
}

#[test]
fn a_change_that_is_undone_within_a_block_does_not_count() {
    let mut chain = chain(|_| {});
    assert_eq!(outcome(&mut chain, 0, axon(8091)), Ok(()));
    for (nonce, port) in [(100, 8092), (101, 8091)] {
        let transaction = Transaction {
            signer: key(0),
            nonce: Nonce(nonce),
            call: axon(port),
        };
        assert_eq!(
            chain.submit(transaction),
            Ok(Submitted::Included { block: Block(2) })
        );
    }
    assert!(!chain.close_block().metagraph_changed);
}

#[test]
fn a_repeated_transaction_gets_the_same_answer_and_is_applied_once() {
    let mut chain = chain(|_| {});
    let register = Transaction {
        signer: key(9),
        nonce: Nonce(5),
        call: Call::Register { coldkey: key(200) },
    };
    assert_eq!(
        chain.submit(register.clone()),
        Ok(Submitted::Included { block: Block(1) })
    );
    assert_eq!(
        chain.submit(register.clone()),
        Ok(Submitted::Repeated { block: Block(1) })
    );
    assert_eq!(chain.close_block().applied.len(), 1);
    assert_eq!(
        chain.submit(register.clone()),
        Ok(Submitted::Repeated { block: Block(1) })
    );
    assert!(chain.close_block().applied.is_empty());
    // A skipped nonce is below one that was used.
    assert_eq!(
        chain.submit(Transaction {
            nonce: Nonce(4),
            ..register
        }),
        Err(DispatchError::Stale)
    );
}

#[test]
fn a_nonce_is_valid_for_one_call() {
    let mut chain = chain(|_| {});
    let serve = |nonce, port| Transaction {
        signer: key(0),
        nonce: Nonce(nonce),
        call: axon(port),
    };
    // The nonces are in the open block, among the remembered transactions, and the last one of the key.
    for nonce in [1, 2] {
        chain.submit(serve(nonce, 8091)).expect("the block has room");
    }
    assert_eq!(chain.submit(serve(1, 8092)), Err(DispatchError::Stale));
    let closed = chain.close_block();
    assert_eq!(closed.applied.len(), 2);
    let chain_read = Chain::from_snapshot(&chain.snapshot()).expect("the snapshot is valid");
    for mut chain in [chain, chain_read] {
        assert_eq!(chain.submit(serve(1, 8092)), Err(DispatchError::Stale));
        assert_eq!(
            chain.submit(serve(1, 8091)),
            Ok(Submitted::Repeated { block: Block(1) })
        );
        for _ in 0..=RECENT_TX_BLOCKS {
            chain.close_block();
        }
        assert_eq!(chain.submit(serve(2, 8092)), Err(DispatchError::Stale));
        assert_eq!(
            chain.submit(serve(2, 8091)),
            Ok(Submitted::Repeated { block: Block(1) })
        );
    }
}

#[test]
fn answers_are_remembered_for_some_blocks_and_the_last_of_a_key_permanently() {
    let mut chain = chain(|_| {});
    let serve = |nonce| Transaction {
        signer: key(0),
        nonce: Nonce(nonce),
        call: axon(8091),
    };
    for nonce in [1, 2] {
        chain.submit(serve(nonce)).expect("the block has room");
    }
    for _ in 0..RECENT_TX_BLOCKS {
        chain.close_block();
    }
    let repeated = Ok(Submitted::Repeated { block: Block(1) });
    assert_eq!(chain.submit(serve(1)), repeated);
    chain.close_block();
    assert_eq!(chain.submit(serve(1)), Err(DispatchError::Stale));
    assert_eq!(chain.submit(serve(2)), repeated);
}

#[test]
fn a_full_block_refuses_transactions() {
    let mut chain = chain(|_| {});
    let large = Call::SetWeights(Weights {
        uids: vec![Uid(0); 65_536],
        weights: vec![1; 65_536],
        version_key: 0,
    });
    let mut refused = None;
    for nonce in 0..10_000 {
        let transaction = Transaction {
            signer: key(0),
            nonce: Nonce(nonce),
            call: large.clone(),
        };
        if let Err(refusal) = chain.submit(transaction) {
            refused = Some(refusal);
            break;
        }
    }
    assert_eq!(refused, Some(DispatchError::ExhaustsResources));
    chain.close_block();
    let transaction = Transaction {
        signer: key(0),
        nonce: Nonce(20_000),
        call: axon(8091),
    };
    assert_eq!(
        chain.submit(transaction),
        Ok(Submitted::Included { block: Block(2) })
    );
}

#[test]
fn the_epoch_runs_in_the_same_blocks_as_on_the_real_chain() {
    // (block + netuid + 1) % (tempo + 1) == 0: with netuid 1 and tempo 3 blocks 2, 6, 10.
    let mut chain = chain(|genesis| genesis.hyperparameters.tempo = 3);
    assert_eq!(outcome(&mut chain, VALIDATOR, weights(&[(0, 1)])), Ok(()));
    assert_eq!(
        chain.metagraph().neuron(Uid(0)).map(|neuron| neuron.incentive),
        Some(0)
    );
    assert!(chain.close_block().metagraph_changed);
    assert_eq!(
        chain.metagraph().neuron(Uid(0)).map(|neuron| neuron.incentive),
        Some(65_535)
    );
    assert_eq!(outcome(&mut chain, VALIDATOR, weights(&[(1, 1)])), Ok(()));
    let mut epochs = Vec::new();
    while chain.block() < Block(12) {
        let closed = chain.close_block();
        if closed.epoch.is_some() {
            epochs.push(closed.block);
        }
    }
    assert_eq!(epochs, [Block(6), Block(10)]);
}

#[test]
fn a_tempo_of_zero_or_the_maximum_runs_no_epoch() {
    for tempo in [0, u64::MAX] {
        let mut chain = chain(|genesis| genesis.hyperparameters.tempo = tempo);
        assert_eq!(outcome(&mut chain, VALIDATOR, weights(&[(0, 1)])), Ok(()));
        assert!((0..1_000).all(|_| !chain.close_block().metagraph_changed));
    }
}

#[test]
fn the_metagraph_of_past_blocks_is_held_within_a_bound() {
    let mut chain = chain(|genesis| genesis.hyperparameters.tempo = 0);
    let port = |chain: &Chain, block| {
        let metagraph = chain.metagraph_at(Block(block))?;
        Ok(metagraph
            .neuron(Uid(0))
            .and_then(|neuron| neuron.axon)
            .map(|axon| axon.port.get()))
    };
    assert_eq!(port(&chain, 0), Ok(None));
    let not_closed = BlockUnavailable::NotClosed {
        block: Block(1),
        last: Block(0),
    };
    assert_eq!(port(&chain, 1), Err(not_closed));
    assert_eq!(outcome(&mut chain, 0, axon(1_001)), Ok(()));
    chain.close_block();
    assert_eq!(outcome(&mut chain, 0, axon(1_003)), Ok(()));
    assert_eq!(
        [0, 1, 2, 3].map(|block| port(&chain, block)),
        [Ok(None), Ok(Some(1_001)), Ok(Some(1_001)), Ok(Some(1_003))]
    );
    while chain.block() < Block(HISTORY_BLOCKS + 1) {
        chain.close_block();
    }
    let too_old = BlockUnavailable::TooOld {
        block: Block(1),
        oldest: Block(2),
    };
    assert_eq!(port(&chain, 1), Err(too_old));
    assert_eq!(
        [2, 3, 1_000].map(|block| port(&chain, block)),
        [Ok(Some(1_001)), Ok(Some(1_003)), Ok(Some(1_003))]
    );
}

#[test]
fn the_history_takes_no_more_memory_than_its_bound() {
    let mut chain = chain(|genesis| {
        genesis.hyperparameters.tempo = 0;
        genesis.hyperparameters.min_allowed_weights = 1;
        genesis.neurons.resize_with(4_000, {
            let mut number = 3_u16;
            move || {
                number += 1;
                let [low, high] = number.to_le_bytes();
                let mut bytes = [255; 32];
                (bytes[0], bytes[1]) = (low, high);
                GenesisNeuron {
                    hotkey: PublicKey::from_bytes(bytes),
                    coldkey: PublicKey::from_bytes(bytes),
                    stake: Rao(0),
                    validator_permit: false,
                    weights: Vec::new(),
                    bonds: Vec::new(),
                    axon: None,
                }
            }
        });
    });
    // Each version takes 8 bytes per neuron for its list, and 4 for a row of weights.
    let version = 4_000 * (8 + 4);
    for block in 1..=1_000 {
        let weights = Weights {
            uids: (0..4_000).map(Uid).collect(),
            weights: (0..4_000).map(|uid| 1 + uid % (1 + block)).collect(),
            version_key: 0,
        };
        assert_eq!(outcome(&mut chain, VALIDATOR, Call::SetWeights(weights)), Ok(()));
    }
    let Err(BlockUnavailable::TooOld { oldest, .. }) = chain.metagraph_at(Block(1)) else {
        panic!("1,000 versions of {version} bytes are more than {HISTORY_BYTES}");
    };
    let held = (1_000 - oldest.0) as usize * version;
    assert!((HISTORY_BYTES / 10 * 9..=HISTORY_BYTES).contains(&held), "{held}");
    assert!(chain.metagraph_at(oldest).is_ok());
}

#[test]
fn stake_is_recorded_by_hotkey_and_coldkey() {
    let nomination = |coldkey, stake| Nomination {
        hotkey: key(VALIDATOR),
        coldkey: key(coldkey),
        stake: Rao(stake),
    };
    let chain = chain(|genesis| {
        genesis.nominations = vec![
            nomination(200, 30),
            nomination(50, 4),
            nomination(200, 1),
            nomination(7, 0),
        ];
    });
    let nominators: Vec<_> = chain.nominators(&key(VALIDATOR)).collect();
    assert_eq!(
        nominators,
        [(key(50), Rao(4)), (key(102), Rao(1_000)), (key(200), Rao(31))]
    );
    assert_eq!(
        chain.metagraph().neuron(Uid(2)).map(|neuron| neuron.stake),
        Some(Rao(1_035))
    );
    assert_eq!(chain.nominators(&key(0)).count(), 0);
}

#[test]
fn an_inconsistent_genesis_is_refused() {
    let refused = |change: &dyn Fn(&mut Genesis)| {
        let mut genesis = genesis();
        change(&mut genesis);
        Chain::genesis(genesis).err()
    };
    let first_block = GenesisError::FirstBlock { block: Block(0) };
    assert_eq!(
        refused(&|genesis| genesis.first_block = Block(0)),
        Some(first_block)
    );
    assert_eq!(
        refused(&|genesis| genesis.hyperparameters.max_allowed_uids = 65_537),
        Some(GenesisError::Hyperparameters)
    );
    let too_many = GenesisError::TooManyNeurons {
        count: 3,
        max_allowed_uids: 2,
    };
    assert_eq!(
        refused(&|genesis| genesis.hyperparameters.max_allowed_uids = 2),
        Some(too_many)
    );
    let duplicate = GenesisError::DuplicateHotkey {
        hotkey: key(0),
        first: 0,
        second: 1,
    };
    assert_eq!(
        refused(&|genesis| genesis.neurons[1].hotkey = key(0)),
        Some(duplicate)
    );
    let nomination = |hotkey, stake| Nomination {
        hotkey: key(hotkey),
        coldkey: key(9),
        stake: Rao(stake),
    };
    let unknown = GenesisError::UnknownNominee {
        hotkey: key(77),
        coldkey: key(9),
    };
    assert_eq!(
        refused(&|genesis| genesis.nominations = vec![nomination(77, 1)]),
        Some(unknown)
    );
    assert_eq!(
        refused(&|genesis| genesis.nominations = vec![nomination(VALIDATOR, u64::MAX)]),
        Some(GenesisError::TooManyCoins)
    );
    let unknown = GenesisError::UnknownUid {
        what: "weights",
        from: 1,
        uid: Uid(3),
    };
    let weight = |uid| Weight {
        uid: Uid(uid),
        weight: 1,
    };
    assert_eq!(
        refused(&|genesis| genesis.neurons[1].weights = vec![weight(3)]),
        Some(unknown)
    );
    let bond = Bond { uid: Uid(0), bond: 1 };
    let repeated = GenesisError::RepeatedUid {
        what: "bonds",
        from: 2,
        uid: Uid(0),
    };
    assert_eq!(
        refused(&|genesis| genesis.neurons[2].bonds = vec![bond, bond]),
        Some(repeated)
    );
}
