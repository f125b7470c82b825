//! Alarms that are more precise than the timer of the runtime, which has a resolution of one millisecond and rounds up.
//! The last part of each wait is done by a thread that all waits of the process share.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// Time before an alarm from which on the thread waits.
const MARGIN: Duration = Duration::from_millis(2);

/// The requests to the thread. `None` if it could not be started.
static THREAD: LazyLock<Option<Sender<Request>>> = LazyLock::new(|| {
    let (sender, requests) = channel();
    let started = thread::Builder::new()
        .name("alarms".to_owned())
        .stack_size(64 << 10)
        .spawn(move || serve(&requests));
    match started {
        Ok(_) => Some(sender),
        Err(error) => {
            tracing::warn!(%error, "cannot start the thread for alarms, so delays are less precise");
            None
        }
    }
});

/// A request to be woken.
#[derive(Debug)]
struct Request {
    at: Instant,
    done: oneshot::Sender<()>,
}

/// An alarm that is set again and again, as a stream of bytes needs it.
#[derive(Debug, Default)]
pub struct Alarm {
    /// The request that was not yet answered, with its time.
    pending: Option<(Instant, oneshot::Receiver<()>)>,
}

impl Alarm {
    /// Waits until `at`. A wait that was cancelled continues if the next one is for the same time.
    pub async fn until(&mut self, at: Instant) {
        if let Some(early) = at.checked_sub(MARGIN)
            && early > Instant::now()
        {
            tokio::time::sleep_until(early).await;
        }
        if self.pending.as_ref().is_none_or(|(pending, _)| *pending != at) {
            self.pending = request(at).map(|done| (at, done));
        }
        match &mut self.pending {
            Some((_, done)) => {
                // An error means that the thread has ended. The time may then not have come.
                let _rung = done.await;
                self.pending = None;
            }
            None => tokio::time::sleep_until(at).await,
        }
    }
}

/// Waits until `at`.
pub async fn sleep_until(at: Instant) {
    Alarm::default().until(at).await;
}

/// Waits for `delay`.
pub async fn sleep(delay: Duration) {
    match Instant::now().checked_add(delay) {
        Some(at) => sleep_until(at).await,
        None => tokio::time::sleep(delay).await,
    }
}

fn request(at: Instant) -> Option<oneshot::Receiver<()>> {
    let (done, receiver) = oneshot::channel();
    THREAD.as_ref()?.send(Request { at, done }).ok()?;
    Some(receiver)
}

/// Answers requests at their times until the process ends.
fn serve(requests: &Receiver<Request>) {
    let mut waiting = BinaryHeap::new();
    loop {
        let now = Instant::now();
        while waiting.peek().is_some_and(|first: &Request| first.at <= now) {
            if let Some(first) = waiting.pop() {
                // The wait may have been cancelled.
                let _sent = first.done.send(());
            }
        }
        let next = match waiting.peek() {
            Some(first) => requests.recv_timeout(first.at.saturating_duration_since(now)),
            None => requests.recv().map_err(RecvTimeoutError::from),
        };
        match next {
            Ok(request) => waiting.push(request),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Ord for Request {
    /// The request with the earliest time is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.cmp(&self.at)
    }
}

impl PartialOrd for Request {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Request {}
