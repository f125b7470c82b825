//! Numbers and words that both ends of a call, or several kinds of node, have to agree on.

/// The version that v5.0.0 of bittensor calls itself on the wire.
pub const BITTENSOR_VERSION: i32 = 500;

/// Bytes of an axon's reply; a larger one is refused before it is read.
pub const REPLY_LIMIT: usize = 256 << 10;

/// Characters of the longest completion that does not count: a longer one does. Spaces are characters.
pub const TOO_SHORT_COMPLETION: usize = 10;

/// What is said of a uid whose axon is not known.
pub const SERVES_NO_AXON: &str = "serves no axon";

/// Blocks between two looks at the metagraph, and so the steps for which one is good where blocks close by steps.
pub const METAGRAPH_SYNC_BLOCKS: u64 = 10;
