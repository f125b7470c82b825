//! The identifiers of a dendrite.
//!
//! An axon refuses a nonce that is not larger than the last one of the same dendrite, and it need not check concurrent
//! calls in the order in which they were sent. So calls to an axon that overlap are made with different identifiers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mirror_identity::Hotkey;
use tonic::metadata::MetadataMap;

use crate::signer::Signer;

/// The lanes to each axon.
#[derive(Debug, Default)]
pub(crate) struct Lanes(Mutex<HashMap<Hotkey, ToAxon>>);

/// The lanes to one axon, which are numbered from 0.
#[derive(Debug)]
struct ToAxon {
    /// The ss58 address of the axon's hotkey.
    address: Arc<str>,
    free: Vec<u32>,
    count: u32,
}

/// Calls to an axon that are made one after the other, with the same identifier of the dendrite. When the lane is
/// dropped, another call may use the identifier.
#[derive(Debug)]
pub struct Lane {
    signer: Arc<Signer>,
    receiver: Hotkey,
    /// The ss58 address of the receiver.
    address: Arc<str>,
    number: u32,
}

impl Lanes {
    /// Takes a lane that no call uses. Returns the address of the receiver and the number of the lane.
    pub(crate) fn take(&self, receiver: Hotkey) -> (Arc<str>, u32) {
        let mut lanes = self.lock();
        let lanes = lanes.entry(receiver).or_insert_with(|| ToAxon {
            address: receiver.to_string().into(),
            free: Vec::new(),
            count: 0,
        });
        let number = lanes.free.pop().unwrap_or_else(|| {
            lanes.count += 1;
            lanes.count - 1
        });
        (lanes.address.clone(), number)
    }

    fn give_back(&self, receiver: Hotkey, number: u32) {
        if let Some(lanes) = self.lock().get_mut(&receiver) {
            lanes.free.push(number);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hotkey, ToAxon>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    pub(crate) fn new(signer: Arc<Signer>, receiver: Hotkey) -> Self {
        let (address, number) = signer.lanes.take(receiver);
        Self {
            signer,
            receiver,
            address,
            number,
        }
    }

    /// Writes the metadata entries of the next call. Takes some tens of microseconds.
    pub fn sign(&self, metadata: &mut MetadataMap) {
        self.signer.sign(metadata, &self.address, self.number);
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.signer.lanes.give_back(self.receiver, self.number);
    }
}
