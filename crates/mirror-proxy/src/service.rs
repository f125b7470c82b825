//! The service by which the coordinator controls the proxy.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;

use mirror_net::tls::PeerName;
use mirror_proto::mirror::v1::proxy_server::Proxy;
use mirror_proto::mirror::v1::{ServeTarget, ServedTarget, Traffic, TrafficRequest, WireRules, WireRulesSet};
use mirror_proto::protocol::{COORDINATOR, axon_target};
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status, async_trait};

use crate::target::{Shared, Target, accept};

/// Maximum number of targets.
const MAX_TARGETS: usize = 10_000;

/// Maximum length of a target's name in bytes.
const MAX_NAME: usize = 64;

/// The service of a proxy.
#[derive(Debug)]
pub(crate) struct ProxyService {
    /// IP address of the listeners.
    ip: IpAddr,
    shared: Arc<Shared>,
    targets: Mutex<HashMap<String, Served>>,
}

/// A target with the address for its callers.
#[derive(Debug)]
struct Served {
    target: Arc<Target>,
    for_callers: SocketAddr,
}

impl ProxyService {
    /// Creates the service of a proxy without targets and rules, whose listeners have the address `ip`.
    pub(crate) fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            shared: Arc::new(Shared::new()),
            targets: Mutex::default(),
        }
    }
}

/// Checks that the coordinator sends a request. A miner may send a request to serve one of its own axons, whose target
/// is `target`.
#[allow(clippy::result_large_err, reason = "the error of a gRPC call is a status")]
fn admit<T>(request: &Request<T>, target: Option<&str>) -> Result<(), Status> {
    let caller = PeerName::of(request)?;
    let mut own = hosted_by(caller.as_str()).into_iter().flatten();
    if caller.as_str() == COORDINATOR
        || target.is_some_and(|target| own.any(|uid| axon_target(uid) == target))
    {
        return Ok(());
    }
    Err(Status::permission_denied(format!(
        "`{}` cannot send this request: only the coordinator can, and a miner for its own axons",
        caller.as_str()
    )))
}

/// Returns the uids of the miner process called `node`, such as `miner-3` or `miners-0-63`. `None` for other nodes.
fn hosted_by(node: &str) -> Option<RangeInclusive<u32>> {
    if let Some(uid) = node.strip_prefix("miner-") {
        let uid = uid.parse().ok()?;
        return Some(uid..=uid);
    }
    let (first, last) = node.strip_prefix("miners-")?.split_once('-')?;
    Some(first.parse().ok()?..=last.parse().ok()?)
}

#[async_trait]
impl Proxy for ProxyService {
    async fn serve(&self, request: Request<ServeTarget>) -> Result<Response<ServedTarget>, Status> {
        admit(&request, Some(&request.get_ref().name))?;
        let ServeTarget { name, address } = request.into_inner();
        if !(1..=MAX_NAME).contains(&name.len()) {
            return Err(Status::invalid_argument(format!(
                "the name of the target has {} bytes, expected 1 to {MAX_NAME}",
                name.len()
            )));
        }
        let address = real_address(&name, &address).map_err(Status::invalid_argument)?;
        let mut targets = self.targets.lock().await;
        if targets.values().any(|served| served.for_callers == address) {
            return Err(Status::invalid_argument(format!(
                "{address} is an address of this proxy, expected the real address of {name}"
            )));
        }
        if let Some(served) = targets.get(&name) {
            served.target.move_to(address);
            return Ok(Response::new(ServedTarget {
                address: served.for_callers.to_string(),
            }));
        }
        if targets.len() >= MAX_TARGETS {
            return Err(Status::resource_exhausted(format!(
                "the proxy already has {MAX_TARGETS} targets"
            )));
        }
        let unavailable =
            |error| Status::unavailable(format!("cannot listen on {} for {name}: {error}", self.ip));
        let listener = TcpListener::bind((self.ip, 0)).await.map_err(unavailable)?;
        let for_callers = listener.local_addr().map_err(unavailable)?;
        let target = Arc::new(Target::new(name.clone(), address));
        tokio::spawn(accept(Arc::clone(&target), listener, Arc::clone(&self.shared)));
        targets.insert(name, Served { target, for_callers });
        Ok(Response::new(ServedTarget {
            address: for_callers.to_string(),
        }))
    }

    async fn set_rules(&self, request: Request<WireRules>) -> Result<Response<WireRulesSet>, Status> {
        admit(&request, None)?;
        let rules = request.into_inner().rules;
        let shared = Arc::clone(&self.shared);
        // A separate task, so that the rules are in effect before the next ones are set, even if the caller leaves.
        let replaced = tokio::spawn(async move { shared.rules.replace(&rules).await });
        match replaced.await {
            Ok(Ok(revision)) => Ok(Response::new(WireRulesSet { revision })),
            Ok(Err(problem)) => Err(Status::invalid_argument(problem)),
            Err(error) => Err(Status::internal(format!("the rules were not set: {error}"))),
        }
    }

    async fn get_traffic(&self, request: Request<TrafficRequest>) -> Result<Response<Traffic>, Status> {
        admit(&request, None)?;
        Ok(Response::new(Traffic {
            links: self.shared.links.traffic(),
            rules: self.shared.rules.traffic(),
            open_connections: self.shared.open_connections(),
            refused_connections: self.shared.refused_connections(),
        }))
    }
}

fn real_address(name: &str, address: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("the address `{address}` of {name} is not an IP address with a port"))?;
    if address.port() == 0 || address.ip().is_unspecified() {
        return Err(format!(
            "no connection can be made to the address {address} of {name}"
        ));
    }
    Ok(address)
}
