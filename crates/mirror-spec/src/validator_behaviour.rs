//! Behaviours of validators, which determine their weights. The code of each is in a file in `mirror-validator`.

use crate::declare::family;
use crate::ranges::RATE;
use crate::{NoArgs, Uids};

family! {
    /// A behaviour of a validator, which determines its weights.
    pub enum ValidatorBehaviour: "validator_behaviour" {
        /// Sets weights by the average rewards.
        ///
        /// It is the default and requires no entry.
        "honest" => Honest(NoArgs),
        /// Divides all weight equally among its members, whatever any uid earned.
        ///
        /// [configs/attacks/cabal.yml](../configs/attacks/cabal.yml) is an example.
        "cabal" => Cabal(CabalArgs: Eq {
            /// The uids of the miners that get all weight.
            members: Uids,
        }),
        /// Calls no axon and copies the consensus of the last epoch. Until there is one, all weights are equal.
        "copier" => Copier(NoArgs),
        /// Calls no axon and gives all uids equal weight.
        "lazy" => Lazy(NoArgs),
        /// Sets weights by the average rewards of the first steps, and then calls no axon any more.
        "stale" => Stale(StaleArgs: Copy Eq {
            /// The first step in which it calls no axon any more.
            after: u64 [StepNumber(0..=1_000_000_000)],
        }),
        /// Gives each uid that serves an axon a random weight, drawn anew each time.
        "random" => Random(NoArgs),
        /// Sets weights by the average rewards, except for a share of the weight that some miners bought.
        "bribed" => Bribed(BribedArgs {
            /// The uids of the miners that bought weight.
            members: Uids,
            /// Share of all its weight that the members bought, in equal parts.
            part: f32 [RATE] = 0.5,
        }),
    }
}

impl ValidatorBehaviour {
    /// Returns the miners that collude with this validator and the role of such a miner. `None` if there are none.
    pub fn members(&self) -> Option<(&Uids, &'static str)> {
        match self {
            Self::Cabal(CabalArgs { members }) => Some((members, "cabal")),
            Self::Bribed(BribedArgs { members, .. }) => Some((members, "briber")),
            _ => None,
        }
    }
}
