//! Verifies the signatures of calls that wait at the same time together, which takes less time than one by one.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mirror_identity::{BadSignature, Signature, VerifyingKey, verify_all};
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::sync::oneshot;

/// Maximum number of signatures that are verified at once. With more, each takes hardly less time, and the first calls
/// wait longer for their answers.
const MOST: usize = 16;

/// A message and its signature by a key.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) key: VerifyingKey,
    pub(crate) message: String,
    pub(crate) signature: Signature,
}

/// The signatures that wait to be verified.
#[derive(Debug, Default)]
pub(crate) struct Together(Mutex<Queue>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    /// Whether a task verifies those that wait.
    has_task: bool,
}

#[derive(Debug)]
struct Waiting {
    signed: Signed,
    verified: oneshot::Sender<Result<(), BadSignature>>,
}

impl Signed {
    /// Verifies the signature alone.
    pub(crate) fn verify(&self) -> Result<(), BadSignature> {
        self.key.verify(self.message.as_bytes(), &self.signature)
    }
}

impl Together {
    /// Verifies a signature together with the others that wait. The signature of a caller that no longer waits is not
    /// verified, so the number of calls in progress bounds the work.
    pub(crate) async fn verify(self: &Arc<Self>, signed: Signed) -> Result<(), BadSignature> {
        let (sender, verified) = oneshot::channel();
        let waiting = Waiting {
            signed,
            verified: sender,
        };
        if self.push(waiting) {
            tokio::spawn(Verifying(Some(self.clone())).verify_waiting());
        }
        // The sender is dropped if the task ends early.
        verified.await.unwrap_or(Err(BadSignature))
    }

    /// Adds a signature. Returns `true` if a task must be started, because none verifies the signatures.
    fn push(&self, waiting: Waiting) -> bool {
        let mut queue = self.lock();
        queue.waiting.push_back(waiting);
        !mem::replace(&mut queue.has_task, true)
    }

    /// Takes the next signatures. If there are none, the next call starts a new task.
    fn next(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.lock();
        let mut next = Vec::with_capacity(MOST);
        while next.len() < MOST
            && let Some(waiting) = queue.waiting.pop_front()
        {
            if !waiting.verified.is_closed() {
                next.push(waiting);
            }
        }
        queue.has_task = !next.is_empty();
        queue.has_task.then_some(next)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that verifies the signatures that wait. If it ends early, with its runtime, the calls that wait are
/// refused, and the next call starts a new task.
struct Verifying(Option<Arc<Together>>);

impl Verifying {
    async fn verify_waiting(mut self) {
        while let Some(waiting) = self.0.as_ref().and_then(|together| together.next()) {
            for (waiting, verified) in verify(waiting) {
                // A caller that no longer waits needs no result.
                let _ = waiting.verified.send(verified);
            }
            // Lets the calls be answered whose signatures were verified.
            tokio::task::yield_now().await;
        }
        self.0 = None;
    }
}

impl Drop for Verifying {
    fn drop(&mut self) {
        if let Some(together) = &self.0 {
            *together.lock() = Queue::default();
        }
    }
}

fn verify(mut waiting: Vec<Waiting>) -> impl Iterator<Item = (Waiting, Result<(), BadSignature>)> {
    // Signatures of one key that follow each other take less time.
    waiting.sort_by_key(|waiting| waiting.signed.key.bytes());
    let mut random = [0; 32];
    let verified = match SysRng.try_fill_bytes(&mut random) {
        Ok(()) => {
            let signatures: Vec<_> = waiting
                .iter()
                .map(|Waiting { signed, .. }| (signed.key, signed.message.as_bytes(), signed.signature))
                .collect();
            verify_all(&signatures, random)
        }
        Err(error) => {
            tracing::warn!(%error, "the operating system has no random bytes, so signatures are verified singly");
            waiting.iter().map(|waiting| waiting.signed.verify()).collect()
        }
    };
    waiting.into_iter().zip(verified)
}
