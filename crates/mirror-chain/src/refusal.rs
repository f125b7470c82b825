//! Why the chain did not do what it was asked, by the names that Subtensor and Substrate have for it.

/// Why a transaction was not taken, or did not take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A nonce that this hotkey has used, too long ago for the answer to be remembered.
    #[error("the nonce is not above those that the hotkey has used")]
    Stale,
    /// The block has no room.
    #[error("the block has no room for more transactions, try again in the next")]
    ExhaustsResources,
    /// Not a neuron of the subnet.
    #[error("the hotkey is not registered in the subnet")]
    NotRegistered,
    /// A neuron of the subnet already.
    #[error("the hotkey is registered in the subnet already")]
    AlreadyRegistered,
    /// The subnet is full.
    #[error("the subnet has no uid left")]
    NoNeuronIdAvailable,
    /// An axon at an address where nobody can be.
    #[error("the address of the axon is one where nobody can listen")]
    InvalidIpAddress,
    /// Not as many weights as uids.
    #[error("there are not as many weights as uids")]
    WeightVecNotEqualSize,
    /// More uids than neurons.
    #[error("there are more uids than neurons in the subnet")]
    TooManyUids,
    /// A version key below the subnet's.
    #[error("the version key is below the subnet's")]
    IncorrectNetworkVersionKey,
    /// Sooner than the rate limit allows.
    #[error("the hotkey has set weights too short a time ago")]
    SettingWeightsTooFast,
    /// Weights for others without a validator permit.
    #[error("the neuron has no validator permit, and may set a weight only for itself")]
    NoValidatorPermit,
    /// A uid more than once.
    #[error("a uid is named twice")]
    DuplicateUids,
    /// A uid that no neuron has.
    #[error("a uid is named that no neuron has")]
    InvalidUid,
    /// Fewer weights than must be set.
    #[error("there are fewer weights than the subnet asks for")]
    NotSettingEnoughWeights,
    /// A weight with too large a share.
    #[error("a weight is a larger share of all than the subnet allows")]
    MaxWeightExceeded,
}

impl Refusal {
    /// The chain's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stale => "Stale",
            Self::ExhaustsResources => "ExhaustsResources",
            Self::NotRegistered => "NotRegistered",
            Self::AlreadyRegistered => "AlreadyRegistered",
            Self::NoNeuronIdAvailable => "NoNeuronIdAvailable",
            Self::InvalidIpAddress => "InvalidIpAddress",
            Self::WeightVecNotEqualSize => "WeightVecNotEqualSize",
            Self::TooManyUids => "TooManyUids",
            Self::IncorrectNetworkVersionKey => "IncorrectNetworkVersionKey",
            Self::SettingWeightsTooFast => "SettingWeightsTooFast",
            Self::NoValidatorPermit => "NoValidatorPermit",
            Self::DuplicateUids => "DuplicateUids",
            Self::InvalidUid => "InvalidUid",
            Self::NotSettingEnoughWeights => "NotSettingEnoughWeights",
            Self::MaxWeightExceeded => "MaxWeightExceeded",
        }
    }
}
