//! Properties of every history of calls.

mod subnet;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use mirror_chain::{
    Axon, Call, Chain, Commitment, DispatchError, Genesis, GenesisNeuron, Holdings, Hyperparameters,
    Nomination, Nonce, Rao, RuleSet, Transaction, Uid, Weights,
};
use mirror_identity::PublicKey;
use proptest::prelude::*;
use proptest::sample::Index;
use subnet::{balance, coldkey, hotkey, owner};

const NEURONS: u8 = 6;
const MAX_UIDS: u32 = 10;

/// Hotkeys and coldkeys of histories are numbered 0..KEYS.
const KEYS: u8 = 14;

fn genesis(rule_set: RuleSet) -> Genesis {
    let neuron = |number: u8| GenesisNeuron {
        hotkey: hotkey(number),
        coldkey: coldkey(number),
        stake: Rao(u64::from(number) * 1_000_000_007),
        validator_permit: number >= NEURONS / 2,
        weights: Vec::new(),
        bonds: Vec::new(),
        axon: None,
    };
    let hyperparameters = Hyperparameters {
        rule_set,
        tempo: 4,
        max_weight_limit: 50_000,
        max_allowed_uids: MAX_UIDS,
        max_allowed_validators: 4,
        immunity_period: 3,
        min_non_immune_uids: 2,
        burn: Rao(10_000),
        min_burn: Rao(1_000),
        max_registrations_per_block: 3,
        target_registrations_per_interval: 3,
        adjustment_interval: 5,
        ..Hyperparameters::SMALL
    };
    Genesis {
        owner: Some(owner(1)),
        neurons: (0..NEURONS).map(neuron).collect(),
        nominations: vec![Nomination {
            hotkey: hotkey(5),
            coldkey: coldkey(7),
            stake: Rao(999_999_937),
        }],
        balances: (0..KEYS).map(|number| balance(number, 3_000_000)).collect(),
        ..Genesis::empty(hyperparameters)
    }
}

fn chain(rule_set: RuleSet) -> Chain {
    Chain::genesis(genesis(rule_set)).expect("the genesis of these tests is valid")
}

fn rule_set() -> impl Strategy<Value = RuleSet> {
    prop_oneof![Just(RuleSet::Classic), Just(RuleSet::Today)]
}

fn weights() -> impl Strategy<Value = Weights> {
    let weight = (0..12_u16, any::<u16>());
    (prop::collection::vec(weight, 0..8), 0..12_usize).prop_map(|(pairs, cut)| Weights {
        uids: pairs.iter().map(|&(uid, _)| Uid(uid)).collect(),
        weights: pairs.iter().map(|&(_, weight)| weight).skip(cut / 11).collect(),
        version_key: 0,
    })
}

/// One of a few sets of weights, so that some commitments are revealed.
fn secret() -> impl Strategy<Value = Weights> {
    (0..3_u16).prop_map(|uid| subnet::row(&[(uid, 1), (uid + 1, 1), (uid + 2, 1)]))
}

/// Amounts of every size, most of which can be transferred.
fn amount() -> impl Strategy<Value = Rao> {
    prop_oneof![
        Just(0),
        1..1_000_u64,
        1_000..2_000_000_u64,
        any::<u64>(),
        Just(u64::MAX)
    ]
    .prop_map(Rao)
}

/// A hyperparameter and a value that usually keeps the epochs running.
fn set_hyperparameter() -> impl Strategy<Value = Call> {
    let set = |name: &'static str, values: std::ops::RangeInclusive<u64>| {
        values.prop_map(move |value| Call::SetHyperparameter {
            name: name.to_owned(),
            value,
        })
    };
    let anything = (any::<Index>(), any::<u64>()).prop_map(|(index, value)| Call::SetHyperparameter {
        name: (*index.get(Hyperparameters::NAMES)).to_owned(),
        value,
    });
    prop_oneof![
        set("tempo", 0..=6),
        set("max_allowed_uids", 0..=u64::from(MAX_UIDS)),
        set("rule_set", 0..=2),
        set("yuma3_on", 0..=1),
        set("liquid_alpha_on", 0..=1),
        set("commit_reveal_weights_enabled", 0..=1),
        set("commit_reveal_period", 0..=2),
        set("activity_cutoff", 0..=20),
        set("kappa", 0..=65_535),
        set("bonds_penalty", 0..=65_535),
        set("bonds_moving_average", 0..=1_000_000),
        set("immunity_period", 0..=10),
        set("nominator_min_required_stake", 0..=10_000),
        set("block_emission", 0..=2_000_000_000),
        anything,
    ]
}

/// Calls that only the subnet's owner may make.
fn force() -> impl Strategy<Value = Call> {
    prop_oneof![
        (0..KEYS, amount()).prop_map(|(number, free)| Call::ForceSetBalance {
            coldkey: coldkey(number),
            free,
        }),
        (0..KEYS, 0..KEYS, amount(), amount()).prop_map(|(hot, cold, stake, free)| Call::ForceRegister {
            hotkey: hotkey(hot),
            coldkey: coldkey(cold),
            stake,
            free,
        }),
    ]
}

/// A transaction of a hotkey or a coldkey.
fn transaction() -> impl Strategy<Value = Transaction> {
    let key = || 0..KEYS;
    let axon = (0..3_u8, 1..4_u16).prop_map(|(ip, port)| Axon {
        ip: Ipv4Addr::new(ip, 0, 0, 0).into(),
        port: port.try_into().expect("the range begins at 1"),
    });
    let of_hotkey = prop_oneof![
        2 => key().prop_map(|number| Call::Register { coldkey: coldkey(number) }),
        1 => axon.clone().prop_map(Call::ServeAxon),
        1 => axon.prop_map(Call::ServePrometheus),
        4 => weights().prop_map(Call::SetWeights),
        1 => secret().prop_map(|weights| Call::RevealWeights { weights, salt: vec![7] }),
        1 => prop::collection::vec(any::<u8>(), 0..140).prop_map(|data| Call::PublishMetadata { data }),
    ];
    let of_coldkey = prop_oneof![
        2 => key().prop_map(|number| Call::BurnedRegister { hotkey: hotkey(number) }),
        3 => (key(), amount()).prop_map(|(number, amount)| Call::AddStake { hotkey: hotkey(number), amount }),
        3 => (key(), amount()).prop_map(|(number, amount)| Call::RemoveStake { hotkey: hotkey(number), amount }),
        1 => (key(), prop::option::of(any::<u16>())).prop_map(|(number, take)| Call::BecomeDelegate {
            hotkey: hotkey(number),
            take,
        }),
        2 => (key(), amount()).prop_map(|(number, amount)| Call::Transfer { to: coldkey(number), amount }),
        1 => set_hyperparameter(),
        1 => force(),
    ];
    let by_hotkey = (key(), of_hotkey).prop_map(|(number, call)| (hotkey(number), call));
    let commit = (key(), secret()).prop_map(|(number, weights)| {
        let commitment = Commitment::new(&hotkey(number), 1, &weights, &[7]);
        (hotkey(number), Call::CommitWeights(commitment))
    });
    let by_coldkey = (key(), of_coldkey).prop_map(|(number, call)| {
        // Only the owner's calls are not always refused.
        let number = if let Call::SetHyperparameter { .. }
        | Call::ForceSetBalance { .. }
        | Call::ForceRegister { .. } = call
        {
            number % 2
        } else {
            number
        };
        (coldkey(number), call)
    });
    let nonce = 0..400_u64;
    (prop_oneof![8 => by_hotkey, 1 => commit, 8 => by_coldkey], nonce).prop_map(|((signer, call), nonce)| {
        Transaction {
            signer,
            nonce: Nonce(nonce),
            call,
        }
    })
}

/// Transactions of one block, no two with the same signer and nonce. Of two such transactions the first would count, so
/// their order would matter.
fn block() -> impl Strategy<Value = Vec<Transaction>> {
    prop::collection::vec(transaction(), 0..80).prop_map(|transactions| {
        let by_identity: BTreeMap<_, _> = transactions
            .into_iter()
            .map(|transaction| ((transaction.signer, transaction.nonce), transaction))
            .collect();
        by_identity.into_values().collect()
    })
}

/// The transactions of each block. Their nonces rise from block to block, so most are not stale.
fn history() -> impl Strategy<Value = Vec<Vec<Transaction>>> {
    prop::collection::vec(block(), 0..50).prop_map(|mut blocks| {
        for (number, transactions) in (0..).zip(&mut blocks) {
            for transaction in transactions {
                transaction.nonce.0 += 300 * number;
            }
        }
        blocks
    })
}

fn submit_all(chain: &mut Chain, transactions: impl IntoIterator<Item = Transaction>) {
    for transaction in transactions {
        let answer = chain.submit(transaction);
        assert!(matches!(answer, Ok(_) | Err(DispatchError::Stale)), "{answer:?}");
    }
}

/// Checks that all coins are in an account and have a source.
fn check_conservation(chain: &Chain) -> Result<(), TestCaseError> {
    let issuance = chain.issuance();
    let free: u64 = chain.balances().map(|(_, free)| free.0).sum();
    let staked: u64 = chain.stakes().map(|(_, _, stake)| stake.0).sum();
    prop_assert_eq!(free + staked + issuance.pending.0, issuance.total().0);
    prop_assert_eq!(
        issuance.minted.0,
        issuance.paid().0 + issuance.pending.0 + issuance.lapsed.0
    );
    prop_assert_eq!(
        issuance.total().0,
        issuance.genesis.0 + issuance.granted.0 + issuance.minted.0 - issuance.lapsed.0 - issuance.burned.0
    );
    prop_assert!(chain.balances().all(|(_, free)| free > Rao(0)));
    prop_assert!(chain.stakes().all(|(_, _, stake)| stake > Rao(0)));
    Ok(())
}

/// Returns the current holdings of each coldkey.
fn holdings(chain: &Chain) -> Vec<(PublicKey, Holdings)> {
    let holdings = |coldkey| {
        let own = chain.stakes().filter(|(_, of, _)| *of == coldkey);
        Holdings {
            free: chain.balance(&coldkey),
            stakes: own.map(|(hotkey, _, stake)| (hotkey, stake)).collect(),
        }
    };
    let coldkeys = (0..KEYS).map(coldkey);
    coldkeys.map(|coldkey| (coldkey, holdings(coldkey))).collect()
}

fn check_registry(chain: &Chain) -> Result<(), TestCaseError> {
    let metagraph = chain.metagraph();
    let neurons = metagraph.neurons.len();
    prop_assert!(neurons <= metagraph.hyperparameters.max_allowed_uids as usize);
    for (uid, neuron) in (0..).map(Uid).zip(&metagraph.neurons) {
        prop_assert_eq!(chain.uid(&neuron.hotkey), Some(uid));
        prop_assert!(neuron.weights.iter().all(|weight| weight.uid.index() < neurons));
        prop_assert!(neuron.bonds.iter().all(|bond| bond.uid.index() < neurons));
        let largest = neuron.weights.iter().map(|weight| weight.weight).max();
        prop_assert!(matches!(largest, None | Some(0 | u16::MAX)));
        let nominators: Vec<_> = chain.nominators(&neuron.hotkey).collect();
        prop_assert_eq!(&*neuron.nominators, &nominators[..]);
        let stake: u64 = nominators.iter().map(|(_, stake)| stake.0).sum();
        prop_assert_eq!(neuron.stake, Rao(stake));
    }
    let hotkeys: BTreeSet<PublicKey> = metagraph.neurons.iter().map(|neuron| neuron.hotkey).collect();
    prop_assert_eq!(hotkeys.len(), neurons);
    Ok(())
}

proptest! {
    // Each history has a few thousand calls.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_order_of_arrival_within_a_block_has_no_effect(
        rule_set in rule_set(),
        history in history(),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 16),
    ) {
        let (mut one, mut other) = (chain(rule_set), chain(rule_set));
        for transactions in history {
            let mut shuffled = transactions.clone();
            if !shuffled.is_empty() {
                for (i, j) in &swaps {
                    let length = shuffled.len();
                    shuffled.swap(i.index(length), j.index(length));
                }
            }
            submit_all(&mut one, transactions);
            submit_all(&mut other, shuffled);
            prop_assert_eq!(one.close_block(), other.close_block());
            prop_assert_eq!(one.state_hash(), other.state_hash());
        }
        prop_assert_eq!(one, other);
    }

    #[test]
    fn a_repeated_transaction_is_applied_once(rule_set in rule_set(), history in history(), again in any::<Index>()) {
        let (mut once, mut twice) = (chain(rule_set), chain(rule_set));
        let mut sent = Vec::new();
        for transactions in history {
            sent.extend(transactions.iter().cloned());
            submit_all(&mut once, transactions.clone());
            submit_all(&mut twice, transactions);
            if !sent.is_empty() {
                let repeated = again.get(&sent).clone();
                submit_all(&mut once, [repeated.clone()]);
                submit_all(&mut twice, [repeated.clone(), repeated]);
            }
            prop_assert_eq!(once.close_block(), twice.close_block());
        }
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn invariants_hold_after_each_block(rule_set in rule_set(), history in history()) {
        let mut chain = chain(rule_set);
        let genesis = chain.clone();
        let mut past = vec![(chain.block(), holdings(&chain))];
        let mut hashes = BTreeSet::new();
        check_conservation(&chain)?;
        check_registry(&chain)?;
        for transactions in history {
            let before = Arc::clone(chain.metagraph());
            let block_before = chain.block();
            submit_all(&mut chain, transactions);
            let closed = chain.close_block();
            let metagraph = Arc::clone(chain.metagraph());
            prop_assert_eq!(closed.block, block_before.next());
            // The version increases if and only if something changes.
            let changed =
                metagraph.neurons != before.neurons || metagraph.hyperparameters != before.hyperparameters;
            prop_assert_eq!(closed.metagraph_changed, changed);
            prop_assert_eq!(metagraph.version.0, before.version.0 + u64::from(changed));
            prop_assert!(metagraph.neurons.len() >= before.neurons.len());
            check_conservation(&chain)?;
            check_registry(&chain)?;
            if closed.epoch.is_some() {
                prop_assert_eq!(chain.issuance().pending, Rao(0));
            }
            let hash = chain.block_hash(closed.block).expect("the block has just closed");
            prop_assert!(hashes.insert(hash.0));
            past.push((closed.block, holdings(&chain)));
            // Past blocks do not change.
            prop_assert_eq!(chain.metagraph_at(block_before), Ok(&before));
        }
        prop_assert_eq!(chain.metagraph_at(genesis.block()), Ok(genesis.metagraph()));
        prop_assert_eq!(chain.block_hash(genesis.block()), genesis.block_hash(genesis.block()));
        for (block, held) in past {
            for (coldkey, held) in held {
                prop_assert_eq!(chain.holdings_at(coldkey, block), Ok(held));
            }
        }
    }

    #[test]
    fn a_chain_restored_from_a_snapshot_continues_identically(
        rule_set in rule_set(),
        history in history(),
        at in any::<Index>(),
    ) {
        let mut chain = chain(rule_set);
        let at = if history.is_empty() { 0 } else { at.index(history.len()) };
        let mut read = None;
        for (block, transactions) in history.into_iter().enumerate() {
            submit_all(&mut chain, transactions.clone());
            if block == at {
                // The snapshot is taken in the middle of a block.
                read = Some(Chain::from_snapshot(&chain.snapshot()).expect("the snapshot is valid"));
            } else if let Some(read) = &mut read {
                submit_all(read, transactions);
            }
            let closed = chain.close_block();
            if let Some(read) = &mut read {
                prop_assert_eq!(&closed, &read.close_block());
                prop_assert_eq!(chain.metagraph(), read.metagraph());
                prop_assert_eq!(chain.state_hash(), read.state_hash());
            }
        }
    }

    #[test]
    fn a_damaged_snapshot_never_yields_another_chain(
        rule_set in rule_set(),
        transactions in block(),
        harm in any::<Index>(),
        flipped in 1..=u8::MAX,
    ) {
        let mut chain = chain(rule_set);
        submit_all(&mut chain, transactions.clone());
        chain.close_block();
        submit_all(&mut chain, transactions);
        let mut bytes = chain.snapshot();
        let harmed = harm.index(bytes.len());
        prop_assert!(Chain::from_snapshot(&bytes[..harmed]).is_err());
        bytes[harmed] ^= flipped;
        if let Ok(read) = Chain::from_snapshot(&bytes) {
            prop_assert_eq!(read.state_hash(), chain.state_hash());
        }
    }

    #[test]
    fn a_refused_call_changes_only_its_nonce(rule_set in rule_set(), history in history()) {
        // Without the refused calls, the same history leads to the same accounts and neurons.
        let (mut all, mut only_good) = (chain(rule_set), chain(rule_set));
        for transactions in history {
            submit_all(&mut all, transactions.clone());
            let closed = all.close_block();
            let good = transactions.into_iter().filter(|transaction| {
                closed.applied.iter().any(|applied| {
                    (applied.signer, applied.nonce) == (transaction.signer, transaction.nonce)
                        && applied.outcome.is_ok()
                })
            });
            submit_all(&mut only_good, good);
            only_good.close_block();
            prop_assert_eq!(all.metagraph(), only_good.metagraph());
            prop_assert!(all.balances().eq(only_good.balances()));
            prop_assert!(all.stakes().eq(only_good.stakes()));
            prop_assert_eq!(all.issuance(), only_good.issuance());
            prop_assert_eq!(all.burn(), only_good.burn());
        }
    }
}
