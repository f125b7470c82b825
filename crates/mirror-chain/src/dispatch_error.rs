//! Why the chain did not do what it was asked, by the names that Subtensor and Substrate have for it.

use serde::{Deserialize, Serialize};

macro_rules! dispatch_errors {
    ($($(#[$doc:meta])* $name:ident: $text:literal,)+) => {
        /// Why a transaction was not taken, or did not take effect.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
        pub enum DispatchError {
            $($(#[$doc])* #[error($text)] $name,)+
        }

        impl DispatchError {
            /// The chain's name for it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

dispatch_errors! {
    /// A nonce that this key has used for another call, or below one that it has used, whose answer, if it was used
    /// itself, is no longer remembered.
    Stale: "the key has used this nonce for another call, or one above it since",
    /// Not signed by the key that it speaks for.
    BadProof: "the transaction is not signed by the key that it speaks for",
    /// Before its first block.
    Future: "the transaction may be taken only in later blocks",
    /// After its last block.
    AncientBirthBlock: "the blocks in which the transaction could be taken are over",
    /// The block has no room.
    ExhaustsResources: "the block has no room for more transactions, try again in the next",

    /// Not a neuron of the subnet, or a hotkey that nobody has ever registered.
    NotRegistered: "the hotkey is not registered in the subnet",
    /// A neuron of the subnet already.
    AlreadyRegistered: "the hotkey is registered in the subnet already",
    /// Nobody can register, or not for nothing.
    RegistrationDisabled: "the subnet takes no registrations of this kind",
    /// The block has had its registrations.
    TooManyRegistrationsThisBlock: "the subnet takes no more registrations in this block",
    /// The interval has had its registrations.
    TooManyRegistrationsThisInterval: "the subnet takes no more registrations in this interval",
    /// The subnet is full, and nobody in it can be replaced.
    NoNeuronIdAvailable: "the subnet has no uid left",
    /// A hotkey of somebody else.
    NonAssociatedColdKey: "the hotkey belongs to another coldkey, and is no delegate",

    /// An address where nobody can be.
    InvalidIpAddress: "the address is one where nobody can listen",
    /// Sooner than the rate limit allows.
    ServingRateLimitExceeded: "the hotkey has announced its address too short a time ago",

    /// Not as many weights as uids.
    WeightVecNotEqualSize: "there are not as many weights as uids",
    /// More uids than neurons.
    TooManyUids: "there are more uids than neurons in the subnet",
    /// Too little stake to set weights.
    NotEnoughStakeToSetWeights: "the hotkey has less stake than the subnet asks of who sets weights",
    /// A version key below the subnet's.
    IncorrectNetworkVersionKey: "the version key is below the subnet's",
    /// Sooner than the rate limit allows.
    SettingWeightsTooFast: "the hotkey has set weights too short a time ago",
    /// Weights for others without a validator permit.
    NoValidatorPermit: "the neuron has no validator permit, and may set a weight only for itself",
    /// A uid more than once.
    DuplicateUids: "a uid is named twice",
    /// A uid that no neuron has.
    InvalidUid: "a uid is named that no neuron has",
    /// Fewer weights than must be set.
    NotSettingEnoughWeights: "there are fewer weights than the subnet asks for",
    /// A weight with too large a share.
    MaxWeightExceeded: "a weight is a larger share of all than the subnet allows",

    /// Weights in the open, where they must be committed to first.
    CommitRevealEnabled: "the subnet takes weights only by commit and reveal",
    /// A commitment where weights are set in the open.
    CommitRevealDisabled: "the subnet takes weights in the open, not by commit and reveal",
    /// Sooner than the rate limit allows.
    CommittingWeightsTooFast: "the hotkey has set or committed to weights too short a time ago",
    /// Ten commitments wait.
    TooManyUnrevealedCommits: "the hotkey has as many commitments waiting as it may",
    /// Nothing was committed to.
    NoWeightsCommitFound: "the hotkey has no commitment that waits to be revealed",
    /// The epoch of the reveal is not there yet.
    RevealTooEarly: "the commitment cannot be revealed before its epoch",
    /// The epoch of the reveal is over.
    ExpiredWeightCommit: "the commitment was to be revealed in an epoch that is over",
    /// Not what was committed to: other weights, another salt, another version key.
    InvalidRevealCommitHashNotMatch: "no commitment of the hotkey is to these weights with this salt",

    /// Not a neuron, or one that has gone.
    AccountNotAllowedCommit: "only neurons of the subnet can publish metadata",
    /// Too much at once, or since the last epoch.
    SpaceLimitExceeded: "the hotkey has published as many bytes in this epoch as it may, or they are too many at once",

    /// Nothing is to be moved.
    AmountTooLow: "the amount is nothing",
    /// The balance does not allow it.
    NotEnoughBalanceToStake: "the coldkey's balance does not suffice, and must keep the existential deposit",
    /// The stake is not so much.
    NotEnoughStakeToWithdraw: "the coldkey has less than that staked with the hotkey",
    /// A nominator's stake would be too small.
    NomStakeBelowMinimumThreshold: "a nominator's stake would be less than the least, and more than nothing",
    /// Sooner than the rate limit allows.
    TxRateLimitExceeded: "the coldkey has moved stake too short a time ago",
    /// A delegate already.
    AlreadyDelegate: "the hotkey is a delegate already",
    /// More than a delegate may keep.
    InvalidTake: "the take is more than the subnet allows",
    /// The balance does not allow it.
    InsufficientBalance: "the coldkey's balance does not suffice, and must keep the existential deposit",
    /// Too little for a new account.
    ExistentialDeposit: "the receiver would have less than the existential deposit",

    /// Not the subnet's owner.
    NotSubnetOwner: "the key is not the subnet owner's",
    /// More coins than can be.
    Overflow: "there would be more coins than the chain can count",
    /// No such rule.
    UnknownHyperparameter: "there is no hyperparameter of this name",
    /// Outside of what the rule can be.
    ValueNotInBounds: "the hyperparameter cannot have this value",
    /// Neurons would have to go.
    MaxAllowedUidsLessThanCurrentUids: "there are more neurons in the subnet than that",
}
