//! Gives all weight to its own members, to each the same, whatever anybody earned.
//!
//! It exploits that pay follows weights. The consensus should stop it: weight beyond what more than half of the stake
//! gives is clipped, so that a cabal with less gets nothing for it.

use mirror_spec::{CabalArgs, Uids};

use super::{Behaviour, Known};

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
    fn weigh(&self, known: Known<'_>) -> Vec<f32> {
        let weight = |uid| if self.members.contains(&uid) { 1.0 } else { 0.0 };
        (0..known.metagraph.neurons.len() as u32).map(weight).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::weighed;
    use super::*;

    #[test]
    fn members_get_the_same_and_the_others_nothing() {
        let cabal = Cabal::new(&CabalArgs {
            members: "1-2".parse().expect("it names uids"),
        });
        assert_eq!(
            weighed(&cabal, &[0.9, 0.0, 0.1, 0.5], &[0; 4]),
            [0.0, 1.0, 1.0, 0.0]
        );
    }
}
