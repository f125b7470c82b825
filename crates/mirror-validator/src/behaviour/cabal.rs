//! Divides all weight equally among its members, whatever any uid earned.
//!
//! It exploits that emission follows weights. The consensus should stop it: weight above what more than half of the
//! stake gives is clipped, so a cabal with less stake gains nothing from it.

use std::ops::RangeInclusive;

use mirror_spec::CabalArgs;

use super::{Behaviour, WeightInputs};

pub(super) struct Cabal {
    members: RangeInclusive<u32>,
}

impl Cabal {
    pub(super) fn new(args: &CabalArgs) -> Self {
        Self {
            members: args.members.0.clone(),
        }
    }
}

impl Behaviour for Cabal {
    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32> {
        let weight = |uid| if self.members.contains(&uid) { 1.0 } else { 0.0 };
        (0..known.metagraph.neurons.len() as u32).map(weight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::weighed;
    use super::*;

    #[test]
    fn members_get_equal_weight_and_the_others_none() {
        let cabal = Cabal::new(&CabalArgs {
            members: mirror_spec::Uids(1..=2),
        });
        assert_eq!(
            weighed(&cabal, &[0.9, 0.0, 0.1, 0.5], &[0; 4]),
            [0.0, 1.0, 1.0, 0.0]
        );
    }
}
