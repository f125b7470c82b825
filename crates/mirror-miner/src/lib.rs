//! A miner: axons that answer prompts from a data set, each with its behaviours.
//!
//! A process has one or more axons. The data set is mapped read-only, so all miner processes on a machine share it.
//! Each axon listens on a separate port and announces its address to the chain before it becomes ready.

mod admission;
mod announcement;
pub mod authenticated;
pub mod axon;
pub mod behaviour;
mod faults;
pub mod network;
mod queue;
pub mod refusals;

pub mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use futures::future::try_join_all;
use mirror_auth::{DendriteId, Signer, VerifierState};
use mirror_dataset::Dataset;
use mirror_identity::{Owner, SecretKey};
use mirror_links::Links;
use mirror_net::server::{self, Limits, Services};
use mirror_net::tracer::Tracer;
use mirror_node::Control;
use mirror_proto::mirror::v1::ServeTarget;
use mirror_proto::mirror::v1::proxy_client::ProxyClient;
use mirror_proto::protocol::{BITTENSOR_VERSION, PROXY, axon_target};
use mirror_seed::Seed;
use mirror_spec::launch::{AxonLaunch, Launch, MinerLaunch};
use mirror_subtensor_client::SubtensorClient;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::axon::Axon;
use crate::behaviour::{BehaviourContext, Behaviours, Prompts};
use crate::faults::FaultTargets;
use crate::network::Network;

/// Serves the axons of a launch config until `shutdown`. The first axon listens on `listener`, the others on further
/// ports of the same address.
pub async fn serve(
    launch: Launch<MinerLaunch>,
    listener: TcpListener,
    shutdown: CancellationToken,
    control: Control,
) -> anyhow::Result<()> {
    let Launch {
        node,
        incarnation,
        seed,
        credentials,
        role,
        ..
    } = launch;
    let seed = Seed::root(seed);
    let dataset = Dataset::open(&role.dataset)
        .with_context(|| format!("cannot map the data set {}", role.dataset.display()))?;
    let dataset = Arc::new(dataset);
    let prompts = Arc::new(Prompts {
        base: role.base_prompt,
        question: role.question_prompt,
    });
    let tracer = Tracer::new(&seed, &node, incarnation);
    let links = Arc::new(Links::new(seed, role.num_nodes, &[], role.time_scale));
    links.set_rules(&role.rules)?;
    let subtensor = SubtensorClient::new(tracer.clone(), role.subtensor).over(links.clone());
    let network = Arc::new(Network::new(seed, &subtensor, links.clone(), role.first_block));
    let dendrite = DendriteId::random().context("cannot draw the identifier of the dendrite")?;
    let shared = Arc::new(VerifierState::default());
    let listeners = listen(listener, role.axons.len()).await?;
    let mut axons = Vec::with_capacity(role.axons.len());
    let mut targets = FaultTargets {
        links,
        axons: Vec::with_capacity(role.axons.len()),
    };
    for (launch, listener) in role.axons.into_iter().zip(listeners) {
        let AxonLaunch {
            uid,
            group,
            behaviours,
        } = launch;
        let key = SecretKey::hotkey(&seed, Owner::Miner(uid));
        let address = listener
            .local_addr()
            .context("cannot determine the listen address of an axon")?;
        let announced = match role.proxy {
            Some(proxy) => {
                let identity = mirror_node::identity(&credentials)?;
                behind_proxy(&tracer.identified(identity), proxy, uid, address).await?
            }
            None => address,
        };
        let context = BehaviourContext {
            seed,
            uid,
            signer: Arc::new(Signer::new(key.clone(), dendrite, BITTENSOR_VERSION)),
            group,
            dataset: dataset.clone(),
            prompts: prompts.clone(),
            network: network.clone(),
            time_scale: role.time_scale,
        };
        let behaviours = Arc::new(Behaviours::new(&behaviours, context));
        targets.axons.push((uid, behaviours.clone()));
        let axon = Axon::new(
            uid,
            key.public(),
            behaviours,
            &role.settings,
            network.clone(),
            shared.clone(),
        );
        axons.push((
            axon,
            listener,
            announcement::ServedAxon {
                key,
                address: announced,
            },
        ));
    }
    targets.inject(&role.injections);
    control
        .on_apply(move |state| targets.apply(state))
        .map_err(|error| anyhow!(error))?;
    let announcing = announcement::announce(
        &subtensor,
        incarnation,
        axons.iter().map(|(_, _, announcement)| announcement.clone()),
    );
    match shutdown.run_until_cancelled(announcing).await {
        Some(announced) => announced?,
        // The process was asked to shut down while it waited for the chain.
        None => return Ok(()),
    }
    let limits = Limits::axons(axons.len());
    try_join_all(axons.into_iter().map(|(axon, listener, _)| {
        let services = Services::default().open(axon.into_service());
        server::serve(
            listener,
            services,
            limits.clone(),
            shutdown.clone().cancelled_owned(),
        )
    }))
    .await
    .context("an axon stopped serving")?;
    Ok(())
}

/// Lets the proxy pass connections on to an axon. Returns the address at which callers reach it.
async fn behind_proxy(
    tracer: &Tracer,
    proxy: SocketAddr,
    uid: u32,
    address: SocketAddr,
) -> anyhow::Result<SocketAddr> {
    let target = ServeTarget {
        name: axon_target(uid),
        address: address.to_string(),
    };
    let served = ProxyClient::new(tracer.secure_channel(proxy, PROXY))
        .serve(target)
        .await;
    let served = served
        .with_context(|| format!("the proxy at {proxy} does not serve uid {uid}"))?
        .into_inner()
        .address;
    served
        .parse()
        .with_context(|| format!("the proxy serves uid {uid} at `{served}`, which is no address"))
}

async fn listen(first: TcpListener, count: usize) -> anyhow::Result<Vec<TcpListener>> {
    let mut beside = first
        .local_addr()
        .context("cannot determine the listen address of the miner")?;
    beside.set_port(0);
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(
            TcpListener::bind(beside)
                .await
                .with_context(|| format!("cannot listen on {beside}"))?,
        );
    }
    Ok(listeners)
}
