//! The `faults` section: what is broken on purpose, and when.

use crate::at::{At, Tree};
use crate::declare::forms;
use crate::{Step, Steps, Uids};

forms! {
    /// Something that is broken on purpose. The keys of the map say which kind of fault it is.
    pub enum Fault: "a fault" {
        /// Miners that are killed at a step and, perhaps, started again.
        Kill(KillFault: Eq {
            /// After the block of this step.
            at: Step,
            /// Who is killed.
            kill: Uids,
            /// When it is started again; left out: never.
            restart_after: Option<Steps>,
        }),
    }
}

impl<'a, N: Tree> At<'a, N, Fault> {
    /// The place of `at`, which every kind of fault has.
    pub fn at(self) -> At<'a, N, Step> {
        self.key("at")
    }
}
