//! What a sound file says without effect.
//!
//! A parameter that was never applied looks like one that does not help. So a warning says which setting it is, that it
//! has no effect in this file, why, and what to do. The parts are a file a subject: [`unread`] is of keys that nothing
//! reads, here or anywhere; [`chain`] of the chain's rules; [`groups`] of miners and validators that behave; [`timing`]
//! of what does not happen before a deadline or before the last step.

mod chain;
mod groups;
mod timing;
mod unread;

use mirror_spec::{Experiment, Method, Sample};

use super::{Place, Walked, is_written, key_origin};
use crate::problem::Finding;

/// A file without errors.
#[derive(Clone, Copy)]
struct Sound<'a> {
    /// What it says.
    experiment: &'a Experiment,
    /// Where it says so.
    file: Walked<'a>,
}

/// Finds what a file without errors says without effect, and rules of its chain that contradict each other.
pub(crate) fn check(experiment: &Experiment, file: Walked<'_>, found: &mut Vec<Finding>) {
    let sound = Sound { experiment, file };
    unread::check(sound, found);
    chain::check(sound, found);
    groups::check(sound, found);
    timing::check(sound, found);
}

impl Sound<'_> {
    /// The steps of the query. `None` without a query, and where they are as many as the data has rows.
    fn steps(&self) -> Option<u64> {
        let query = self.experiment.query.as_ref()?;
        if let Method::Train(args) = &query.method {
            return Some(args.max_iter);
        }
        match self.experiment.data.as_ref()?.sample {
            Sample::First { n } | Sample::Random { n, .. } => Some(n.div_ceil(query.chunk_size).into()),
            Sample::All => None,
        }
    }

    /// The number of miners. `None` where a metagraph says it.
    fn miners(&self) -> Option<u32> {
        let model = self.experiment.model.as_ref()?;
        let from_file = self.experiment.network.metagraph.is_none();
        from_file.then(|| model.metagraph.args().num_nodes)
    }
}

/// Warns of a key that has no effect, if it is written.
fn warn<T>(place: Place<'_, T>, path: &str, why: &str, help: &str, found: &mut Vec<Finding>) {
    if is_written(place) {
        let message = format!("`{path}` has no effect: {why}");
        found.push(Finding::warning(key_origin(place), message).with_help(help));
    }
}
