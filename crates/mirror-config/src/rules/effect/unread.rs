//! Keys that nothing reads: anywhere, or beside what else the file says.

use mirror_spec::{
    ChainPreset, ConstantRewardArgs, DendritePool, DummyDendritePoolArgs, DummySubtensorArgs, GatingModel,
    MaskedGatingArgs, MetagraphArgs, Method, RandomRewardArgs, SampleMethod, SubtensorArgs, SubtensorSpec,
};

use super::super::{Place, origin};
use super::{Sound, warn};
use crate::problem::Finding;

const LEAVE_OUT: &str = "leave it out";

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

/// Keys of upstream's files that nothing reads, whatever the file says.
fn never_read(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let file = sound.file.resolved;
    let model = file.model().inner();
    let (subtensor, metagraph) = (model.subtensor(), model.metagraph());
    let why = "nothing reads the name of the chain";
    let path = "model.subtensor.args.network";
    let place = subtensor.args::<DummySubtensorArgs>().network();
    warn(place, path, why, LEAVE_OUT, found);
    let place = subtensor.args::<SubtensorArgs>().network();
    warn(place, path, why, LEAVE_OUT, found);
    let place = metagraph.args::<MetagraphArgs>().network();
    warn(place, "model.metagraph.args.network", why, LEAVE_OUT, found);

    let why = "events are saved as they come";
    let place = file.query().inner().save_interval();
    warn(place, "query.save_interval", why, LEAVE_OUT, found);

    let why = "a validator never asks a reward model for a backward";
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

/// What is planned of an analysis, and what a run of the same file leaves unread.
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
                "`{name}` in `analysis.requires` has no effect: a file with a `query` makes the report of its own run \
                 and of no other"
            );
            let help = format!("make that report again with `mirror report {name}`");
            found.push(Finding::warning(origin(required), message).with_help(help));
        }
    }
}

fn planned<T>(place: Place<'_, T>, path: &str, found: &mut Vec<Finding>) {
    let why = "it is planned, and this version neither computes nor draws it";
    let help = "leave it out, and ask the tables of the run with `mirror sql`";
    warn(place, path, why, help, found);
}

fn without_query(sound: Sound<'_>, found: &mut Vec<Finding>) {
    if sound.experiment.query.is_some() {
        return;
    }
    let file = sound.file.resolved;
    let why = "the file has no `query`, so there is no run";
    let help = "add a `query`, or leave it out";
    warn(file.replicates(), "replicates", why, help, found);
    if !sound.experiment.faults.is_empty() {
        warn(file.faults(), "faults", why, help, found);
    }
}

/// The questions of the data, where the network thinks of its own.
fn questions(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let query = sound.experiment.query.as_ref();
    let Some(Method::Train(_)) = query.map(|query| &query.method) else {
        return;
    };
    let file = sound.file.resolved;
    let why = "`train` asks the network for its questions, one at a time";
    let help = "use the method `forward` or `inference`, or leave it out";
    let place = file.query().inner().chunk_size();
    warn(place, "query.chunk_size", why, help, found);
    let (Some(data), Some(model)) = (&sound.experiment.data, &sound.experiment.model) else {
        return;
    };
    let DendritePool::DummyDendritePool(pool) = &model.dendrite_pool;
    if data.path == pool.data_path {
        // The section has an effect all the same: it names the columns that the miners answer from.
        let why = "`train` asks the network for its questions, and miners answer from every row";
        warn(file.data().inner().sample(), "data.sample", why, help, found);
    } else {
        let why = format!(
            "`train` asks the network for its questions, and miners answer from `{}`",
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
        let help = "write `method: first` or `method: random`, or leave it out";
        warn(sample.n(), "data.sample.n", why, help, found);
    }
    if method != SampleMethod::Random {
        let why = format!("the method `{}` draws nothing", method.word());
        let help = "write `method: random`, or leave it out";
        warn(sample.seed(), "data.sample.seed", &why, help, found);
    }
}

/// Settings of a training that does not happen.
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
        // Manual forwards train all the same.
        _ => true,
    };
    let why = match (learns, is_trained) {
        (true, true) => return,
        (true, false) => "`train_gating_model` is false".to_owned(),
        (false, _) => format!("`{}` has no parameters that learn", gating.name()),
    };
    let help =
        "use a gating model that learns, such as `SequentialGatingModel`, and train it; or leave it out";
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
        let why = "`inference` without `use_reward_model` asks no reward model";
        warn(place, "model.neuron.no_reward_model", why, LEAVE_OUT, found);
    }
}

/// Rates of uids that are not named, where all are.
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
            let why = format!("`{key}` names all {miners} miners");
            warn(baseline, &path, &why, LEAVE_OUT, found);
        }
    }
}

/// Lengths of epochs that another key says.
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
            Some("`network.hyperparameters` has `tempo` and `validator_epoch_length`".to_owned())
        }
        preset => Some(format!(
            "`network.chain: {}` has a length of its own",
            preset.word()
        )),
    };
    if let Some(why) = why {
        let place = file.model().inner().subtensor();
        let place = place.args::<DummySubtensorArgs>().epoch_length();
        let help = "set `tempo` and `validator_epoch_length` in `network.hyperparameters`, and leave it out";
        warn(place, "model.subtensor.args.epoch_length", &why, help, found);
    }
    if model.neuron.epoch_length_override != -1 {
        let place = file.network().hyperparameters().validator_epoch_length();
        let path = "network.hyperparameters.validator_epoch_length";
        let why = "`model.neuron.epoch_length_override` says how often validators set weights";
        warn(place, path, why, "keep one of the two", found);
    }
}

/// What a chain that runs already was started with.
fn running_chain(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let model = sound.experiment.model.as_ref();
    let Some(SubtensorSpec::Subtensor(_)) = model.map(|model| &model.subtensor) else {
        return;
    };
    let network = sound.file.resolved.network();
    let why =
        "`Subtensor` is a chain that runs already, by the rules and with the stakes that it was started with";
    let help = "change the file that `mirror chain serve` starts the chain from";
    warn(network.chain(), "network.chain", why, help, found);
    let place = network.hyperparameters();
    warn(place, "network.hyperparameters", why, help, found);
    warn(network.stakes(), "network.stakes", why, help, found);
    let why = "a run cannot start a chain again that it did not start";
    let place = network.restart().subtensor();
    warn(place, "network.restart.subtensor", why, LEAVE_OUT, found);
}
