//! Registration: the price, the limits, and the replacement of neurons.

mod subnet;

use mirror_chain::{
    Block, Call, Chain, DispatchError, EXISTENTIAL_DEPOSIT, Genesis, Hyperparameters, Rao, RuleSet, Uid,
};
use subnet::{chain, coldkey, hotkey, outcome, submit};

/// A coldkey with a balance and without a neuron.
const RICH: u8 = 60;

/// Registration as on the real chain, but without its limits.
fn burning(genesis: &mut Genesis) {
    genesis.hyperparameters = Hyperparameters {
        burn: Rao(1_000_000),
        min_burn: Rao(0),
        max_registrations_per_block: 10,
        target_registrations_per_interval: 2,
        adjustment_interval: 10,
        network_free_registration_allowed: false,
        ..genesis.hyperparameters.clone()
    };
    genesis.balances = vec![subnet::balance(RICH, 10_000_000)];
}

fn burned_register(number: u8) -> Call {
    Call::BurnedRegister {
        hotkey: hotkey(number),
    }
}

fn register(number: u8) -> Call {
    Call::Register {
        coldkey: coldkey(number),
    }
}

#[test]
fn registration_appends_until_the_subnet_is_full() {
    let mut chain = chain(|genesis| {
        genesis.hyperparameters.max_allowed_uids = 4;
        genesis.hyperparameters.immunity_period = 0;
    });
    assert_eq!(outcome(&mut chain, hotkey(9), register(9)), Ok(()));
    assert_eq!(chain.uid(&hotkey(9)), Some(Uid(3)));
    assert_eq!(
        outcome(&mut chain, hotkey(9), register(9)),
        Err(DispatchError::AlreadyRegistered)
    );
    let newcomer = subnet::neuron(&chain, 3);
    assert_eq!(
        (newcomer.block_at_registration, newcomer.stake),
        (Block(1), Rao(0))
    );
    assert_eq!(outcome(&mut chain, hotkey(10), register(10)), Ok(()));
    assert_eq!(chain.metagraph().neurons.len(), 4);
}

#[test]
fn a_registration_is_paid_for_and_the_price_is_burned() {
    let mut chain = chain(burning);
    let before = chain.issuance().total();
    assert_eq!(outcome(&mut chain, coldkey(RICH), burned_register(9)), Ok(()));
    assert_eq!(chain.uid(&hotkey(9)), Some(Uid(3)));
    assert_eq!(subnet::neuron(&chain, 3).coldkey, coldkey(RICH));
    assert_eq!(chain.balance(&coldkey(RICH)), Rao(9_000_000));
    assert_eq!(chain.issuance().burned, Rao(1_000_000));
    // The issuance rises by one block reward and falls by the price.
    assert_eq!(chain.issuance().total().0, before.0 + Rao::TAO - 1_000_000);
}

#[test]
fn registrations_are_refused_by_the_chains_names() {
    let check = |change: &dyn Fn(&mut Genesis), by, call: Call, expected| {
        let mut chain = chain(|genesis| {
            burning(genesis);
            change(genesis);
        });
        assert_eq!(outcome(&mut chain, by, call), Err(expected));
    };
    check(
        &|_| {},
        hotkey(9),
        register(9),
        DispatchError::RegistrationDisabled,
    );
    let closed = |genesis: &mut Genesis| genesis.hyperparameters.network_registration_allowed = false;
    check(
        &closed,
        coldkey(RICH),
        burned_register(9),
        DispatchError::RegistrationDisabled,
    );
    check(
        &|_| {},
        coldkey(RICH),
        burned_register(1),
        DispatchError::AlreadyRegistered,
    );
    check(
        &|_| {},
        coldkey(61),
        burned_register(9),
        DispatchError::NotEnoughBalanceToStake,
    );
    // The balance must keep the existential deposit.
    let just_short = |genesis: &mut Genesis| {
        genesis.balances = vec![subnet::balance(RICH, 1_000_000 + EXISTENTIAL_DEPOSIT.0 - 1)];
    };
    check(
        &just_short,
        coldkey(RICH),
        burned_register(9),
        DispatchError::NotEnoughBalanceToStake,
    );
}

#[test]
fn registrations_are_limited_per_block_and_per_interval() {
    let mut chain = chain(|genesis| {
        burning(genesis);
        genesis.hyperparameters.burn = Rao(0);
        genesis.hyperparameters.max_registrations_per_block = 4;
        genesis.hyperparameters.max_allowed_uids = 100;
    });
    let register = |chain: &mut Chain, numbers: std::ops::Range<u8>| {
        for number in numbers {
            submit(chain, coldkey(RICH), number.into(), burned_register(number));
        }
        let applied = chain.close_block().applied;
        applied
            .into_iter()
            .map(|applied| applied.outcome)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        register(&mut chain, 10..15),
        [
            Ok(()),
            Ok(()),
            Ok(()),
            Ok(()),
            Err(DispatchError::TooManyRegistrationsThisBlock)
        ]
    );
    // The limit is three times the target of 2.
    assert_eq!(
        register(&mut chain, 15..18),
        [
            Ok(()),
            Ok(()),
            Err(DispatchError::TooManyRegistrationsThisInterval)
        ]
    );
    while chain.block() < Block(9) {
        chain.close_block();
    }
    assert_eq!(register(&mut chain, 18..19), [Ok(())]);
}

#[test]
fn a_hotkey_keeps_its_first_owner() {
    let mut chain = chain(|genesis| {
        genesis.hyperparameters.max_allowed_uids = 3;
        genesis.hyperparameters.immunity_period = 0;
    });
    assert_eq!(outcome(&mut chain, hotkey(9), register(9)), Ok(()));
    let gone = (0..3).find(|&number| chain.uid(&hotkey(number)).is_none());
    let gone = gone.expect("a neuron was replaced");
    assert_eq!(
        outcome(&mut chain, hotkey(gone), register(200)),
        Err(DispatchError::NonAssociatedColdKey)
    );
    assert_eq!(outcome(&mut chain, hotkey(gone), register(gone)), Ok(()));
}

/// A full subnet after its first epoch. Uid 2 is the validator and gives uid 0 twice the weight of uid 1.
fn full(rule_set: RuleSet, change: impl FnOnce(&mut Genesis)) -> Chain {
    let mut chain = chain(|genesis| {
        genesis.hyperparameters = Hyperparameters {
            rule_set,
            tempo: 3,
            max_allowed_uids: 3,
            immunity_period: 0,
            min_non_immune_uids: 0,
            nominator_min_required_stake: Rao(0),
            ..genesis.hyperparameters.clone()
        };
        change(genesis);
    });
    let weights = subnet::weights(&[(0, 2), (1, 1)]);
    assert_eq!(outcome(&mut chain, hotkey(2), weights), Ok(()));
    assert!(chain.close_block().epoch.is_some());
    chain
}

#[test]
fn in_2023_the_lowest_score_is_replaced_and_each_once_before_any_twice() {
    let mut chain = full(RuleSet::Classic, |_| {});
    let order: Vec<_> = (20..23)
        .map(|number| {
            assert_eq!(outcome(&mut chain, hotkey(number), register(number)), Ok(()));
            chain.uid(&hotkey(number)).map(|uid| uid.0)
        })
        .collect();
    // Uid 1 earned a third of one half, uid 0 two thirds of it, and uid 2 the other half. All newcomers then have the
    // highest score.
    assert_eq!(order[..2], [Some(1), Some(0)]);
    assert_eq!(order[2], Some(0));
}

#[test]
fn in_2023_the_last_of_equal_scores_is_replaced_first() {
    let mut chain = chain(|genesis| {
        genesis.hyperparameters.max_allowed_uids = 3;
        genesis.hyperparameters.immunity_period = 0;
    });
    let replaced = [20, 21, 22].map(|number| {
        assert_eq!(outcome(&mut chain, hotkey(number), register(number)), Ok(()));
        chain.uid(&hotkey(number)).map(|uid| uid.0)
    });
    assert_eq!(replaced, [Some(2), Some(1), Some(0)]);
}

#[test]
fn immunity_protects_while_other_neurons_are_not_immune() {
    // The chain of 2023 treats all neurons as immune if no neuron past its immunity has less than the highest score,
    // which the best-paid neuron and newcomers that replaced others have. So uid 0 is replaced again.
    for (rule_set, last) in [(RuleSet::Classic, 0), (RuleSet::Today, 2)] {
        let mut chain = full(rule_set, |genesis| {
            genesis.hyperparameters.immunity_period = 3;
        });
        // Neurons registered in block 0 are not immune from block 3 on, but newcomers are.
        let replaced = [20, 21, 22].map(|number| {
            assert_eq!(outcome(&mut chain, hotkey(number), register(number)), Ok(()));
            chain.uid(&hotkey(number)).map(|uid| uid.0)
        });
        assert_eq!(replaced, [Some(1), Some(0), Some(last)], "{rule_set:?}");
    }
}

#[test]
fn if_all_are_immune_the_lowest_is_replaced() {
    let mut classic = full(RuleSet::Classic, |genesis| {
        genesis.hyperparameters.immunity_period = 1_000;
    });
    assert_eq!(outcome(&mut classic, hotkey(20), register(20)), Ok(()));
    assert_eq!(classic.uid(&hotkey(20)), Some(Uid(1)));
    let mut today = full(RuleSet::Today, |genesis| {
        genesis.hyperparameters.immunity_period = 1_000;
    });
    assert_eq!(outcome(&mut today, hotkey(20), register(20)), Ok(()));
    assert_eq!(today.uid(&hotkey(20)), Some(Uid(1)));
}

#[test]
fn today_keeps_some_non_immune_neurons_and_always_the_owner() {
    let mut kept = full(RuleSet::Today, |genesis| {
        genesis.hyperparameters.min_non_immune_uids = 10;
    });
    assert_eq!(
        outcome(&mut kept, hotkey(20), register(20)),
        Err(DispatchError::NoNeuronIdAvailable)
    );
    let mut owned = full(RuleSet::Today, |genesis| {
        genesis.owner = Some(subnet::owner(1));
    });
    assert_eq!(outcome(&mut owned, hotkey(20), register(20)), Ok(()));
    // Uid 1 earned least, but it belongs to the owner.
    assert_eq!(owned.uid(&hotkey(20)), Some(Uid(0)));
}

#[test]
fn the_stake_of_a_replaced_neuron_is_returned_in_2023_and_kept_today() {
    for (rule_set, expected) in [(RuleSet::Classic, 0), (RuleSet::Today, 1_000_000)] {
        let mut chain = chain(|genesis| {
            genesis.hyperparameters.rule_set = rule_set;
            genesis.hyperparameters.min_non_immune_uids = 0;
            genesis.hyperparameters.max_allowed_uids = 3;
            genesis.hyperparameters.immunity_period = 0;
            genesis
                .neurons
                .iter_mut()
                .for_each(|neuron| neuron.stake = Rao(1_000_000));
        });
        assert_eq!(outcome(&mut chain, hotkey(20), register(20)), Ok(()));
        let gone = (0..3).find(|&number| chain.uid(&hotkey(number)).is_none());
        let gone = gone.expect("a neuron was replaced");
        let stake: u64 = chain.nominators(&hotkey(gone)).map(|(_, stake)| stake.0).sum();
        assert_eq!(stake, expected);
        assert_eq!(stake + chain.balance(&coldkey(gone)).0, 1_000_000);
    }
}
