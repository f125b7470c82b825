//! Names and values of the metadata entries of a signed call.

/// Name of the entry that names the protocol. Its value is [`PROTOCOL`]. Axons do not check it.
pub const PROTOCOL_KEY: &str = "rpc-auth-header";

/// Value of the entry [`PROTOCOL_KEY`].
pub const PROTOCOL: &str = "Bittensor";

/// Name of the entry with the signature: `{nonce}.{sender}.0x{signature}.{dendrite}`, with the sender's ss58 address
/// and the signature in hexadecimal.
pub const SIGNATURE_KEY: &str = "bittensor-signature";

/// Name of the entry with the version of the sender, a decimal integer.
pub const VERSION_KEY: &str = "bittensor-version";

/// The oldest version that an axon accepts.
pub const OLDEST_VERSION: i128 = 370;
