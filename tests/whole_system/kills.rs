//! The chain's node killed by force at random moments of running experiments: the runs end, with the events of one that
//! nobody disturbed.
//!
//! Ten kills, or as many as `MIRROR_KILLS` says. A run takes five of them: after five restarts a node is given up.

use mirror_runs::Run;
use mirror_seed::Seed;
use mirror_tests::{Laboratory, acknowledged, eventually};
use rustix::process::Signal;

use crate::experiment::TRAINING;

/// Kills of one run.
const KILLS_A_RUN: u64 = 5;

/// Events of a validator, two a step.
const EVENTS: usize = 2_000;

const LONG: [&str; 2] = ["query.method.args.max_iter=1000", "network.validators=2"];

#[test]
fn a_chain_that_is_killed_again_and_again_loses_nothing() {
    let laboratory = Laboratory::new();
    let file = laboratory.file("long.yml", TRAINING);
    let undisturbed = laboratory.done(file, &LONG);
    let kills = kills();
    for first in (0..kills).step_by(KILLS_A_RUN as usize) {
        let mut going = laboratory.start_run(file, &LONG);
        let folder = going.folder();
        let mut events = 0;
        for kill in first..kills.min(first + KILLS_A_RUN) {
            let [low, high, ..] = Seed::root(7).numbered_child("moment", kill).bytes();
            events += 1 + usize::from(u16::from_le_bytes([low, high])) % (EVENTS / 6);
            going.until_acknowledged("validator-0", events);
            let node = going.node("subtensor");
            node.send(Signal::KILL);
            eventually("a killed node is gone", || (!node.is_alive()).then_some(()));
        }
        let ended = going.ends();
        assert_eq!(ended.status, Some(0), "{ended:?}");
        let disturbed = Run::open(folder).expect("the run opens");
        let same = laboratory.diff(&undisturbed, &disturbed);
        assert_eq!(same.status, Some(0), "{same:?}");
        assert_eq!(
            acknowledged(disturbed.layout().root(), "validator-0").len(),
            EVENTS
        );
    }
}

fn kills() -> u64 {
    let Ok(kills) = std::env::var("MIRROR_KILLS") else {
        return 10;
    };
    kills.parse().expect("MIRROR_KILLS is a number")
}
