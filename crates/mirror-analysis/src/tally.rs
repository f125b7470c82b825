//! Statistics of one uid.

use crate::moments::{Mean, Moments};
use crate::outcome::OutcomeCounts;
use crate::series::Series;

/// Maximum number of columns of a heat map over time.
const COLUMNS: usize = 500;

/// Statistics of the calls and weights of one uid.
#[derive(Clone, Debug)]
pub struct UidTally {
    /// Outcomes of its calls.
    pub outcomes: OutcomeCounts,
    /// Finite rewards of its successful calls.
    pub rewards: Moments,
    /// Duration of a call in seconds, including failed calls.
    pub call_time: Moments,
    /// Rewards by the number of the forward.
    pub rewards_over_time: Series<Mean>,
    /// Weights that validators set, by step.
    pub weights_over_time: Series<Mean>,
}

impl Default for UidTally {
    fn default() -> Self {
        Self {
            outcomes: OutcomeCounts::default(),
            rewards: Moments::default(),
            call_time: Moments::default(),
            rewards_over_time: Series::new(COLUMNS),
            weights_over_time: Series::new(COLUMNS),
        }
    }
}
