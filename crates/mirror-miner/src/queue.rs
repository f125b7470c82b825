//! The queue of an axon: a number of calls are answered at a time, and those with the highest priority are next.
//!
//! Like the priority pool of the real axon, but when the queue is full, the call with the lowest priority gives way to
//! a call with a higher one. So a flood of calls with a low priority does not keep the others out.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The priority of a call. Higher ones are answered first.
pub(crate) type Priority = u64;

/// The calls of an axon that are answered or wait.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Maximum number of calls that are answered at a time.
    workers: usize,
    /// Maximum number of calls that wait.
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Number of workers that a call has.
    busy: usize,
    /// The last one is next: it has the highest priority, and waits longest of those with this priority.
    waiting: BTreeMap<Position, oneshot::Sender<Worker>>,
    /// Number of calls that have waited so far.
    arrived: u64,
}

type Position = (Priority, Reverse<u64>);

/// A worker of an axon, which answers a call. When it is dropped, the next call gets it.
#[derive(Debug)]
pub(crate) struct Worker(Arc<Queue>);

/// The queue is full of calls with priorities that are not lower.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the queue of the axon is full")]
pub(crate) struct Full;

/// A waiting call, which leaves the queue when it is dropped.
struct Wait {
    queue: Arc<Queue>,
    position: Position,
}

impl Queue {
    /// Creates a queue with these numbers of workers and of waiting calls.
    pub(crate) fn new(workers: usize, capacity: usize) -> Self {
        Self {
            workers,
            capacity,
            state: Mutex::default(),
        }
    }

    /// Returns a worker if one is free.
    pub(crate) fn free_worker(self: &Arc<Self>) -> Option<Worker> {
        let mut state = self.lock();
        let is_free = state.busy < self.workers;
        state.busy += usize::from(is_free);
        is_free.then(|| Worker(self.clone()))
    }

    /// Waits for a worker.
    ///
    /// # Errors
    /// Returns an error if the queue is full, or becomes full of calls with higher priorities.
    pub(crate) async fn worker(self: &Arc<Self>, priority: Priority) -> Result<Worker, Full> {
        let (sender, receiver) = oneshot::channel();
        let _wait = {
            let mut state = self.lock();
            if state.busy < self.workers {
                state.busy += 1;
                return Ok(Worker(self.clone()));
            }
            if state.waiting.len() >= self.capacity {
                let lowest = state
                    .waiting
                    .first_entry()
                    .filter(|lowest| lowest.key().0 < priority);
                // Dropping its sender refuses the call.
                lowest.ok_or(Full)?.remove();
            }
            state.arrived += 1;
            let position = (priority, Reverse(state.arrived));
            state.waiting.insert(position, sender);
            Wait {
                queue: self.clone(),
                position,
            }
        };
        receiver.await.map_err(|_| Full)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.lock();
            let next = state.waiting.pop_last();
            state.busy -= usize::from(next.is_none());
            next
        };
        if let Some((_, next)) = next {
            // If the call has ended meanwhile, the worker is dropped here and goes to the one after it.
            let _ = next.send(Self(self.0.clone()));
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.queue.lock().waiting.remove(&self.position);
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;
    use std::pin::pin;
    use std::task::Poll;

    use super::*;

    fn queue(workers: usize, capacity: usize) -> Arc<Queue> {
        Arc::new(Queue::new(workers, capacity))
    }

    #[tokio::test]
    async fn the_highest_priority_is_next_and_equals_are_in_order() {
        let queue = queue(1, 10);
        let mut worker = queue.free_worker().expect("the worker is free");
        assert!(queue.free_worker().is_none());
        let mut waiting: Vec<_> = [5, 1, 9, 5]
            .map(|priority| Box::pin(queue.worker(priority)))
            .into();
        for wait in &mut waiting {
            assert!(poll!(wait).is_pending());
        }
        for next in [2, 0, 3, 1] {
            drop(worker);
            let Poll::Ready(Ok(given)) = poll!(&mut waiting[next]) else {
                panic!("call {next} is next")
            };
            worker = given;
        }
        drop(worker);
        assert!(queue.free_worker().is_some());
    }

    #[tokio::test]
    async fn a_full_queue_refuses_the_lowest_priority() {
        let queue = queue(1, 2);
        let worker = queue.free_worker();
        let (mut low, mut high) = (pin!(queue.worker(1)), pin!(queue.worker(3)));
        assert!(poll!(&mut low).is_pending() && poll!(&mut high).is_pending());
        assert_eq!(queue.worker(1).await.err(), Some(Full));
        let mut middle = pin!(queue.worker(2));
        assert!(poll!(&mut middle).is_pending());
        assert!(matches!(poll!(&mut low), Poll::Ready(Err(Full))));
        drop(worker);
        assert!(matches!(poll!(&mut high), Poll::Ready(Ok(_))));
    }

    #[tokio::test]
    async fn a_call_that_ends_while_it_waits_leaves_the_queue() {
        let queue = queue(1, 1);
        let worker = queue.free_worker();
        {
            let mut wait = pin!(queue.worker(7));
            assert!(poll!(&mut wait).is_pending());
        }
        let mut next = pin!(queue.worker(1));
        assert!(poll!(&mut next).is_pending());
        drop(worker);
        // The call that the worker was given to ends before it notices.
        assert!(matches!(poll!(&mut next), Poll::Ready(Ok(_))));
        let worker = queue.free_worker().expect("the worker was given back");
        {
            let mut wait = pin!(queue.worker(1));
            assert!(poll!(&mut wait).is_pending());
            drop(worker);
        }
        assert!(queue.free_worker().is_some());
    }
}
