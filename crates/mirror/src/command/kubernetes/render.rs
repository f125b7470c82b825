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
    /// Prints the roles of a person who runs experiments in the namespace, and of an existing account for coordinators,
    /// and nothing else
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
        _ => manifests(
            [rbac::role_of_person(), rbac::role_of_coordinators()],
            &arguments.namespace,
        )?,
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
        if has_other_meaning(&object) {
            // JSON is YAML too, and quotes every text.
            text += &serde_json::to_string_pretty(&object)?;
            text.push('\n');
        } else {
            text += &serde_yaml::to_string(&object)?;
        }
    }
    Ok(text)
}

/// Returns whether an object has a text that `serde_yaml` does not quote, and that YAML 1.1, which Kubernetes reads,
/// takes for a truth value or a number.
fn has_other_meaning(value: &Value) -> bool {
    match value {
        Value::String(text) => is_word_or_number(text),
        Value::Array(items) => items.iter().any(has_other_meaning),
        Value::Object(entries) => entries
            .iter()
            .any(|(key, item)| is_word_or_number(key) || has_other_meaning(item)),
        _ => false,
    }
}

fn is_word_or_number(text: &str) -> bool {
    let words = ["y", "yes", "n", "no", "on", "off", "true", "false", "null", "~"];
    let digits = text.replace('_', "");
    words.contains(&&*text.to_ascii_lowercase())
        || digits.parse::<f64>().is_ok()
        || ["0x", "0b", "0o"].iter().any(|start| digits.starts_with(start))
        // A number to the base 60.
        || text.contains(':') && text.chars().all(|letter| letter.is_ascii_digit() || letter == ':')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_that_yaml_1_1_takes_for_something_else_are_found() {
        for text in [
            "off",
            "Yes",
            "y",
            "12e3",
            "1_000",
            "190:20:30",
            "0x1f",
            "012",
            "~",
        ] {
            assert!(has_other_meaning(&json!({ "a": [text] })), "{text}");
        }
        for text in [
            "0.1.0",
            "quickstart",
            "250m",
            "64Mi",
            "--port=7070",
            "10.0.0.1:6443",
            "",
        ] {
            assert!(!has_other_meaning(&json!({ "a": [text] })), "{text}");
        }
    }
}
