//! Conversion between the messages of the protocol, which are checked, and the types of the chain.

use std::net::IpAddr;
use std::num::NonZeroU16;

use mirror_chain::{
    Applied, Axon, Block, Call, Chain, Commitment, DispatchError, EXISTENTIAL_DEPOSIT, Holdings,
    Hyperparameters, Issuance, MAX_METADATA, MAX_UIDS, Metadata, Metagraph, Neuron, Nonce, Rao, SubnetOwner,
    TRANSFER_FEE, Transaction, Uid, Weights,
};
use mirror_identity::{Coldkey, Hotkey, PublicKey};
use mirror_proto::mirror::v1 as proto;

use crate::barrier::ClosedStep;

/// Maximum length of a hyperparameter's name, in bytes.
const NAME_BYTES: usize = 64;

/// Maximum length of the salt of a commitment, in numbers.
const SALT_NUMBERS: usize = 256;

/// Error of a malformed message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("{field} has {length} bytes: expected 32")]
    Key { field: &'static str, length: usize },
    #[error("the transaction has no call")]
    NoCall,
    #[error("the reveal has no weights")]
    NoWeights,
    #[error("ip is not an IPv4 or IPv6 address")]
    Ip,
    #[error("port is {port}: expected 1 to 65535")]
    Port { port: u32 },
    #[error("there are {count} {field}: expected at most {most}")]
    TooMany {
        field: &'static str,
        count: usize,
        most: usize,
    },
    #[error("{field} contains {value}: expected at most 65535")]
    TooLarge { field: &'static str, value: u32 },
    #[error("the window is blocks {from} to {until}: expected a last block at most 4095 after the first")]
    Window { from: u64, until: u64 },
    #[error("the name has {length} bytes: expected at most {NAME_BYTES}")]
    Name { length: usize },
    #[error("the metadata has {length} bytes: expected at most {MAX_METADATA}")]
    Metadata { length: usize },
}

/// Level of detail of a metagraph message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    Full,
    /// Without weights and bonds.
    Lite,
}

pub(crate) fn transaction(message: &proto::Transaction) -> Result<Transaction, Malformed> {
    Ok(Transaction {
        signer: key("signer", &message.signer)?,
        nonce: Nonce(message.nonce),
        call: call(message.call.as_ref().ok_or(Malformed::NoCall)?)?,
    })
}

fn call(message: &proto::transaction::Call) -> Result<Call, Malformed> {
    use proto::transaction::Call as Message;
    Ok(match message {
        Message::Register(register) => Call::Register {
            coldkey: key("coldkey", &register.coldkey)?,
        },
        Message::BurnedRegister(register) => Call::BurnedRegister {
            hotkey: key("hotkey of the call", &register.hotkey)?,
        },
        Message::ServeAxon(address) => Call::ServeAxon(axon(address)?),
        Message::ServePrometheus(address) => Call::ServePrometheus(axon(address)?),
        Message::SetWeights(set) => Call::SetWeights(weights(set)?),
        Message::CommitWeights(commit) => {
            let commitment = <[u8; 32]>::try_from(&commit.commitment[..]);
            let commitment = commitment.map_err(|_| Malformed::Key {
                field: "commitment",
                length: commit.commitment.len(),
            })?;
            Call::CommitWeights(Commitment(commitment))
        }
        Message::RevealWeights(reveal) => Call::RevealWeights {
            weights: weights(reveal.weights.as_ref().ok_or(Malformed::NoWeights)?)?,
            salt: numbers("salt", &reveal.salt, SALT_NUMBERS)?.collect(),
        },
        Message::AddStake(stake) => Call::AddStake {
            hotkey: key("hotkey of the call", &stake.hotkey)?,
            amount: Rao(stake.amount),
        },
        Message::RemoveStake(stake) => Call::RemoveStake {
            hotkey: key("hotkey of the call", &stake.hotkey)?,
            amount: Rao(stake.amount),
        },
        Message::BecomeDelegate(delegate) => Call::BecomeDelegate {
            hotkey: key("hotkey of the call", &delegate.hotkey)?,
            take: delegate.take.map(|take| number("take", take)).transpose()?,
        },
        Message::Transfer(transfer) => Call::Transfer {
            to: key("to", &transfer.to)?,
            amount: Rao(transfer.amount),
        },
        Message::PublishMetadata(publish) => {
            let length = publish.data.len();
            if length > MAX_METADATA {
                return Err(Malformed::Metadata { length });
            }
            Call::PublishMetadata {
                data: publish.data.clone(),
            }
        }
        Message::ForceSetBalance(set) => Call::ForceSetBalance {
            coldkey: key("coldkey", &set.coldkey)?,
            free: Rao(set.free),
        },
        Message::ForceRegister(register) => Call::ForceRegister {
            hotkey: key("hotkey of the call", &register.hotkey)?,
            coldkey: key("coldkey", &register.coldkey)?,
            stake: Rao(register.stake),
            free: Rao(register.free),
        },
        Message::SetHyperparameter(set) => {
            let length = set.name.len();
            if length > NAME_BYTES {
                return Err(Malformed::Name { length });
            }
            Call::SetHyperparameter {
                name: set.name.clone(),
                value: set.value,
            }
        }
    })
}

fn axon(message: &proto::ServeAxon) -> Result<Axon, Malformed> {
    let ip: IpAddr = message.ip.parse().map_err(|_| Malformed::Ip)?;
    let port = u16::try_from(message.port).ok().and_then(NonZeroU16::new);
    let port = port.ok_or(Malformed::Port { port: message.port })?;
    Ok(Axon { ip, port })
}

fn weights(message: &proto::SetWeights) -> Result<Weights, Malformed> {
    Ok(Weights {
        uids: numbers("uids", &message.uids, MAX_UIDS as usize)?
            .map(Uid)
            .collect(),
        weights: numbers("weights", &message.weights, MAX_UIDS as usize)?.collect(),
        version_key: message.version_key,
    })
}

fn number(field: &'static str, value: u32) -> Result<u16, Malformed> {
    u16::try_from(value).map_err(|_| Malformed::TooLarge { field, value })
}

/// Converts numbers to 16 bits. Checks all of them before it allocates.
fn numbers(
    field: &'static str,
    numbers: &[u32],
    most: usize,
) -> Result<impl Iterator<Item = u16>, Malformed> {
    if numbers.len() > most {
        return Err(Malformed::TooMany {
            field,
            count: numbers.len(),
            most,
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

/// Converts an error of the chain.
pub(crate) fn dispatch_error(error: DispatchError) -> proto::DispatchError {
    macro_rules! by_name {
        ($($name:ident)+) => {
            match error {
                $(DispatchError::$name => proto::DispatchError::$name,)+
            }
        };
    }
    by_name! {
        Stale
        BadProof
        Future
        AncientBirthBlock
        ExhaustsResources
        NotRegistered
        AlreadyRegistered
        RegistrationDisabled
        TooManyRegistrationsThisBlock
        TooManyRegistrationsThisInterval
        NoNeuronIdAvailable
        NonAssociatedColdKey
        InvalidIpAddress
        ServingRateLimitExceeded
        WeightVecNotEqualSize
        TooManyUids
        NotEnoughStakeToSetWeights
        IncorrectNetworkVersionKey
        SettingWeightsTooFast
        NoValidatorPermit
        DuplicateUids
        InvalidUid
        NotSettingEnoughWeights
        MaxWeightExceeded
        CommitRevealEnabled
        CommitRevealDisabled
        CommittingWeightsTooFast
        TooManyUnrevealedCommits
        NoWeightsCommitFound
        RevealTooEarly
        ExpiredWeightCommit
        InvalidRevealCommitHashNotMatch
        AccountNotAllowedCommit
        SpaceLimitExceeded
        AmountTooLow
        NotEnoughBalanceToStake
        NotEnoughStakeToWithdraw
        NomStakeBelowMinimumThreshold
        TxRateLimitExceeded
        AlreadyDelegate
        InvalidTake
        InsufficientBalance
        ExistentialDeposit
        NotSubnetOwner
        Overflow
        UnknownHyperparameter
        ValueNotInBounds
        MaxAllowedUidsLessThanCurrentUids
    }
}

/// Returns the report of a closed step for the validator `hotkey`.
pub(crate) fn block_closed(closed: &ClosedStep, hotkey: &PublicKey) -> proto::BlockClosed {
    let own = closed.applied.iter().filter(|applied| applied.signer == *hotkey);
    let applied = own.map(|Applied { nonce, outcome, .. }| proto::Applied {
        nonce: nonce.0,
        refusal: outcome.err().map(|error| dispatch_error(error).into()),
    });
    proto::BlockClosed {
        block: closed.block.0,
        step: closed.step,
        metagraph_version: closed.version.0,
        applied: applied.collect(),
    }
}

/// Returns the metagraph as of `block`.
pub(crate) fn metagraph(metagraph: &Metagraph, block: Block, detail: Detail) -> proto::Metagraph {
    let neurons = (0..).zip(&metagraph.neurons);
    proto::Metagraph {
        version: metagraph.version.0,
        block: block.0,
        hyperparameters: Some(hyperparameters(&metagraph.hyperparameters)),
        neurons: neurons.map(|(uid, of)| neuron(uid, of, detail)).collect(),
    }
}

fn hyperparameters(rules: &Hyperparameters) -> proto::Hyperparameters {
    let all = rules.entries().map(|(name, value)| proto::Hyperparameter {
        name: name.to_owned(),
        value,
    });
    proto::Hyperparameters {
        tempo: rules.tempo,
        min_allowed_weights: rules.min_allowed_weights.into(),
        max_weight_limit: rules.max_weight_limit.into(),
        validator_exclude_quantile: rules.validator_exclude_quantile.into(),
        validator_epoch_length: rules.validator_epoch_length,
        all: all.collect(),
    }
}

fn neuron(uid: u32, neuron: &Neuron, detail: Detail) -> proto::NeuronInfo {
    let weights = neuron.weights.iter().map(|weight| proto::Weight {
        uid: weight.uid.0.into(),
        weight: weight.weight.into(),
    });
    let bonds = neuron.bonds.iter().map(|bond| proto::Bond {
        uid: bond.uid.0.into(),
        bond: bond.bond.into(),
    });
    let (weights, bonds) = match detail {
        Detail::Full => (weights.collect(), bonds.collect()),
        Detail::Lite => (Vec::new(), Vec::new()),
    };
    let (ip, port) = address(neuron.axon);
    let (prometheus_ip, prometheus_port) = address(neuron.prometheus);
    proto::NeuronInfo {
        uid,
        hotkey: neuron.hotkey.bytes().to_vec(),
        coldkey: neuron.coldkey.bytes().to_vec(),
        stake: neuron.stake.0,
        ip,
        port,
        validator_permit: neuron.validator_permit,
        last_update: neuron.last_update.0,
        block_at_registration: neuron.block_at_registration.0,
        incentive: neuron.incentive.into(),
        weights,
        rank: neuron.rank.into(),
        trust: neuron.trust.into(),
        consensus: neuron.consensus.into(),
        dividends: neuron.dividends.into(),
        validator_trust: neuron.validator_trust.into(),
        emission: neuron.emission.0,
        pruning_score: neuron.pruning_score.into(),
        active: neuron.active,
        bonds,
        nominators: neuron.nominators.iter().map(nominator).collect(),
        prometheus_ip,
        prometheus_port,
    }
}

fn address(axon: Option<Axon>) -> (String, u32) {
    axon.map_or_else(Default::default, |axon| {
        (axon.ip.to_string(), axon.port.get().into())
    })
}

fn nominator(&(coldkey, stake): &(Coldkey, Rao)) -> proto::Nominator {
    proto::Nominator {
        coldkey: coldkey.bytes().to_vec(),
        stake: stake.0,
    }
}

pub(crate) fn nominators(nominators: &[(Coldkey, Rao)]) -> proto::Nominators {
    proto::Nominators {
        nominators: nominators.iter().map(nominator).collect(),
    }
}

pub(crate) fn delegates(delegates: impl Iterator<Item = (Hotkey, u16)>) -> proto::Delegates {
    let delegates = delegates.map(|(hotkey, take)| proto::Delegate {
        hotkey: hotkey.bytes().to_vec(),
        take: take.into(),
    });
    proto::Delegates {
        delegates: delegates.collect(),
    }
}

pub(crate) fn balance(held: &Holdings) -> proto::Balance {
    let stakes = held.stakes.iter().map(|(hotkey, amount)| proto::Stake {
        hotkey: hotkey.bytes().to_vec(),
        amount: amount.0,
    });
    proto::Balance {
        free: held.free.0,
        staked: held.stakes.values().map(|stake| stake.0).sum(),
        stakes: stakes.collect(),
    }
}

pub(crate) fn subnet_info(chain: &Chain) -> proto::SubnetInfo {
    let of_owner = |key: fn(&SubnetOwner) -> PublicKey| {
        chain
            .owner()
            .map_or_else(Vec::new, |owner| key(owner).bytes().to_vec())
    };
    let metagraph = chain.metagraph();
    proto::SubnetInfo {
        block: chain.block().0,
        netuid: chain.netuid().into(),
        owner_hotkey: of_owner(|owner| owner.hotkey),
        owner_coldkey: of_owner(|owner| owner.coldkey),
        neurons: metagraph.neurons.len() as u32,
        hyperparameters: Some(hyperparameters(&metagraph.hyperparameters)),
        last_epoch: chain.last_epoch().map(|block| block.0),
        existential_deposit: EXISTENTIAL_DEPOSIT.0,
        transfer_fee: TRANSFER_FEE.0,
    }
}

pub(crate) fn metadata(metadata: Option<&Metadata>) -> proto::Metadata {
    proto::Metadata {
        data: metadata.map_or_else(Vec::new, |metadata| metadata.data.clone()),
        block: metadata.map(|metadata| metadata.block.0),
    }
}

pub(crate) fn issuance(issuance: &Issuance, burn: Rao) -> proto::Issuance {
    proto::Issuance {
        total: issuance.total().0,
        genesis: issuance.genesis.0,
        minted: issuance.minted.0,
        pending: issuance.pending.0,
        lapsed: issuance.lapsed.0,
        burned: issuance.burned.0,
        burn: burn.0,
        granted: issuance.granted.0,
    }
}

#[cfg(test)]
mod tests;
