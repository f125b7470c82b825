//! Checks the metadata of calls, in the order in which the axon of bittensor 5.0.0 does.

use std::sync::Arc;

use mirror_identity::{BadSignature, Hotkey, Ss58Error};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};

use crate::addresses::{Addresses, Known};
use crate::header::{Header, message, python_integer};
use crate::metadata::{OLDEST_VERSION, SIGNATURE_KEY, VERSION_KEY};
use crate::nonces::Nonces;
use crate::together::{Signed, Together};

/// The neuron that signed a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The hotkey that signed the call.
    pub hotkey: Hotkey,
    /// The ss58 address of the hotkey, as the call states it.
    pub address: Box<str>,
}

/// Checks the calls to one axon. Clones share their state.
#[derive(Debug, Clone)]
pub struct Verifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    receiver: Hotkey,
    /// The ss58 address of `receiver`.
    address: String,
    shared: Arc<VerifierState>,
    senders: Addresses,
}

/// The state that the verifiers of a process share.
#[derive(Debug, Default)]
pub struct VerifierState {
    /// The largest nonces that the axons have accepted.
    pub nonces: Nonces,
    together: Arc<Together>,
}

/// A call that has passed all checks before that of the signature.
struct Claim {
    known: Known,
    address: Box<str>,
    dendrite: Box<str>,
    nonce: i128,
}

/// The reason why a call is refused. The texts without values are those of the real axon.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The call has no signature.
    #[error("Request signature missing")]
    Unsigned,
    /// The version is below [`OLDEST_VERSION`].
    #[error("Incorrect Version")]
    OldVersion,
    /// The version is missing or not an integer.
    #[error("the metadata entry `{VERSION_KEY}` must be a decimal integer of at least {OLDEST_VERSION}")]
    NoVersion,
    /// The signature entry does not have four parts, or its nonce is not an integer.
    #[error("Unknown signature format")]
    Format,
    /// The address of the sender is not valid.
    #[error("the sender in the metadata entry `{SIGNATURE_KEY}` is not valid: {0}")]
    Sender(Ss58Error),
    /// The nonce is not larger than an earlier one of the dendrite.
    #[error("Nonce is too small")]
    Replayed,
    /// The signature is not `0x` and 128 hexadecimal digits.
    #[error("the signature must be 0x and 128 hexadecimal digits")]
    SignatureFormat,
    /// The sender did not sign this call to this axon.
    #[error("Signature mismatch")]
    Mismatch,
}

impl Verifier {
    /// Creates the verifier of the axon of a hotkey.
    pub fn new(receiver: Hotkey, shared: Arc<VerifierState>) -> Self {
        Self(Arc::new(Inner {
            receiver,
            address: receiver.to_string(),
            shared,
            senders: Addresses::default(),
        }))
    }

    /// Returns the sender of a call with this metadata. Of several entries with one name, the last one counts.
    ///
    /// # Errors
    /// Returns the first check that the call fails.
    pub fn check(&self, metadata: &MetadataMap) -> Result<Sender, Refusal> {
        let (claim, signed) = self.claim(metadata)?;
        self.accept(claim, signed.verify())
    }

    /// Like [`Verifier::check`], but verifies the signatures of calls that wait at the same time together. Must be
    /// called in a tokio runtime.
    ///
    /// # Errors
    /// Returns the first check that the call fails.
    pub async fn check_together(&self, metadata: &MetadataMap) -> Result<Sender, Refusal> {
        let (claim, signed) = self.claim(metadata)?;
        let verified = self.0.shared.together.verify(signed).await;
        self.accept(claim, verified)
    }

    /// Makes all checks before that of the signature.
    fn claim(&self, metadata: &MetadataMap) -> Result<(Claim, Signed), Refusal> {
        let Inner {
            receiver,
            address,
            shared,
            senders,
        } = &*self.0;
        let signature = last(metadata, SIGNATURE_KEY).ok_or(Refusal::Unsigned)?;
        let version = last(metadata, VERSION_KEY).and_then(|version| python_integer(version.to_str().ok()?));
        if version.ok_or(Refusal::NoVersion)? < OLDEST_VERSION {
            return Err(Refusal::OldVersion);
        }
        let header = signature
            .to_str()
            .ok()
            .and_then(Header::parse)
            .ok_or(Refusal::Format)?;
        let known = senders.find(header.sender).map_err(Refusal::Sender)?;
        let nonces = &shared.nonces;
        if !nonces.is_new(*receiver, known.hotkey, header.dendrite, header.nonce) {
            return Err(Refusal::Replayed);
        }
        let signature = header.signature().ok_or(Refusal::SignatureFormat)?;
        let key = known.key.map_err(|_| Refusal::Mismatch)?;
        let message = message(header.nonce, header.sender, address, header.dendrite);
        let claim = Claim {
            known,
            address: header.sender.into(),
            dendrite: header.dendrite.into(),
            nonce: header.nonce,
        };
        let signed = Signed {
            key,
            message,
            signature,
        };
        Ok((claim, signed))
    }

    fn accept(&self, claim: Claim, verified: Result<(), BadSignature>) -> Result<Sender, Refusal> {
        verified.map_err(|_| Refusal::Mismatch)?;
        let Claim {
            known,
            address,
            dendrite,
            nonce,
        } = claim;
        let nonces = &self.0.shared.nonces;
        if !nonces.accept(self.0.receiver, known.hotkey, &dendrite, nonce) {
            return Err(Refusal::Replayed);
        }
        self.0.senders.remember(&address, known);
        Ok(Sender {
            hotkey: known.hotkey,
            address,
        })
    }
}

fn last<'a>(metadata: &'a MetadataMap, key: &str) -> Option<&'a MetadataValue<Ascii>> {
    metadata.get_all(key).iter().next_back()
}
