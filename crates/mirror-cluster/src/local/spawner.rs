//! The thread that starts every process. Death signals are tied to the thread that started a process, not to the
//! process of that thread: a thread of a runtime's pool would take its nodes with it when it is idle for long.

use std::io;
use std::sync::mpsc::{self, SyncSender};
use std::thread;

use tokio::process::{Child, Command};
use tokio::sync::oneshot;

/// Starts processes on a thread that lives as long as this does. They die with it.
#[derive(Debug)]
pub(super) struct Spawner {
    orders: SyncSender<Order>,
}

#[derive(Debug)]
struct Order {
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        // Orders come one at a time, see `LocalProcesses::spawning`.
        let (orders, incoming) = mpsc::sync_channel::<Order>(1);
        thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            let _context = runtime.enter();
            for Order { mut command, reply } in incoming {
                if reply.send(command.spawn()).is_err() {
                    tracing::debug!("nobody waits for a process any more; it ends with its standard input");
                }
            }
        })?;
        Ok(Self { orders })
    }

    pub(super) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, child) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes is gone");
        self.orders
            .try_send(Order { command, reply })
            .map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}
