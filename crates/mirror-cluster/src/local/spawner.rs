//! The thread that starts every process. A death signal is tied to the thread that started the process, not to the
//! process of that thread. If a thread of a runtime's pool started nodes, they would die when that thread is idle and
//! ends.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::monitor::{Request, Signals};

/// Starts processes on a thread that lives as long as this value. The processes die with the thread.
#[derive(Debug)]
pub(super) struct Spawner {
    orders: Sender<Order>,
}

#[derive(Debug)]
struct Order {
    command: Command,
    signals: Signals,
    reply: oneshot::Sender<io::Result<Started>>,
}

/// A process that was started and has no monitor yet. It is killed if this value is dropped.
#[derive(Debug)]
struct Started {
    child: Option<Child>,
    signals: Signals,
}

impl Spawner {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        // Orders arrive one at a time, see `LocalProcesses::spawning`. Only cancelled ones can be in the queue.
        let (orders, incoming) = mpsc::channel::<Order>();
        thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            let _context = runtime.enter();
            for Order {
                mut command,
                signals,
                reply,
            } in incoming
            {
                let started = command.spawn().map(|child| Started {
                    child: Some(child),
                    signals,
                });
                // If the receiver is gone, the process is dropped and thereby killed.
                drop(reply.send(started));
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts a process that handles `signals`. If the future is dropped early, the process is killed.
    pub(super) async fn spawn(&self, command: Command, signals: Signals) -> io::Result<Child> {
        let (reply, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.orders
            .send(Order {
                command,
                signals,
                reply,
            })
            .map_err(|_| gone())?;
        let mut started = started.await.map_err(|_| gone())??;
        started.child.take().ok_or_else(gone)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(pid) = self.child.as_ref().and_then(Child::id)
            && let Err(error) = self.signals.send(pid, Request::Kill)
        {
            tracing::error!(%error, "cannot kill a process whose start was cancelled");
        }
    }
}
