//! The errors of transactions, with the names that Subtensor and Substrate use for them.

use serde::{Deserialize, Serialize};

macro_rules! dispatch_errors {
    ($($(#[$doc:meta])* $name:ident: $text:literal,)+) => {
        /// The reason why a transaction was rejected or did not take effect.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
        pub enum DispatchError {
            $($(#[$doc])* #[error($text)] $name,)+
        }

        impl DispatchError {
            /// Returns the chain's name of the error.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }
    };
}

dispatch_errors! {
    /// The key has used the nonce for another call, or the nonce is below one that the key has used and its answer is
    /// no longer remembered.
    Stale: "the nonce is stale: the key has used it for another call, or has used a higher one since",
    /// The transaction is not signed by its signer's key.
    BadProof: "the signature was not made by the transaction's signer",
    /// The first block in which the transaction is valid is not open yet.
    Future: "the transaction is valid only in later blocks",
    /// The last block in which the transaction is valid has closed.
    AncientBirthBlock: "the transaction has expired: the blocks in which it was valid have closed",
    /// The block is full.
    ExhaustsResources: "the block is full: submit the transaction again in the next block",

    /// The hotkey is not a neuron of the subnet, or was never registered.
    NotRegistered: "the hotkey is not registered in the subnet",
    /// The hotkey is already a neuron of the subnet.
    AlreadyRegistered: "the hotkey is already registered in the subnet",
    /// Registration is disabled, or registration without a price is.
    RegistrationDisabled: "the subnet does not allow this kind of registration",
    /// The limit of registrations in a block is reached.
    TooManyRegistrationsThisBlock: "the subnet allows no more registrations in this block",
    /// The limit of registrations in an interval is reached.
    TooManyRegistrationsThisInterval: "the subnet allows no more registrations in this interval",
    /// The subnet is full, and no neuron in it can be replaced.
    NoNeuronIdAvailable: "the subnet is full, and no neuron can be replaced",
    /// The hotkey belongs to another coldkey.
    NonAssociatedColdKey: "the hotkey belongs to another coldkey and, for staking, is not a delegate",

    /// The IP address is unspecified or a multicast address.
    InvalidIpAddress: "no program can listen at this IP address",
    /// The rate limit for announcing an address is exceeded.
    ServingRateLimitExceeded: "the hotkey has announced its address too recently",

    /// The numbers of uids and weights differ.
    WeightVecNotEqualSize: "the numbers of uids and weights differ",
    /// There are more uids than neurons.
    TooManyUids: "there are more uids than neurons in the subnet",
    /// The stake is too low to set weights.
    NotEnoughStakeToSetWeights: "the hotkey's stake is below the minimum for setting weights",
    /// The version key is below the subnet's.
    IncorrectNetworkVersionKey: "the version key is below the subnet's",
    /// The rate limit for setting weights is exceeded.
    SettingWeightsTooFast: "the hotkey has set weights too recently",
    /// The neuron sets weights for others without a validator permit.
    NoValidatorPermit: "without a validator permit, a neuron may set a weight only for itself",
    /// A uid occurs more than once.
    DuplicateUids: "a uid occurs more than once",
    /// A uid belongs to no neuron.
    InvalidUid: "a uid belongs to no neuron",
    /// There are fewer weights than the minimum.
    NotSettingEnoughWeights: "there are fewer weights than the subnet's minimum",
    /// The share of a weight is too large.
    MaxWeightExceeded: "a weight's share of all weights is larger than the subnet allows",

    /// Weights were set directly where the rules require commit-reveal.
    CommitRevealEnabled: "the subnet accepts weights only by commit-reveal",
    /// Weights were committed or revealed where the rules require setting them directly.
    CommitRevealDisabled: "the subnet does not use commit-reveal: set the weights directly",
    /// The rate limit for committing to weights is exceeded.
    CommittingWeightsTooFast: "the hotkey has set or committed to weights too recently",
    /// The hotkey has ten unrevealed commitments.
    TooManyUnrevealedCommits: "the hotkey has reached the limit of unrevealed commitments",
    /// The hotkey has no commitment to reveal.
    NoWeightsCommitFound: "the hotkey has no commitment to reveal",
    /// The epoch of the reveal has not begun.
    RevealTooEarly: "it is too early: the epoch in which the commitment can be revealed has not begun",
    /// The epoch of the reveal is over.
    ExpiredWeightCommit: "the commitment has expired: the epoch in which it could be revealed is over",
    /// The weights, the salt or the version key differ from the commitment.
    InvalidRevealCommitHashNotMatch: "the weights, salt and version key match no commitment of the hotkey",

    /// The hotkey is not, or no longer, a neuron.
    AccountNotAllowedCommit: "only neurons of the subnet can publish metadata",
    /// The metadata is too long, or the limit between two epochs is reached.
    SpaceLimitExceeded: "the metadata is too long, or exceeds the hotkey's limit for this epoch",

    /// The amount is 0.
    AmountTooLow: "the amount must be more than 0",
    /// The balance is too low.
    NotEnoughBalanceToStake: "the coldkey's balance is too low: it must also keep the existential deposit",
    /// The stake is too low.
    NotEnoughStakeToWithdraw: "the coldkey's stake with the hotkey is less than the amount",
    /// The stake of a nominator would be too small.
    NomStakeBelowMinimumThreshold: "the nominator's stake would be below the minimum, but not 0",
    /// The rate limit for moving stake is exceeded.
    TxRateLimitExceeded: "the coldkey has moved stake too recently",
    /// The hotkey is already a delegate.
    AlreadyDelegate: "the hotkey is already a delegate",
    /// The take is larger than allowed.
    InvalidTake: "the take is larger than the subnet allows",
    /// The balance is too low.
    InsufficientBalance: "the coldkey's balance is too low: it must also keep the existential deposit",
    /// The amount is too small for a new account.
    ExistentialDeposit: "the receiver's balance would be below the existential deposit",

    /// The signer is not the subnet's owner.
    NotSubnetOwner: "only the subnet's owner may make this call",
    /// The number of coins would exceed the limit.
    Overflow: "the chain would have more coins than its limit",
    /// The hyperparameter does not exist.
    UnknownHyperparameter: "there is no hyperparameter with this name",
    /// The value is out of bounds.
    ValueNotInBounds: "the value is out of bounds for this hyperparameter",
    /// The limit is below the current number of neurons.
    MaxAllowedUidsLessThanCurrentUids: "the subnet already has more neurons than this limit",
}
