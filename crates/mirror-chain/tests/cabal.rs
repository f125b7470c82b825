//! The share that a cabal retains, compared with the consensus calculated manually.

use mirror_chain::Hyperparameters;
use mirror_chain::cabal::{Cabal, Opinion};

const CABAL: Cabal = Cabal {
    honest_validators: 3,
    validators: 2,
    other_miners: 12,
    miners: 4,
};

/// Bonds are stored as 16 bits.
const TOLERANCE: f64 = 1e-3;

#[track_caller]
fn check(percent: u8, opinion: Opinion, expected: f64) {
    for rules in [Hyperparameters::CLASSIC, Hyperparameters::TODAY] {
        let kept = CABAL
            .retained(percent, opinion, &rules)
            .expect("the rules are valid");
        assert!(
            (kept - expected).abs() < TOLERANCE,
            "{percent} %, {:?}: {kept}, not {expected}",
            rules.rule_set
        );
    }
}

/// The stake-weighted median of a miner's weights is that of the larger side. If the two sides have no miner in common,
/// the smaller side's weights are clipped to 0, and it has no bonds in any miner that is paid. kappa is slightly less
/// than one half, so with exactly half of the stake each side pays its miners.
#[test]
fn without_common_miners_the_smaller_side_retains_nothing() {
    for percent in [0, 10, 30, 49] {
        check(percent, Opinion::TellsApart, 0.0);
        check(100 - percent, Opinion::TellsApart, 1.0);
    }
    check(50, Opinion::TellsApart, 0.5);
}

/// With a share s of less than one half, the cabal's weights for its m miners are clipped to the weight that the honest
/// validators give to each of all n miners, 1/n. A miner of the cabal has the rank 1/n, any other (1-s)/n. All
/// validators have bonds in the cabal's miners in proportion to their stake, but only the honest ones in the others.
#[test]
fn below_half_an_unrecognised_cabal_retains_its_clipped_share() {
    let (m, n) = (
        f64::from(CABAL.miners),
        f64::from(CABAL.miners + CABAL.other_miners),
    );
    for percent in [10, 20, 35, 49] {
        let s = f64::from(percent) / 100.0;
        let incentive = m / (m + (n - m) * (1.0 - s));
        let dividends = incentive * s;
        check(percent, Opinion::CannotTell, f64::midpoint(incentive, dividends));
    }
}

/// With more than one half, the weights for the other miners are clipped to 0. The honest validators still give 1/n to
/// a miner of the cabal, to which the cabal gives 1/m, and they have bonds in it in this proportion.
#[test]
fn above_half_an_unrecognised_cabal_leaves_only_the_bonds_in_its_miners() {
    let (m, n) = (
        f64::from(CABAL.miners),
        f64::from(CABAL.miners + CABAL.other_miners),
    );
    for percent in [51, 60, 90] {
        let s = f64::from(percent) / 100.0;
        let dividends = (s / m) / (s / m + (1.0 - s) / n);
        check(percent, Opinion::CannotTell, f64::midpoint(1.0, dividends));
    }
}

#[test]
fn more_stake_never_retains_less() {
    for rules in [Hyperparameters::CLASSIC, Hyperparameters::TODAY] {
        for opinion in [Opinion::TellsApart, Opinion::CannotTell] {
            let kept = (0..=100).map(|percent| {
                CABAL
                    .retained(percent, opinion, &rules)
                    .expect("the rules are valid")
            });
            let kept: Vec<f64> = kept.collect();
            let falls = kept.windows(2).find(|pair| pair[1] < pair[0] - TOLERANCE);
            assert_eq!(falls, None, "{opinion:?}");
        }
    }
}
