//! Passes the bytes of one direction of a connection on.
//!
//! A stream without rules is written as it is read, without a copy. A stream with rules goes through a queue. Times are
//! computed from the current plan whenever the plan or the queue changes, so that a rule that is lifted leaves no
//! trace.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use mirror_net::alarm::Alarm;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::time::Instant;

use crate::plan::{Plan, Planned};
use crate::queue::{End, HeldInTotal, Queue};

/// Maximum number of bytes of one read.
const READ: usize = 32 << 10;

thread_local! {
    /// The bytes of the current read. All streams share it, so that idle connections need no buffers.
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; READ]);
}

/// The connection must be reset.
#[derive(Debug)]
pub(crate) struct Reset;

/// The end of a stream whose connection need not be reset, or not by this stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// The end of the stream was passed on.
    Closed,
    /// The receiver has reset the connection. The stream of the other direction passes that on.
    ReceiverBroken,
}

/// The sockets of a stream.
pub(crate) struct Sockets<'a, 'b> {
    pub(crate) from: &'a mut ReadHalf<'b>,
    pub(crate) to: &'a mut WriteHalf<'b>,
    /// Whether a write to the socket of `from` has failed.
    pub(crate) from_is_broken: &'a AtomicBool,
    /// Whether a write to the socket of `to` has failed.
    pub(crate) to_is_broken: &'a AtomicBool,
}

/// Passes one direction of a connection on.
#[derive(Debug)]
pub(crate) struct Pump {
    planned: Planned,
    flow: Flow,
}

/// The state of the stream apart from its plan.
#[derive(Debug)]
struct Flow {
    queue: Queue,
    /// Whether bytes or the end of the stream were discarded.
    is_lossy: bool,
    /// Time before which nothing is written, because of the pause between two writes.
    paused_until: Option<Instant>,
    grant: Option<Grant>,
}

/// Bytes that may be written from a time on.
#[derive(Debug, Clone, Copy)]
struct Grant {
    from: Instant,
    bytes: usize,
}

/// The next action of a stream.
#[derive(Debug, Default)]
struct Step {
    read: bool,
    /// Number of bytes of the first chunk that may be written.
    write: usize,
    /// Time at which more is possible.
    at: Option<Instant>,
    /// The end to be passed on.
    end: Option<End>,
}

/// The result of input or output.
#[derive(Debug, Default)]
struct Io {
    /// Number of bytes that were passed on.
    passed: usize,
    /// Number of bytes that were discarded.
    discarded: usize,
    receiver_is_broken: bool,
}

impl Pump {
    pub(crate) fn new(planned: Planned, total: HeldInTotal) -> Self {
        let flow = Flow {
            queue: Queue::new(total),
            is_lossy: false,
            paused_until: None,
            grant: None,
        };
        Self { planned, flow }
    }

    /// Runs until the stream has ended.
    pub(crate) async fn run(self, mut sockets: Sockets<'_, '_>) -> Result<Finished, Reset> {
        let Self {
            mut planned,
            mut flow,
        } = self;
        let mut alarm = Alarm::default();
        loop {
            if planned.is_reset() || (flow.is_lossy && !planned.plan.silent) {
                return Err(Reset);
            }
            let step = flow.next(&planned);
            match step.end {
                Some(End::Reset) => return Err(Reset),
                Some(End::Closed) => {
                    // An error means that the receiver is broken, which the stream of the other direction notices.
                    let _shut_down = sockets.to.shutdown().await;
                    return Ok(Finished::Closed);
                }
                None => {}
            }
            let Planned { rules, plan, .. } = &mut planned;
            let done = tokio::select! {
                biased;
                changed = rules.changed() => {
                    if changed.is_err() {
                        return Err(Reset);
                    }
                    flow.give_back(plan);
                    planned.renew();
                    flow.follow(&planned);
                    continue;
                }
                () = alarm.until(step.at.unwrap_or_else(Instant::now)), if step.at.is_some() => continue,
                done = poll_fn(|context| flow.poll(context, &step, plan, &mut sockets)) => done,
            };
            planned.pass(done.passed);
            planned.count(done.passed + done.discarded);
            if done.receiver_is_broken {
                sockets.to_is_broken.store(true, Ordering::Relaxed);
                return Ok(Finished::ReceiverBroken);
            }
        }
    }
}

impl Flow {
    /// Gives up the grant, and returns what was not written to the buckets.
    fn give_back(&mut self, plan: &Plan) {
        if let Some(grant) = self.grant.take() {
            for bucket in &plan.buckets {
                bucket.give_back(grant.bytes);
            }
        }
    }

    /// Adapts the state to a new plan.
    fn follow(&mut self, planned: &Planned) {
        self.paused_until = None;
        if planned.plan.silent
            && let Some(discarded) = self.queue.discard()
        {
            self.is_lossy = true;
            planned.count(discarded);
        }
    }

    /// Returns the next action.
    fn next(&mut self, planned: &Planned) -> Step {
        let plan = &planned.plan;
        let mut step = Step::default();
        if plan.silent {
            step.read = self.queue.end().is_none();
            return step;
        }
        if plan.held {
            return step;
        }
        step.read = self.queue.has_room();
        if self.queue.is_idle() {
            return step;
        }
        let now = Instant::now();
        let Some((arrived, front)) = self.queue.front() else {
            if let Some((arrived, end)) = self.queue.end() {
                let due = match end {
                    End::Closed => arrived + plan.delay + plan.end_delay,
                    End::Reset => arrived + plan.delay,
                };
                step.at = (due > now).then_some(due);
                step.end = (due <= now).then_some(end);
            }
            return step;
        };
        let due = self
            .paused_until
            .map_or(arrived + plan.delay, |until| until.max(arrived + plan.delay));
        if due > now {
            step.at = Some(due);
            return step;
        }
        let until_reset = plan
            .reset_at
            .map_or(u64::MAX, |position| position - planned.stream.passed);
        let most = front
            .len()
            .min(plan.slice.map_or(usize::MAX, |slice| slice.bytes))
            .min(usize::try_from(until_reset).unwrap_or(usize::MAX));
        if plan.buckets.is_empty() {
            step.write = most;
            return step;
        }
        let grant = *self.grant.get_or_insert_with(|| {
            let largest = plan.buckets.iter().map(|bucket| bucket.largest(now));
            let bytes = largest.fold(most, usize::min);
            let starts = plan.buckets.iter().map(|bucket| bucket.reserve(now, bytes));
            Grant {
                from: starts.fold(now, Instant::max),
                bytes,
            }
        });
        if grant.from > now {
            step.at = Some(grant.from);
        } else {
            step.write = grant.bytes;
        }
        step
    }

    /// Writes or reads what `step` allows.
    fn poll(
        &mut self,
        context: &mut Context<'_>,
        step: &Step,
        plan: &Plan,
        sockets: &mut Sockets<'_, '_>,
    ) -> Poll<Io> {
        if step.write > 0
            && let Some((_, front)) = self.queue.front()
        {
            let front = front.get(..step.write).unwrap_or(front);
            if let Poll::Ready(io) = write(context, front, sockets) {
                self.wrote(io.passed, plan);
                return Poll::Ready(io);
            }
        }
        if !step.read {
            return Poll::Pending;
        }
        BUFFER.with_borrow_mut(|buffer| {
            let mut buffer = ReadBuf::new(buffer);
            let read = ready!(Pin::new(&mut *sockets.from).poll_read(context, &mut buffer));
            let bytes = buffer.filled();
            if read.is_err() || bytes.is_empty() {
                let is_reset = read.is_err() || sockets.from_is_broken.load(Ordering::Relaxed);
                self.queue
                    .push_end(if is_reset { End::Reset } else { End::Closed });
                self.is_lossy |= plan.silent;
                return Poll::Ready(Io::default());
            }
            if plan.silent {
                self.is_lossy = true;
                return Poll::Ready(Io {
                    discarded: bytes.len(),
                    ..Io::default()
                });
            }
            if !plan.covering.is_empty() || !self.queue.is_idle() {
                self.queue.push(bytes);
                return Poll::Ready(Io::default());
            }
            let io = match write(context, bytes, sockets) {
                Poll::Ready(io) => io,
                Poll::Pending => Io::default(),
            };
            match bytes.get(io.passed..) {
                Some(rest @ [_, ..]) if !io.receiver_is_broken => self.queue.push(rest),
                _ => {}
            }
            Poll::Ready(io)
        })
    }

    /// Removes bytes of the queue that were written.
    fn wrote(&mut self, bytes: usize, plan: &Plan) {
        self.queue.pop(bytes);
        if let Some(grant) = &mut self.grant {
            grant.bytes = grant.bytes.saturating_sub(bytes);
        }
        self.give_back(plan);
        self.paused_until = plan.slice.map(|slice| Instant::now() + slice.pause);
    }
}

/// Writes as many bytes as the socket accepts.
fn write(context: &mut Context<'_>, bytes: &[u8], sockets: &mut Sockets<'_, '_>) -> Poll<Io> {
    let written = ready!(Pin::new(&mut *sockets.to).poll_write(context, bytes));
    let passed = written.unwrap_or_default();
    Poll::Ready(Io {
        passed,
        discarded: 0,
        receiver_is_broken: passed == 0,
    })
}
