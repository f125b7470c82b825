//! `mirror kubernetes render`: prints the manifests of an experiment.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use mirror_certificates::Authority;
use mirror_config::Loaded;
use mirror_kubernetes::directory::AGENT;
use mirror_kubernetes::manifests::nodes::AgentCertificate;
use mirror_kubernetes::manifests::{launcher, nodes, rbac};
use mirror_kubernetes::name::RunName;
use mirror_kubernetes::session::set_subject_namespace;
use serde_json::Value;

use super::super::check::Overrides;
use super::super::run::StartArguments;
use super::super::{Status, terminal};
use super::planned::{SettingsArguments, network, plan};
use super::{chaos_mesh, files, run_name};

#[derive(Debug, Args)]
pub(super) struct RenderArguments {
    /// The experiment file
    #[arg(required_unless_present = "rbac")]
    file: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    settings: SettingsArguments,
    /// Name of the run, with which the names of its objects begin. If absent: from the name of the file
    #[arg(long, value_parser = run_name)]
    name: Option<RunName>,
    /// Namespace of the objects
    #[arg(long, short, default_value = "default", value_name = "NAME")]
    namespace: String,
    /// Prints the role that a person needs to run experiments in the namespace, and nothing else
    #[arg(long)]
    rbac: bool,
    /// Prints the faults as objects of Chaos Mesh, and nothing else. Faults without an equivalent are comments
    #[arg(long, conflicts_with = "rbac")]
    chaos_mesh: bool,
}

pub(super) fn render(arguments: &RenderArguments) -> anyhow::Result<Status> {
    let text = match &arguments.file {
        Some(file) if !arguments.rbac => {
            let start = StartArguments::of(file.clone(), arguments.overrides.clone());
            let Some(loaded) = start.load() else {
                return Ok(Status::Misused);
            };
            of_experiment(arguments, &start, &loaded)?
        }
        _ => manifests([rbac::role_of_person()], &arguments.namespace)?,
    };
    terminal::unless_closed(
        std::io::stdout()
            .lock()
            .write_all(text.as_bytes())
            .map_err(Into::into),
    )?;
    Ok(Status::Done)
}

/// Returns the manifests of an experiment.
fn of_experiment(
    arguments: &RenderArguments,
    start: &StartArguments,
    loaded: &Loaded,
) -> anyhow::Result<String> {
    let (settings, file) = (arguments.settings.load()?, start.file());
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let name = arguments.name.clone().unwrap_or_else(|| RunName::of(&stem));
    let network = network(loaded, file)?;
    let plan = plan(name.clone(), &network);
    if arguments.chaos_mesh {
        return chaos_mesh::of(&loaded.experiment.faults, &network, &plan, &arguments.namespace);
    }
    let authority = Authority::new()?;
    let certificate = authority.issue(AGENT)?;
    let certificate = AgentCertificate {
        authority: certificate.authority,
        certificate: certificate.certificate,
        key: certificate.key,
    };
    let mut objects = vec![nodes::authority_secret(
        &name,
        authority.certificate(),
        &authority.key(),
    )];
    objects.extend(launcher::objects(&name, &files::inputs(start)?, &settings));
    objects.extend(nodes::objects(&plan, &settings, &certificate));
    manifests(objects, &arguments.namespace)
}

/// Returns objects in a namespace as documents of YAML.
fn manifests(objects: impl IntoIterator<Item = Value>, namespace: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    for mut object in objects {
        object["metadata"]["namespace"] = namespace.into();
        set_subject_namespace(&mut object, namespace);
        text += "---\n";
        text += &serde_yaml::to_string(&object)?;
    }
    Ok(text)
}
