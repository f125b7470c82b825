//! Checks the metadata of calls, in the order in which the axon of bittensor 5.0.0 does.

use std::sync::Arc;

use mirror_identity::{Hotkey, Ss58Error};
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

use crate::addresses::Addresses;
use crate::header::{Header, message, python_integer};
use crate::metadata::{OLDEST_VERSION, SIGNATURE_KEY, VERSION_KEY};
use crate::nonces::Nonces;

/// The neuron that signed a call. An extension of requests that a [`Verifier`] has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The hotkey that signed the call.
    pub hotkey: Hotkey,
    /// The ss58 address of the hotkey, as the call states it.
    pub address: Box<str>,
}

/// Checks the calls to one axon. Clones share their state.
///
/// As an interceptor it runs before the body of a call is read. It refuses a call with the gRPC status UNAUTHENTICATED
/// and the text of the [`Refusal`].
#[derive(Debug, Clone)]
pub struct Verifier(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    receiver: Hotkey,
    /// The ss58 address of `receiver`.
    address: String,
    nonces: Arc<Nonces>,
    senders: Addresses,
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
    /// Creates the verifier of the axon of a hotkey. The axons of a process share `nonces`.
    pub fn new(receiver: Hotkey, nonces: Arc<Nonces>) -> Self {
        Self(Arc::new(Inner {
            receiver,
            address: receiver.to_string(),
            nonces,
            senders: Addresses::default(),
        }))
    }

    /// Returns the sender of a call with this metadata. Of several entries with one name, the last one counts.
    ///
    /// # Errors
    /// Returns the first check that the call fails.
    pub fn check(&self, metadata: &MetadataMap) -> Result<Sender, Refusal> {
        let Inner {
            receiver,
            address,
            nonces,
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
        let sender = known.hotkey;
        if !nonces.is_new(*receiver, sender, header.dendrite, header.nonce) {
            return Err(Refusal::Replayed);
        }
        let signature = header.signature().ok_or(Refusal::SignatureFormat)?;
        let message = message(header.nonce, header.sender, address, header.dendrite);
        let verified = known
            .key
            .and_then(|key| key.verify(message.as_bytes(), &signature));
        verified.map_err(|_| Refusal::Mismatch)?;
        if !nonces.accept(*receiver, sender, header.dendrite, header.nonce) {
            return Err(Refusal::Replayed);
        }
        senders.remember(header.sender, known);
        Ok(Sender {
            hotkey: sender,
            address: header.sender.into(),
        })
    }
}

impl Interceptor for Verifier {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        match self.check(request.metadata()) {
            Ok(sender) => {
                request.extensions_mut().insert(sender);
                Ok(request)
            }
            Err(refusal) => {
                tracing::debug!(%refusal, "refused a call");
                Err(Status::unauthenticated(refusal.to_string()))
            }
        }
    }
}

fn last<'a>(metadata: &'a MetadataMap, key: &str) -> Option<&'a MetadataValue<Ascii>> {
    metadata.get_all(key).iter().next_back()
}
