//! The proxy: a node that passes connections between other nodes on, and impairs them by rules.
//!
//! A caller connects to the proxy's address for a target. The proxy recognises the caller by its source address and
//! connects to the target from that same address. Each direction of a connection is a stream with a plan: the combined
//! effect of all rules that cover it. When the rules change, every stream makes its plan again, and the rules count as
//! in effect when no stream follows the previous ones. A plan is a function of the current rules, so rules can be
//! lifted in any order.
//!
//! Three effects stop a stream. They differ in the bytes and in new connections:
//!
//! | effect | bytes in transit | open connections when lifted | new connections meanwhile |
//! |---|---|---|---|
//! | `cut` | held, and nothing more is read | continue, without loss | wait, and reach the target when lifted |
//! | `stall` | as with `cut` | continue, without loss | not affected |
//! | `silence` | read and discarded | reset if they lost anything | never reach the target, reset when lifted |
//!
//! `cut` is a partition, whose packets TCP sends again. `stall` is a connection whose path has failed while other
//! connections work, for example after a failover. `silence` is a peer that vanished without closing its connections.
//! If several of them apply to a stream, `silence` wins.
//!
//! The proxy sees streams, not packets: the kernel acknowledges bytes and accepts connections for it, and a rule for
//! one direction does not affect the acknowledgements of the other.

mod connection;
mod effect;
mod link;
mod plan;
mod pump;
mod queue;
mod rules;
mod service;
mod target;

use anyhow::Context;
use mirror_net::server::{self, Callers, Limits, Services};
use mirror_node::Control;
use mirror_proto::mirror::v1::proxy_server::ProxyServer;
use mirror_spec::launch::{Launch, ProxyLaunch};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::service::ProxyService;

/// Serves the proxy's service on `listener` until `shutdown`. The listeners for callers have the same IP address.
pub async fn serve(
    launch: Launch<ProxyLaunch>,
    listener: TcpListener,
    shutdown: CancellationToken,
    _control: Control,
) -> anyhow::Result<()> {
    raise_limit_of_open_files().context("cannot raise the limit of open files")?;
    let address = listener
        .local_addr()
        .context("cannot determine the listen address")?;
    let identity = mirror_node::identity(&launch.credentials)?;
    let service = ProxyServer::new(ProxyService::new(address.ip()));
    server::serve(
        listener,
        Services::new(Some(identity)).only(Callers::Certified, service),
        Limits::default(),
        shutdown.cancelled_owned(),
    )
    .await?;
    Ok(())
}

/// Raises the limit of open files to its maximum, because each connection needs two.
fn raise_limit_of_open_files() -> rustix::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
}
