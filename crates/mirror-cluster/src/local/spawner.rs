//! The thread that starts every process. Death signals are tied to the thread that started a process, not to the
//! process of that thread: a thread of a runtime's pool would take its nodes with it when it is idle for long.

use std::io;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::monitor::{Request, Signals};

/// Starts processes on a thread that lives as long as this does. They die with it.
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

/// A process that was started and that nobody tends yet. It is killed if nobody comes to.
#[derive(Debug)]
struct Started {
    child: Option<Child>,
    signals: Signals,
}

impl Spawner {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        // Orders come one at a time, see `LocalProcesses::spawning`; only those cut short may still wait here.
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
                // Who does not wait any more lets go of what was started.
                drop(reply.send(started));
            }
        })?;
        Ok(Self { orders })
    }

    /// Starts a process that heeds `signals`. Cut short, it leaves none behind.
    pub(super) async fn spawn(&self, command: Command, signals: Signals) -> io::Result<Child> {
        let (reply, started) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes is gone");
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
            tracing::error!(%error, "cannot kill a process that nobody waits for");
        }
    }
}
