//! Behaviours of validators: what each sets its weights by. Their code is in `mirror-validator`, a file each.

use crate::declare::family;
use crate::ranges::RATE;
use crate::{NoArgs, Uids};

family! {
    /// What a validator makes of what it has learned when it sets weights.
    pub enum ValidatorBehaviour: "validator_behaviour" {
        /// Weighs each uid by what it earned.
        ///
        /// It needs no entry.
        "honest" => Honest(NoArgs),
        /// Weighs its own members alone, whatever they and the others earned.
        ///
        /// [configs/attacks/cabal.yml](../configs/attacks/cabal.yml) is a network with one.
        "cabal" => Cabal(CabalArgs: Eq {
            /// The miners that it gives all weight to, to each the same.
            members: Uids,
        }),
        /// Asks nobody, and weighs each uid as the consensus of the last epoch has it; until there is one, all alike.
        "copier" => Copier(NoArgs),
        /// Asks nobody, and weighs all alike.
        "lazy" => Lazy(NoArgs),
        /// Weighs each uid by what it earned in the first steps, for ever.
        "stale" => Stale(StaleArgs: Copy Eq {
            /// The first step in which it asks nobody any more.
            after: u64 [StepNumber(0..=1_000_000_000)],
        }),
        /// Weighs each uid that serves an axon by chance, drawn anew each time.
        "random" => Random(NoArgs),
        /// Weighs each uid by what it earned, but for the part that was bought.
        "bribed" => Bribed(BribedArgs {
            /// The miners that pay it.
            members: Uids,
            /// The part of all its weight that they bought, in equal parts.
            part: f32 [RATE] = 0.5,
        }),
    }
}

impl ValidatorBehaviour {
    /// The miners whose accomplice it is, if there are any, and what such miners are called.
    pub fn members(&self) -> Option<(&Uids, &'static str)> {
        match self {
            Self::Cabal(CabalArgs { members }) => Some((members, "cabal")),
            Self::Bribed(BribedArgs { members, .. }) => Some((members, "briber")),
            _ => None,
        }
    }
}
