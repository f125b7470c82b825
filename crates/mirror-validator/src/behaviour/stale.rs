//! Sets weights by the average rewards of the first steps, and then calls no axon any more.
//!
//! It exploits that weights that were once correct look correct for a long time. A subnet whose miners change should
//! stop it: its weights drift from the consensus, and its trust and dividends fall.

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

    /// The averages no longer change, because the validator learns nothing any more.
    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32> {
        known.earned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_calls_axons_only_in_the_first_steps() {
        let stale = Stale::new(StaleArgs { after: 2 });
        assert_eq!(
            [0, 1, 2, 3].map(|step| stale.asks(step)),
            [true, true, false, false]
        );
    }
}
