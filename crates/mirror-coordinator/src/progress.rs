//! Shows the progress of a run: a bar on a terminal, otherwise a line every few seconds.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mirror_output::message;
use mirror_proto::mirror::v1::QueryProgress;

/// Pause between two lines.
const LINE_PAUSE: Duration = Duration::from_secs(5);

/// The progress of the validators.
pub(crate) struct Progress {
    validators: BTreeMap<u32, QueryProgress>,
    /// Nodes that do not answer health checks, with the duration of their silence.
    silent: BTreeMap<String, Duration>,
    shown: Shown,
    started: Instant,
}

enum Shown {
    Bar(ProgressBar),
    Lines { last: Instant },
    Nothing,
}

impl Progress {
    /// Creates progress that is shown on standard error.
    pub(crate) fn shown() -> Self {
        let shown = if std::io::stderr().is_terminal() {
            let template = "{bar:30} {pos}/{len} steps  {per_sec}  {eta} left  {msg}";
            let style = ProgressStyle::with_template(template).expect("the template is valid");
            Shown::Bar(ProgressBar::new(0).with_style(style))
        } else {
            Shown::Lines { last: Instant::now() }
        };
        Self {
            validators: BTreeMap::new(),
            silent: BTreeMap::new(),
            shown,
            started: Instant::now(),
        }
    }

    /// Creates progress that is not shown.
    pub(crate) fn hidden() -> Self {
        Self {
            validators: BTreeMap::new(),
            silent: BTreeMap::new(),
            shown: Shown::Nothing,
            started: Instant::now(),
        }
    }

    /// Returns the number of steps that every validator has finished.
    pub(crate) fn least_done(&self) -> u64 {
        let done = self.validators.values().map(|progress| progress.steps_done);
        done.min().unwrap_or_default()
    }

    /// Updates the progress of a validator.
    pub(crate) fn update(&mut self, validator: u32, progress: QueryProgress) {
        self.validators.insert(validator, progress);
        let (done, total) = self.steps();
        let message = self.message();
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(message);
            }
            Shown::Lines { last } if last.elapsed() >= LINE_PAUSE => {
                *last = Instant::now();
                let rate = done as f64 / self.started.elapsed().as_secs_f64();
                let left = (total - done.min(total)) as f64 / rate.max(1e-9);
                message!("{done} of {total} steps, {rate:.0} steps/s, about {left:.0} s left");
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }

    /// Reports that a node has not answered health checks for `silence`: on the bar each time, otherwise only once
    /// until the node answers.
    pub(crate) fn silent(&mut self, node: &str, silence: Duration) {
        let is_new = self.silent.insert(node.to_owned(), silence).is_none();
        let message = self.message();
        match &self.shown {
            Shown::Bar(bar) => bar.set_message(message),
            Shown::Lines { .. } if is_new => message!("{}", waiting_for(node, silence)),
            Shown::Nothing if is_new => tracing::warn!("{}", waiting_for(node, silence)),
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }

    /// Reports that a node answers health checks again.
    pub(crate) fn answers(&mut self, node: &str) {
        self.forget(node);
        match &self.shown {
            Shown::Bar(_) => {}
            Shown::Lines { .. } => message!("{node} answers health checks again"),
            Shown::Nothing => tracing::warn!("{node} answers health checks again"),
        }
    }

    /// Stops showing a node as silent.
    pub(crate) fn forget(&mut self, node: &str) {
        if self.silent.remove(node).is_some()
            && let Shown::Bar(bar) = &self.shown
        {
            bar.set_message(self.message());
        }
    }

    /// Returns the text next to the bar: the node that has been silent longest, and the number of failed forwards.
    fn message(&self) -> String {
        let failed: u64 = self
            .validators
            .values()
            .map(|progress| progress.failed_forwards)
            .sum();
        let longest = self.silent.iter().max_by_key(|(_, silence)| **silence);
        let waiting = longest.map(|(node, silence)| match self.silent.len() - 1 {
            0 => waiting_for(node, *silence),
            others => format!("{}, and for {others} other nodes", waiting_for(node, *silence)),
        });
        let failed = (failed > 0).then(|| format!("{failed} forwards without a completion"));
        waiting.into_iter().chain(failed).collect::<Vec<_>>().join(", ")
    }

    /// Returns the smallest number of completed steps over all validators, and the largest total.
    pub(crate) fn steps(&self) -> (u64, u64) {
        let done = self.validators.values().map(|progress| progress.steps_done).min();
        let total = self
            .validators
            .values()
            .map(|progress| progress.steps_total)
            .max();
        (done.unwrap_or_default(), total.unwrap_or_default())
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

fn waiting_for(node: &str, silence: Duration) -> String {
    let seconds = silence.as_secs_f64();
    let digits = usize::from(seconds < 10.0);
    format!("waiting for {node} (no answer to health checks for {seconds:.digits$} s)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_names_the_node_that_is_silent_longest() {
        let mut progress = Progress::hidden();
        progress.silent("validator-1", Duration::from_secs(12));
        assert_eq!(
            progress.message(),
            "waiting for validator-1 (no answer to health checks for 12 s)"
        );
        progress.silent("miner-3", Duration::from_secs(15));
        progress.silent("miner-4", Duration::from_secs(11));
        assert_eq!(
            progress.message(),
            "waiting for miner-3 (no answer to health checks for 15 s), and for 2 other nodes"
        );
        progress.forget("miner-3");
        progress.answers("miner-4");
        progress.answers("validator-1");
        assert_eq!(progress.message(), "");
    }
}
