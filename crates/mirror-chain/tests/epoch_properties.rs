//! Properties of every epoch, checked over random subnets, and rules that few random subnets exercise.

use mirror_chain::epoch::{
    Bond, Bonds, Epoch, I32F32, LiquidAlpha, Malformed, Neuron, Rules, Today, Variant, epoch,
};
use mirror_chain::{Block, Rao, Uid, Weight};
use proptest::prelude::*;

const TAO: u64 = 1_000_000_000;

/// A neuron that owns its rows.
#[derive(Debug, Clone, Default)]
struct Member {
    stake: u64,
    last_update: u64,
    block_at_registration: u64,
    validator_permit: bool,
    weights: Vec<(u16, u16)>,
    bonds: Vec<(u16, u16)>,
}

fn validator(stake: u64, weights: &[(u16, u16)]) -> Member {
    Member {
        stake,
        last_update: 900,
        validator_permit: true,
        weights: weights.to_vec(),
        ..Member::default()
    }
}

fn miner() -> Member {
    Member {
        last_update: 900,
        ..Member::default()
    }
}

fn rules(variant: Variant) -> Rules {
    Rules {
        block: Block(1_000),
        activity_cutoff: 5_000,
        max_allowed_validators: 8,
        kappa: 32_767,
        bonds_moving_average: 900_000,
        variant,
    }
}

fn today(bonds: Bonds) -> Today {
    Today {
        tempo: 99,
        last_epoch: None,
        stake_threshold: Rao(0),
        owner: None,
        commits: None,
        bonds_penalty: u16::MAX,
        bonds,
    }
}

const LIQUID_ALPHA: LiquidAlpha = LiquidAlpha {
    low: 45_875,
    high: 58_982,
    steepness: 1_000,
};

fn variants() -> Vec<Variant> {
    let mut variants = vec![Variant::Classic];
    for bonds in [
        Bonds::Proportional,
        Bonds::Yuma3(None),
        Bonds::Yuma3(Some(LIQUID_ALPHA)),
    ] {
        for bonds_penalty in [0, 40_000, u16::MAX] {
            variants.push(Variant::Today(Today {
                bonds_penalty,
                ..today(bonds)
            }));
        }
    }
    variants
}

fn run(members: &[Member], rules: &Rules, rao: u64) -> Result<Epoch, Malformed> {
    let weights: Vec<Vec<Weight>> = members
        .iter()
        .map(|member| {
            member
                .weights
                .iter()
                .map(|&(uid, weight)| Weight {
                    uid: Uid(uid),
                    weight,
                })
                .collect()
        })
        .collect();
    let bonds: Vec<Vec<Bond>> = members
        .iter()
        .map(|member| {
            member
                .bonds
                .iter()
                .map(|&(uid, bond)| Bond { uid: Uid(uid), bond })
                .collect()
        })
        .collect();
    let neurons: Vec<Neuron<'_>> = members
        .iter()
        .enumerate()
        .map(|(uid, member)| Neuron {
            stake: Rao(member.stake),
            last_update: Block(member.last_update),
            block_at_registration: Block(member.block_at_registration),
            validator_permit: member.validator_permit,
            weights: &weights[uid],
            bonds: &bonds[uid],
        })
        .collect();
    epoch(&neurons, rules, Rao(rao))
}

/// A row that contains each uid at most once, in ascending order.
fn row(neurons: usize) -> impl Strategy<Value = Vec<(u16, u16)>> {
    let value = prop_oneof![1 => Just(0), 5 => any::<u16>()];
    prop::collection::vec(prop::option::of(value), neurons).prop_map(|values| {
        (0..)
            .zip(values)
            .filter_map(|(uid, value)| Some((uid, value?)))
            .collect()
    })
}

/// A subnet with all combinations: earlier and later blocks, neurons with and without a permit.
fn subnet() -> impl Strategy<Value = Vec<Member>> {
    (1..12_usize).prop_flat_map(|neurons| {
        let block = || prop_oneof![4 => Just(0_u64), 1 => 850..1_000_u64];
        let member = (
            prop_oneof![1 => Just(0), 3 => 1..1_000_000 * TAO],
            prop_oneof![4 => Just(950_u64), 1 => block()],
            block(),
            prop::bool::weighted(0.7),
            row(neurons),
            row(neurons),
        );
        prop::collection::vec(member, neurons).prop_map(|members| {
            let member =
                |(stake, last_update, block_at_registration, validator_permit, weights, bonds)| Member {
                    stake,
                    last_update,
                    block_at_registration,
                    validator_permit,
                    weights,
                    bonds,
                };
            members.into_iter().map(member).collect()
        })
    })
}

fn total(shares: &[I32F32]) -> i64 {
    shares.iter().map(|share| share.to_bits()).sum()
}

fn paid(amounts: &[Rao]) -> u64 {
    amounts.iter().map(|rao| rao.0).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_payments_sum_to_the_emission_minus_rounding(members in subnet(), rao in 0..1_000 * TAO) {
        let anyone = members.iter().any(|member| member.stake > 0);
        // Rounding loses at most one unit in the last place of each share and one rao of each amount.
        let lost = members.len() as u64 * ((rao >> 32) + 2);
        for variant in variants() {
            let epoch = run(&members, &rules(variant), rao)?;
            let all = paid(&epoch.emission);
            let both = paid(&epoch.server_emission) + paid(&epoch.validator_emission);
            prop_assert!(all <= rao && both <= rao);
            prop_assert!(!anyone && all == 0 || rao - all <= lost, "{} of {} rao", all, rao);
            prop_assert!(!anyone && both == 0 || rao - both <= 2 * lost, "{} of {} rao", both, rao);
        }
    }

    #[test]
    fn incentive_and_dividends_each_sum_to_one_or_zero(members in subnet()) {
        let one = I32F32::ONE.to_bits();
        let whole = |sum: i64| sum == 0 || (one - members.len() as i64..=one).contains(&sum);
        for variant in variants() {
            let epoch = run(&members, &rules(variant), TAO)?;
            prop_assert!(whole(total(&epoch.incentive)));
            prop_assert!(whole(total(&epoch.dividends)));
            prop_assert!(whole(total(&epoch.active_stake)));
            for shares in [&epoch.consensus, &epoch.validator_trust, &epoch.incentive, &epoch.dividends] {
                prop_assert!(shares.iter().all(|share| (0..=one).contains(&share.to_bits())));
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_uids(members in subnet(), order in any::<prop::sample::Index>(), step in 1..12_usize) {
        // Among equal stakes the uids decide, so all stakes are made different.
        let mut members = members;
        for (member, place) in members.iter_mut().zip(1..) {
            member.stake = member.stake / TAO * 100 * TAO + place * TAO;
        }
        let n = members.len();
        prop_assume!((1..=n).all(|factor| factor == 1 || n % factor > 0 || step % factor > 0));
        let moved_to = |uid: usize| (order.index(n) + uid * step) % n;
        let mut moved = members.clone();
        for (uid, member) in members.iter().enumerate() {
            let renamed = |row: &[(u16, u16)]| {
                let mut row: Vec<(u16, u16)> =
                    row.iter().map(|&(to, value)| (moved_to(to.into()) as u16, value)).collect();
                row.sort_unstable();
                row
            };
            moved[moved_to(uid)] =
                Member { weights: renamed(&member.weights), bonds: renamed(&member.bonds), ..member.clone() };
        }
        for variant in variants() {
            let rules = rules(variant);
            let (before, after) = (run(&members, &rules, TAO)?, run(&moved, &rules, TAO)?);
            for uid in 0..n {
                let to = moved_to(uid);
                prop_assert_eq!(before.active[uid], after.active[to]);
                prop_assert_eq!(before.next_permits[uid], after.next_permits[to]);
                prop_assert_eq!(before.consensus[uid], after.consensus[to]);
                prop_assert_eq!(before.validator_trust[uid], after.validator_trust[to]);
                prop_assert_eq!(before.incentive[uid], after.incentive[to]);
                prop_assert_eq!(before.dividends[uid], after.dividends[to]);
                prop_assert_eq!(before.emission[uid], after.emission[to]);
                prop_assert_eq!(
                    before.trust.as_ref().map(|trust| trust[uid]),
                    after.trust.as_ref().map(|trust| trust[to])
                );
                prop_assert_eq!(
                    before.pruning_scores.as_ref().map(|scores| scores[uid]),
                    after.pruning_scores.as_ref().map(|scores| scores[to])
                );
                let mut renamed: Vec<(u16, u16)> = before.bonds[uid]
                    .iter()
                    .map(|bond| (moved_to(bond.uid.index()) as u16, bond.bond))
                    .collect();
                renamed.sort_unstable();
                let bonds: Vec<(u16, u16)> =
                    after.bonds[to].iter().map(|bond| (bond.uid.0, bond.bond)).collect();
                prop_assert_eq!(renamed, bonds);
            }
        }
    }

    #[test]
    fn a_cabal_with_less_than_half_the_stake_earns_nothing(
        honest in prop::collection::vec(1..1_000_u64, 1..5),
        cabal in prop::collection::vec(1..1_000_u64, 1..5),
        weights in prop::collection::vec(1..=u16::MAX, 4),
    ) {
        prop_assume!(cabal.iter().sum::<u64>() < honest.iter().sum::<u64>());
        // Miners 0 and 1 get weight from the honest validators, miners 2 and 3 from the cabal.
        let mut members = vec![miner(); 4];
        let rows = [[(0, weights[0]), (1, weights[1])], [(2, weights[2]), (3, weights[3])]];
        members.extend(honest.iter().map(|&stake| validator(stake, &rows[0])));
        members.extend(cabal.iter().map(|&stake| validator(stake, &rows[1])));
        for variant in variants() {
            let epoch = run(&members, &rules(variant), TAO)?;
            for uid in [2, 3].into_iter().chain(4 + honest.len()..members.len()) {
                prop_assert_eq!(epoch.emission[uid], Rao(0));
                prop_assert_eq!(epoch.incentive[uid], I32F32::ZERO);
                prop_assert_eq!(epoch.dividends[uid], I32F32::ZERO);
            }
        }
    }

    #[test]
    fn no_valid_rules_cause_a_panic(
        members in subnet(),
        (block, activity_cutoff) in any::<(u64, u64)>(),
        (max_allowed_validators, kappa) in any::<(u16, u16)>(),
        bonds_moving_average in 0..=1_000_000_u64,
        (tempo, last_epoch, stake_threshold, bonds_penalty) in any::<(u64, u64, u64, u16)>(),
        (alpha, steepness) in any::<((u16, u16), i16)>(),
        rao in any::<u64>(),
        switches in 0..3_usize,
    ) {
        let liquid_alpha = LiquidAlpha { low: alpha.0.min(alpha.1), high: alpha.0.max(alpha.1), steepness };
        let bonds =
            [Bonds::Proportional, Bonds::Yuma3(None), Bonds::Yuma3(Some(liquid_alpha))][switches];
        let of_today = Today {
            tempo,
            last_epoch: Some(Block(last_epoch)),
            stake_threshold: Rao(stake_threshold),
            owner: Some(Uid(0)),
            commits: Some(vec![Some(Block(last_epoch)); members.len()]),
            bonds_penalty,
            bonds,
        };
        for variant in [Variant::Classic, Variant::Today(of_today)] {
            let rules = Rules {
                block: Block(block),
                activity_cutoff,
                max_allowed_validators,
                kappa,
                bonds_moving_average,
                variant,
            };
            let epoch = run(&members, &rules, rao)?;
            prop_assert!(paid(&epoch.emission) <= rao);
        }
    }

    #[test]
    fn a_rate_of_1_for_every_pair_forgets_the_old_bonds(members in subnet()) {
        let all = LiquidAlpha { low: u16::MAX, high: u16::MAX, steepness: 1_000 };
        let rules = |liquid_alpha| Rules {
            bonds_moving_average: 0,
            ..rules(Variant::Today(today(Bonds::Yuma3(liquid_alpha))))
        };
        let liquid = run(&members, &rules(Some(all)), TAO)?;
        let forgetful = run(&members, &rules(None), TAO)?;
        prop_assert_eq!(liquid.bonds, forgetful.bonds);
        prop_assert_eq!(liquid.dividends, forgetful.dividends);
    }
}

#[test]
fn with_exactly_half_the_stake_each_side_earns_half() {
    // The share of stake that defines the consensus, 32,767 of 65,535, is just below one half.
    let members = [miner(), miner(), validator(5, &[(0, 1)]), validator(5, &[(1, 1)])];
    for variant in variants() {
        let epoch = run(&members, &rules(variant), TAO).unwrap();
        assert_eq!(epoch.incentive[0], epoch.incentive[1]);
        assert_eq!(epoch.emission[0], Rao(250_000_000));
    }
}

#[test]
fn later_uids_of_equal_stake_get_permits_and_today_none_without_stake() {
    let members = [validator(5, &[]), validator(5, &[]), miner(), miner()];
    let permits = |variant, max_allowed_validators| {
        let rules = Rules {
            max_allowed_validators,
            ..rules(variant)
        };
        run(&members, &rules, TAO).unwrap().next_permits
    };
    let today = || Variant::Today(today(Bonds::Proportional));
    assert_eq!(permits(Variant::Classic, 1), [false, true, false, false]);
    assert_eq!(permits(today(), 1), [false, true, false, false]);
    assert_eq!(permits(Variant::Classic, 3), [true, true, false, true]);
    assert_eq!(permits(today(), 3), [true, true, false, false]);
    assert_eq!(permits(Variant::Classic, 0), [false; 4]);
}

#[test]
fn the_owner_is_permitted_below_the_threshold_and_its_weight_for_itself_counts() {
    let mut members = [
        validator(10, &[(0, 1), (1, 1)]),
        validator(1_000, &[(0, 1), (1, 1)]),
        miner(),
    ];
    members[0].validator_permit = false;
    let of_today = Today {
        stake_threshold: Rao(2_000),
        owner: Some(Uid(0)),
        ..today(Bonds::Proportional)
    };
    let rules = rules(Variant::Today(of_today));
    let epoch = run(&members, &rules, TAO).unwrap();
    assert_eq!(epoch.next_permits, [true, false, false]);
    assert_eq!(epoch.active_stake, [I32F32::ONE, I32F32::ZERO, I32F32::ZERO]);
    // Half of its weight is for itself, half for the other neuron.
    assert_eq!(epoch.incentive[0], epoch.incentive[1]);
    assert_eq!(epoch.incentive[0], I32F32::ratio(1, 2));
}

#[test]
fn weights_committed_before_the_weighted_neuron_registered_do_not_count() {
    let mut members = [validator(1, &[(1, 1), (2, 1)]), miner(), miner()];
    members[2].block_at_registration = 800;
    let incentive = |commits| {
        let variant = Variant::Today(Today {
            commits,
            ..today(Bonds::Proportional)
        });
        run(&members, &rules(variant), TAO).unwrap().incentive
    };
    let (half, all) = (I32F32::ratio(1, 2), I32F32::ONE);
    let committed = |block| Some(vec![Some(Block(block)), None, None]);
    assert_eq!(incentive(None), [I32F32::ZERO, half, half]);
    assert_eq!(incentive(Some(vec![None; 3])), [I32F32::ZERO, half, half]);
    assert_eq!(incentive(committed(800)), [I32F32::ZERO, half, half]);
    assert_eq!(incentive(committed(799)), [I32F32::ZERO, all, I32F32::ZERO]);
}

#[test]
fn bonds_in_neurons_registered_since_the_last_epoch_are_dropped() {
    // Validator 0 has all bonds in miner 2. Now both validators give it the same weight with the same stake.
    let members = |registered| {
        let mut members = [validator(1, &[(2, 1)]), validator(1, &[(2, 1)]), miner()];
        members[0].bonds = vec![(2, u16::MAX)];
        members[2].block_at_registration = registered;
        members
    };
    let old_bond_kept = |registered, last_epoch| {
        let variant = Variant::Today(Today {
            last_epoch,
            ..today(Bonds::Proportional)
        });
        let epoch = run(&members(registered), &rules(variant), TAO).unwrap();
        epoch.dividends[0] > epoch.dividends[1]
    };
    // Block 1,000 minus the tempo is 901. The weights were set in block 900, so the miner is registered earlier.
    assert!(old_bond_kept(899, None));
    assert!(old_bond_kept(899, Some(Block(899))));
    assert!(!old_bond_kept(899, Some(Block(898))));
    assert!(!old_bond_kept(899, Some(Block(500))));
}

#[test]
fn under_liquid_alpha_a_missing_weight_drops_a_bond_and_a_zero_lets_it_decay() {
    let bonds_of_0 = |weights: &[(u16, u16)]| {
        let mut members = [validator(1, weights), miner(), miner()];
        members[0].bonds = vec![(1, 30_000), (2, 30_000)];
        let variant = Variant::Today(today(Bonds::Yuma3(Some(LIQUID_ALPHA))));
        let epoch = run(&members, &rules(variant), TAO).unwrap();
        epoch.bonds[0].iter().map(|bond| bond.uid.0).collect::<Vec<_>>()
    };
    assert_eq!(bonds_of_0(&[(2, 65_535)]), [2]);
    assert_eq!(bonds_of_0(&[(1, 0), (2, 65_535)]), [1, 2]);
}

#[test]
fn a_row_without_a_permit_is_left_unchanged_only_in_2023() {
    let mut members = [validator(1, &[(1, 1)]), miner()];
    members[1].bonds = vec![(0, 7)];
    let bonds_of_1 = |variant| {
        let rules = Rules {
            max_allowed_validators: 1,
            ..rules(variant)
        };
        run(&members, &rules, TAO).unwrap().bonds[1].len()
    };
    assert_eq!(bonds_of_1(Variant::Classic), 1);
    assert_eq!(bonds_of_1(Variant::Today(today(Bonds::Proportional))), 0);
}

#[test]
fn an_empty_subnet_pays_nothing() {
    for variant in variants() {
        let epoch = run(&[], &rules(variant), TAO).unwrap();
        assert!(epoch.emission.is_empty());
    }
}
