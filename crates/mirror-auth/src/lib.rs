//! The authentication of calls in Bittensor's v4 protocol: a dendrite signs the metadata of each call ([`Signer`]), and
//! an axon checks them before it reads the body ([`Verifier`]).
//!
//! A call carries the metadata entries of [`metadata`]. The signature covers a nonce, the hotkeys of both neurons and
//! an identifier of the dendrite, but not the body of the call: a program that can change the bytes of a connection can
//! change the body. A nonce must be larger than the previous one of the same dendrite, so a copied call is refused.

mod addresses;
mod header;
mod lanes;
pub mod metadata;
mod nonces;
mod signer;
mod together;
mod verifier;

pub use lanes::Lane;
pub use nonces::{MAX_REMEMBERED, Nonces};
pub use signer::{DendriteId, Signer};
pub use verifier::{Refusal, Sender, Verifier, VerifierState};
