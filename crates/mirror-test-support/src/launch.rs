//! Launch configs of nodes that a test starts.

use std::net::{Ipv4Addr, SocketAddr};

use mirror_spec::launch::{Launch, LogLaunch};

use crate::certificates;

/// Returns the launch config of a node called `node`: its first incarnation, a child of this process, on a free port of
/// loopback, with the log level `warn` and the random seed 1.
pub fn launch<R>(node: &str, role: R) -> Launch<R> {
    Launch {
        node: node.to_owned(),
        incarnation: 0,
        parent: std::process::id(),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        source: Ipv4Addr::LOCALHOST.into(),
        log: LogLaunch::pretty("warn"),
        seed: 1,
        credentials: certificates::credentials(node),
        clock_skew: 0.0,
        telemetry: None,
        profiles: None,
        role,
    }
}
