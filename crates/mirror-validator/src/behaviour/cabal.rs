//! Divides all weight equally among its members, whatever any uid earned.
//!
//! It exploits that emission follows weights. The consensus should stop it: weight above what more than half of the
//! stake gives is clipped, so a cabal with less stake gains nothing from it.

use mirror_spec::{CabalArgs, Uids};

use super::{Behaviour, WeightInputs};

pub(super) struct Cabal {
    members: Uids,
}

impl Cabal {
    pub(super) fn new(args: &CabalArgs) -> Self {
        Self {
            members: args.members.clone(),
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
            members: "1-2".parse().expect("it names uids"),
        });
        assert_eq!(
            weighed(&cabal, &[0.9, 0.0, 0.1, 0.5], &[0; 4]),
            [0.0, 1.0, 1.0, 0.0]
        );
    }
}
