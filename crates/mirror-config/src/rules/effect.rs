//! Warnings of settings without effect in a file without errors.
//!
//! A parameter that is never applied looks like one that does not help. A warning therefore names the setting, the
//! reason why it has no effect in this file, and a remedy.
//!
//! A setting that the query of the file does not read has no effect, even if manual calls to a validator would read it.
//! In that case the warning says "only calls of other programs read it". A file without a query starts no run, so that
//! nothing is known of its readers, and such settings are not reported.
//!
//! The module [`unread`] covers keys that are not read, [`chain`] the hyperparameters of the chain, [`groups`] the
//! behaviours of miners and validators, [`telemetry`] the recording of spans and metrics, and [`timing`] events that do
//! not happen before a deadline or before the last step.

mod chain;
mod groups;
mod telemetry;
mod timing;
mod unread;

use mirror_spec::{Experiment, Method, Sample, Uids};

use super::{Place, Walked, is_written, key_origin};
use crate::problem::Finding;

/// A file without errors.
#[derive(Clone, Copy)]
struct Sound<'a> {
    /// The experiment.
    experiment: &'a Experiment,
    /// The tree of the file, with positions.
    file: Walked<'a>,
}

/// Reports the settings without effect of a file without errors, and hyperparameters of its chain that contradict each
/// other.
pub(crate) fn check(experiment: &Experiment, file: Walked<'_>, found: &mut Vec<Finding>) {
    let sound = Sound { experiment, file };
    unread::check(sound, found);
    chain::check(sound, found);
    groups::check(sound, found);
    telemetry::check(sound, found);
    timing::check(sound, found);
}

impl Sound<'_> {
    /// Returns the number of steps of the query. `None` without a query, and if it depends on the number of rows of the
    /// data.
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

    /// Returns the number of miners. `None` without a model, and if it comes from a metagraph.
    fn miners(&self) -> Option<u32> {
        let model = self.experiment.model.as_ref()?;
        let from_file = self.experiment.network.metagraph.is_none();
        from_file.then(|| model.metagraph.args().num_nodes)
    }
}

/// Returns a number of things: `1 step`, `2 steps`.
fn counted(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{ending}")
}

/// Returns the name of a set of uids: `uid 3`, `uids 0-3`.
fn named(uids: &Uids) -> String {
    let ending = if uids.iter().nth(1).is_none() { "" } else { "s" };
    format!("uid{ending} {uids}")
}

/// Returns an interval: `every block`, `every 2 blocks`.
fn every(number: u64, thing: &str) -> String {
    if number == 1 {
        format!("every {thing}")
    } else {
        format!("every {number} {thing}s")
    }
}

/// Warns that a key has no effect, if it is written in the file.
fn warn<T>(place: Place<'_, T>, path: &str, why: &str, help: &str, found: &mut Vec<Finding>) {
    if is_written(place) {
        let message = format!("`{path}` has no effect: {why}");
        found.push(Finding::warning(key_origin(place), message).with_help(help));
    }
}
