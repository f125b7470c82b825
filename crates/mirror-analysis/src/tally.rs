//! What is known of one uid.

use crate::moments::{Mean, Moments};
use crate::outcome::OutcomeCounts;
use crate::series::Series;

/// Columns of a heat map over time, at most.
const COLUMNS: usize = 500;

/// What the calls of one uid came to.
#[derive(Clone, Debug)]
pub struct UidTally {
    /// how its calls ended
    pub outcomes: OutcomeCounts,
    /// of its successful calls, those that are finite
    pub rewards: Moments,
    /// seconds a call, those that failed included
    pub call_time: Moments,
    /// rewards by iteration
    pub rewards_over_time: Series<Mean>,
    /// weights that validators set, by step
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
