//! Weighs each uid by what it earned in the first steps, and asks nobody any more.
//!
//! It exploits that weights which were right once look right for long. A subnet whose miners change should stop it: its
//! weights drift from the consensus, and its trust and dividends with them.

use mirror_spec::StaleArgs;

use super::{Behaviour, WeightInputs};

pub(super) struct Stale {
    after: u64,
}

impl Stale {
    pub(super) fn new(args: StaleArgs) -> Self {
        Self { after: args.after }
    }
}

impl Behaviour for Stale {
    fn asks(&self, step: u64) -> bool {
        step < self.after
    }

    /// Its averages stay what they were, as it learns nothing any more.
    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32> {
        known.earned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_asks_until_it_has_heard_enough() {
        let stale = Stale::new(StaleArgs { after: 2 });
        assert_eq!(
            [0, 1, 2, 3].map(|step| stale.asks(step)),
            [true, true, false, false]
        );
    }
}
