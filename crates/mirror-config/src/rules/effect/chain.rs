//! Hyperparameters of the chain that have no effect, and combinations with which no weights ever count.

use mirror_chain::{Block, Hyperparameters, RevealPeriod, RuleSet, SETTLING_BLOCKS, Unused, next_epoch};
use mirror_spec::{
    BehaviourSpec, BlockTime, ChainPreset, DummySubtensorArgs, Model, SubtensorSpec, TrainArgs, TwoFacedArgs,
};

use super::super::{is_written, origin};
use super::{Sound, counted, every};
use crate::problem::Finding;
use crate::tree::Origin;

/// Rao in a TAO.
const RAO: f64 = 1e9;

/// Maximum number of weight settings that are examined. If there are more, no warning is given.
const LOOKED_AT: u64 = 10_000;

/// Hyperparameters that are read only when a neuron registers or stake is moved. No node of a run does either.
const OF_CALLS_FROM_OUTSIDE: [&str; 15] = [
    "tx_rate_limit",
    "nominator_min_required_stake",
    "default_take",
    "immunity_period",
    "min_non_immune_uids",
    "network_registration_allowed",
    "network_free_registration_allowed",
    "max_registrations_per_block",
    "target_registrations_per_interval",
    "adjustment_interval",
    "burn",
    "min_burn",
    "max_burn",
    "burn_half_life",
    "burn_increase",
];

pub(super) fn check(sound: Sound<'_>, found: &mut Vec<Finding>) {
    let Some(model) = &sound.experiment.model else {
        return;
    };
    let SubtensorSpec::DummySubtensor(chain) = &model.subtensor else {
        return;
    };
    let network = &sound.experiment.network;
    let preset = match network.chain {
        ChainPreset::Small => Hyperparameters::SMALL,
        ChainPreset::Classic => Hyperparameters::CLASSIC,
        ChainPreset::Today => Hyperparameters::TODAY,
    };
    let changed = network.changed_hyperparameters(chain);
    let changed = changed.iter().map(|(name, &value)| (name.as_str(), value));
    // Every number is in the range of its key, which is the range that the chain accepts.
    let Ok(rules) = preset.with_all(changed) else {
        return;
    };
    let of_chain = OfChain {
        sound,
        model,
        chain,
        rules: &rules,
    };
    if of_chain.contradictions(found) {
        return;
    }
    of_chain.unused(found);
    if let Some(Obstacle { origin, cause, help }) = of_chain.nothing_counts() {
        let message = format!("{cause}: no weights ever count, and emission depends on stake alone");
        found.push(Finding::warning(origin, message).with_help(help));
    } else if let Some(Obstacle { origin, cause, help }) = of_chain.no_emission() {
        let message = format!("{cause}: no neuron ever receives emission");
        found.push(Finding::warning(origin, message).with_help(help));
    } else if let Some(schedule) = of_chain.schedule() {
        found.extend(schedule.epoch_after_the_run());
        found.extend(schedule.often_refused());
    }
}

/// The chain that a run of the file starts.
struct OfChain<'a> {
    sound: Sound<'a>,
    model: &'a Model,
    chain: &'a DummySubtensorArgs,
    /// Hyperparameters of the preset with the changes of the file.
    rules: &'a Hyperparameters,
}

/// An obstacle that prevents all weights from counting, or all emission from being paid.
struct Obstacle {
    origin: Origin,
    cause: String,
    help: String,
}

impl OfChain<'_> {
    /// Reports hyperparameters with which no chain can start. Returns whether there are any.
    fn contradictions(&self, found: &mut Vec<Finding>) -> bool {
        let rules = self.rules;
        let pairs = [
            ("min_burn", rules.min_burn.0, "max_burn", rules.max_burn.0),
            (
                "alpha_low",
                rules.alpha_low.into(),
                "alpha_high",
                rules.alpha_high.into(),
            ),
        ];
        let before = found.len();
        for (low, least, high, most) in pairs {
            if least > most {
                let message = format!(
                    "the hyperparameter `{low}` is {least}, which is above `{high}` ({most}), so no chain can start"
                );
                let help = format!(
                    "set `{low}` to at most `{high}`; a hyperparameter that is not set has the value of the preset"
                );
                let is_set = |name: &&&str| {
                    self.sound
                        .experiment
                        .network
                        .hyperparameters
                        .given()
                        .contains_key(**name)
                };
                let blamed = [low, high].iter().find(is_set).copied().unwrap_or(low);
                found.push(Finding::error(self.blame(blamed), message).with_help(help));
            }
        }
        if found.len() > before {
            return true;
        }
        let most = self.rules.max_allowed_uids;
        let newcomers = self.sound.experiment.uids_for_newcomers();
        let all = |neurons: u32| neurons.saturating_add(newcomers);
        let Some(neurons) = self.neurons().map(all).filter(|neurons| *neurons > most) else {
            return false;
        };
        let with = match newcomers {
            0 => String::new(),
            newcomers => format!(" with the {newcomers} miners that may join"),
        };
        let message = format!(
            "the subnet has {neurons} neurons{with}, but its rules allow {most} (`max_allowed_uids`)"
        );
        let help = format!(
            "set `network.hyperparameters.max_allowed_uids` to {neurons} or more, or use fewer miners"
        );
        found.push(Finding::error(self.blame("max_allowed_uids"), message).with_help(help));
        true
    }

    /// Warns of hyperparameters that the file sets without effect.
    fn unused(&self, found: &mut Vec<Finding>) {
        let preset = self.sound.experiment.network.chain.word();
        for name in self.sound.experiment.network.hyperparameters.given().keys() {
            let (why, help) = match self.rules.unused(name) {
                Some(Unused::ReadBy(RuleSet::Today)) => (
                    format!("only the rules of `today` read it, but `network.chain` is `{preset}`"),
                    "write `chain: today`, or remove it".to_owned(),
                ),
                Some(Unused::ReadBy(RuleSet::Classic)) => (
                    format!(
                        "only the rules of `small` and `classic` read it, but `network.chain` is `{preset}`"
                    ),
                    "set `activity_cutoff_factor` instead, or remove it".to_owned(),
                ),
                Some(Unused::Needs(other)) => (
                    format!("it is read only if `{other}` is true"),
                    format!("set `{other}: true`, or remove it"),
                ),
                None if self.is_for_calls_from_outside(name) => (
                    "no node of a run registers or moves stake".to_owned(),
                    "remove it, unless you send transactions to the chain of the run yourself".to_owned(),
                ),
                None => continue,
            };
            let message = format!("`network.hyperparameters.{name}` has no effect: {why}");
            found.push(Finding::warning(self.blame(name), message).with_help(help));
        }
    }

    /// Returns whether only calls of other programs read a hyperparameter. Always false without a query: such a file is
    /// for `mirror chain serve`, whose chain other programs call.
    fn is_for_calls_from_outside(&self, name: &str) -> bool {
        if self.sound.experiment.query.is_none() {
            return false;
        }
        let groups = &self.sound.experiment.network.miners;
        let mut behaviours = groups
            .iter()
            .flat_map(|group| group.behaviour.iter().chain(&group.over));
        let is_read_by_a_node = match name {
            "default_take" => !self.chain.delegated.is_empty(),
            "immunity_period" => behaviours.any(|behaviour| {
                matches!(
                    behaviour,
                    BehaviourSpec::TwoFaced(TwoFacedArgs {
                        while_immune: true,
                        ..
                    })
                )
            }),
            _ => false,
        };
        OF_CALLS_FROM_OUTSIDE.contains(&name) && !is_read_by_a_node
    }

    /// Returns the number of neurons of the subnet. `None` if it comes from a metagraph.
    fn neurons(&self) -> Option<u32> {
        Some(self.sound.miners()? + self.sound.experiment.network.validators)
    }

    /// Returns the place to report for a hyperparameter: where the file sets it, else where it names the preset, else
    /// where it sets the number of steps. Under `small`, `epoch_length` sets the lengths of epochs.
    fn blame(&self, name: &str) -> Origin {
        let network = self.sound.file.resolved.network();
        let changed = network.hyperparameters().node().and_then(|node| node.entry(name));
        let of_chain = self.sound.file.resolved.model().inner().subtensor();
        let of_chain = of_chain.args::<DummySubtensorArgs>().epoch_length();
        match changed {
            Some(entry) => entry.key_origin,
            None if is_length_of_epochs(name) && self.reads_epoch_length() && is_written(of_chain) => {
                origin(of_chain)
            }
            None if is_written(network.chain()) => origin(network.chain()),
            None => self.steps_place(),
        }
    }

    /// Returns whether the preset takes the lengths of epochs from `model.subtensor.args.epoch_length`.
    fn reads_epoch_length(&self) -> bool {
        self.sound.experiment.network.chain == ChainPreset::Small
    }

    /// Returns the path of the key that sets the interval between two settings of weights by a validator.
    fn interval_key(&self) -> &'static str {
        let given = &self.sound.experiment.network.hyperparameters;
        if self.model.neuron.epoch_length_override != -1 {
            "model.neuron.epoch_length_override"
        } else if given.validator_epoch_length.is_none() && self.reads_epoch_length() {
            "model.subtensor.args.epoch_length"
        } else {
            "network.hyperparameters.validator_epoch_length"
        }
    }

    /// Returns the place that sets the interval between two settings of weights by a validator.
    fn interval_place(&self) -> Origin {
        let overridden = self.sound.file.resolved.model().inner().neuron();
        let overridden = overridden.epoch_length_override();
        if is_written(overridden) {
            origin(overridden)
        } else {
            self.blame("validator_epoch_length")
        }
    }

    fn steps_place(&self) -> Origin {
        let method = self.sound.file.resolved.query().inner().method();
        let steps = method.args::<TrainArgs>().max_iter();
        if is_written(steps) {
            origin(steps)
        } else {
            origin(method)
        }
    }

    fn no_emission(&self) -> Option<Obstacle> {
        let file = self.sound.file.resolved;
        if self.rules.tempo == 0 {
            return Some(Obstacle {
                origin: self.blame("tempo"),
                cause: "with a `tempo` of 0 there are no epochs".to_owned(),
                help: "set `tempo` to 1 or more".to_owned(),
            });
        }
        if self.rules.block_emission.0 == 0 {
            return Some(Obstacle {
                origin: self.blame("block_emission"),
                cause: "with a `block_emission` of 0 no block mints any TAO".to_owned(),
                help: "set `block_emission` to 1 or more".to_owned(),
            });
        }
        if self.sound.miners().is_some() && self.stakes().all(|stake| stake == 0.0) {
            return Some(Obstacle {
                origin: origin(file.network().stakes()),
                cause: "no validator has any stake".to_owned(),
                help: "set at least one of `network.stakes` to more than 0".to_owned(),
            });
        }
        let schedule = self.schedule()?;
        let (first, last) = (schedule.first, schedule.last_of_steps());
        let comes = next_epoch(Block(first), schedule.netuid, self.rules.tempo)?.0;
        (self.rules.tempo >= SETTLING_BLOCKS && comes > last).then(|| Obstacle {
            origin: self.blame("tempo"),
            cause: format!(
                "the first epoch is in block {comes}, but the run ends with block {last}, with {} of one block \
                 each",
                counted(schedule.steps, "step")
            ),
            help: "set a smaller `tempo`, or run more steps".to_owned(),
        })
    }

    /// Returns the stake of each validator with that of its nominators, in TAO.
    fn stakes(&self) -> impl Iterator<Item = f64> {
        let network = &self.sound.experiment.network;
        let delegated: f64 = self.chain.delegated.values().sum();
        (0..network.validators).map(move |index| {
            let nominated = if index == 0 { delegated } else { 0.0 };
            network.stake_of(index) + nominated
        })
    }

    /// Returns the reason why no weights of any validator count. `None` if some do, or if no emission is paid at all.
    fn nothing_counts(&self) -> Option<Obstacle> {
        self.sound.experiment.query.as_ref()?;
        if self.no_emission().is_some() {
            return None;
        }
        self.always_refused()
            .or_else(|| self.schedule()?.nothing_counts())
    }

    /// Returns the reason why the chain rejects all weights at any time. `None` if there is none.
    fn always_refused(&self) -> Option<Obstacle> {
        let rules = self.rules;
        let key = self.model.neuron.version_key;
        if key < rules.weights_version_key {
            let least = rules.weights_version_key;
            return Some(Obstacle {
                origin: self.blame("weights_version_key"),
                cause: format!(
                    "validators set weights with the version key {key}, but the chain requires {least} or more \
                     (`weights_version_key`)"
                ),
                help: format!("set `model.neuron.version_key` to {least} or more"),
            });
        }
        let neurons = self.neurons()?;
        if u32::from(rules.min_allowed_weights) > neurons {
            let least = rules.min_allowed_weights;
            return Some(Obstacle {
                origin: self.blame("min_allowed_weights"),
                cause: format!(
                    "the chain requires {least} weights or more in a call (`min_allowed_weights`), but the network has \
                     {neurons} neurons"
                ),
                help: format!("set `network.hyperparameters.min_allowed_weights` to {neurons} or less"),
            });
        }
        if u64::from(rules.max_weight_limit) * u64::from(neurons) < u64::from(u16::MAX) {
            let limit = rules.max_weight_limit;
            let needed = u32::from(u16::MAX).div_ceil(neurons);
            return Some(Obstacle {
                origin: self.blame("max_weight_limit"),
                cause: format!(
                    "a weight is at most {limit} of 65,535 parts of all weights (`max_weight_limit`), but the \
                     largest of {neurons} weights is at least {needed}"
                ),
                help: format!(
                    "set `network.hyperparameters.max_weight_limit` to more than {needed}: {needed} accepts only equal \
                     weights of all {neurons} neurons"
                ),
            });
        }
        let most = self.stakes().fold(0.0, f64::max);
        let threshold = rules.stake_threshold.0 as f64 / RAO;
        if rules.rule_set == RuleSet::Today && most < threshold {
            return Some(Obstacle {
                origin: self.blame("stake_threshold"),
                cause: format!(
                    "no validator has more than {most} TAO of stake, but a validator needs {threshold} TAO to set \
                     weights (`stake_threshold`, in rao)"
                ),
                help: "set a smaller `stake_threshold`, or larger `network.stakes`".to_owned(),
            });
        }
        None
    }

    /// Returns the blocks of the run. `None` if they are not known before the run: if blocks close by the clock, if the
    /// number of steps is unknown, or if the subnet starts from a metagraph, whose weights count from the first block.
    fn schedule(&self) -> Option<Schedule<'_>> {
        self.sound.miners()?;
        if self.sound.experiment.network.block_time != BlockTime::PerStep {
            return None;
        }
        let overridden = u64::try_from(self.model.neuron.epoch_length_override).ok();
        let interval = overridden.unwrap_or(self.rules.validator_epoch_length).max(1);
        Some(Schedule {
            of_chain: self,
            first: self.chain.block,
            netuid: self.model.metagraph.args().netuid,
            steps: self.sound.steps()?,
            interval,
        })
    }
}

/// The blocks of a run in which a block closes after each step.
struct Schedule<'a> {
    of_chain: &'a OfChain<'a>,
    /// The block that closes before the first step.
    first: u64,
    netuid: u16,
    steps: u64,
    /// Number of blocks between two settings of weights by a validator.
    interval: u64,
}

/// The reason why a setting of weights does not count.
enum Lost {
    /// The rate limit of the chain rejects it.
    TooSoon { block: u64, last_update: u64 },
    /// Its validator has lost its permit.
    NoPermit { block: u64, epoch: u64 },
    /// It is a commitment, and the run ends before the weights are revealed.
    RevealedTooLate { block: u64, reveal: u64 },
    /// Its validator is inactive at the next epoch.
    Inactive { epoch: u64, age: u64 },
}

impl Schedule<'_> {
    /// Returns the block that closes after the last step, in which the last weights are applied.
    fn last_of_steps(&self) -> u64 {
        self.first.saturating_add(self.steps).saturating_add(1)
    }

    fn next_epoch(&self, block: u64) -> Option<u64> {
        next_epoch(Block(block), self.netuid, self.of_chain.rules.tempo).map(|block| block.0)
    }

    fn nothing_counts(&self) -> Option<Obstacle> {
        let (steps, interval) = (self.steps, self.interval);
        if interval > steps {
            return Some(Obstacle {
                origin: self.of_chain.interval_place(),
                cause: format!(
                    "validators set weights {}, but the query has {} of one block each",
                    every(interval, "block"),
                    counted(steps, "step")
                ),
                help: format!(
                    "run {interval} steps or more, or set `{}` to {steps} or less",
                    self.of_chain.interval_key()
                ),
            });
        }
        let settings = steps / interval;
        let mut last_update = self.first - 1;
        let mut first_lost = None;
        for number in 1..=settings.min(LOOKED_AT) {
            match self.setting(self.first + number * interval + 1, &mut last_update) {
                Ok(()) => return None,
                Err(lost) => first_lost = first_lost.or(Some(lost)),
            }
        }
        first_lost
            .filter(|_| settings <= LOOKED_AT)
            .map(|lost| self.explained(&lost))
    }

    /// Warns that no epoch ends before the last step, although the chain pays one after it.
    fn epoch_after_the_run(&self) -> Option<Finding> {
        let tempo = self.of_chain.rules.tempo;
        let (epoch, last) = (self.next_epoch(self.first)?, self.last_of_steps());
        if epoch <= last {
            return None;
        }
        let message = format!(
            "no epoch ends during the run: an epoch has {} (`tempo: {tempo}`), but the run has {} of one block each and \
             ends with block {last}; the chain closes blocks on its own until block {epoch} and pays one epoch there",
            counted(tempo.saturating_add(1), "block"),
            counted(self.steps, "step"),
        );
        let given = &self.of_chain.sound.experiment.network.hyperparameters;
        let key = if given.tempo.is_none() && self.of_chain.reads_epoch_length() {
            "model.subtensor.args.epoch_length"
        } else {
            "network.hyperparameters.tempo"
        };
        let help = format!("run more steps, or set a smaller `{key}`");
        Some(Finding::warning(self.of_chain.blame("tempo"), message).with_help(help))
    }

    /// Warns that the rate limit of the chain refuses some of the weights.
    fn often_refused(&self) -> Option<Finding> {
        let limit = self.of_chain.rules.weights_set_rate_limit;
        let settings = self.steps / self.interval;
        if limit <= self.interval || settings > LOOKED_AT {
            return None;
        }
        let mut last_update = self.first - 1;
        let mut refused = 0;
        for number in 1..=settings {
            let block = self.first + number * self.interval + 1;
            if self.is_too_soon(block, last_update) {
                refused += 1;
            } else {
                last_update = block;
            }
        }
        if refused == 0 {
            return None;
        }
        let message = format!(
            "the chain refuses {refused} of {} of weights by each validator: validators set weights {}, but the chain \
             accepts them only {} (`weights_set_rate_limit`)",
            counted(settings, "setting"),
            every(self.interval, "block"),
            every(limit, "block"),
        );
        let help = format!(
            "set `network.hyperparameters.weights_set_rate_limit` to {} or less, or `{}` to {limit} or more",
            self.interval,
            self.of_chain.interval_key()
        );
        Some(Finding::warning(self.of_chain.blame("weights_set_rate_limit"), message).with_help(help))
    }

    /// Returns whether the rate limit refuses weights that are set in `block`. It does not apply to the first setting
    /// on a chain that starts at block 1.
    fn is_too_soon(&self, block: u64, last_update: u64) -> bool {
        last_update != 0 && block - last_update < self.of_chain.rules.weights_set_rate_limit
    }

    /// Returns whether weights that are set or committed in `block` count.
    ///
    /// # Errors
    /// Returns the reason why they do not count.
    fn setting(&self, block: u64, last_update: &mut u64) -> Result<(), Lost> {
        let rules = self.of_chain.rules;
        if self.is_too_soon(block, *last_update) {
            let last_update = *last_update;
            return Err(Lost::TooSoon { block, last_update });
        }
        *last_update = block;
        let applied = if rules.commit_reveal_weights_enabled {
            self.reveal(block)?
        } else {
            block
        };
        if let Some(epoch) = self.next_epoch(self.first)
            && rules.max_allowed_validators == 0
            && applied > epoch
        {
            return Err(Lost::NoPermit {
                block: applied,
                epoch,
            });
        }
        // The case without any epoch is covered by `no_emission`.
        let Some(epoch) = self.next_epoch(applied) else {
            return Ok(());
        };
        // The validator may have set weights again before the epoch.
        let settings = ((epoch - self.first - 1) / self.interval).min(self.steps / self.interval);
        let newest = block.max(self.first + settings * self.interval + 1);
        let age = epoch - newest.min(epoch);
        if age > rules.effective_activity_cutoff() {
            return Err(Lost::Inactive { epoch, age });
        }
        Ok(())
    }

    /// Returns the block in which weights that are committed in `block` are revealed.
    ///
    /// # Errors
    /// Returns [`Lost::RevealedTooLate`] if the run ends before that block.
    fn reveal(&self, block: u64) -> Result<u64, Lost> {
        let rules = self.of_chain.rules;
        let period = RevealPeriod {
            netuid: self.netuid,
            tempo: rules.tempo,
            epochs: rules.commit_reveal_period,
        };
        let begins = period
            .reveal_epoch(Block(block))
            .saturating_mul(rules.tempo.saturating_add(1))
            .saturating_sub(u64::from(self.netuid) + 1);
        let reveal = begins.max(block + 1);
        if reveal > self.last_of_steps() {
            return Err(Lost::RevealedTooLate { block, reveal });
        }
        Ok(reveal)
    }

    fn explained(&self, lost: &Lost) -> Obstacle {
        let of_chain = self.of_chain;
        let rules = of_chain.rules;
        let end = self.last_of_steps();
        match *lost {
            Lost::TooSoon { block, last_update } => Obstacle {
                origin: of_chain.blame("weights_set_rate_limit"),
                cause: format!(
                    "weights are first set in block {block}, {} after the chain began, but at least {} must pass \
                     before a setting (`weights_set_rate_limit`), and the run ends with block {end}",
                    counted(block - last_update, "block"),
                    counted(rules.weights_set_rate_limit, "block")
                ),
                help: "set a smaller `weights_set_rate_limit`, or run more steps".to_owned(),
            },
            Lost::NoPermit { block, epoch } => Obstacle {
                origin: of_chain.blame("max_allowed_validators"),
                cause: format!(
                    "with a `max_allowed_validators` of 0 no validator may set weights after the epoch of block \
                     {epoch}, but the first weights are set in block {block}"
                ),
                help: "set `max_allowed_validators` to 1 or more".to_owned(),
            },
            Lost::RevealedTooLate { block, reveal } => Obstacle {
                origin: of_chain.blame("commit_reveal_period"),
                cause: format!(
                    "weights that are committed in block {block} are revealed from block {reveal} \
                     (`commit_reveal_period: {}`, with {} per epoch), but the run ends with block {end}",
                    rules.commit_reveal_period,
                    counted(rules.tempo.saturating_add(1), "block")
                ),
                help: "set a smaller `tempo` or `commit_reveal_period`, set `commit_reveal_weights_enabled: false`, or \
                       run more steps"
                    .to_owned(),
            },
            Lost::Inactive { epoch, age } => {
                let name = match rules.rule_set {
                    RuleSet::Classic => "activity_cutoff",
                    RuleSet::Today => "activity_cutoff_factor",
                };
                Obstacle {
                    origin: of_chain.blame(name),
                    cause: format!(
                        "at the epoch of block {epoch} the newest weights are {} old, but a validator is active for \
                         {} after it sets weights (`{name}`)",
                        counted(age, "block"),
                        counted(rules.effective_activity_cutoff(), "block")
                    ),
                    help: format!(

                        "set a larger `{name}`, or a smaller `{}`",
                        of_chain.interval_key()
                    ),
                }
            }
        }
    }
}

/// Returns whether `epoch_length` sets this hyperparameter under the preset `small`.
fn is_length_of_epochs(name: &str) -> bool {
    matches!(name, "tempo" | "validator_epoch_length")
}
