//! A validator: the neuron of Bittensor's text-prompting network, as a process.
//!
//! It calls axons through its dendrite pool, rewards their completions, learns which axons to call, keeps a moving
//! average of the rewards of each uid, and sets weights from the averages. It reports events to the coordinator.

pub mod behaviour;
pub mod check_models;
pub mod checkpoint;
pub mod conversation;
pub mod dendrite;
mod faults;
pub mod learned;
pub mod neuron;
pub mod query;
pub mod read_texts;
pub mod reporter;
pub mod service;
pub mod weights;

use std::sync::Arc;

use anyhow::{Context, anyhow};
use mirror_auth::{DendriteId, Signer};
use mirror_identity::{Owner, SecretKey};
use mirror_links::Links;
use mirror_models::training::{Gradients, SgdConfig};
use mirror_models::{gating, reward, torch};
use mirror_net::server::{self, Callers, Limits, Services};
use mirror_net::tracer::Tracer;
use mirror_node::Control;
use mirror_node::reporter::DRAIN_TIMEOUT;
use mirror_proto::mirror::v1::Hello;
use mirror_proto::mirror::v1::neuron_server::NeuronServer;
use mirror_proto::protocol::{BITTENSOR_VERSION, COORDINATOR, OPERATOR};
use mirror_seed::Seed;
use mirror_spec::NeuronSettings;
use mirror_spec::launch::{Launch, ValidatorLaunch};
use mirror_subtensor_client::SubtensorClient;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::behaviour::Behaviours;
use crate::dendrite::DendritePool;
use crate::faults::FaultTargets;
use crate::neuron::{Neuron, NeuronParts};
use crate::service::{PreparedQuery, Service};

/// Serves a validator until `shutdown`.
pub async fn serve(
    launch: Launch<ValidatorLaunch>,
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
    let identity = mirror_node::identity(&credentials)?;
    let for_the_chain = role.subtensor_credentials.as_ref().unwrap_or(&credentials);
    let for_the_chain = mirror_node::identity(for_the_chain)?;
    let seed = Seed::root(seed);
    let device = torch::prepare(&role.device, role.neuron.torch_threads)?;
    let key = SecretKey::hotkey(&seed, Owner::Validator(role.index));
    let dendrite = DendriteId::random().context("cannot draw the identifier of the dendrite")?;
    let signer = Signer::new(key.clone(), dendrite, BITTENSOR_VERSION);
    let (subtensor_moves, subtensor_address) = watch::channel(role.subtensor);
    // Each validator has a separate stream of draws. Draws about calls depend on the caller anyway.
    let own = seed.numbered_child("validator", role.index.into());
    let tracer = Tracer::new(&seed, &node, incarnation).identified(identity.clone());
    let (learned, memory) = learned::open(&role.state)?;
    let hello = Hello {
        node: node.clone(),
        incarnation,
    };
    let (reporter, report_stream) = reporter::reporter(
        role.coordinator,
        tracer.clone(),
        hello,
        subtensor_moves,
        memory,
        role.acknowledged.as_deref(),
    )?;
    let targets = FaultTargets {
        links: Arc::new(Links::new(seed, role.num_nodes, &role.links, role.time_scale)),
        behaviours: Arc::new(Behaviours::new(&role.behaviour)),
    };
    targets.links.set_rules(&role.rules)?;
    targets.links.set_untimed(role.untimed);
    targets.behaviours.inject(role.injected.clone());
    let (links, behaviours) = (targets.links.clone(), targets.behaviours.clone());
    control
        .on_apply(move |state| targets.apply(state))
        .map_err(|error| anyhow!(error))?;
    let subtensor =
        SubtensorClient::following(tracer.identified(for_the_chain), subtensor_address).over(links.clone());
    let prepared = role.query.clone().map(|query| PreparedQuery {
        query,
        questions: role.questions.clone(),
        learned,
    });
    let gating = gating::BuildContext {
        seed: own.child("gating"),
        num_nodes: role.num_nodes,
        topk: role.neuron.training_topk,
        device,
        sgd: sgd_config(&role.neuron),
    };
    let reward = reward::BuildContext {
        seed: own.child("reward"),
        device,
    };
    let mut gating_model =
        gating::build(&role.gating_model, &gating).context("cannot load the gating model")?;
    if let Some(checkpoint) = &role.resume {
        checkpoint::restore(&mut *gating_model, checkpoint)?;
    }
    let reward_model = reward::build(&role.reward_model, &reward).context("cannot load the reward model")?;
    let last_words = reporter.clone();
    let uid = role.uid;
    let neuron = Neuron::new(NeuronParts {
        launch: role,
        behaviours,
        name: node,
        incarnation,
        seed,
        key,
        subtensor,
        dendrite: DendritePool::new(signer, uid, seed, incarnation, links),
        gating: gating_model,
        reward: reward_model,
        reporter,
    });
    let service = NeuronServer::new(Service::new(neuron, prepared, shutdown.clone()));
    let services = Services::new(Some(identity)).only(Callers::Named(&[COORDINATOR, OPERATOR]), service);
    let serving = async {
        let served = server::serve(listener, services, Limits::default(), shutdown.cancelled_owned());
        served.await.context("the validator stopped serving")?;
        let heard = tokio::time::timeout(DRAIN_TIMEOUT, last_words.drained()).await;
        heard.context("the coordinator did not acknowledge the last records")?
    };
    let working = tokio::spawn(report_stream.work());
    tokio::select! {
        served = serving => served,
        worked = working => worked.context("the report task failed")?.context("the validator cannot report to the coordinator"),
    }
}

fn sgd_config(neuron: &NeuronSettings) -> SgdConfig {
    SgdConfig {
        learning_rate: neuron.learning_rate,
        momentum: neuron.momentum,
        gradients: if neuron.accumulate_gradients {
            Gradients::Accumulated
        } else {
            Gradients::Zeroed
        },
    }
}
