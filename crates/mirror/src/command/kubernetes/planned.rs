//! An experiment with the pods that it needs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;
use mirror_config::Loaded;
use mirror_coordinator::{PlannedKind, PlannedNetwork, base_of};
use mirror_kubernetes::name::RunName;
use mirror_kubernetes::plan::{Component, Member, Plan};
use mirror_kubernetes::settings::Settings;
use mirror_spec::{Fault, SubtensorSpec};

use super::super::Misuse;

/// The settings of the cluster.
#[derive(Debug, Args)]
pub(super) struct SettingsArguments {
    /// YAML file with the settings of the cluster: images, resources and others, as in the values of the Helm chart
    #[arg(long = "settings", value_name = "FILE")]
    of_cluster: Option<PathBuf>,
}

impl SettingsArguments {
    pub(super) fn load(&self) -> anyhow::Result<Settings> {
        self.of_cluster
            .as_deref()
            .map_or_else(|| Ok(Settings::default()), settings_in)
    }
}

/// Reads a file of settings.
pub(super) fn settings_in(file: &Path) -> anyhow::Result<Settings> {
    let text = fs::read_to_string(file)
        .with_context(|| format!("cannot read {}", file.display()))
        .map_err(Misuse::of)?;
    let settings = Settings::from_yaml(&text).with_context(|| format!("{} is invalid", file.display()));
    Ok(settings.map_err(Misuse::of)?)
}

/// Returns the network that an experiment needs.
pub(super) fn network(loaded: &Loaded, file: &Path) -> anyhow::Result<PlannedNetwork> {
    let experiment = &loaded.experiment;
    let (Some(model), Some(_)) = (&experiment.model, &experiment.query) else {
        return Err(Misuse::of(anyhow!(
            "{} has nothing to run in a cluster: add `model` and `query`",
            file.display()
        ))
        .into());
    };
    if let SubtensorSpec::Subtensor(chain) = &model.subtensor {
        return Err(Misuse::of(anyhow!(
            "{} names a chain at {} with the certificate in `{}`, which is not sent to a cluster: use `DummySubtensor`",
            file.display(),
            chain.chain_endpoint,
            chain.chain_client
        ))
        .into());
    }
    let refused = |fault: &Fault| matches!(fault, Fault::Limit(_) | Fault::DiskFull(_));
    if let Some(index) = experiment.faults.iter().position(refused) {
        return Err(Misuse::of(anyhow!(
            "{}: `faults/{index}` limits the resources of nodes, which no cluster allows: remove it",
            file.display()
        ))
        .into());
    }
    Ok(PlannedNetwork::new(experiment, model, base_of(file)).map_err(Misuse::of)?)
}

/// Returns the pods of a network.
pub(super) fn plan(run: RunName, network: &PlannedNetwork) -> Plan {
    let members = network.nodes().into_iter().map(|node| Member {
        node: node.name,
        component: match node.kind {
            PlannedKind::Subtensor => Component::Subtensor,
            PlannedKind::Proxy => Component::Proxy,
            PlannedKind::Validator => Component::Validator,
            PlannedKind::Miner => Component::Miner,
        },
        label: node.label,
        axons: node.axons,
    });
    Plan::new(run, members.collect())
}
