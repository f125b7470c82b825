//! What holds for every history of calls.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use mirror_chain::{
    Axon, Call, Chain, Genesis, GenesisNeuron, Hyperparameters, Nonce, Rao, Refusal, Transaction, Uid,
};
use mirror_identity::PublicKey;
use proptest::prelude::*;
use proptest::sample::Index;

const NEURONS: u8 = 6;
const MAX_UIDS: u32 = 10;

fn key(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

fn chain() -> Chain {
    let neuron = |uid| GenesisNeuron {
        hotkey: key(uid),
        coldkey: key(100 + uid),
        stake: Rao(u64::from(uid) * 1_000_000_007),
        validator_permit: uid >= NEURONS / 2,
    };
    let hyperparameters = Hyperparameters {
        tempo: 4,
        max_weight_limit: 50_000,
        max_uids: MAX_UIDS,
        ..Hyperparameters::SMALL
    };
    Chain::genesis(Genesis {
        neurons: (0..NEURONS).map(neuron).collect(),
        ..Genesis::empty(hyperparameters)
    })
    .expect("the genesis of these tests is sound")
}

fn call() -> impl Strategy<Value = Call> {
    let weight = (0..12_u16, any::<u16>());
    prop_oneof![
        any::<u8>().prop_map(|number| Call::Register { coldkey: key(number) }),
        (0..3_u8, 1..4_u16).prop_map(|(ip, port)| {
            let port = port.try_into().expect("the range begins at 1");
            Call::ServeAxon(Axon {
                ip: Ipv4Addr::new(ip, 0, 0, 0).into(),
                port,
            })
        }),
        (prop::collection::vec(weight, 0..8), 0..3_usize).prop_map(|(pairs, cut)| Call::SetWeights {
            uids: pairs.iter().map(|&(uid, _)| Uid(uid)).collect(),
            weights: pairs.iter().map(|&(_, weight)| weight).skip(cut / 2).collect(),
            version_key: 0,
        }),
    ]
}

fn transaction() -> impl Strategy<Value = Transaction> {
    (0..14_u8, 0..40_u64, call()).prop_map(|(hotkey, nonce, call)| Transaction {
        hotkey: key(hotkey),
        nonce: Nonce(nonce),
        call,
    })
}

/// Transactions of one block, no two with the same hotkey and nonce: of such the first counts, so their order matters.
fn block() -> impl Strategy<Value = Vec<Transaction>> {
    prop::collection::vec(transaction(), 0..8).prop_map(|transactions| {
        let by_identity: BTreeMap<_, _> = transactions
            .into_iter()
            .map(|transaction| ((transaction.hotkey, transaction.nonce), transaction))
            .collect();
        by_identity.into_values().collect()
    })
}

fn history() -> impl Strategy<Value = Vec<Vec<Transaction>>> {
    prop::collection::vec(block(), 0..30)
}

fn submit_all(chain: &mut Chain, transactions: impl IntoIterator<Item = Transaction>) {
    for transaction in transactions {
        let answer = chain.submit(transaction);
        assert!(matches!(answer, Ok(_) | Err(Refusal::Stale)), "{answer:?}");
    }
}

proptest! {
    #[test]
    fn the_order_of_arrival_within_a_block_changes_nothing(
        history in history(),
        swaps in prop::collection::vec((any::<Index>(), any::<Index>()), 16),
    ) {
        let (mut one, mut other) = (chain(), chain());
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
    fn what_is_submitted_twice_acts_once(history in history(), again in any::<Index>()) {
        let (mut once, mut twice) = (chain(), chain());
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
    fn invariants_hold_after_each_block(history in history()) {
        let mut chain = chain();
        let genesis = chain.clone();
        for transactions in history {
            let before = std::sync::Arc::clone(chain.metagraph());
            let block_before = chain.block();
            submit_all(&mut chain, transactions);
            let closed = chain.close_block();
            let metagraph = chain.metagraph();
            prop_assert_eq!(closed.block, block_before.next());
            // The version rises with a change, and only with one.
            let changed = metagraph.neurons != before.neurons;
            prop_assert_eq!(closed.metagraph_changed, changed);
            prop_assert_eq!(metagraph.version.0, before.version.0 + u64::from(changed));
            prop_assert_eq!(&metagraph.hyperparameters, &before.hyperparameters);
            // uids have no gap, every hotkey has its own, nobody leaves.
            prop_assert!(metagraph.neurons.len() <= MAX_UIDS as usize);
            prop_assert!(metagraph.neurons.len() >= before.neurons.len());
            for (uid, neuron) in (0..).map(Uid).zip(&metagraph.neurons) {
                prop_assert_eq!(chain.uid(&neuron.hotkey), Some(uid));
                prop_assert!(neuron.weights.iter().all(|weight| weight.uid.index() < metagraph.neurons.len()));
                let largest = neuron.weights.iter().map(|weight| weight.weight).max();
                prop_assert!(matches!(largest, None | Some(0 | u16::MAX)));
                let stake: u64 = chain.nominators(&neuron.hotkey).map(|(_, stake)| stake.0).sum();
                prop_assert_eq!(neuron.stake, Rao(stake));
            }
            // The past does not change.
            prop_assert_eq!(chain.metagraph_at(block_before), Ok(&before));
        }
        prop_assert_eq!(chain.metagraph_at(genesis.block()), Ok(genesis.metagraph()));
    }
}
