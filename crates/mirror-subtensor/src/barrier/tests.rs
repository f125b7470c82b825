//! Tests of the barrier without a chain. The number of a block equals its step.

use super::*;

fn hotkey(number: u8) -> Hotkey {
    Hotkey::from_bytes([number; 32])
}

fn barrier(members: u8) -> Barrier {
    let mut barrier = Barrier::new((0..members).map(hotkey));
    assert_eq!(barrier.add_hold(Some(2)), Ok(2));
    barrier
}

/// Closes the open step, which must be `step`, and returns the hotkeys that joined.
#[track_caller]
fn close(barrier: &mut Barrier, step: u64) -> Vec<Hotkey> {
    assert_eq!(barrier.complete(), Some(step));
    let joined = barrier.joining();
    let block = ClosedBlock {
        block: Block(step),
        applied: Vec::new(),
        asked: Vec::new(),
        epoch: None,
        metagraph_changed: false,
    };
    barrier.close(step, &block, Version(1), &joined);
    joined
}

#[track_caller]
fn report_waits(barrier: &mut Barrier, members: impl IntoIterator<Item = u8>, step: u64) {
    for member in members {
        assert_eq!(barrier.report(&hotkey(member), step), Ok(Report::Waits));
    }
}

#[test]
fn a_step_is_complete_when_every_member_has_reported_it() {
    let mut barrier = barrier(2);
    assert_eq!(barrier.complete(), None);
    report_waits(&mut barrier, [0, 0], 5);
    assert_eq!(barrier.complete(), None);
    report_waits(&mut barrier, [1], 5);
    close(&mut barrier, 5);
    assert_eq!(barrier.complete(), None);
    assert!(matches!(barrier.report(&hotkey(0), 5), Ok(Report::Closed(closed)) if closed.step == 5));
    assert_eq!(
        barrier.report(&hotkey(0), 4),
        Err(BarrierError::TooOld { step: 4, oldest: 5 })
    );
    assert_eq!(
        barrier.report(&hotkey(0), 7),
        Err(BarrierError::Ahead { step: 7, open: 6 })
    );
    assert_eq!(
        barrier.report(&hotkey(9), 6),
        Err(BarrierError::UnknownMember { hotkey: hotkey(9) })
    );
}

#[test]
fn a_retired_member_joins_with_the_open_step_and_is_waited_for_from_the_next() {
    let mut barrier = barrier(2);
    report_waits(&mut barrier, [0], 0);
    assert_eq!(barrier.retire(&hotkey(1), Block(0)), Ok(Block(0)));
    assert_eq!(close(&mut barrier, 0), []);
    report_waits(&mut barrier, [1], 1);
    // A joining member neither delays a step nor completes it alone.
    assert_eq!(barrier.complete(), None);
    report_waits(&mut barrier, [0], 1);
    assert_eq!(close(&mut barrier, 1), [hotkey(1)]);
    report_waits(&mut barrier, [0], 2);
    assert_eq!(barrier.complete(), None);
    report_waits(&mut barrier, [1], 2);
    assert_eq!(close(&mut barrier, 2), []);
}

#[test]
fn no_step_closes_while_all_members_are_retired() {
    let mut barrier = barrier(2);
    report_waits(&mut barrier, [0], 0);
    for member in [0, 1] {
        assert_eq!(barrier.retire(&hotkey(member), Block(0)), Ok(Block(0)));
    }
    assert_eq!(barrier.complete(), None);
    report_waits(&mut barrier, [1], 0);
    assert_eq!(close(&mut barrier, 0), [hotkey(1)]);
    report_waits(&mut barrier, [1], 1);
    close(&mut barrier, 1);
    // The other member stays retired as of block 0, and retiring it again changes nothing.
    assert_eq!(barrier.retire(&hotkey(0), Block(2)), Ok(Block(0)));
}

#[test]
fn a_hold_lasts_until_it_is_released() {
    let mut barrier = barrier(1);
    report_waits(&mut barrier, [0], 1);
    close(&mut barrier, 1);
    assert_eq!(barrier.release(2), Err(BarrierError::NotStanding { step: 2 }));
    assert_eq!(barrier.release(3), Err(BarrierError::NoHold { step: 3 }));
    report_waits(&mut barrier, [0], 2);
    close(&mut barrier, 2);
    assert_eq!(barrier.hold(2), Ok(Hold::Standing(Block(2))));
    // A repeated report of the step waits too, and a report of the next step closes nothing.
    report_waits(&mut barrier, [0], 2);
    report_waits(&mut barrier, [0], 3);
    assert_eq!(barrier.complete(), None);
    assert!(matches!(barrier.report(&hotkey(0), 1), Ok(Report::Closed(_))));
    for _ in 0..2 {
        assert_eq!(barrier.release(2), Ok(Block(2)));
    }
    assert_eq!(barrier.hold(2), Ok(Hold::Released(Block(2))));
    close(&mut barrier, 3);
}

#[test]
fn holds_are_added_ahead_or_at_the_open_step() {
    let mut barrier = barrier(1);
    assert_eq!(barrier.add_hold(None), Ok(0));
    report_waits(&mut barrier, [0], 0);
    close(&mut barrier, 0);
    assert_eq!(barrier.standing(), Some(0));
    assert_eq!(barrier.release(0), Ok(Block(0)));
    report_waits(&mut barrier, [0], 1);
    close(&mut barrier, 1);
    // A repeated call has no further effect, and a hold that was released stays so.
    assert_eq!(barrier.add_hold(Some(0)), Ok(0));
    assert_eq!(barrier.hold(0), Ok(Hold::Released(Block(0))));
    assert_eq!(
        barrier.add_hold(Some(1)),
        Err(BarrierError::Closed { step: 1, open: 2 })
    );
    assert_eq!(barrier.add_hold(None), Ok(2));
}

#[test]
fn the_number_of_holds_is_bounded() {
    let mut barrier = barrier(1);
    let count = MAX_HOLDS as u64;
    for step in 0..count {
        assert_eq!(barrier.add_hold(Some(step)), Ok(step));
    }
    assert_eq!(
        barrier.add_hold(Some(count)),
        Err(BarrierError::TooManyHolds { step: count })
    );
    assert_eq!(barrier.add_hold(Some(0)), Ok(0));
}

#[test]
fn a_run_may_hold_after_every_step() {
    let mut barrier = barrier(1);
    for step in 0..MAX_HOLDS as u64 + 2 {
        assert_eq!(barrier.add_hold(Some(step)), Ok(step));
        report_waits(&mut barrier, [0], step);
        close(&mut barrier, step);
        assert_eq!(barrier.release(step), Ok(Block(step)));
    }
}
