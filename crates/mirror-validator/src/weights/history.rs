//! The moving average of normalised rewards over a bounded history of events.
//!
//! v4 folds its whole history at each epoch: the rewards of every event go through a softmax, are scattered over the
//! uids and mixed in by `ma = alpha·ma + (1-alpha)·share`. A uid's average changes only with the events that contain
//! the uid, so it is `(1-alpha)·Σ alpha^j·share` over those events, newest first. Terms beyond the first few are below
//! the precision of f32, so only those few are kept per uid. The cost of an event is linear in its uids, and memory
//! does not grow with the run.

use std::collections::VecDeque;

use mirror_models::softmax::softmax;

/// A uid whose hotkey changed since the previous event, so that its average restarts.
pub type Reset = u32;

/// Terms with a smaller factor are omitted. The relative precision of f32 is about 1e-7.
const SMALLEST_FACTOR: f64 = 1e-20;

/// The moving averages of all uids.
#[derive(Debug, Clone)]
pub struct History {
    alpha: f64,
    most_events: u64,
    most_terms: usize,
    /// Number of the next event.
    next: u64,
    /// Terms by uid, oldest first.
    uids: Vec<VecDeque<Term>>,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    event: u64,
    share: f32,
}

impl History {
    /// Creates an empty history. `alpha` is the weight of the old average, 0..=1. At most `most_events` events count.
    pub fn new(alpha: f64, most_events: usize) -> Self {
        let most_events = most_events.max(1);
        let visible = SMALLEST_FACTOR.ln() / alpha.ln();
        let most_terms = if visible.is_finite() {
            visible.ceil() as usize + 1
        } else {
            most_events
        };
        Self {
            alpha,
            most_events: most_events as u64,
            most_terms: most_terms.clamp(1, most_events),
            next: 0,
            uids: Vec::new(),
        }
    }

    /// Adds an event with `rewards` parallel to the `uids` that succeeded, and then restarts the averages of `resets`.
    /// As in v4, this also discards the reward that a newcomer has just earned.
    pub fn record(&mut self, uids: &[u32], rewards: &[f32], resets: &[Reset]) {
        let event = self.next;
        self.next += 1;
        for (uid, share) in uids.iter().zip(softmax(rewards)) {
            let most_terms = self.most_terms;
            let terms = self.terms(*uid);
            terms.push_back(Term { event, share });
            if terms.len() > most_terms {
                terms.pop_front();
            }
        }
        for uid in resets {
            self.terms(*uid).clear();
        }
    }

    /// Returns the moving averages of the uids `0..n`. `None` if there is no history.
    pub fn averages(&self, n: usize) -> Option<Vec<f32>> {
        if self.next == 0 {
            return None;
        }
        let oldest = self.next.saturating_sub(self.most_events);
        let average = |terms: &VecDeque<Term>| {
            let kept = terms.iter().filter(|term| term.event >= oldest);
            let mixed = |old, term: &Term| self.alpha * old + (1.0 - self.alpha) * f64::from(term.share);
            kept.fold(0.0, mixed) as f32
        };
        let known = self.uids.iter().map(average);
        Some(known.chain(std::iter::repeat(0.0)).take(n).collect())
    }

    fn terms(&mut self, uid: u32) -> &mut VecDeque<Term> {
        let index = uid as usize;
        if index >= self.uids.len() {
            self.uids.resize(index + 1, VecDeque::new());
        }
        &mut self.uids[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    struct Event {
        uids: Vec<u32>,
        rewards: Vec<f32>,
        resets: Vec<u32>,
    }

    /// Folds the whole history as v4 does: scatter and mix, then reset.
    fn folded(events: &[Event], alpha: f64, n: usize) -> Vec<f64> {
        let mut averages = vec![0.0; n];
        for event in events {
            let mut scattered = averages.clone();
            for (uid, share) in event.uids.iter().zip(softmax(&event.rewards)) {
                scattered[*uid as usize] = f64::from(share);
            }
            for (average, scattered) in averages.iter_mut().zip(scattered) {
                *average = alpha * *average + (1.0 - alpha) * scattered;
            }
            for uid in &event.resets {
                averages[*uid as usize] = 0.0;
            }
        }
        averages
    }

    #[test]
    fn averages_equal_a_manual_calculation() {
        // two equal rewards are one half each, and alpha 0.01 is the weight of the old average
        let mut history = History::new(0.01, 100);
        assert_eq!(history.averages(2), None);
        history.record(&[0, 1], &[3.0, 3.0], &[]);
        assert_eq!(history.averages(3), Some(vec![0.495, 0.495, 0.0]));
        history.record(&[1], &[7.0], &[]);
        assert_eq!(history.averages(2), Some(vec![0.495, 0.994_95]));
        history.record(&[0, 1], &[1.0, 1.0], &[1]);
        assert_eq!(history.averages(2), Some(vec![0.499_95, 0.0]));
    }

    fn event(n: u32) -> impl Strategy<Value = Event> {
        let resets = prop::collection::vec(0..n, 0..2);
        (
            prop::sample::subsequence((0..n).collect::<Vec<_>>(), 0..=n as usize),
            resets,
        )
            .prop_flat_map(|(uids, resets)| {
                prop::collection::vec(-3f32..3.0, uids.len()).prop_map(move |rewards| Event {
                    uids: uids.clone(),
                    rewards,
                    resets: resets.clone(),
                })
            })
    }

    proptest! {
        #[test]
        fn averages_equal_a_fold_over_the_whole_history(
            events in prop::collection::vec(event(6), 1..60),
            most in 1usize..70,
            alpha in 0.0f64..=1.0,
        ) {
            let mut history = History::new(alpha, most);
            for event in &events {
                history.record(&event.uids, &event.rewards, &event.resets);
            }
            let kept = &events[events.len().saturating_sub(most)..];
            let found = history.averages(6).expect("events were recorded");
            for (found, expected) in found.into_iter().zip(folded(kept, alpha, 6)) {
                prop_assert!((f64::from(found) - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    }
}
