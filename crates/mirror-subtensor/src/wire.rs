//! Messages of the contract, checked, as the chain's types, and back.

use std::net::IpAddr;
use std::num::NonZeroU16;

use mirror_chain::{Applied, Axon, Block, Call, MAX_UIDS, Metagraph, Neuron, Nonce, Rao, Transaction, Uid};
use mirror_identity::{Coldkey, PublicKey};
use mirror_proto::mirror::v1 as proto;

use crate::barrier::ClosedStep;

/// A message that says nothing sensible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("{field} has {length} bytes, and a key is 32")]
    Key { field: &'static str, length: usize },
    #[error("the transaction has no call")]
    NoCall,
    #[error("ip is no IPv4 or IPv6 address")]
    Ip,
    #[error("port {port} is not 1 to 65535")]
    Port { port: u32 },
    #[error("there are {count} {field}, and a subnet has at most {MAX_UIDS} neurons")]
    TooMany { field: &'static str, count: usize },
    #[error("{field} holds {value}, which is more than 65535")]
    TooLarge { field: &'static str, value: u32 },
}

pub(crate) fn transaction(message: &proto::Transaction) -> Result<Transaction, Malformed> {
    Ok(Transaction {
        hotkey: key("hotkey", &message.hotkey)?,
        nonce: Nonce(message.nonce),
        call: call(message.call.as_ref().ok_or(Malformed::NoCall)?)?,
    })
}

fn call(message: &proto::transaction::Call) -> Result<Call, Malformed> {
    match message {
        proto::transaction::Call::Register(register) => {
            let coldkey = key("coldkey", &register.coldkey)?;
            Ok(Call::Register { coldkey })
        }
        proto::transaction::Call::ServeAxon(axon) => {
            let ip: IpAddr = axon.ip.parse().map_err(|_| Malformed::Ip)?;
            let port = u16::try_from(axon.port).ok().and_then(NonZeroU16::new);
            let port = port.ok_or(Malformed::Port { port: axon.port })?;
            Ok(Call::ServeAxon(Axon { ip, port }))
        }
        proto::transaction::Call::SetWeights(set) => Ok(Call::SetWeights {
            uids: numbers("uids", &set.uids)?.map(Uid).collect(),
            weights: numbers("weights", &set.weights)?.collect(),
            version_key: set.version_key,
        }),
    }
}

/// Checks all before anything is made of them.
fn numbers(field: &'static str, numbers: &[u32]) -> Result<impl Iterator<Item = u16>, Malformed> {
    if numbers.len() > MAX_UIDS as usize {
        return Err(Malformed::TooMany {
            field,
            count: numbers.len(),
        });
    }
    if let Some(&value) = numbers.iter().find(|&&number| u16::try_from(number).is_err()) {
        return Err(Malformed::TooLarge { field, value });
    }
    Ok(numbers.iter().map(|&number| number as u16))
}

pub(crate) fn key(field: &'static str, bytes: &[u8]) -> Result<PublicKey, Malformed> {
    PublicKey::try_from(bytes).map_err(|_| Malformed::Key {
        field,
        length: bytes.len(),
    })
}

/// A closed step as the validator `hotkey` hears of it.
pub(crate) fn block_closed(closed: &ClosedStep, hotkey: &PublicKey) -> proto::BlockClosed {
    let own = closed.applied.iter().filter(|applied| applied.hotkey == *hotkey);
    let applied = own.map(|Applied { nonce, outcome, .. }| proto::Applied {
        nonce: nonce.0,
        refusal: outcome.err().map_or("", |refusal| refusal.name()).to_owned(),
    });
    proto::BlockClosed {
        block: closed.block.0,
        step: closed.step,
        metagraph_version: closed.version.0,
        applied: applied.collect(),
    }
}

/// The metagraph as of `block`.
pub(crate) fn metagraph(metagraph: &Metagraph, block: Block) -> proto::Metagraph {
    let rules = &metagraph.hyperparameters;
    proto::Metagraph {
        version: metagraph.version.0,
        block: block.0,
        hyperparameters: Some(proto::Hyperparameters {
            tempo: rules.tempo,
            min_allowed_weights: rules.min_allowed_weights.into(),
            max_weight_limit: rules.max_weight_limit.into(),
            validator_exclude_quantile: rules.validator_exclude_quantile.into(),
            validator_epoch_length: rules.validator_epoch_length,
        }),
        neurons: (0..)
            .zip(&metagraph.neurons)
            .map(|(uid, of)| neuron(uid, of))
            .collect(),
    }
}

fn neuron(uid: u32, neuron: &Neuron) -> proto::NeuronInfo {
    let weights = neuron.weights.iter().map(|weight| proto::Weight {
        uid: weight.uid.0.into(),
        weight: weight.weight.into(),
    });
    proto::NeuronInfo {
        uid,
        hotkey: neuron.hotkey.bytes().to_vec(),
        coldkey: neuron.coldkey.bytes().to_vec(),
        stake: neuron.stake.0,
        ip: neuron.axon.map_or_else(String::new, |axon| axon.ip.to_string()),
        port: neuron.axon.map_or(0, |axon| axon.port.get().into()),
        validator_permit: neuron.validator_permit,
        last_update: neuron.last_update.0,
        block_at_registration: neuron.block_at_registration.0,
        incentive: neuron.incentive.into(),
        weights: weights.collect(),
    }
}

pub(crate) fn nominators(nominators: Vec<(Coldkey, Rao)>) -> proto::Nominators {
    let nominators = nominators.into_iter().map(|(coldkey, stake)| proto::Nominator {
        coldkey: coldkey.bytes().to_vec(),
        stake: stake.0,
    });
    proto::Nominators {
        nominators: nominators.collect(),
    }
}
