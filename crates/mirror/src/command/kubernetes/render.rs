//! `mirror kubernetes render`: prints the manifests of an experiment.

use std::io::Write;

use clap::Args;
use mirror_certificates::Authority;
use mirror_kubernetes::directory::AGENT;
use mirror_kubernetes::manifests::nodes::AgentCertificate;
use mirror_kubernetes::manifests::{launcher, nodes, rbac};
use mirror_kubernetes::name::RunName;
use mirror_kubernetes::session::set_subject_namespace;
use serde_json::Value;

use super::super::Status;
use super::super::run::StartArguments;
use super::planned::{SettingsArguments, name_of, network, plan};
use super::{chaos_mesh, files, run_name};

#[derive(Debug, Args)]
pub(super) struct RenderArguments {
    #[command(flatten)]
    start: StartArguments,
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
    let mut objects = Vec::new();
    if arguments.rbac {
        objects.push(rbac::role_of_person());
    } else {
        let Some(loaded) = arguments.start.load() else {
            return Ok(Status::Misused);
        };
        let settings = arguments.settings.load()?;
        let file = arguments.start.file();
        let name = name_of(arguments.name.as_ref(), file, || Ok("1".to_owned()))?;
        let network = network(&loaded, file)?;
        let plan = plan(name.clone(), &network);
        if arguments.chaos_mesh {
            let chaos = chaos_mesh::of(&loaded.experiment.faults, &network, &plan, &arguments.namespace);
            std::io::stdout().lock().write_all(chaos?.as_bytes())?;
            return Ok(Status::Done);
        }
        let authority = Authority::new()?;
        let certificate = authority.issue(AGENT)?;
        let certificate = AgentCertificate {
            authority: certificate.authority,
            certificate: certificate.certificate,
            key: certificate.key,
        };
        objects.push(nodes::authority_secret(
            &name,
            authority.certificate(),
            &authority.key(),
        ));
        objects.extend(launcher::objects(
            &name,
            &files::inputs(&arguments.start)?,
            &settings,
        ));
        objects.extend(nodes::objects(&plan, &settings, &certificate));
    }
    let mut out = std::io::stdout().lock();
    for mut object in objects {
        object["metadata"]["namespace"] = arguments.namespace.clone().into();
        set_subject_namespace(&mut object, &arguments.namespace);
        write!(out, "---\n{}", yaml(&object)?)?;
    }
    Ok(Status::Done)
}

fn yaml(object: &Value) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(object)
}
