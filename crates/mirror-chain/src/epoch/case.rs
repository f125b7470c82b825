//! An epoch as a file: the inputs and the expected outputs. The format is that of the reference vectors, so that
//! researchers can write a case manually and the vectors can be checked.
//!
//! Rows of weights and bonds are lists of `[uid, value]`. Shares are integers in units of 1/65,535, except under `f`,
//! where they are the numbers before rounding. Outputs that a variant does not compute are null, or empty under `f`.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Bond, Bonds, Epoch, I32F32, LiquidAlpha, Malformed, Neuron, Rules, Today, Variant, epoch};
use crate::{Block, Rao, Uid, Weight};

/// Maximum difference between a number under `f` and the expected one: four units in the last place of [`I32F32`].
const TOLERANCE: f64 = 4.0 / (1_u64 << 32) as f64;

/// One epoch and its expected outputs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Case {
    /// Name of the case.
    #[serde(default)]
    pub name: String,
    /// The subnet before the epoch.
    pub inputs: Inputs,
    /// The emission of the epoch, in rao. The default is one TAO.
    #[serde(default = "one_tao")]
    pub rao_emission: u64,
    /// The expected outputs. `None` if there are none.
    #[serde(default)]
    pub outputs: Option<Expected>,
}

/// The expected outputs by variant.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Expected {
    /// Outputs of [`Variant::Classic`].
    #[serde(default)]
    pub v001: Option<Outputs>,
    /// Outputs of [`Variant::Today`].
    #[serde(default)]
    pub head: Option<Outputs>,
}

/// A subnet before an epoch. Every list has one entry per uid.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// Number of neurons.
    pub n: usize,
    /// See [`Rules::block`].
    pub current_block: u64,
    /// See [`Today::tempo`].
    pub tempo: u64,
    /// See [`Rules::activity_cutoff`].
    pub activity_cutoff: u64,
    /// See [`Neuron::last_update`].
    pub last_update: Vec<u64>,
    /// See [`Neuron::block_at_registration`].
    pub block_at_registration: Vec<u64>,
    /// See [`Neuron::stake`].
    pub stake: Vec<u64>,
    /// See [`Today::stake_threshold`].
    #[serde(default)]
    pub stake_threshold: u64,
    /// See [`Today::owner`].
    #[serde(default)]
    pub owner_uid: Option<u16>,
    /// See [`Neuron::validator_permit`].
    pub validator_permits: Vec<bool>,
    /// See [`Rules::max_allowed_validators`].
    pub max_allowed_validators: u16,
    /// See [`Neuron::weights`].
    pub weights: Vec<Vec<(u16, u16)>>,
    /// See [`Neuron::bonds`].
    pub bonds: Vec<Vec<(u16, u16)>>,
    /// See [`Rules::kappa`].
    pub kappa: u16,
    /// See [`Today::bonds_penalty`].
    #[serde(default = "whole_share")]
    pub bonds_penalty: u16,
    /// See [`Rules::bonds_moving_average`].
    pub bonds_moving_average: u64,
    /// Whether bonds move by [`Bonds::Yuma3`].
    #[serde(default)]
    pub yuma3: bool,
    /// Whether they do so at the rates of [`LiquidAlpha`].
    #[serde(default)]
    pub liquid_alpha: bool,
    /// See [`LiquidAlpha::low`].
    #[serde(default = "default_alpha_low")]
    pub alpha_low: u16,
    /// See [`LiquidAlpha::high`].
    #[serde(default = "default_alpha_high")]
    pub alpha_high: u16,
    /// See [`LiquidAlpha::steepness`].
    #[serde(default = "default_steepness")]
    pub alpha_sigmoid_steepness: i16,
    /// See [`Today::last_epoch`]; 0 stands for `None`.
    #[serde(default)]
    pub lms: u64,
    /// See [`Today::commits`]; null or the largest number for a neuron without a commitment.
    #[serde(default)]
    pub commit_blocks: Option<Vec<Option<u64>>>,
}

/// The results of an epoch, as the chain stores them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outputs {
    /// See [`Epoch::active`].
    pub active: Vec<bool>,
    /// See [`Epoch::bonds`].
    pub bonds: Vec<Vec<(u16, u16)>>,
    /// See [`Epoch::consensus`].
    pub consensus: Vec<u16>,
    /// See [`Epoch::dividends`].
    pub dividends: Vec<u16>,
    /// See [`Epoch::emission`].
    pub emission: Vec<u64>,
    /// The shares before rounding to 16 bits.
    pub f: Shares,
    /// See [`Epoch::incentive`].
    pub incentive: Vec<u16>,
    /// See [`Epoch::next_permits`].
    pub new_permits: Vec<bool>,
    /// See [`Epoch::pruning_scores`].
    pub pruning: Option<Vec<u16>>,
    /// See [`Epoch::incentive`]; only computed by the classic variant.
    pub ranks: Option<Vec<u16>>,
    /// See [`Epoch::server_emission`].
    pub server_emission: Vec<u64>,
    /// See [`Epoch::stake`]; only given for today's variant.
    pub stake_weight: Option<Vec<u16>>,
    /// See [`Epoch::trust`].
    pub trust: Option<Vec<u16>>,
    /// See [`Epoch::validator_emission`].
    pub validator_emission: Vec<u64>,
    /// See [`Epoch::validator_trust`].
    pub validator_trust: Vec<u16>,
}

/// The shares that an epoch computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// See [`Epoch::active_stake`].
    pub active_stake: Vec<f64>,
    /// See [`Epoch::consensus`].
    pub consensus: Vec<f64>,
    /// See [`Epoch::dividends`].
    pub dividends: Vec<f64>,
    /// See [`Epoch::incentive`].
    pub incentive: Vec<f64>,
    /// See [`Epoch::incentive`]; only computed by the classic variant.
    pub ranks: Vec<f64>,
    /// See [`Epoch::stake`].
    pub stake: Vec<f64>,
    /// See [`Epoch::trust`].
    pub trust: Vec<f64>,
    /// See [`Epoch::validator_trust`].
    pub validator_trust: Vec<f64>,
}

/// One of the algorithms, without its rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// [`Variant::Classic`].
    Classic,
    /// [`Variant::Today`].
    Today,
}

/// The reason why a case has no outputs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// A list does not have one entry per neuron.
    #[error("`{list}` has {entries} entries, but `n` is {n}")]
    Length {
        /// Name of the list.
        list: &'static str,
        /// Number of its entries.
        entries: usize,
        /// Number of neurons.
        n: usize,
    },
    /// The inputs contradict each other.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A difference between computed and expected outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Position of the difference, such as `emission[3]` for uid 3, or `bonds[3][0]` for its first bond.
    pub place: String,
    /// The expected value.
    pub expected: String,
    /// The computed value.
    pub computed: String,
}

impl Case {
    /// Creates a case without expected outputs.
    pub fn of(inputs: Inputs) -> Self {
        Self {
            name: String::new(),
            inputs,
            rao_emission: one_tao(),
            outputs: None,
        }
    }

    /// Computes the epoch.
    ///
    /// # Errors
    /// Returns [`Unusable`] if a list does not have `n` entries or the inputs contradict each other.
    pub fn compute(&self, algorithm: Algorithm) -> Result<Outputs, Unusable> {
        self.inputs.check_lengths()?;
        let weights = rows(&self.inputs.weights, |uid, weight| Weight { uid, weight });
        let bonds = rows(&self.inputs.bonds, |uid, bond| Bond { uid, bond });
        let neurons = self.inputs.neurons(&weights, &bonds);
        let epoch = epoch(&neurons, &self.inputs.rules(algorithm), Rao(self.rao_emission))?;
        Ok(Outputs::of(&epoch))
    }

    /// Returns the expected outputs of an algorithm. `None` if the case has none.
    pub fn expected(&self, algorithm: Algorithm) -> Option<&Outputs> {
        let outputs = self.outputs.as_ref()?;
        match algorithm {
            Algorithm::Classic => outputs.v001.as_ref(),
            Algorithm::Today => outputs.head.as_ref(),
        }
    }
}

impl Inputs {
    fn check_lengths(&self) -> Result<(), Unusable> {
        let lists = [
            ("last_update", self.last_update.len()),
            ("block_at_registration", self.block_at_registration.len()),
            ("stake", self.stake.len()),
            ("validator_permits", self.validator_permits.len()),
            ("weights", self.weights.len()),
            ("bonds", self.bonds.len()),
        ];
        match lists.into_iter().find(|&(_, entries)| entries != self.n) {
            Some((list, entries)) => Err(Unusable::Length {
                list,
                entries,
                n: self.n,
            }),
            None => Ok(()),
        }
    }

    fn neurons<'a>(&self, weights: &'a [Vec<Weight>], bonds: &'a [Vec<Bond>]) -> Vec<Neuron<'a>> {
        let neuron = |uid: usize| Neuron {
            stake: Rao(self.stake[uid]),
            last_update: Block(self.last_update[uid]),
            block_at_registration: Block(self.block_at_registration[uid]),
            validator_permit: self.validator_permits[uid],
            weights: &weights[uid],
            bonds: &bonds[uid],
        };
        (0..self.n).map(neuron).collect()
    }

    fn rules(&self, algorithm: Algorithm) -> Rules {
        Rules {
            block: Block(self.current_block),
            activity_cutoff: self.activity_cutoff,
            max_allowed_validators: self.max_allowed_validators,
            kappa: self.kappa,
            bonds_moving_average: self.bonds_moving_average,
            variant: match algorithm {
                Algorithm::Classic => Variant::Classic,
                Algorithm::Today => Variant::Today(self.today()),
            },
        }
    }

    fn today(&self) -> Today {
        let liquid_alpha = LiquidAlpha {
            low: self.alpha_low,
            high: self.alpha_high,
            steepness: self.alpha_sigmoid_steepness,
        };
        let commits = self.commit_blocks.as_ref();
        Today {
            tempo: self.tempo,
            last_epoch: (self.lms != 0).then_some(Block(self.lms)),
            stake_threshold: Rao(self.stake_threshold),
            owner: self.owner_uid.map(Uid),
            commits: commits.map(|blocks| blocks.iter().map(|block| block.map(Block)).collect()),
            bonds_penalty: self.bonds_penalty,
            bonds: if self.yuma3 {
                Bonds::Yuma3(self.liquid_alpha.then_some(liquid_alpha))
            } else {
                Bonds::Proportional
            },
        }
    }
}

impl Outputs {
    fn of(epoch: &Epoch) -> Self {
        let stored =
            |shares: &[I32F32]| -> Vec<u16> { shares.iter().map(|share| share.to_u16_share()).collect() };
        let exact = |shares: &[I32F32]| -> Vec<f64> { shares.iter().copied().map(f64::from).collect() };
        let paid = |amounts: &[Rao]| -> Vec<u64> { amounts.iter().map(|rao| rao.0).collect() };
        // Trust and ranks are computed by the same variant.
        let ranks = epoch.trust.as_ref().map(|_| &epoch.incentive);
        let row = |row: &Vec<Bond>| row.iter().map(|bond| (bond.uid.0, bond.bond)).collect();
        Self {
            active: epoch.active.clone(),
            bonds: epoch.bonds.iter().map(row).collect(),
            consensus: stored(&epoch.consensus),
            dividends: stored(&epoch.dividends),
            emission: paid(&epoch.emission),
            f: Shares {
                active_stake: exact(&epoch.active_stake),
                consensus: exact(&epoch.consensus),
                dividends: exact(&epoch.dividends),
                incentive: exact(&epoch.incentive),
                ranks: ranks.map_or_else(Vec::new, |ranks| exact(ranks)),
                stake: exact(&epoch.stake),
                trust: epoch.trust.as_deref().map_or_else(Vec::new, exact),
                validator_trust: exact(&epoch.validator_trust),
            },
            incentive: stored(&epoch.incentive),
            new_permits: epoch.next_permits.clone(),
            pruning: epoch.pruning_scores.clone(),
            ranks: ranks.map(|ranks| stored(ranks)),
            server_emission: paid(&epoch.server_emission),
            stake_weight: epoch.trust.is_none().then(|| stored(&epoch.stake)),
            trust: epoch.trust.as_deref().map(stored),
            validator_emission: paid(&epoch.validator_emission),
            validator_trust: stored(&epoch.validator_trust),
        }
    }

    /// Returns the differences from the expected outputs. Integers must be equal. Shares under `f` may differ by four
    /// units in the last place.
    pub fn differences(&self, expected: &Self) -> Vec<Difference> {
        let mut found = Differences(Vec::new());
        found.exact("active", &self.active, &expected.active);
        found.rows("bonds", &self.bonds, &expected.bonds);
        found.exact("consensus", &self.consensus, &expected.consensus);
        found.exact("dividends", &self.dividends, &expected.dividends);
        found.exact("emission", &self.emission, &expected.emission);
        found.exact("incentive", &self.incentive, &expected.incentive);
        found.exact("new_permits", &self.new_permits, &expected.new_permits);
        found.optional("pruning", self.pruning.as_deref(), expected.pruning.as_deref());
        found.optional("ranks", self.ranks.as_deref(), expected.ranks.as_deref());
        found.exact(
            "server_emission",
            &self.server_emission,
            &expected.server_emission,
        );
        found.optional(
            "stake_weight",
            self.stake_weight.as_deref(),
            expected.stake_weight.as_deref(),
        );
        found.optional("trust", self.trust.as_deref(), expected.trust.as_deref());
        found.exact(
            "validator_emission",
            &self.validator_emission,
            &expected.validator_emission,
        );
        found.exact(
            "validator_trust",
            &self.validator_trust,
            &expected.validator_trust,
        );
        let (shares, wanted) = (&self.f, &expected.f);
        found.close("f.active_stake", &shares.active_stake, &wanted.active_stake);
        found.close("f.consensus", &shares.consensus, &wanted.consensus);
        found.close("f.dividends", &shares.dividends, &wanted.dividends);
        found.close("f.incentive", &shares.incentive, &wanted.incentive);
        found.close("f.ranks", &shares.ranks, &wanted.ranks);
        found.close("f.stake", &shares.stake, &wanted.stake);
        found.close("f.trust", &shares.trust, &wanted.trust);
        found.close(
            "f.validator_trust",
            &shares.validator_trust,
            &wanted.validator_trust,
        );
        found.0
    }
}

struct Differences(Vec<Difference>);

impl Differences {
    fn exact<T: PartialEq + fmt::Debug>(&mut self, name: &str, computed: &[T], expected: &[T]) {
        self.compare(name, computed, expected, T::eq);
    }

    fn close(&mut self, name: &str, computed: &[f64], expected: &[f64]) {
        self.compare(name, computed, expected, |a, b| (a - b).abs() <= TOLERANCE);
    }

    fn rows(&mut self, name: &str, computed: &[Vec<(u16, u16)>], expected: &[Vec<(u16, u16)>]) {
        let rows = computed.len().max(expected.len());
        for uid in 0..rows {
            match (computed.get(uid), expected.get(uid)) {
                (Some(computed), Some(expected)) => self.exact(&format!("{name}[{uid}]"), computed, expected),
                (computed, expected) => self.note(format!("{name}[{uid}]"), computed, expected),
            }
        }
    }

    fn optional<T: PartialEq + fmt::Debug>(
        &mut self,
        name: &str,
        computed: Option<&[T]>,
        expected: Option<&[T]>,
    ) {
        match (computed, expected) {
            (Some(computed), Some(expected)) => self.exact(name, computed, expected),
            (None, None) => {}
            (computed, expected) => self.note(name.to_owned(), computed, expected),
        }
    }

    fn compare<T: fmt::Debug>(
        &mut self,
        name: &str,
        computed: &[T],
        expected: &[T],
        same: impl Fn(&T, &T) -> bool,
    ) {
        for place in 0..computed.len().max(expected.len()) {
            let (ours, theirs) = (computed.get(place), expected.get(place));
            let both = ours.zip(theirs);
            if !both.is_some_and(|(ours, theirs)| same(ours, theirs)) {
                self.note(format!("{name}[{place}]"), ours, theirs);
            }
        }
    }

    fn note<T: fmt::Debug>(&mut self, place: String, computed: Option<T>, expected: Option<T>) {
        let shown =
            |value: Option<T>| value.map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"));
        self.0.push(Difference {
            place,
            expected: shown(expected),
            computed: shown(computed),
        });
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, computed {}",
            self.place, self.expected, self.computed
        )
    }
}

fn rows<T>(rows: &[Vec<(u16, u16)>], entry: impl Fn(Uid, u16) -> T) -> Vec<Vec<T>> {
    let row = |row: &Vec<(u16, u16)>| row.iter().map(|&(uid, value)| entry(Uid(uid), value)).collect();
    rows.iter().map(row).collect()
}

fn one_tao() -> u64 {
    1_000_000_000
}

fn whole_share() -> u16 {
    u16::MAX
}

fn default_alpha_low() -> u16 {
    45_875
}

fn default_alpha_high() -> u16 {
    58_982
}

fn default_steepness() -> i16 {
    1_000
}
