//! Finds the data and the models of an experiment before any process starts. Samples and compiles the data.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mirror_dataset::{Request, Resolved, Row, Sample, Schema, compile_cached, resolve};
use mirror_hub::Places;
use mirror_metagraph_file::MetagraphFile;
use mirror_spec::{DendritePool, Experiment, GatingModel, Model, RewardModel};

use crate::models::ModelSearch;

/// Compiled data sets with their origins, and models with their folders.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// The gating model. Names are replaced by local folders.
    pub gating_model: GatingModel,
    /// The reward model. Names are replaced by local folders.
    pub reward_model: RewardModel,
    /// The data set from which miners answer.
    pub answers: PathBuf,
    /// The questions of the `data` section. `None` if there is no such section.
    pub questions: Option<PathBuf>,
    /// The metagraph that the subnet starts from. `None` if the subnet is generated from the experiment file.
    pub metagraph: Option<MetagraphFile>,
    /// The checkpoint that each validator's gating model resumes from. Empty if they start afresh.
    pub resume: Vec<PathBuf>,
    /// Lines for the log that state what was found where.
    pub origins: Vec<String>,
}

/// Whether files may be downloaded from the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Downloads are allowed.
    Allowed,
    /// Downloads are forbidden, by `--offline`.
    Forbidden,
}

/// Finds, samples and compiles the data that the experiment names. Relative paths are resolved against `base`. Compiled
/// data is kept in the user's cache, or in `fallback` if there is no cache.
///
/// # Errors
///
/// Returns an error if a model, the data or the metagraph cannot be found or read, or if the data cannot be sampled or
/// compiled.
pub fn prepare(
    experiment: &Experiment,
    model: &Model,
    base: &Path,
    fallback: &Path,
    network: Network,
) -> anyhow::Result<Prepared> {
    let places = Places::from_env();
    let library = ModelSearch {
        base,
        places: &places,
        network,
    };
    let gating_model = library
        .gating_model(&model.gating_model)
        .context("the gating model")?;
    let reward_model = library
        .reward_model(&model.reward_model)
        .context("the reward model")?;
    let cache = places
        .cache
        .clone()
        .unwrap_or_else(|| fallback.to_owned())
        .join("datasets");
    let find = |path: &str, schema: Schema| -> anyhow::Result<Resolved> {
        let offline = network == Network::Forbidden;
        let request = Request {
            path_or_name: path.to_owned(),
            schema,
            offline,
            base_dir: base.to_owned(),
        };
        Ok(resolve(&request, &places)?)
    };
    let keep = |rows: &[Row]| compile_cached(rows, &cache).context("cannot compile the data set");
    let mut origins = Vec::new();
    let mut questions = None;
    let mut answers = None;
    if let Some(data) = &experiment.data {
        let schema = Schema {
            question: data.question.clone(),
            answer: data.answer.clone(),
        };
        let found = find(&data.path, schema).with_context(|| format!("data `{}`", data.id))?;
        let all = found.rows.len();
        if pool_path(experiment) == Some(&data.path) {
            answers = Some(keep(&found.rows)?);
        }
        let rows = sample(data.sample)?
            .apply(found.rows)
            .with_context(|| format!("data `{}`", data.id))?;
        origins.push(format!("{} of {all} questions from {}", rows.len(), found.origin));
        questions = Some(keep(&rows)?);
    }
    let answers = match (answers, pool_path(experiment)) {
        (Some(answers), _) => answers,
        (None, Some(path)) => {
            let found = find(path, Schema::default()).context("the miners' data set")?;
            origins.push(format!(
                "miners answer from {} rows of {}",
                found.rows.len(),
                found.origin
            ));
            keep(&found.rows)?
        }
        (None, None) => questions.clone().context("the experiment names no data")?,
    };
    let metagraph = match &experiment.network.metagraph {
        Some(path) => {
            let metagraph_file = MetagraphFile::read(&base.join(path)).context("`network.metagraph`")?;
            origins.push(format!(
                "the subnet starts from {} neurons of {path}",
                metagraph_file.neurons.len()
            ));
            Some(metagraph_file)
        }
        None => None,
    };
    Ok(Prepared {
        gating_model,
        reward_model,
        answers,
        questions,
        metagraph,
        resume: Vec::new(),
        origins,
    })
}

fn pool_path(experiment: &Experiment) -> Option<&String> {
    let DendritePool::DummyDendritePool(pool) = &experiment.model.as_ref()?.dendrite_pool;
    Some(&pool.data_path)
}

fn sample(sample: mirror_spec::Sample) -> anyhow::Result<Sample> {
    let rows = |n: u32| -> anyhow::Result<NonZeroUsize> {
        ensure!(n > 0, "the sample must have at least 1 row");
        Ok(NonZeroUsize::new(n as usize).expect("n is positive"))
    };
    Ok(match sample {
        mirror_spec::Sample::All => Sample::All,
        mirror_spec::Sample::First { n } => Sample::First(rows(n)?),
        mirror_spec::Sample::Random { n, seed } => Sample::Random { n: rows(n)?, seed },
    })
}
