//! The `faults` section: scheduled faults.

use crate::at::{At, Tree};
use crate::declare::forms;
use crate::{Step, Steps, Uids};

forms! {
    /// A scheduled fault. The keys of the map determine its kind.
    pub enum Fault: "a fault" {
        /// Kills miners after a step and optionally restarts them.
        Kill(KillFault: Eq {
            /// Step after whose block the fault occurs.
            at: Step,
            /// The uids of the miners to kill.
            kill: Uids,
            /// Number of steps after which the miners are restarted. If absent: never.
            restart_after: Option<Steps>,
        }),
    }
}

impl<'a, N: Tree> At<'a, N, Fault> {
    /// Returns the place of `at`, which every kind of fault has.
    pub fn at(self) -> At<'a, N, Step> {
        self.key("at")
    }
}
