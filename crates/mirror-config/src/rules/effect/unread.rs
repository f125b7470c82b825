//! Keys that are never read, or that are not read because of other settings of the file.

use mirror_spec::{
    ChainPreset, ConstantRewardArgs, DendritePool, DummyDendritePoolArgs, DummySubtensorArgs, GatingModel,
    MaskedGatingArgs, MetagraphArgs, Method, RandomRewardArgs, SampleMethod, SubtensorArgs, SubtensorSpec,
};

use super::super::{Place, origin};
use super::{Sound, warn};
use crate::problem::Finding;

const LEAVE_OUT: &str = "remove it";

pub(super) fn check(sound: Sound<'_>, found: &mut Vec<Finding>) {
    for part in [
        never_read,
        analysis,
        without_query,
        questions,
        sample,
        learning,
        rewards,
        rates,
        lengths_of_epochs,
        running_chain,
    ] {
        part(sound, found);
    }
}

/// Warns of keys of upstream's files that are never read.
fn never_read(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let file = sound.file.resolved;
    let model = file.model().inner();
    let (subtensor, metagraph) = (model.subtensor(), model.metagraph());
    let why = "the name of the chain is never used";
    let path = "model.subtensor.args.network";
    let place = subtensor.args::<DummySubtensorArgs>().network();
    warn(place, path, why, LEAVE_OUT, found);
    let place = subtensor.args::<SubtensorArgs>().network();
    warn(place, path, why, LEAVE_OUT, found);
    let place = metagraph.args::<MetagraphArgs>().network();
    warn(place, "model.metagraph.args.network", why, LEAVE_OUT, found);

    let why = "every event is saved when it occurs";
    let place = file.query().inner().save_interval();
    warn(place, "query.save_interval", why, LEAVE_OUT, found);

    let why = "a validator never calls `backward` of a reward model";
    let path = "model.reward_model.args";
    let constant = model.reward_model().args::<ConstantRewardArgs>();
    let place = constant.backward_value();
    warn(place, &format!("{path}.backward_value"), why, LEAVE_OUT, found);
    let random = model.reward_model().args::<RandomRewardArgs>();
    let place = random.backward_p0();
    warn(place, &format!("{path}.backward_p0"), why, LEAVE_OUT, found);
    let place = random.backward_p1();
    warn(place, &format!("{path}.backward_p1"), why, LEAVE_OUT, found);
}

/// Warns of planned keys of an analysis, and of required runs that are not read because the file has a query.
fn analysis(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let analysis = sound.file.resolved.analysis().inner();
    planned(analysis.create_features(), "analysis.create_features", found);
    planned(analysis.plot(), "analysis.plot", found);
    planned(analysis.embedding_plot(), "analysis.embedding_plot", found);
    planned(analysis.estimators(), "analysis.estimators", found);
    planned(analysis.predict(), "analysis.predict", found);
    let Some(query) = &sound.experiment.query else {
        return;
    };
    for required in analysis.requires().items() {
        if let Some(name) = required.get().filter(|name| *name != query.id) {
            let message = format!(
                "`{name}` in `analysis.requires` has no effect: the report of a file with a `query` covers only its \
                 own run"
            );
            let help = format!("run `mirror report {name}` to create that report again");
            found.push(Finding::warning(origin(required), message).with_help(help));
        }
    }
}

fn planned<T>(place: Place<'_, T>, path: &str, found: &mut Vec<Finding>) {
    let why = "it is planned and not available in this version";
    let help = "remove it, and query the tables of the run with `mirror sql`";
    warn(place, path, why, help, found);
}

fn without_query(sound: Sound<'_>, found: &mut Vec<Finding>) {
    if sound.experiment.query.is_some() {
        return;
    }
    let file = sound.file.resolved;
    let why = "the file has no `query`, so there is no run";
    let help = "add a `query`, or remove it";
    warn(file.replicates(), "replicates", why, help, found);
    if !sound.experiment.faults.is_empty() {
        warn(file.faults(), "faults", why, help, found);
    }
}

/// Warns of settings of the data's questions if the method `train` gets its questions from the network.
fn questions(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let query = sound.experiment.query.as_ref();
    let Some(Method::Train(_)) = query.map(|query| &query.method) else {
        return;
    };
    let file = sound.file.resolved;
    let why = "`train` gets its questions from the network, one at a time";
    let help = "use the method `forward` or `inference`, or remove it";
    let place = file.query().inner().chunk_size();
    warn(place, "query.chunk_size", why, help, found);
    let (Some(data), Some(model)) = (&sound.experiment.data, &sound.experiment.model) else {
        return;
    };
    let DendritePool::DummyDendritePool(pool) = &model.dendrite_pool;
    if data.path == pool.data_path {
        // The section itself has an effect: it names the columns that the miners answer from.
        let why = "`train` gets its questions from the network, and miners answer from every row";
        warn(file.data().inner().sample(), "data.sample", why, help, found);
    } else {
        let why = format!(
            "`train` gets its questions from the network, and miners answer from `{}`",
            pool.data_path
        );
        warn(file.data(), "data", &why, help, found);
    }
}

fn sample(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let sample = sound.file.resolved.data().inner().sample().keys();
    let Some(method) = sample.method().get() else {
        return;
    };
    if method == SampleMethod::All {
        let why = "the method `all` takes every row";
        let help = "write `method: first` or `method: random`, or remove it";
        warn(sample.n(), "data.sample.n", why, help, found);
    }
    if method != SampleMethod::Random {
        let why = format!("the method `{}` draws no random numbers", method.word());
        let help = "write `method: random`, or remove it";
        warn(sample.seed(), "data.sample.seed", &why, help, found);
    }
}

/// Warns of training settings of a gating model that is not trained.
fn learning(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let Some(model) = &sound.experiment.model else {
        return;
    };
    let gating = match &model.gating_model {
        GatingModel::MaskedGatingModel(MaskedGatingArgs { gating_model, .. }) => gating_model,
        other => other,
    };
    let learns = matches!(
        gating,
        GatingModel::SequentialGatingModel(_) | GatingModel::HuggingFaceGatingModel(_)
    );
    let is_trained = match sound.experiment.query.as_ref().map(|query| &query.method) {
        Some(Method::Train(args)) => args.train_gating_model,
        // Manual forwards also train.
        _ => true,
    };
    let why = match (learns, is_trained) {
        (true, true) => return,
        (true, false) => "`train_gating_model` is false".to_owned(),
        (false, _) => format!("`{}` has no trainable parameters", gating.name()),
    };
    let help = "use and train a gating model with parameters, such as `SequentialGatingModel`, or remove it";
    let neuron = sound.file.resolved.model().inner().neuron();
    let place = neuron.learning_rate();
    warn(place, "model.neuron.learning_rate", &why, help, found);
    let place = neuron.momentum();
    warn(place, "model.neuron.momentum", &why, help, found);
    let place = neuron.accumulate_gradients();
    warn(place, "model.neuron.accumulate_gradients", &why, help, found);
    let place = neuron.watch_every();
    warn(place, "model.neuron.watch_every", &why, help, found);
    if !learns {
        let place = neuron.checkpoint_every();
        warn(place, "model.neuron.checkpoint_every", &why, help, found);
    }
}

fn rewards(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let query = sound.experiment.query.as_ref();
    let Some(Method::Inference(args)) = query.map(|query| &query.method) else {
        return;
    };
    let place = sound.file.resolved.model().inner().neuron().no_reward_model();
    if place.get() == Some(true) && !args.use_reward_model {
        let why = "`inference` without `use_reward_model` calls no reward model";
        warn(place, "model.neuron.no_reward_model", why, LEAVE_OUT, found);
    }
}

/// Warns of baselines for uids without a value if every uid has one.
fn rates(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let (Some(model), Some(miners)) = (&sound.experiment.model, sound.miners()) else {
        return;
    };
    let DendritePool::DummyDendritePool(pool) = &model.dendrite_pool;
    let place = sound.file.resolved.model().inner().dendrite_pool();
    let place = place.args::<DummyDendritePoolArgs>();
    let rates = [
        ("fail_rate", &pool.fail_rate, place.baseline_fail_rate()),
        ("fitness", &pool.fitness, place.baseline_fitness()),
    ];
    for (key, named, baseline) in rates {
        if named.len() == miners as usize {
            let path = format!("model.dendrite_pool.args.baseline_{key}");
            let why = format!("`{key}` has a value for all {miners} miners");
            warn(baseline, &path, &why, LEAVE_OUT, found);
        }
    }
}

/// Warns of epoch lengths that another key overrides.
fn lengths_of_epochs(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let Some(model) = &sound.experiment.model else {
        return;
    };
    let (network, file) = (&sound.experiment.network, sound.file.resolved);
    let given = &network.hyperparameters;
    let has_both = given.tempo.is_some() && given.validator_epoch_length.is_some();
    let why = match network.chain {
        ChainPreset::Small if !has_both => None,
        ChainPreset::Small => {
            Some("`network.hyperparameters` sets `tempo` and `validator_epoch_length`".to_owned())
        }
        preset => Some(format!(
            "`network.chain: {}` determines the length of epochs",
            preset.word()
        )),
    };
    if let Some(why) = why {
        let place = file.model().inner().subtensor();
        let place = place.args::<DummySubtensorArgs>().epoch_length();
        let help = "set `tempo` and `validator_epoch_length` in `network.hyperparameters`, and remove it";
        warn(place, "model.subtensor.args.epoch_length", &why, help, found);
    }
    if model.neuron.epoch_length_override != -1 {
        let place = file.network().hyperparameters().validator_epoch_length();
        let path = "network.hyperparameters.validator_epoch_length";
        let why = "`model.neuron.epoch_length_override` determines how often validators set weights";
        warn(place, path, why, "keep one of the two", found);
    }
}

/// Warns of settings that a chain which is already running was started with.
fn running_chain(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let model = sound.experiment.model.as_ref();
    let Some(SubtensorSpec::Subtensor(_)) = model.map(|model| &model.subtensor) else {
        return;
    };
    let network = sound.file.resolved.network();
    let why =
        "`Subtensor` is a chain that is already running, with the rules and stakes that it was started with";
    let help = "change the file from which `mirror chain serve` starts the chain";
    warn(network.chain(), "network.chain", why, help, found);
    let place = network.hyperparameters();
    warn(place, "network.hyperparameters", why, help, found);
    warn(network.stakes(), "network.stakes", why, help, found);
    let why = "a run cannot restart a chain that it did not start";
    let place = network.restart().subtensor();
    warn(place, "network.restart.subtensor", why, LEAVE_OUT, found);
}
