//! Constants that both ends of a call, or several kinds of nodes, must agree on.

/// The version number that bittensor v5.0.0 sends on the wire.
pub const BITTENSOR_VERSION: i32 = 500;

/// The name of the orchestrator and its coordinator in certificates.
pub const COORDINATOR: &str = "coordinator";

/// The name in the certificate of the commands that control a running network.
pub const OPERATOR: &str = "operator";

/// The name of the chain's node.
pub const SUBTENSOR: &str = "subtensor";

/// The name of the proxy.
pub const PROXY: &str = "proxy";

/// Maximum size of a message to an agent in bytes. The launch config of a node has up to 64 MiB.
pub const AGENT_MESSAGE_LIMIT: usize = 80 << 20;

/// Maximum size of a node's fault state in bytes. A larger one is rejected before it is read.
pub const FAULT_STATE_LIMIT: usize = 16 << 20;

/// State of a fault in a list of faults that has occurred, is not in effect, and does not occur again.
pub const FAULT_OVER: &str = "over";

/// Maximum size of an axon's reply in bytes. A larger reply is rejected before it is read.
pub const REPLY_LIMIT: usize = 256 << 10;

/// Maximum length in characters, including spaces, of a completion that is too short to count.
pub const TOO_SHORT_COMPLETION: usize = 10;

/// The message for a uid whose axon is not known.
pub const SERVES_NO_AXON: &str = "serves no axon";

/// Number of blocks between two syncs of the metagraph. Where steps close the blocks, a metagraph is used for this
/// number of steps.
pub const METAGRAPH_SYNC_BLOCKS: u64 = 10;

/// Name of the chain's node as a target of the proxy.
pub const CHAIN_TARGET: &str = "chain";

/// Returns the name of an axon as a target of the proxy.
pub fn axon_target(uid: u32) -> String {
    format!("uid {uid}")
}
