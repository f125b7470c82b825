//! A subnet of two miners (uids 0 and 1) and a validator with a permit (uid 2), and helpers for the calls of its keys.

#![allow(dead_code, reason = "each test binary uses only some of the helpers")]

use mirror_chain::{
    Balance, Call, Chain, DispatchError, Genesis, GenesisNeuron, Hyperparameters, Neuron, Nonce, Rao,
    SubnetOwner, Transaction, Uid, Weights,
};
use mirror_identity::PublicKey;

pub(crate) const VALIDATOR: u8 = 2;

/// The stake of the validator.
pub(crate) const STAKE: u64 = 1_000 * Rao::TAO;

pub(crate) fn hotkey(number: u8) -> PublicKey {
    PublicKey::from_bytes([number; 32])
}

/// Returns the coldkey that owns the hotkey with this number.
pub(crate) fn coldkey(number: u8) -> PublicKey {
    let mut bytes = [number; 32];
    bytes[31] = !number;
    PublicKey::from_bytes(bytes)
}

pub(crate) fn balance(number: u8, free: u64) -> Balance {
    Balance {
        coldkey: coldkey(number),
        free: Rao(free),
    }
}

pub(crate) fn owner(number: u8) -> SubnetOwner {
    SubnetOwner {
        coldkey: coldkey(number),
        hotkey: hotkey(number),
    }
}

pub(crate) fn chain(change: impl FnOnce(&mut Genesis)) -> Chain {
    let neuron = |number| GenesisNeuron {
        hotkey: hotkey(number),
        coldkey: coldkey(number),
        stake: Rao(if number == VALIDATOR { STAKE } else { 0 }),
        validator_permit: number == VALIDATOR,
        weights: Vec::new(),
        bonds: Vec::new(),
        axon: None,
    };
    let mut genesis = Genesis {
        neurons: vec![neuron(0), neuron(1), neuron(VALIDATOR)],
        ..Genesis::empty(Hyperparameters::SMALL)
    };
    change(&mut genesis);
    Chain::genesis(genesis).expect("the genesis of these tests is valid")
}

pub(crate) fn neuron(chain: &Chain, uid: u16) -> &Neuron {
    chain.metagraph().neuron(Uid(uid)).expect("the uid is taken")
}

pub(crate) fn row(pairs: &[(u16, u16)]) -> Weights {
    Weights {
        uids: pairs.iter().map(|&(uid, _)| Uid(uid)).collect(),
        weights: pairs.iter().map(|&(_, weight)| weight).collect(),
        version_key: 0,
    }
}

pub(crate) fn weights(pairs: &[(u16, u16)]) -> Call {
    Call::SetWeights(row(pairs))
}

#[track_caller]
pub(crate) fn submit(chain: &mut Chain, signer: PublicKey, nonce: u64, call: Call) {
    let transaction = Transaction {
        signer,
        nonce: Nonce(nonce),
        call,
    };
    chain
        .submit(transaction)
        .expect("the block has room and the nonce is new");
}

/// Submits one call and closes the block.
#[track_caller]
pub(crate) fn outcome(chain: &mut Chain, signer: PublicKey, call: Call) -> Result<(), DispatchError> {
    let nonce = chain.block().0;
    submit(chain, signer, nonce, call);
    let applied = chain.close_block().applied;
    applied.first().expect("one transaction was submitted").outcome
}
