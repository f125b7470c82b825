//! The rules of the subnet, as numbers.

/// Most neurons that a subnet can have: a uid has 16 bits.
pub const MAX_UIDS: u32 = 65_536;

/// The rules of the subnet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hyperparameters {
    /// Blocks between two epochs, the epoch's own not counted; 0: no epoch ever.
    pub tempo: u64,
    /// Blocks between two settings of weights by a validator. The chain tells it, the validators keep it.
    pub validator_epoch_length: u64,
    /// Fewest weights that may be set at once.
    pub min_allowed_weights: u16,
    /// Largest share of one weight among those set together; 65,535 is all.
    pub max_weight_limit: u16,
    /// Share of the smallest weights that validators leave out; 65,535 is 1. The chain tells it, the validators keep it.
    pub validator_exclude_quantile: u16,
    /// Blocks that must lie between two settings of weights by one hotkey.
    pub weights_set_rate_limit: u64,
    /// Smallest version key with which weights may be set; 0: any.
    pub weights_version_key: u64,
    /// Most neurons, 1..=[`MAX_UIDS`].
    pub max_uids: u32,
}

impl Hyperparameters {
    /// Rules for a small network of a laboratory: nothing is limited but by the width of the numbers, an epoch each 100
    /// blocks.
    pub const SMALL: Self = Self {
        tempo: 100,
        validator_epoch_length: 100,
        min_allowed_weights: 1,
        max_weight_limit: u16::MAX,
        validator_exclude_quantile: 0,
        weights_set_rate_limit: 0,
        weights_version_key: 0,
        max_uids: MAX_UIDS,
    };
}
