//! Tests of [`Hyperparameters::unused`]: a hyperparameter that it names changes no history of calls, and each other one
//! changes at least one history.

mod subnet;

use std::net::Ipv4Addr;

use mirror_chain::{
    Applied, Axon, Call, Chain, Commitment, Genesis, GenesisNeuron, Hyperparameters, Neuron, Nomination,
    Nonce, PaidEpoch, Rao, RuleSet, Transaction, Uid, Unused, Weights,
};
use mirror_identity::{Hotkey, PublicKey};
use subnet::{balance, coldkey, hotkey, owner};

const NEURONS: u8 = 6;

/// Hotkeys and coldkeys are numbered 0..KEYS; those from NEURONS on are registered by calls.
const KEYS: u8 = 16;

const BLOCKS: u64 = 120;

/// Hyperparameters that the chain hands to validators and does not read itself.
const KEPT_BY_VALIDATORS: [&str; 2] = ["validator_epoch_length", "validator_exclude_quantile"];

/// Values that each hyperparameter is given, where they are within its bounds.
const VALUES: [u64; 14] = [
    0,
    1,
    2,
    3,
    6,
    30,
    126,
    400,
    9_000,
    20_000,
    30_000,
    65_000,
    900_000,
    3_000_000_000,
];

/// Rules with short epochs, limits that some calls of a history exceed, and what is to be found out about.
fn rules(rule_set: RuleSet, yuma3_on: bool, liquid_alpha_on: bool, commit_reveal: bool) -> Hyperparameters {
    Hyperparameters {
        rule_set,
        yuma3_on,
        liquid_alpha_on,
        commit_reveal_weights_enabled: commit_reveal,
        tempo: 4,
        activity_cutoff: 6,
        activity_cutoff_factor: 2_000,
        max_allowed_validators: 4,
        max_allowed_uids: 10,
        immunity_period: 9,
        min_non_immune_uids: 2,
        max_registrations_per_block: 3,
        target_registrations_per_interval: 2,
        adjustment_interval: 5,
        burn: Rao(10_000),
        min_burn: Rao(1_000),
        max_burn: Rao(50_000),
        ..Hyperparameters::SMALL
    }
}

fn chain(rules: Hyperparameters) -> Option<Chain> {
    let neuron = |number: u8| GenesisNeuron {
        hotkey: hotkey(number),
        coldkey: coldkey(number),
        stake: Rao(u64::from(number) * 1_000_000_007),
        validator_permit: number >= NEURONS / 2,
        weights: Vec::new(),
        bonds: Vec::new(),
        axon: None,
    };
    let genesis = Genesis {
        owner: Some(owner(1)),
        neurons: (0..NEURONS).map(neuron).collect(),
        nominations: vec![Nomination {
            hotkey: hotkey(5),
            coldkey: coldkey(7),
            stake: Rao(999_999_937),
        }],
        balances: (0..KEYS).map(|number| balance(number, 3_000_000)).collect(),
        ..Genesis::empty(rules)
    };
    Chain::genesis(genesis).ok()
}

/// Numbers without a pattern that matters here, the same in each test.
struct Numbers(u64);

impl Numbers {
    /// `SplitMix64`, below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn key(&mut self) -> u8 {
        self.below(KEYS.into()) as u8
    }

    fn weights(&mut self) -> Weights {
        let first = self.below(4) as u16;
        let count = 1 + self.below(4) as u16;
        Weights {
            uids: (first..first + count).map(Uid).collect(),
            weights: (0..count).map(|_| 1 + self.below(65_535) as u16).collect(),
            version_key: self.below(5),
        }
    }
}

/// Random calls for each block.
fn history(seed: u64, commits: bool) -> Vec<Vec<(PublicKey, Call)>> {
    let mut numbers = Numbers(seed);
    let mut blocks: Vec<Vec<(PublicKey, Call)>> = vec![Vec::new(); BLOCKS as usize + 30];
    for block in 0..BLOCKS as usize {
        for validator in 3..NEURONS {
            // Some set weights rarely, so that they fall inactive.
            if !numbers.below(4 * u64::from(validator) - 8).is_multiple_of(4) {
                continue;
            }
            let (signer, weights) = (hotkey(validator), numbers.weights());
            if !commits {
                blocks[block].push((signer, Call::SetWeights(weights)));
                continue;
            }
            let commitment = Commitment::new(&signer, 1, &weights, &[]);
            blocks[block].push((signer, Call::CommitWeights(commitment)));
            for reveal in 1..20 {
                let call = Call::RevealWeights {
                    weights: weights.clone(),
                    salt: Vec::new(),
                };
                blocks[block + reveal].push((signer, call));
            }
        }
        for _ in 0..4 {
            let (key, other) = (numbers.key(), hotkey(numbers.key()));
            let amount = Rao(1 + numbers.below(200_000));
            let call = match numbers.below(7) {
                0 => (
                    coldkey(key),
                    Call::AddStake {
                        hotkey: other,
                        amount,
                    },
                ),
                1 => (
                    coldkey(key),
                    Call::RemoveStake {
                        hotkey: other,
                        amount,
                    },
                ),
                2 => (
                    coldkey(key),
                    Call::BecomeDelegate {
                        hotkey: hotkey(key),
                        take: None,
                    },
                ),
                3 => (
                    hotkey(key),
                    Call::Register {
                        coldkey: coldkey(key),
                    },
                ),
                4 | 5 => (coldkey(key), Call::BurnedRegister { hotkey: hotkey(key) }),
                _ => (hotkey(key), Call::ServeAxon(axon(1 + numbers.below(9) as u16))),
            };
            blocks[block].push(call);
        }
    }
    blocks
}

fn axon(port: u16) -> Axon {
    Axon {
        ip: Ipv4Addr::LOCALHOST.into(),
        port: port.try_into().expect("a port is above 0"),
    }
}

/// Everything that a chain reveals, except its hyperparameters.
#[derive(PartialEq)]
struct Observed {
    applied: Vec<Vec<Applied>>,
    epochs: Vec<Option<PaidEpoch>>,
    neurons: Vec<Vec<Neuron>>,
    prices: Vec<Rao>,
    balances: Vec<(PublicKey, Rao)>,
    stakes: Vec<(Hotkey, PublicKey, Rao)>,
    delegates: Vec<(Hotkey, u16)>,
}

/// `None` where no chain can begin by these rules.
fn seen(rules: Hyperparameters, history: &[Vec<(PublicKey, Call)>]) -> Option<Observed> {
    let mut chain = chain(rules)?;
    let mut seen = Observed {
        applied: Vec::new(),
        epochs: Vec::new(),
        neurons: Vec::new(),
        prices: Vec::new(),
        balances: Vec::new(),
        stakes: Vec::new(),
        delegates: Vec::new(),
    };
    let mut nonce = 0;
    for calls in history {
        for (signer, call) in calls {
            nonce += 1;
            let transaction = Transaction {
                signer: *signer,
                nonce: Nonce(nonce),
                call: call.clone(),
            };
            chain
                .submit(transaction)
                .expect("nonces rise and the block has room");
        }
        let closed = chain.close_block();
        seen.applied.push(closed.applied);
        seen.epochs.push(closed.epoch);
        let neurons = chain.metagraph().neurons.iter();
        seen.neurons
            .push(neurons.map(|neuron| Neuron::clone(neuron)).collect());
        seen.prices.push(chain.burn());
    }
    seen.balances = chain.balances().collect();
    seen.stakes = chain.stakes().collect();
    seen.delegates = chain.delegates().collect();
    Some(seen)
}

/// Whether another value of the hyperparameter shows in any history.
fn matters(rules: &Hyperparameters, name: &str) -> bool {
    (1..=3).any(|seed| {
        let history = history(seed, rules.commit_reveal_weights_enabled);
        let before = seen(rules.clone(), &history).expect("the rules of this test are sound");
        VALUES.iter().any(|&value| {
            let changed = rules.clone().with_all([(name, value)]);
            let after = changed.ok().and_then(|rules| seen(rules, &history));
            after.is_some_and(|after| after != before)
        })
    })
}

#[track_caller]
fn check(rules: &Hyperparameters) {
    for name in Hyperparameters::NAMES {
        if *name == "rule_set" || KEPT_BY_VALIDATORS.contains(name) {
            continue;
        }
        let unused = rules.unused(name);
        assert_eq!(
            matters(rules, name),
            unused.is_none(),
            "{name} is {unused:?} beside {rules:?}"
        );
    }
}

#[test]
fn by_the_rules_of_2023() {
    check(&rules(RuleSet::Classic, false, false, false));
    check(&rules(RuleSet::Classic, true, true, true));
}

#[test]
fn by_the_rules_of_today() {
    check(&rules(RuleSet::Today, false, false, false));
    check(&rules(RuleSet::Today, false, true, true));
}

#[test]
fn by_the_rules_of_today_with_yuma_3() {
    check(&rules(RuleSet::Today, true, false, false));
    check(&rules(RuleSet::Today, true, true, true));
}

#[test]
fn why_a_rule_is_unused_names_what_would_use_it() {
    let today = rules(RuleSet::Today, false, false, false);
    assert_eq!(today.unused("alpha_low"), Some(Unused::Needs("yuma3_on")));
    assert_eq!(
        rules(RuleSet::Classic, true, true, true).unused("liquid_alpha_on"),
        Some(Unused::ReadBy(RuleSet::Today))
    );
}
