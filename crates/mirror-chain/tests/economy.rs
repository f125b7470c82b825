//! Stake, delegation, transfers, and the emission that an epoch pays.

mod subnet;

use mirror_chain::{
    Axon, Block, BlockUnavailable, Call, Chain, Commitment, DispatchError, Genesis, HELD_HASHES,
    HISTORY_BLOCKS, Hyperparameters, MAX_ISSUANCE, MAX_METADATA, Nomination, Paid, PaidEpoch, Rao, RuleSet,
    Uid,
};
use subnet::{
    STAKE, VALIDATOR, balance, chain, coldkey, hotkey, neuron, outcome, owner, row, submit, weights,
};

/// A coldkey with a balance and without a neuron.
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
fn other_coldkeys_stake_only_with_delegates() {
    let mut chain = chain(rich);
    let mut by = |by, call| outcome(&mut chain, coldkey(by), call);
    assert_eq!(
        by(RICH, add_stake(0, 1_000)),
        Err(DispatchError::NonAssociatedColdKey)
    );
    assert_eq!(
        by(RICH, delegate(0, None)),
        Err(DispatchError::NonAssociatedColdKey)
    );
    assert_eq!(by(RICH, delegate(99, None)), Err(DispatchError::NotRegistered));
    assert_eq!(by(0, delegate(0, Some(11_797))), Err(DispatchError::InvalidTake));
    assert_eq!(by(0, delegate(0, Some(11_796))), Ok(()));
    assert_eq!(by(0, delegate(0, None)), Err(DispatchError::AlreadyDelegate));
    assert_eq!(by(RICH, add_stake(0, 1_000)), Ok(()));
    assert_eq!(
        by(RICH, add_stake(0, 9_000)),
        Err(DispatchError::NotEnoughBalanceToStake)
    );
    assert_eq!(by(RICH, add_stake(0, 0)), Err(DispatchError::AmountTooLow));
    assert_eq!(by(RICH, add_stake(99, 1)), Err(DispatchError::NotRegistered));
    assert_eq!(
        by(RICH, remove_stake(0, 1_001)),
        Err(DispatchError::NotEnoughStakeToWithdraw)
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
    assert_eq!(
        by_rich(remove_stake(0, 100)),
        Err(DispatchError::TxRateLimitExceeded)
    );
    assert_eq!(by_rich(remove_stake(0, 100)), Ok(()));
}

#[test]
fn a_nominator_stakes_nothing_or_at_least_the_minimum() {
    let mut chain = chain(|genesis| {
        rich(genesis);
        genesis.hyperparameters.nominator_min_required_stake = Rao(500);
    });
    let mut by = |by, call| outcome(&mut chain, coldkey(by), call);
    assert_eq!(by(0, delegate(0, None)), Ok(()));
    let too_little = Err(DispatchError::NomStakeBelowMinimumThreshold);
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
    assert_eq!(by(RICH, transfer(61, 0)), Err(DispatchError::AmountTooLow));
    assert_eq!(
        by(RICH, transfer(61, 499)),
        Err(DispatchError::ExistentialDeposit)
    );
    assert_eq!(
        by(RICH, transfer(61, 9_501)),
        Err(DispatchError::InsufficientBalance)
    );
    assert_eq!(
        by(RICH, transfer(61, u64::MAX)),
        Err(DispatchError::InsufficientBalance)
    );
    assert_eq!(by(61, transfer(RICH, 1)), Err(DispatchError::InsufficientBalance));
    assert_eq!(by(RICH, transfer(61, 9_500)), Ok(()));
    assert_eq!(
        by(RICH, transfer(RICH, 1)),
        Err(DispatchError::InsufficientBalance)
    );
    assert_eq!(by(61, transfer(61, 9_000)), Ok(()));
    let balances: Vec<_> = chain.balances().map(|(_, free)| free.0).collect();
    assert_eq!(balances, [500, 9_500]);
}

#[test]
fn only_the_owner_changes_the_rules_and_only_within_their_bounds() {
    let mut chain = chain(|genesis| genesis.owner = Some(owner(5)));
    let set = |name: &str, value| Call::SetHyperparameter {
        name: name.to_owned(),
        value,
    };
    let mut by = |by, call| outcome(&mut chain, by, call);
    assert_eq!(
        by(coldkey(0), set("tempo", 7)),
        Err(DispatchError::NotSubnetOwner)
    );
    assert_eq!(by(hotkey(5), set("tempo", 7)), Err(DispatchError::NotSubnetOwner));
    assert_eq!(
        by(coldkey(5), set("pace", 7)),
        Err(DispatchError::UnknownHyperparameter)
    );
    assert_eq!(
        by(coldkey(5), set("kappa", 65_536)),
        Err(DispatchError::ValueNotInBounds)
    );
    assert_eq!(
        by(coldkey(5), set("max_allowed_uids", 2)),
        Err(DispatchError::MaxAllowedUidsLessThanCurrentUids)
    );
    assert_eq!(by(coldkey(5), set("tempo", 7)), Ok(()));
    assert_eq!(chain.metagraph().hyperparameters.tempo, 7);
    assert_eq!(chain.metagraph().version.0, 2);
    let mut nobodys = subnet::chain(|_| {});
    assert_eq!(
        outcome(&mut nobodys, coldkey(5), set("tempo", 7)),
        Err(DispatchError::NotSubnetOwner)
    );
}

/// Closes blocks until an epoch has run.
fn next_epoch(chain: &mut Chain) -> PaidEpoch {
    loop {
        if let Some(epoch) = chain.close_block().epoch {
            return epoch;
        }
    }
}

#[test]
fn an_epoch_pays_what_its_blocks_minted() {
    // One validator gives one miner all weight: each gets half, exactly in integers.
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
    // The owner has 3 parts, the nominator 1 part. The take is the default of 18 %: 11,796 of 65,535.
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
    let (_, _, stake) = nominator.expect("the nominator has stake");
    let part = u128::from(stake.0 - STAKE / 3);
    // A quarter, minus rounding: at most one for each of two roundings.
    assert!((rest / 4 - 2..=rest / 4).contains(&part), "{part} of {rest}");
    assert_eq!(neuron(&chain, 2).stake, Rao(STAKE + STAKE / 3 + 4 * Rao::TAO));
}

#[test]
fn without_stake_no_neuron_is_paid_and_all_rewards_lapse() {
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
fn inactive_validators_earn_nothing() {
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
fn committed_weights_are_revealed_in_their_epoch() {
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
        Err(DispatchError::CommitRevealEnabled)
    );
    assert_eq!(
        by_validator(reveal(&salt)),
        Err(DispatchError::NoWeightsCommitFound)
    );
    // Block 3 is in epoch 0, which ends with block 7. The next epoch ends with block 17.
    assert_eq!(by_validator(Call::CommitWeights(commitment)), Ok(()));
    assert_eq!(by_validator(reveal(&salt)), Err(DispatchError::RevealTooEarly));
    assert_eq!(
        by_validator(reveal(&[1, 2])),
        Err(DispatchError::InvalidRevealCommitHashNotMatch)
    );
    while chain.block() < Block(7) {
        chain.close_block();
    }
    let mut late = chain.clone();
    assert_eq!(outcome(&mut chain, hotkey(VALIDATOR), reveal(&salt)), Ok(()));
    assert_eq!(neuron(&chain, 2).weights.len(), 1);
    // The last update is the commitment, not the reveal.
    assert_eq!(neuron(&chain, 2).last_update, Block(3));
    assert_eq!(
        outcome(&mut chain, hotkey(VALIDATOR), reveal(&salt)),
        Err(DispatchError::NoWeightsCommitFound)
    );
    while late.block() < Block(17) {
        late.close_block();
    }
    assert_eq!(
        outcome(&mut late, hotkey(VALIDATOR), reveal(&salt)),
        Err(DispatchError::ExpiredWeightCommit)
    );
}

#[test]
fn commitments_need_a_neuron_the_rate_limit_and_commit_reveal() {
    let commit = Call::CommitWeights(Commitment([7; 32]));
    let mut open = chain(|_| {});
    assert_eq!(
        outcome(&mut open, hotkey(VALIDATOR), commit.clone()),
        Err(DispatchError::CommitRevealDisabled)
    );
    let mut chain = chain(|genesis| {
        committing(genesis);
        genesis.hyperparameters.weights_set_rate_limit = 5;
    });
    assert_eq!(
        outcome(&mut chain, hotkey(99), commit.clone()),
        Err(DispatchError::NotRegistered)
    );
    assert_eq!(outcome(&mut chain, hotkey(VALIDATOR), commit.clone()), Ok(()));
    assert_eq!(
        outcome(&mut chain, hotkey(VALIDATOR), commit),
        Err(DispatchError::CommittingWeightsTooFast)
    );
}

#[test]
fn today_only_the_owner_sets_weights_with_stake_below_the_threshold() {
    let threshold = |genesis: &mut Genesis| {
        genesis.hyperparameters.rule_set = RuleSet::Today;
        genesis.hyperparameters.stake_threshold = Rao(STAKE + 1);
    };
    let mut poor = chain(threshold);
    assert_eq!(
        outcome(&mut poor, hotkey(VALIDATOR), weights(&[(1, 1)])),
        Err(DispatchError::NotEnoughStakeToSetWeights)
    );
    let mut owned = chain(|genesis| {
        threshold(genesis);
        genesis.owner = Some(owner(VALIDATOR));
    });
    assert_eq!(outcome(&mut owned, hotkey(VALIDATOR), weights(&[(1, 1)])), Ok(()));
}

#[test]
fn axons_and_prometheus_endpoints_have_separate_rate_limits() {
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
        Err(DispatchError::ServingRateLimitExceeded)
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

#[test]
fn the_owner_grants_and_removes_coins() {
    let mut chain = chain(|genesis| {
        genesis.owner = Some(owner(1));
        genesis.balances = vec![balance(9, 5_000)];
        genesis.hyperparameters.tempo = 0;
    });
    let set = |free| Call::ForceSetBalance {
        coldkey: coldkey(9),
        free: Rao(free),
    };
    assert_eq!(
        outcome(&mut chain, hotkey(1), set(7_000)),
        Err(DispatchError::NotSubnetOwner)
    );
    assert_eq!(
        outcome(&mut chain, coldkey(9), set(7_000)),
        Err(DispatchError::NotSubnetOwner)
    );
    let genesis = chain.issuance().genesis;
    // 2,000 granted, 6,000 removed. The whole balance is removed because the rest is below the existential deposit of
    // 500.
    for (free, then, granted, burned) in [
        (7_000, 7_000, 2_000, 0),
        (1_000, 1_000, 2_000, 6_000),
        (499, 0, 2_000, 7_000),
        (0, 0, 2_000, 7_000),
    ] {
        assert_eq!(outcome(&mut chain, coldkey(1), set(free)), Ok(()));
        assert_eq!(chain.balance(&coldkey(9)), Rao(then));
        let issuance = chain.issuance();
        assert_eq!(
            (issuance.genesis, issuance.granted, issuance.burned),
            (genesis, Rao(granted), Rao(burned))
        );
    }
    for too_much in [MAX_ISSUANCE.0, u64::MAX] {
        assert_eq!(
            outcome(&mut chain, coldkey(1), set(too_much)),
            Err(DispatchError::Overflow)
        );
    }
}

#[test]
fn the_owner_registers_a_neuron_against_all_limits() {
    let mut chain = chain(|genesis| {
        genesis.owner = Some(owner(1));
        genesis.hyperparameters.network_registration_allowed = false;
        genesis.hyperparameters.tempo = 0;
    });
    let seat = |hot, cold, stake| Call::ForceRegister {
        hotkey: hotkey(hot),
        coldkey: coldkey(cold),
        stake: Rao(stake),
        free: Rao(600),
    };
    assert_eq!(
        outcome(&mut chain, coldkey(0), seat(9, 9, 70)),
        Err(DispatchError::NotSubnetOwner)
    );
    assert_eq!(
        outcome(&mut chain, coldkey(1), seat(0, 0, 70)),
        Err(DispatchError::AlreadyRegistered)
    );
    assert_eq!(
        outcome(&mut chain, coldkey(1), seat(9, 9, u64::MAX)),
        Err(DispatchError::Overflow)
    );
    assert_eq!(outcome(&mut chain, coldkey(1), seat(9, 9, 70)), Ok(()));
    let seated = neuron(&chain, 3);
    assert_eq!(
        (seated.hotkey, seated.coldkey, seated.stake),
        (hotkey(9), coldkey(9), Rao(70))
    );
    assert_eq!(chain.balance(&coldkey(9)), Rao(600));
    assert_eq!(chain.issuance().granted, Rao(670));
}

#[test]
fn neurons_publish_metadata_within_their_space() {
    let mut chain = chain(|genesis| genesis.hyperparameters.tempo = 99);
    let publish = |data: &[u8]| Call::PublishMetadata { data: data.to_vec() };
    let mine = |chain: &Chain| chain.metadata(&hotkey(0)).map(|metadata| metadata.data.clone());
    assert_eq!(
        outcome(&mut chain, hotkey(9), publish(b"model")),
        Err(DispatchError::AccountNotAllowedCommit)
    );
    assert_eq!(mine(&chain), None);
    assert_eq!(outcome(&mut chain, hotkey(0), publish(b"model")), Ok(()));
    let metadata = chain
        .metadata(&hotkey(0))
        .expect("the hotkey has published metadata");
    assert_eq!(
        (&metadata.data[..], metadata.block),
        (&b"model"[..], chain.block())
    );
    let too_long = vec![0; MAX_METADATA + 1];
    assert_eq!(
        outcome(&mut chain, hotkey(0), publish(&too_long)),
        Err(DispatchError::SpaceLimitExceeded)
    );
    // 3,100 bytes per epoch, with less than 100 bytes counting as 100: 31 times.
    for time in 1..31 {
        assert_eq!(outcome(&mut chain, hotkey(0), publish(&[time])), Ok(()));
    }
    assert_eq!(
        outcome(&mut chain, hotkey(0), publish(b"once more")),
        Err(DispatchError::SpaceLimitExceeded)
    );
    assert_eq!(mine(&chain), Some(vec![30]));
    while chain.last_epoch().is_none() {
        chain.close_block();
    }
    assert_eq!(outcome(&mut chain, hotkey(0), publish(b"once more")), Ok(()));
    let read = Chain::from_snapshot(&chain.snapshot()).expect("the snapshot is valid");
    assert_eq!(mine(&read), Some(b"once more".to_vec()));
}

#[test]
fn past_holdings_are_known_as_far_back_as_they_are_held() {
    let mut chain = chain(|genesis| {
        genesis.balances = vec![balance(0, 9_000)];
        genesis.hyperparameters.tempo = 0;
    });
    let transfer = |amount| Call::Transfer {
        to: coldkey(8),
        amount: Rao(amount),
    };
    for _ in 1..=HISTORY_BLOCKS {
        assert_eq!(
            outcome(&mut chain, coldkey(0), transfer(600)).is_ok(),
            chain.block() <= Block(14)
        );
    }
    let free = |chain: &Chain, block| Ok(chain.holdings_at(coldkey(8), Block(block))?.free);
    assert_eq!(free(&chain, 1), Ok(Rao(600)));
    assert_eq!(free(&chain, 3), Ok(Rao(1_800)));
    let last = chain.block();
    assert_eq!(last, Block(HISTORY_BLOCKS));
    let oldest = Block(1);
    assert_eq!(
        free(&chain, 0),
        Err(BlockUnavailable::TooOld {
            block: Block(0),
            oldest
        })
    );
    let block = last.next();
    assert_eq!(
        free(&chain, block.0),
        Err(BlockUnavailable::NotClosed { block, last })
    );
}

#[test]
fn a_block_hash_covers_all_earlier_transactions() {
    let (mut one, mut other) = (chain(rich), chain(rich));
    let transfer = |amount| Call::Transfer {
        to: coldkey(8),
        amount: Rao(amount),
    };
    assert_eq!(one.block_hash(Block(0)), other.block_hash(Block(0)));
    submit(&mut one, coldkey(0), 1, transfer(600));
    submit(&mut other, coldkey(0), 1, transfer(601));
    for _ in 0..HELD_HASHES {
        one.close_block();
        other.close_block();
        assert_ne!(one.block_hash(one.block()), other.block_hash(other.block()));
    }
    let read = Chain::from_snapshot(&one.snapshot()).expect("the snapshot is valid");
    assert_eq!(read.block_hash(Block(1)), one.block_hash(Block(1)));
    let too_old = BlockUnavailable::TooOld {
        block: Block(0),
        oldest: Block(1),
    };
    assert_eq!(read.block_hash(Block(0)), Err(too_old));
    let last = one.block();
    let block = last.next();
    assert_eq!(
        one.block_hash(block),
        Err(BlockUnavailable::NotClosed { block, last })
    );
}
