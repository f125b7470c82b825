//! How far a run has come, told while it goes on: a bar on a terminal, a line every few seconds elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use mirror_proto::mirror::v1::QueryProgress;

/// Pause between two lines.
const LINE_PAUSE: Duration = Duration::from_secs(5);

/// Tells how far the validators have come.
pub(super) struct Progress {
    validators: BTreeMap<u32, QueryProgress>,
    shown: Shown,
    started: Instant,
}

enum Shown {
    Bar(ProgressBar),
    Lines { last: Instant },
    Nothing,
}

impl Progress {
    /// Progress that is shown on standard error.
    pub(super) fn shown() -> Self {
        let shown = if std::io::stderr().is_terminal() {
            let template = "{bar:30} {pos}/{len} steps  {per_sec}  {eta} left  {msg}";
            let style = ProgressStyle::with_template(template).expect("the template is sound");
            Shown::Bar(ProgressBar::new(0).with_style(style))
        } else {
            Shown::Lines { last: Instant::now() }
        };
        Self {
            validators: BTreeMap::new(),
            shown,
            started: Instant::now(),
        }
    }

    /// Progress that nobody sees.
    pub(super) fn silent() -> Self {
        Self {
            validators: BTreeMap::new(),
            shown: Shown::Nothing,
            started: Instant::now(),
        }
    }

    /// Takes in what a validator says.
    pub(super) fn update(&mut self, validator: u32, progress: QueryProgress) {
        self.validators.insert(validator, progress);
        let (done, total) = self.steps();
        let failed: u64 = self
            .validators
            .values()
            .map(|progress| progress.failed_forwards)
            .sum();
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                if failed > 0 {
                    bar.set_message(format!("{failed} forwards without a completion"));
                }
            }
            Shown::Lines { last } if last.elapsed() >= LINE_PAUSE => {
                *last = Instant::now();
                let rate = done as f64 / self.started.elapsed().as_secs_f64();
                let left = (total - done.min(total)) as f64 / rate.max(1e-9);
                eprintln!("{done} of {total} steps, {rate:.0} a second, about {left:.0} s left");
            }
            Shown::Lines { .. } | Shown::Nothing => {}
        }
    }

    /// Steps of the slowest validator: done, and in all.
    pub(super) fn steps(&self) -> (u64, u64) {
        let done = self.validators.values().map(|progress| progress.steps_done).min();
        let total = self
            .validators
            .values()
            .map(|progress| progress.steps_total)
            .max();
        (done.unwrap_or_default(), total.unwrap_or_default())
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
