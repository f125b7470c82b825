//! Stake, delegation, transfers, and what an epoch pays to whom.

mod subnet;

use mirror_chain::{
    Axon, Block, Call, Chain, Commitment, Genesis, Hyperparameters, Nomination, Paid, PaidEpoch, Rao,
    Refusal, RuleSet, Uid,
};
use subnet::{STAKE, VALIDATOR, chain, coldkey, hotkey, neuron, outcome, owner, row, weights};

/// A coldkey with money and no neuron.
const RICH: u8 = 60;

fn rich(genesis: &mut Genesis) {
    genesis.balances = vec![subnet::balance(RICH, 10_000)];
    genesis.hyperparameters.tempo = 0;
}

fn add_stake(number: u8, amount: u64) -> Call {
    Call::AddStake {
        hotkey: hotkey(number),
        amount: Rao(amount),
    }
}

fn remove_stake(number: u8, amount: u64) -> Call {
    Call::RemoveStake {
        hotkey: hotkey(number),
        amount: Rao(amount),
    }
}

fn delegate(number: u8, take: Option<u16>) -> Call {
    Call::BecomeDelegate {
        hotkey: hotkey(number),
        take,
    }
}

#[test]
fn others_stake_only_with_delegates() {
    let mut chain = chain(rich);
    let mut by = |by, call| outcome(&mut chain, coldkey(by), call);
    assert_eq!(by(RICH, add_stake(0, 1_000)), Err(Refusal::NonAssociatedColdKey));
    assert_eq!(by(RICH, delegate(0, None)), Err(Refusal::NonAssociatedColdKey));
    assert_eq!(by(RICH, delegate(99, None)), Err(Refusal::NotRegistered));
    assert_eq!(by(0, delegate(0, Some(11_797))), Err(Refusal::InvalidTake));
    assert_eq!(by(0, delegate(0, Some(11_796))), Ok(()));
    assert_eq!(by(0, delegate(0, None)), Err(Refusal::AlreadyDelegate));
    assert_eq!(by(RICH, add_stake(0, 1_000)), Ok(()));
    assert_eq!(
        by(RICH, add_stake(0, 9_000)),
        Err(Refusal::NotEnoughBalanceToStake)
    );
    assert_eq!(by(RICH, add_stake(0, 0)), Err(Refusal::AmountTooLow));
    assert_eq!(by(RICH, add_stake(99, 1)), Err(Refusal::NotRegistered));
    assert_eq!(
        by(RICH, remove_stake(0, 1_001)),
        Err(Refusal::NotEnoughStakeToWithdraw)
    );
    assert_eq!(by(RICH, remove_stake(0, 400)), Ok(()));
    assert_eq!(chain.balance(&coldkey(RICH)), Rao(9_400));
    assert_eq!(neuron(&chain, 0).stake, Rao(600));
    assert_eq!(*neuron(&chain, 0).nominators, [(coldkey(RICH), Rao(600))]);
    assert_eq!(chain.delegates().collect::<Vec<_>>(), [(hotkey(0), 11_796)]);
}

#[test]
fn stake_moves_no_faster_than_the_rate_limit() {
    let mut chain = chain(|genesis| {
        rich(genesis);
        genesis.hyperparameters.tx_rate_limit = 2;
        genesis.neurons[0].coldkey = coldkey(RICH);
    });
    let mut by_rich = |call| outcome(&mut chain, coldkey(RICH), call);
    assert_eq!(by_rich(add_stake(0, 100)), Ok(()));
    assert_eq!(by_rich(remove_stake(0, 100)), Err(Refusal::TxRateLimitExceeded));
    assert_eq!(by_rich(remove_stake(0, 100)), Ok(()));
}

#[test]
fn a_nominator_has_nothing_with_a_delegate_or_enough() {
    let mut chain = chain(|genesis| {
        rich(genesis);
        genesis.hyperparameters.nominator_min_required_stake = Rao(500);
    });
    let mut by = |by, call| outcome(&mut chain, coldkey(by), call);
    assert_eq!(by(0, delegate(0, None)), Ok(()));
    let too_little = Err(Refusal::NomStakeBelowMinimumThreshold);
    assert_eq!(by(RICH, add_stake(0, 499)), too_little);
    assert_eq!(by(RICH, add_stake(0, 500)), Ok(()));
    assert_eq!(by(RICH, remove_stake(0, 1)), too_little);
    assert_eq!(by(RICH, remove_stake(0, 500)), Ok(()));
}

#[test]
fn transfers_are_free_and_leave_no_account_below_the_existential_deposit() {
    let mut chain = chain(rich);
    let transfer = |to, amount| Call::Transfer {
        to: coldkey(to),
        amount: Rao(amount),
    };
    let mut by = |by, call| outcome(&mut chain, coldkey(by), call);
    assert_eq!(by(RICH, transfer(61, 0)), Err(Refusal::AmountTooLow));
    assert_eq!(by(RICH, transfer(61, 499)), Err(Refusal::ExistentialDeposit));
    assert_eq!(by(RICH, transfer(61, 9_501)), Err(Refusal::InsufficientBalance));
    assert_eq!(
        by(RICH, transfer(61, u64::MAX)),
        Err(Refusal::InsufficientBalance)
    );
    assert_eq!(by(61, transfer(RICH, 1)), Err(Refusal::InsufficientBalance));
    assert_eq!(by(RICH, transfer(61, 9_500)), Ok(()));
    assert_eq!(by(RICH, transfer(RICH, 1)), Err(Refusal::InsufficientBalance));
    assert_eq!(by(61, transfer(61, 9_000)), Ok(()));
    let balances: Vec<_> = chain.balances().map(|(_, free)| free.0).collect();
    assert_eq!(balances, [500, 9_500]);
}

#[test]
fn the_owner_alone_changes_the_rules_within_their_bounds() {
    let mut chain = chain(|genesis| genesis.owner = Some(owner(5)));
    let set = |name: &str, value| Call::SetHyperparameter {
        name: name.to_owned(),
        value,
    };
    let mut by = |by, call| outcome(&mut chain, by, call);
    assert_eq!(by(coldkey(0), set("tempo", 7)), Err(Refusal::NotSubnetOwner));
    assert_eq!(by(hotkey(5), set("tempo", 7)), Err(Refusal::NotSubnetOwner));
    assert_eq!(
        by(coldkey(5), set("pace", 7)),
        Err(Refusal::UnknownHyperparameter)
    );
    assert_eq!(
        by(coldkey(5), set("kappa", 65_536)),
        Err(Refusal::ValueNotInBounds)
    );
    assert_eq!(
        by(coldkey(5), set("max_allowed_uids", 2)),
        Err(Refusal::MaxAllowedUidsLessThanCurrentUids)
    );
    assert_eq!(by(coldkey(5), set("tempo", 7)), Ok(()));
    assert_eq!(chain.metagraph().hyperparameters.tempo, 7);
    assert_eq!(chain.metagraph().version.0, 2);
    let mut nobodys = subnet::chain(|_| {});
    assert_eq!(
        outcome(&mut nobodys, coldkey(5), set("tempo", 7)),
        Err(Refusal::NotSubnetOwner)
    );
}

/// Closes blocks until an epoch has come.
fn next_epoch(chain: &mut Chain) -> PaidEpoch {
    loop {
        if let Some(epoch) = chain.close_block().epoch {
            return epoch;
        }
    }
}

#[test]
fn an_epoch_pays_what_its_blocks_minted() {
    // One validator gives one miner all: half to each, all of it in integers.
    let mut chain = chain(|genesis| genesis.hyperparameters.tempo = 9);
    assert_eq!(outcome(&mut chain, hotkey(VALIDATOR), weights(&[(1, 1)])), Ok(()));
    let epoch = next_epoch(&mut chain);
    // (block + netuid + 1) % (tempo + 1) == 0: block 8, after 8 rewards of 1 TAO.
    assert_eq!(chain.block(), Block(8));
    let reward = 8 * Rao::TAO;
    let stakes = [0, 1, 2].map(|uid| neuron(&chain, uid).stake.0);
    assert_eq!(stakes, [0, reward / 2, STAKE + reward / 2]);
    let paid = |server, validator| Paid {
        server: Rao(server),
        validator: Rao(validator),
    };
    let expected = [paid(0, 0), paid(reward / 2, 0), paid(0, reward / 2)];
    assert_eq!((epoch.number, &epoch.paid[..]), (1, &expected[..]));
    let miner = neuron(&chain, 1);
    assert_eq!(miner.emission, Rao(reward / 2));
    assert_eq!(
        (
            miner.incentive,
            miner.rank,
            miner.trust,
            miner.consensus,
            miner.dividends
        ),
        (65_535, 65_535, 65_535, 65_535, 0)
    );
    let validator = neuron(&chain, 2);
    assert_eq!(
        (
            validator.incentive,
            validator.dividends,
            validator.validator_trust
        ),
        (0, 65_535, 65_535)
    );
    assert_eq!(validator.pruning_score, 65_535);
    let issuance = chain.issuance();
    assert_eq!((issuance.minted, issuance.paid()), (Rao(reward), Rao(reward)));
    assert_eq!((issuance.pending, issuance.lapsed), (Rao(0), Rao(0)));
}

#[test]
fn a_delegate_keeps_its_take_and_shares_the_rest_by_stake() {
    // Owner 3 parts, nominator 1 part; the take is the default of 18 %: 11,796 of 65,535.
    let mut chain = chain(|genesis| {
        genesis.hyperparameters.tempo = 9;
        genesis.nominations = vec![Nomination {
            hotkey: hotkey(VALIDATOR),
            coldkey: coldkey(RICH),
            stake: Rao(STAKE / 3),
        }];
    });
    assert_eq!(outcome(&mut chain, hotkey(VALIDATOR), weights(&[(1, 1)])), Ok(()));
    next_epoch(&mut chain);
    let dividends = 4 * u128::from(Rao::TAO);
    let take = dividends * 11_796 / 65_535;
    let rest = dividends - take;
    let nominator = chain.stakes().find(|&(_, key, _)| key == coldkey(RICH));
    let (_, _, stake) = nominator.expect("the nominator is there");
    let part = u128::from(stake.0 - STAKE / 3);
    // A quarter, less what rounding took: at most one for each of two roundings.
    assert!((rest / 4 - 2..=rest / 4).contains(&part), "{part} of {rest}");
    assert_eq!(neuron(&chain, 2).stake, Rao(STAKE + STAKE / 3 + 4 * Rao::TAO));
}

#[test]
fn without_stake_nobody_is_paid_and_nothing_stays_minted() {
    let mut chain = chain(|genesis| {
        genesis.hyperparameters.tempo = 9;
        genesis
            .neurons
            .iter_mut()
            .for_each(|neuron| neuron.stake = Rao(0));
    });
    next_epoch(&mut chain);
    let issuance = chain.issuance();
    assert_eq!((issuance.paid(), issuance.lapsed), (Rao(0), Rao(8 * Rao::TAO)));
    assert_eq!(issuance.total(), Rao(0));
}

#[test]
fn who_is_not_heard_of_becomes_inactive_and_the_active_alone_earn() {
    let mut chain = chain(|genesis| {
        genesis.hyperparameters.tempo = 9;
        genesis.hyperparameters.activity_cutoff = 10;
        genesis.neurons[0].stake = Rao(STAKE);
        genesis.neurons[0].validator_permit = true;
    });
    for by in [0, VALIDATOR] {
        assert_eq!(outcome(&mut chain, hotkey(by), weights(&[(1, 1)])), Ok(()));
    }
    next_epoch(&mut chain);
    assert!(neuron(&chain, 0).active);
    assert!(neuron(&chain, 0).dividends > 0);
    assert_eq!(outcome(&mut chain, hotkey(VALIDATOR), weights(&[(1, 1)])), Ok(()));
    next_epoch(&mut chain);
    assert!(!neuron(&chain, 0).active);
    assert!(neuron(&chain, 2).active);
}

fn committing(genesis: &mut Genesis) {
    genesis.hyperparameters = Hyperparameters {
        rule_set: RuleSet::Today,
        tempo: 9,
        commit_reveal_weights_enabled: true,
        ..genesis.hyperparameters.clone()
    };
}

#[test]
fn weights_are_committed_to_and_revealed_in_their_epoch() {
    let mut chain = chain(committing);
    let set = row(&[(1, 1)]);
    let salt = vec![1, 2, 3];
    let commitment = Commitment::new(&hotkey(VALIDATOR), 1, &set, &salt);
    let reveal = |salt: &[u16]| Call::RevealWeights {
        weights: set.clone(),
        salt: salt.to_vec(),
    };
    let mut by_validator = |call| outcome(&mut chain, hotkey(VALIDATOR), call);
    assert_eq!(
        by_validator(Call::SetWeights(set.clone())),
        Err(Refusal::CommitRevealEnabled)
    );
    assert_eq!(by_validator(reveal(&salt)), Err(Refusal::NoWeightsCommitFound));
    // Block 3 is in epoch 0, which ends with block 7; the next ends with block 17.
    assert_eq!(by_validator(Call::CommitWeights(commitment)), Ok(()));
    assert_eq!(by_validator(reveal(&salt)), Err(Refusal::RevealTooEarly));
    assert_eq!(
        by_validator(reveal(&[1, 2])),
        Err(Refusal::InvalidRevealCommitHashNotMatch)
    );
    while chain.block() < Block(7) {
        chain.close_block();
    }
    let mut late = chain.clone();
    assert_eq!(outcome(&mut chain, hotkey(VALIDATOR), reveal(&salt)), Ok(()));
    assert_eq!(neuron(&chain, 2).weights.len(), 1);
    // The commitment was the update, not the reveal.
    assert_eq!(neuron(&chain, 2).last_update, Block(3));
    assert_eq!(
        outcome(&mut chain, hotkey(VALIDATOR), reveal(&salt)),
        Err(Refusal::NoWeightsCommitFound)
    );
    while late.block() < Block(17) {
        late.close_block();
    }
    assert_eq!(
        outcome(&mut late, hotkey(VALIDATOR), reveal(&salt)),
        Err(Refusal::ExpiredWeightCommit)
    );
}

#[test]
fn commitments_are_for_neurons_at_their_pace_where_the_rules_have_them() {
    let commit = Call::CommitWeights(Commitment([7; 32]));
    let mut open = chain(|_| {});
    assert_eq!(
        outcome(&mut open, hotkey(VALIDATOR), commit.clone()),
        Err(Refusal::CommitRevealDisabled)
    );
    let mut chain = chain(|genesis| {
        committing(genesis);
        genesis.hyperparameters.weights_set_rate_limit = 5;
    });
    assert_eq!(
        outcome(&mut chain, hotkey(99), commit.clone()),
        Err(Refusal::NotRegistered)
    );
    assert_eq!(outcome(&mut chain, hotkey(VALIDATOR), commit.clone()), Ok(()));
    assert_eq!(
        outcome(&mut chain, hotkey(VALIDATOR), commit),
        Err(Refusal::CommittingWeightsTooFast)
    );
}

#[test]
fn who_has_less_stake_than_the_threshold_sets_no_weights_today_unless_it_is_the_owner() {
    let threshold = |genesis: &mut Genesis| {
        genesis.hyperparameters.rule_set = RuleSet::Today;
        genesis.hyperparameters.stake_threshold = Rao(STAKE + 1);
    };
    let mut poor = chain(threshold);
    assert_eq!(
        outcome(&mut poor, hotkey(VALIDATOR), weights(&[(1, 1)])),
        Err(Refusal::NotEnoughStakeToSetWeights)
    );
    let mut owned = chain(|genesis| {
        threshold(genesis);
        genesis.owner = Some(owner(VALIDATOR));
    });
    assert_eq!(outcome(&mut owned, hotkey(VALIDATOR), weights(&[(1, 1)])), Ok(()));
}

#[test]
fn axons_and_figures_are_announced_each_at_the_pace_of_the_rate_limit() {
    let mut chain = chain(|genesis| genesis.hyperparameters.serving_rate_limit = 3);
    let address = |port: u16| Axon {
        ip: [10, 0, 0, 1].into(),
        port: port.try_into().expect("ports of these tests are not 0"),
    };
    let mut by_miner = |call| outcome(&mut chain, hotkey(0), call);
    assert_eq!(by_miner(Call::ServeAxon(address(1))), Ok(()));
    assert_eq!(by_miner(Call::ServePrometheus(address(2))), Ok(()));
    assert_eq!(
        by_miner(Call::ServeAxon(address(3))),
        Err(Refusal::ServingRateLimitExceeded)
    );
    assert_eq!(by_miner(Call::ServeAxon(address(3))), Ok(()));
    let miner = neuron(&chain, 0);
    assert_eq!(
        (miner.axon, miner.prometheus),
        (Some(address(3)), Some(address(2)))
    );
    assert_eq!(
        chain.metagraph().neuron(Uid(1)).and_then(|other| other.axon),
        None
    );
}
