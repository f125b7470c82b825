//! The manifest of a new run.

use std::collections::BTreeMap;

use mirror_config::Loaded;
use mirror_runs::NewRun;
use mirror_spec::Experiment;

use super::StartArguments;

/// Returns the manifest's entries for a run of `experiment`, which was loaded from the file `loaded`.
pub(super) fn new_run(
    arguments: &StartArguments,
    loaded: &Loaded,
    experiment: &Experiment,
    group: Option<&str>,
) -> NewRun {
    NewRun {
        experiment: name_of(arguments, experiment),
        experiment_yml: loaded.text.clone(),
        resolved_yml: mirror_config::to_yaml(experiment),
        seed: experiment.seed,
        job_type: arguments.job_type.clone(),
        group: group.map(str::to_owned),
        tags: arguments.tags.clone(),
        notes: arguments.notes.clone(),
        versions: BTreeMap::from([("mirror".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]),
    }
}

/// Returns the name of a run: the name of the file without its extension, or the model's id.
pub(super) fn name_of(arguments: &StartArguments, experiment: &Experiment) -> String {
    let stem = arguments
        .file
        .file_stem()
        .map(|stem| stem.to_string_lossy().into_owned());
    stem.or_else(|| experiment.model.as_ref().map(|model| model.id.clone()))
        .unwrap_or_else(|| "experiment".to_owned())
}
