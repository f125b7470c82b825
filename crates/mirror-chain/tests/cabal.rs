//! What a cabal keeps, held against the consensus worked out by hand.

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
            .expect("the rules are sound");
        assert!(
            (kept - expected).abs() < TOLERANCE,
            "{percent} %, {:?}: {kept}, not {expected}",
            rules.rule_set
        );
    }
}

/// The median of a miner's weights by stake is that of the larger side. Where the two sides have no miner in common,
/// the smaller side's weights are clipped to nothing, and it has bonds in nobody who is paid. kappa is a hair under a
/// half, so with exactly half of the stake each side carries its own.
#[test]
fn told_apart_the_smaller_side_keeps_nothing() {
    for percent in [0, 10, 30, 49] {
        check(percent, Opinion::TellsApart, 0.0);
        check(100 - percent, Opinion::TellsApart, 1.0);
    }
    check(50, Opinion::TellsApart, 0.5);
}

/// With a share s below a half, the cabal's weights for its m miners are clipped to what the honest give to each of all
/// n, 1/n. A miner of the cabal has the rank 1/n, another (1-s)/n; all validators have bonds in the former by stake,
/// only the honest in the latter.
#[test]
fn below_half_a_cabal_that_is_not_told_apart_keeps_its_clipped_share() {
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

/// Above a half it is the others that are clipped to nothing. The honest still give 1/n to a miner of the cabal, which
/// gives it 1/m, and have bonds in it accordingly.
#[test]
fn above_half_it_takes_all_but_what_others_gave_to_its_own() {
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
fn more_stake_never_keeps_less() {
    for rules in [Hyperparameters::CLASSIC, Hyperparameters::TODAY] {
        for opinion in [Opinion::TellsApart, Opinion::CannotTell] {
            let kept = (0..=100).map(|percent| {
                CABAL
                    .retained(percent, opinion, &rules)
                    .expect("the rules are sound")
            });
            let kept: Vec<f64> = kept.collect();
            let falls = kept.windows(2).find(|pair| pair[1] < pair[0] - TOLERANCE);
            assert_eq!(falls, None, "{opinion:?}");
        }
    }
}
