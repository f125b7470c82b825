//! Finds the data and the models of an experiment before any process starts. Samples and compiles the data.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use mirror_dataset::{Request, ResolveError, Resolved, Row, Sample, Schema, compile_cached, resolve};
use mirror_hub::Places;
use mirror_hub::model::ModelError;
use mirror_metagraph_file::MetagraphFile;
use mirror_spec::{
    Data, DendritePool, Experiment, GatingModel, Model, RewardModel, SubtensorSpec, ValueError,
};

use crate::certificates::ChainClient;
use crate::models::ModelSearch;
use crate::network_spec;
use crate::traces::with_traces;

/// Help for data that cannot be used.
const NAME_DATA: &str =
    "give the path of a file with the columns of questions and answers, the name of a data set, or `builtin`";

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
    /// The certificate for a chain that serves several runs. `None` if the run starts its chain, or the file names no
    /// certificate.
    pub chain_client: Option<ChainClient>,
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

/// The result of [`find_local`]: the data, models and metagraph of an experiment that are on this machine.
#[derive(Debug, Default)]
pub struct LocalInputs {
    /// The values of the file that name something that a run cannot use.
    pub problems: Vec<ValueError>,
    /// One sentence for each thing that is not on this machine and was not checked.
    pub unseen: Vec<String>,
    /// Number of questions that the data has for a query. `None` if it could not be read.
    pub questions: Option<usize>,
    /// Number of miners. `None` if the uids could not be assigned.
    pub miners: Option<usize>,
}

/// The places in which data, models and metagraphs are searched for.
struct Sources<'a> {
    library: ModelSearch<'a>,
}

impl Sources<'_> {
    fn gating_model(&self, model: &Model) -> anyhow::Result<GatingModel> {
        let found = self.library.gating_model(&model.gating_model);
        found.context("cannot load the gating model")
    }

    fn reward_model(&self, model: &Model) -> anyhow::Result<RewardModel> {
        let found = self.library.reward_model(&model.reward_model);
        found.context("cannot load the reward model")
    }

    /// Returns all rows of the `data` section.
    fn data(&self, data: &Data) -> anyhow::Result<Resolved> {
        let schema = Schema {
            question: data.question.clone(),
            answer: data.answer.clone(),
        };
        let found = self.rows(&data.path, schema);
        found.with_context(|| format!("cannot load the data `{}`", data.id))
    }

    /// Returns the rows from which miners answer.
    fn answers(&self, path: &str) -> anyhow::Result<Resolved> {
        let found = self.rows(path, Schema::default());
        found.context("cannot load the miners' data set")
    }

    fn rows(&self, path: &str, schema: Schema) -> anyhow::Result<Resolved> {
        let request = Request {
            path_or_name: path.to_owned(),
            schema,
            offline: self.library.network == Network::Forbidden,
            base_dir: self.library.base.to_owned(),
        };
        Ok(resolve(&request, self.library.places)?)
    }
}

/// Reads the metagraph that the subnet starts from. `None` if the file describes the network itself.
pub(crate) fn metagraph_of(experiment: &Experiment, base: &Path) -> anyhow::Result<Option<MetagraphFile>> {
    let path = experiment.network.metagraph.as_ref();
    let read = path.map(|path| MetagraphFile::read(&base.join(path)));
    read.transpose().context("cannot use `network.metagraph`")
}

/// Reads the file with which the run uses a chain that serves several runs.
fn chain_client(model: &Model, base: &Path) -> anyhow::Result<Option<ChainClient>> {
    let SubtensorSpec::Subtensor(chain) = &model.subtensor else {
        return Ok(None);
    };
    let path = base.join(&chain.chain_client);
    let client = ChainClient::read(&path).with_context(|| {
        format!(
            "cannot read {}, the `chain_client` of the file: give the file `client.json` that `mirror chain serve` has \
             written",
            path.display()
        )
    })?;
    Ok(Some(client))
}

/// Returns the rows that the sample selects.
fn sampled(data: &Data, rows: Vec<Row>) -> anyhow::Result<Vec<Row>> {
    let rows = sample(data.sample)?.apply(rows);
    rows.with_context(|| format!("cannot load the data `{}`", data.id))
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
    let sources = Sources {
        library: ModelSearch {
            base,
            places: &places,
            network,
        },
    };
    let gating_model = sources.gating_model(model)?;
    let reward_model = sources.reward_model(model)?;
    let cache = places
        .cache
        .clone()
        .unwrap_or_else(|| fallback.to_owned())
        .join("datasets");
    let keep = |rows: &[Row]| compile_cached(rows, &cache).context("cannot compile the data set");
    let mut origins = Vec::new();
    let mut questions = None;
    let mut answers = None;
    let pool_path = pool_path(model);
    if let Some(data) = &experiment.data {
        let found = sources.data(data)?;
        let all = found.rows.len();
        if *pool_path == data.path {
            answers = Some(keep(&found.rows)?);
        }
        let rows = sampled(data, found.rows)?;
        origins.push(format!("{} of {all} questions from {}", rows.len(), found.origin));
        questions = Some(keep(&rows)?);
    }
    let answers = if let Some(answers) = answers {
        answers
    } else {
        let found = sources.answers(pool_path)?;
        origins.push(format!(
            "miners answer from {} rows of {}",
            found.rows.len(),
            found.origin
        ));
        keep(&found.rows)?
    };
    let metagraph = metagraph_of(experiment, base)?;
    if let (Some(metagraph_file), Some(path)) = (&metagraph, &experiment.network.metagraph) {
        origins.push(format!(
            "the subnet starts from {} neurons of {path}",
            metagraph_file.neurons.len()
        ));
    }
    Ok(Prepared {
        gating_model,
        reward_model,
        answers,
        questions,
        metagraph,
        chain_client: chain_client(model, base)?,
        resume: Vec::new(),
        origins,
    })
}

/// Searches for everything that the experiment names where [`prepare`] searches, and assigns the uids, without the
/// network and without writing files. Relative paths are resolved against `base`.
pub fn find_local(experiment: &Experiment, base: &Path) -> LocalInputs {
    let places = Places::from_env();
    let sources = Sources {
        library: ModelSearch {
            base,
            places: &places,
            network: Network::Forbidden,
        },
    };
    let mut looked = LocalInputs::default();
    looked.problems.extend(with_traces(experiment, base).err());
    if let Some(data) = &experiment.data {
        let found = looked.keep(&["data", "path"], NAME_DATA, sources.data(data));
        let help = "set `n` to the number of rows of the data or less, or use more data";
        let rows = found.and_then(|found| {
            let rows = sampled(data, found.rows);
            looked.keep(&["data", "sample", "n"], help, rows)
        });
        looked.questions = rows.map(|rows| rows.len());
    }
    let Some(model) = &experiment.model else {
        return looked;
    };
    let pool_path = pool_path(model);
    if experiment
        .data
        .as_ref()
        .is_none_or(|data| data.path != *pool_path)
    {
        let path = ["model", "dendrite_pool", "args", "data_path"];
        looked.keep(&path, NAME_DATA, sources.answers(pool_path));
    }
    let help = "give the directory or the name of a model, or the path of a file that exists";
    looked.keep(
        &["model", "gating_model", "args"],
        help,
        sources.gating_model(model),
    );
    looked.keep(
        &["model", "reward_model", "args"],
        help,
        sources.reward_model(model),
    );
    let path = ["model", "subtensor", "args", "delegated"];
    let help = "write the ss58 address of a coldkey";
    looked.keep(&path, help, network_spec::nominations(model, experiment.seed));
    let path = ["network", "metagraph"];
    let help = "give the path of a metagraph file, which ends in `.json` or `.parquet`";
    if let Some(metagraph) = looked.keep(&path, help, metagraph_of(experiment, base)) {
        let assignment = network_spec::assignment(experiment, model, metagraph.as_ref());
        let help = "use another metagraph, or fewer validators";
        let assignment = looked.keep(&path, help, assignment);
        looked.miners = assignment.map(|assignment| assignment.miners.len());
    }
    looked
}

impl LocalInputs {
    /// Returns what was found, or records the reason why it was not: an error of the value at `path`, unless `found` is
    /// already the error of a value.
    fn keep<T>(&mut self, path: &[&str], help: &str, found: anyhow::Result<T>) -> Option<T> {
        let error = match found {
            Ok(found) => return Some(found),
            Err(error) => error,
        };
        // The hub may have it; only a run asks the hub.
        let elsewhere = match (error.downcast_ref(), error.downcast_ref()) {
            (Some(ResolveError::Offline { name, looked_in }), _)
            | (_, Some(ModelError::Offline { name, looked_in })) => Some((name, looked_in)),
            _ => None,
        };
        match elsewhere {
            Some((name, looked_in)) => {
                self.unseen.push(format!(
                    "`{name}` is not in {looked_in}; a run downloads it from the hub"
                ));
            }
            None => self
                .problems
                .push(error.downcast().unwrap_or_else(|error| ValueError {
                    path: path.iter().map(|part| (*part).to_owned()).collect(),
                    message: format!("{error:#}"),
                    help: help.to_owned(),
                })),
        }
        None
    }
}

/// Returns the data set from which miners answer.
fn pool_path(model: &Model) -> &String {
    let DendritePool::DummyDendritePool(pool) = &model.dendrite_pool;
    &pool.data_path
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
