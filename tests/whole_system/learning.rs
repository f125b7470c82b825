//! Tests of networks that learn offline, with the built-in data and models.

use mirror_runs::Run;
use mirror_runs::tables::{EventRow, LossRow};
use mirror_tests::{TestEnv, rows};

const CONFIGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs");

/// Number of events at the end of a run over which scores are averaged: the last fifty steps.
const LAST_EVENTS: usize = 100;

/// Number of uids that are right four times in five, in `learning.yml`.
const GOOD: usize = 8;

/// Returns the probability that a good uid's mean score over these events exceeds that of another uid.
fn auc(events: &[EventRow]) -> f64 {
    let mut sums = vec![0.0; events.first().map_or(0, |event| event.scores.len())];
    for event in events {
        for (sum, score) in sums.iter_mut().zip(&event.scores) {
            *sum += f64::from(*score);
        }
    }
    let (good, others) = sums.split_at(GOOD);
    let above = good
        .iter()
        .map(|good| others.iter().filter(|other| good > other).count())
        .sum::<usize>();
    above as f64 / (good.len() * others.len()) as f64
}

/// Runs `configs/learning.yml` with five random seeds, and checks which uids have high scores after 300 steps.
#[test]
fn the_gating_model_learns_which_uids_are_right() {
    let env = TestEnv::new();
    let file = format!("{CONFIGS}/learning.yml");
    let mut learned = Vec::new();
    for seed in 1..=5 {
        let run = env.done(&file, &[&format!("seed={seed}")]);
        let events: Vec<EventRow> = rows(&run);
        assert!(events.len() > LAST_EVENTS, "{} events", events.len());
        // The first forward is scored before the model has learned anything.
        let untrained = auc(&events[..1]);
        let trained = auc(&events[events.len() - LAST_EVENTS..]);
        println!("seed {seed}: AUC {untrained:.3} untrained, {trained:.3} after 300 steps");
        learned.push(trained);
    }
    learned.sort_by(f64::total_cmp);
    println!("median {:.3}, worst {:.3}", learned[2], learned[0]);
    assert!(learned[2] >= 0.9, "median of {learned:?}");
    assert!(learned[0] >= 0.8, "worst of {learned:?}");
}

fn losses_of(run: &Run) -> Vec<f32> {
    rows::<LossRow>(run).into_iter().map(|row| row.loss).collect()
}

#[test]
fn the_sequential_file_runs_anywhere_and_repeats() {
    let env = TestEnv::new();
    let file = format!("{CONFIGS}/sequential.yml");
    let run = env.done(&file, &[]);
    let losses = losses_of(&run);
    assert!(!losses.is_empty() && losses.iter().all(|loss| loss.is_finite() && *loss >= 0.0));
    let again = env.done(&file, &[]);
    assert_eq!(losses_of(&again), losses);
    assert_eq!(env.diff(&run, &again).status, Some(0));
}
