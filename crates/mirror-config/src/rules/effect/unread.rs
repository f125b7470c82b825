//! Keys that are never read, or that are not read because of other settings of the file.

use mirror_spec::{
    BehaviourSpec, ChainPreset, ConstantRewardArgs, CustomRewardArgs, Data, DegradingArgs, DendritePool,
    DummyDendritePoolArgs, DummyRewardArgs, DummySubtensorArgs, FailingArgs, Failure, Feature, FlappingArgs,
    GatingModel, GradientBoostingArgs, HuggingFaceRewardArgs, MaskedGatingArgs, MetagraphArgs, Method, Model,
    RandomRewardArgs, RewardModel, SampleMethod, SubtensorArgs, SubtensorSpec, TwoFacedArgs,
};

use super::super::{is_written, key_origin, origin};
use super::{Sound, counted, warn};
use crate::problem::Finding;
use crate::spelling::brief;
use crate::tree::Node;

const LEAVE_OUT: &str = "remove it";

pub(super) fn check(sound: Sound<'_>, found: &mut Vec<Finding>) {
    for part in [
        never_read,
        analysis,
        without_query,
        questions,
        sample,
        columns,
        prompts_and_calls,
        averages,
        learning,
        rare_records,
        reward_arguments,
        rewards,
        libtorch,
        announcements,
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

    if uncalled_reward_model(sound).is_some() {
        return;
    }
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

/// Warns of estimators that no prediction uses, of models of embeddings, and of required runs that are not read because
/// the file has a query.
fn analysis(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let Some(spec) = &sound.experiment.analysis else {
        return;
    };
    let analysis = sound.file.resolved.analysis().inner();
    let estimators = analysis.estimators();
    for estimator in estimators.node().map(Node::entries).unwrap_or_default() {
        let name = &estimator.key;
        let is_used = spec
            .predict
            .values()
            .any(|prediction| prediction.estimator == *name);
        if !is_used {
            let message = format!(
                "`analysis.estimators.{}` has no effect: no prediction uses it",
                brief(name)
            );
            let help = "add a prediction to `analysis.predict`, or remove it";
            found.push(Finding::warning(estimator.key_origin, message).with_help(help));
        }
        let boosting = estimators.named(name).args::<GradientBoostingArgs>();
        let path = format!("analysis.estimators.{}.args.verbose", brief(name));
        let why = "nothing is printed during the training";
        warn(boosting.verbose(), &path, why, LEAVE_OUT, found);
    }
    let mut created = spec.create_features.values().flatten();
    if !created.any(|feature| *feature == Feature::Embeddings) {
        let why = "no column has the feature `embeddings`";
        let help = "add `embeddings` to `analysis.create_features`, or remove it";
        let place = analysis.sentence_model();
        warn(place, "analysis.sentence_model", why, help, found);
    } else if spec.sentence_model.is_none() {
        let message = "the feature `embeddings` cannot be computed: the file names no sentence model";
        let help = "name a model on this machine in `analysis.sentence_model`";
        let place = key_origin(analysis.create_features());
        found.push(Finding::warning(place, message).with_help(help));
    }
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

fn without_query(sound: Sound<'_>, found: &mut Vec<Finding>) {
    if sound.experiment.query.is_some() {
        return;
    }
    let file = sound.file.resolved;
    if sound.experiment.model.is_none() && sound.experiment.data.is_none() {
        let why = "the file has only an `analysis`, which reads runs that exist already";
        warn(file.seed(), "seed", why, LEAVE_OUT, found);
        warn(file.device(), "device", why, LEAVE_OUT, found);
        warn(file.network(), "network", why, LEAVE_OUT, found);
    }
    let why = "the file has no `query`, so there is no run";
    let help = "add a `query`, or remove it";
    warn(file.replicates(), "replicates", why, help, found);
    // `mirror up` starts a network without a query, and its faults take place.
    if !sound.experiment.faults.is_empty() && sound.experiment.model.is_none() {
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
    let names_columns = !is_builtin(data) && (data.question != "question" || data.answer != "answer");
    if data.path == pool.data_path && names_columns {
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

fn is_builtin(data: &Data) -> bool {
    data.path == "builtin"
}

/// Warns of columns of the built-in data, which has fixed columns.
fn columns(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let trains = matches!(method(sound), Some(Method::Train(_)));
    // The whole section has no effect with `train`.
    if trains || !sound.experiment.data.as_ref().is_some_and(is_builtin) {
        return;
    }
    let data = sound.file.resolved.data().inner();
    let why = "the columns of the built-in data are fixed";
    warn(data.question(), "data.question", why, LEAVE_OUT, found);
    warn(data.answer(), "data.answer", why, LEAVE_OUT, found);
}

fn method(sound: Sound<'_>) -> Option<&Method> {
    sound.experiment.query.as_ref().map(|query| &query.method)
}

/// The help for a key that the query does not read, but that manual calls to a validator read.
const FOR_CALLS: &str = "remove it, unless another program calls a validator of the run";

/// Returns the reason why a key that manual calls read has no effect.
fn only_calls(why: &str) -> String {
    format!("{why}, and only calls of other programs read it")
}

/// Warns of the question prompt, numbers of axons and timeouts that the method does not read.
fn prompts_and_calls(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let (Some(method), Some(model)) = (method(sound), &sound.experiment.model) else {
        return;
    };
    let neuron = sound.file.resolved.model().inner().neuron();
    let name = method.name();
    let of_training = || only_calls(&format!("`{name}` makes no training forward"));
    let of_inference = || only_calls(&format!("`{name}` makes no inference"));
    let by_argument = |key| only_calls(&format!("the argument `{key}` of `{name}` overrides it"));
    let (topk, timeout, inference_timeout) = match method {
        Method::Train(_) => (None, None, Some(of_inference())),
        Method::Forward(args) => (
            args.topk.map(|_| by_argument("topk")),
            args.timeout.map(|_| by_argument("timeout")),
            Some(of_inference()),
        ),
        Method::Inference(args) => (
            Some(of_training()),
            Some(of_training()),
            args.timeout.map(|_| by_argument("timeout")),
        ),
    };
    let asks_for_questions = matches!(method, Method::Train(_));
    let question =
        (!asks_for_questions).then(|| only_calls(&format!("`{name}` asks no miner for a question")));
    let inference_topk = (!matches!(method, Method::Inference(_))).then(of_inference);
    // This gating model chooses as many uids itself.
    let topk = topk.filter(|_| !matches!(unmasked(model), GatingModel::LongestMessageGatingModel(_)));
    if let Some(why) = question {
        let place = neuron.question_prompt();
        warn(place, "model.neuron.question_prompt", &why, FOR_CALLS, found);
    }
    if let Some(why) = topk {
        warn(
            neuron.training_topk(),
            "model.neuron.training_topk",
            &why,
            FOR_CALLS,
            found,
        );
    }
    if let Some(why) = inference_topk {
        warn(
            neuron.inference_topk(),
            "model.neuron.inference_topk",
            &why,
            FOR_CALLS,
            found,
        );
    }
    if let Some(why) = timeout {
        let place = neuron.training_timeout();
        warn(place, "model.neuron.training_timeout", &why, FOR_CALLS, found);
    }
    if let Some(why) = inference_timeout {
        let place = neuron.inference_timeout();
        warn(place, "model.neuron.inference_timeout", &why, FOR_CALLS, found);
    }
}

/// Warns of settings of the moving averages if nothing is added to them.
fn averages(sound: Sound<'_>, found: &mut Vec<Finding>) {
    if !matches!(method(sound), Some(Method::Inference(_))) {
        return;
    }
    let model = sound.file.resolved.model().inner();
    let why = only_calls("`inference` does not update the moving averages");
    warn(model.alpha(), "model.alpha", &why, FOR_CALLS, found);
    let place = model.neuron().max_history();
    warn(place, "model.neuron.max_history", &why, FOR_CALLS, found);
}

/// Returns the gating model without its mask.
fn unmasked(model: &Model) -> &GatingModel {
    match &model.gating_model {
        GatingModel::MaskedGatingModel(MaskedGatingArgs { gating_model, .. }) => gating_model,
        other => other,
    }
}

/// Returns the reason why no reward model is called. `None` if one is, or if there is no query.
fn uncalled_reward_model(sound: Sound<'_>) -> Option<String> {
    let model = sound.experiment.model.as_ref()?;
    match method(sound)? {
        _ if model.neuron.no_reward_model => Some("`model.neuron.no_reward_model` is true".to_owned()),
        Method::Inference(args) if !args.use_reward_model => Some(only_calls(
            "`inference` without `use_reward_model` calls no reward model",
        )),
        Method::Train(_) | Method::Forward(_) | Method::Inference(_) => None,
    }
}

/// Warns of arguments of a reward model that is not called.
fn reward_arguments(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let (Some(why), Some(model)) = (uncalled_reward_model(sound), &sound.experiment.model) else {
        return;
    };
    // The defaults of the arguments that the file leaves out are not reported.
    let place = sound.file.given.model().inner().reward_model();
    let path = "model.reward_model.args";
    let help = "let the query call the reward model, or choose a reward model without arguments";
    match &model.reward_model {
        RewardModel::ConstantRewardModel(_) => {
            warn(place.args::<ConstantRewardArgs>(), path, &why, help, found);
        }
        RewardModel::RandomRewardModel(_) => warn(place.args::<RandomRewardArgs>(), path, &why, help, found),
        RewardModel::DummyRewardModel(_) => warn(place.args::<DummyRewardArgs>(), path, &why, help, found),
        RewardModel::BuiltinRewardModel(_) => {}
        RewardModel::CustomRewardModel(_) => warn(place.args::<CustomRewardArgs>(), path, &why, help, found),
        RewardModel::HuggingFaceRewardModel(_) => {
            warn(place.args::<HuggingFaceRewardArgs>(), path, &why, help, found);
        }
    }
}

/// Warns of settings of libtorch if no model uses it.
fn libtorch(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let Some(model) = &sound.experiment.model else {
        return;
    };
    let gating_uses_it = learns(unmasked(model));
    let reward_uses_it = match &model.reward_model {
        RewardModel::ConstantRewardModel(_)
        | RewardModel::RandomRewardModel(_)
        | RewardModel::DummyRewardModel(_) => false,
        RewardModel::BuiltinRewardModel(_)
        | RewardModel::CustomRewardModel(_)
        | RewardModel::HuggingFaceRewardModel(_) => true,
    };
    if gating_uses_it || reward_uses_it {
        return;
    }
    let why = format!(
        "neither `{}` nor `{}` uses libtorch",
        model.gating_model.name(),
        model.reward_model.name()
    );
    let file = sound.file.resolved;
    let place = file.model().inner().neuron().torch_threads();
    warn(place, "model.neuron.torch_threads", &why, LEAVE_OUT, found);
    warn(file.device(), "device", &why, LEAVE_OUT, found);
}

/// Warns of the rate limit of announcements if every axon is announced once.
fn announcements(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let network = &sound.experiment.network;
    let crashes = |behaviour: &BehaviourSpec| match behaviour {
        BehaviourSpec::Failing(FailingArgs { how, .. })
        | BehaviourSpec::Flapping(FlappingArgs { how, .. })
        | BehaviourSpec::Degrading(DegradingArgs { how, .. })
        | BehaviourSpec::TwoFaced(TwoFacedArgs { to_others: how, .. }) => *how == Failure::Crash,
        _ => false,
    };
    let mut behaviours = network
        .miners
        .iter()
        .flat_map(|group| group.behaviour.iter().chain(&group.over));
    let is_restarted = !sound.experiment.faults.is_empty() || behaviours.any(crashes);
    let chain = sound.experiment.model.as_ref().map(|model| &model.subtensor);
    let Some(SubtensorSpec::DummySubtensor(_)) = chain else {
        return;
    };
    if method(sound).is_none() || is_restarted {
        return;
    }
    let place = sound.file.resolved.network().hyperparameters();
    let path = "network.hyperparameters.serving_rate_limit";
    let why = "every axon is announced once, since no miner of this file is killed or crashes";
    warn(place.serving_rate_limit(), path, why, LEAVE_OUT, found);
}

/// Warns of intervals between records of the gating model that are longer than the run.
fn rare_records(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let (Some(model), Some(steps)) = (&sound.experiment.model, sound.steps()) else {
        return;
    };
    if !learns(unmasked(model)) {
        return;
    }
    let neuron = sound.file.resolved.model().inner().neuron();
    let (checkpoint, watch) = (model.neuron.checkpoint_every, model.neuron.watch_every);
    let has = counted(steps, "step");
    if checkpoint > steps {
        let place = neuron.checkpoint_every();
        let path = "model.neuron.checkpoint_every";
        let why = format!(
            "it is {checkpoint}, but the query has {has}, so the only checkpoint is the one at the end"
        );
        warn(place, path, &why, "set a smaller number, or remove it", found);
    }
    if watch > steps && untrained(sound).is_none() && is_written(neuron.watch_every()) {
        let message = format!(
            "`model.neuron.watch_every` is {watch}, but the query has {has}: parameters are recorded only in step 0"
        );
        let help = "set a smaller number, or 0 to record none";
        found.push(Finding::warning(origin(neuron.watch_every()), message).with_help(help));
    }
}

/// Returns whether a gating model has trainable parameters, which libtorch trains.
fn learns(gating: &GatingModel) -> bool {
    matches!(
        gating,
        GatingModel::SequentialGatingModel(_) | GatingModel::HuggingFaceGatingModel(_)
    )
}

/// Returns the reason why the query does not train the gating model. `None` if it does, or if there is no query.
fn untrained(sound: Sound<'_>) -> Option<String> {
    match method(sound)? {
        Method::Train(args) if args.train_gating_model => None,
        Method::Forward(args) if args.train_gating_model => None,
        Method::Train(_) | Method::Forward(_) => Some(only_calls("`train_gating_model` is false")),
        Method::Inference(_) => Some(only_calls("`inference` does not train the gating model")),
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
    let gating = unmasked(model);
    let learns = learns(gating);
    let why = match (learns, untrained(sound)) {
        (true, None) => return,
        (true, Some(why)) => why,
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
    let is_overridden = model.neuron.epoch_length_override != -1;
    let setter = if is_overridden {
        "`model.neuron.epoch_length_override`"
    } else {
        "`network.hyperparameters.validator_epoch_length`"
    };
    let has_both = given.tempo.is_some() && (given.validator_epoch_length.is_some() || is_overridden);
    let why = match network.chain {
        ChainPreset::Small if !has_both => None,
        ChainPreset::Small => Some(format!(
            "`network.hyperparameters.tempo` and {setter} determine the length of epochs and how often validators set \
                 weights"
        )),
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
    if is_overridden {
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
    warn(network.registration(), "network.registration", why, help, found);
    let why = "a run cannot restart a chain that it did not start";
    let place = network.restart().subtensor();
    warn(place, "network.restart.subtensor", why, LEAVE_OUT, found);
}
