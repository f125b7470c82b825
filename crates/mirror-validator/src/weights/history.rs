//! The moving average of normalised rewards over a bounded history of events.
//!
//! v4 folds its whole history at each epoch: every event's rewards go through a softmax, are scattered over the uids
//! and mixed in by `ma = alpha·ma + (1-alpha)·share`. A uid's average only changes with the events that it was in, so
//! it is `(1-alpha)·Σ alpha^j·share` over its own events, newest first. Terms beyond the first few cannot be seen in
//! f32, so a uid keeps those few alone: an event costs as much as it has uids, and memory does not grow with the run.

use std::collections::VecDeque;

use mirror_models::softmax::softmax;

/// A uid whose hotkey changed since the event before: its average starts again.
pub type Reset = u32;

/// Terms whose factor is smaller than this are left out; f32 tells numbers apart down to 1e-7 of the larger.
const SMALLEST_FACTOR: f64 = 1e-20;

/// The moving averages of all uids.
#[derive(Debug, Clone)]
pub struct History {
    alpha: f64,
    most_events: u64,
    most_terms: usize,
    /// Number of the next event.
    next: u64,
    /// By uid, oldest first.
    uids: Vec<VecDeque<Term>>,
}

#[derive(Debug, Clone, Copy)]
struct Term {
    event: u64,
    share: f32,
}

impl History {
    /// An empty history. `alpha` is the weight of the old average, 0..=1; at most `most_events` events count.
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

    /// Takes in an event: `rewards` beside the `uids` that succeeded. Then the averages of `resets` start again, which
    /// also wipes what a newcomer has just earned, as in v4.
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

    /// The moving averages of uids `0..n`; `None` while there is no history.
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

    /// v4's way: fold the whole history, scatter and mix, then reset.
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
    fn worked_by_hand() {
        // two equal rewards are a half each; alpha 0.01 weighs the old average by 0.01
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
        fn the_same_as_folding_the_whole_history(
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
