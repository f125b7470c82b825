//! `mirror fault export`: the faults that were added to a running network, as a section of an experiment file.

use anyhow::Context;
use mirror_config::fault_to_yaml;
use mirror_runs::Run;
use mirror_runs::tables::{APPLIED, FaultRow};
use mirror_spec::{Fault, Moment, Span, Unit};

/// Difference in seconds below which the duration of a fault by the clock is the planned one.
const SLACK: f64 = 0.25;

/// A fault that was added, with its rows.
struct Added {
    fault: Fault,
    first: FaultRow,
    /// The last occurrence.
    last: FaultRow,
    /// The end of the last occurrence. `None` if it was still in effect.
    lifted: Option<FaultRow>,
}

/// The end of the last occurrence of a fault.
enum End {
    /// As the fault itself requires, or the fault has not ended.
    AsPlanned,
    /// Earlier, at this point.
    Early(Moment),
}

/// Returns a section `faults` that repeats the faults that were added to a run.
pub(super) fn export(run: &Run) -> anyhow::Result<String> {
    let added = added(run)?;
    if added.is_empty() {
        return Ok("# no fault was added to this run by a command\nfaults: []\n".to_owned());
    }
    let steps = run.steps()?.unwrap_or_default();
    let mut yaml = String::from("faults:\n");
    for added in added {
        let (fault, comments) = added.repeated(steps);
        for comment in comments {
            yaml.extend(["  # ", &comment, "\n"]);
        }
        let Some(fault) = fault else { continue };
        for (number, line) in fault_to_yaml(&fault).lines().enumerate() {
            yaml.push_str(if number == 0 { "  - " } else { "    " });
            yaml.push_str(line);
            yaml.push('\n');
        }
    }
    Ok(yaml)
}

/// Returns the faults that were added, in the order in which they began.
fn added(run: &Run) -> anyhow::Result<Vec<Added>> {
    let mut all: Vec<Added> = Vec::new();
    for row in run.rows::<FaultRow>()? {
        let row = row?;
        if !row.manual {
            continue;
        }
        let known = all.iter_mut().find(|added| added.first.fault == row.fault);
        match (known, &row.definition) {
            (Some(added), _) if row.change == APPLIED => {
                added.last = row;
                added.lifted = None;
            }
            (Some(added), _) => {
                if added.last.occurrence == row.occurrence {
                    added.lifted = Some(row);
                }
            }
            (None, Some(definition)) => {
                let fault = serde_json::from_str(definition)
                    .with_context(|| format!("the definition of the fault `{}` cannot be read", row.fault))?;
                all.push(Added {
                    fault,
                    first: row.clone(),
                    last: row,
                    lifted: None,
                });
            }
            (None, None) => {}
        }
    }
    Ok(all)
}

impl Added {
    /// Returns the fault with the times at which it was in effect, and comments about what may differ in another run.
    /// The fault is `None` if it affected no step.
    fn repeated(mut self, steps: u64) -> (Option<Fault>, Vec<String>) {
        let id = self.first.fault.clone();
        let start = self.fault.start();
        let mut comments = Vec::new();
        self.in_unit_of(start, &mut comments);
        if start.unit() == Unit::Time {
            comments.push(format!(
                "`{id}` began by the clock: another run may affect other calls"
            ));
        }
        if let (Moment::Block(_), Some(lifted)) = (start, &self.lifted)
            && lifted.block.is_none()
        {
            comments.push(format!(
                "the chain did not answer when `{id}` was lifted, so its end is the planned one"
            ));
        }
        if self.fault.when().every.is_some() {
            self.end_repetition(start, steps, &mut comments);
        } else if let End::Early(end) = self.end(start) {
            if end == start {
                comments.push(format!(
                    "`{id}` was lifted at {end}, where it began, and affected nothing"
                ));
                return (None, comments);
            }
            end_at(&mut self.fault, end);
        }
        if matches!(self.fault.lasts(), Some(Span::Time(_))) && start.unit() != Unit::Time {
            comments.push(format!(
                "`{id}` ends by the clock: another run may affect other calls"
            ));
        }
        (Some(self.fault), comments)
    }

    /// Brings the durations into the unit of the beginning, which the coordinator sets to that of the network.
    fn in_unit_of(&mut self, start: Moment, comments: &mut Vec<String>) {
        let in_steps = |span: &mut Option<Span>| {
            if let (Some(Span::Blocks(count)), Moment::Step(_)) = (*span, start) {
                // A block closes after each step.
                *span = Some(Span::Steps(count));
            }
        };
        if let Fault::Kill(kill) = &mut self.fault {
            in_steps(&mut kill.restart_after);
        }
        let when = self.fault.when_mut();
        in_steps(&mut when.r#for);
        in_steps(&mut when.every);
        let differs = |unit: Unit| unit != start.unit();
        if when.until.is_some_and(|until| differs(until.unit())) {
            when.until = None;
            comments.push("`until` is left out, because the fault began in another unit".to_owned());
        }
        if when.every.is_some_and(|every| differs(every.unit())) {
            when.every = None;
            comments.push("`every` is left out, because the fault began in another unit".to_owned());
        }
    }

    /// Returns the end of the last occurrence.
    fn end(&self, start: Moment) -> End {
        let Some(lifted) = &self.lifted else {
            return End::AsPlanned;
        };
        let elapsed = lifted.occurred_at - self.last.occurred_at;
        let when = self.fault.when();
        let lasts = match (self.fault.lasts(), start, when.until) {
            (Some(Span::Time(seconds)), ..) => Some(seconds),
            (None, Moment::Time(start), Some(Moment::Time(until))) => Some(until - start),
            _ => None,
        };
        if let Some(lasts) = lasts {
            // The timer of a fault starts before its row is written.
            if elapsed >= lasts * 0.9 - SLACK {
                return End::AsPlanned;
            }
        } else if let (Some(planned), Some(step)) = (&self.last.planned_end, lifted.step)
            && *planned == Moment::Step(step).to_string()
        {
            return End::AsPlanned;
        }
        match start {
            // Without a step, the fault was lifted after the last one.
            Moment::Step(_) => lifted
                .step
                .map_or(End::AsPlanned, |step| End::Early(Moment::Step(step))),
            Moment::Block(_) => match lifted.block.map(Moment::Block) {
                Some(end) if self.last.planned_end != Some(end.to_string()) => End::Early(end),
                _ => End::AsPlanned,
            },
            Moment::Time(start) => {
                End::Early(Moment::Time(((start + elapsed.max(0.001)) * 1e3).round() / 1e3))
            }
        }
    }

    /// Ends a fault that repeats where it was lifted.
    fn end_repetition(&mut self, start: Moment, steps: u64, comments: &mut Vec<String>) {
        let when = self.fault.when();
        let Some(every) = when.every else { return };
        let next = start.after(self.last.occurrence + 1, every);
        let is_overdue = matches!(next, Some(Moment::Step(next)) if next < steps) && when.probability >= 1.0;
        let end = self.end(start);
        if matches!(end, End::AsPlanned) && !is_overdue {
            return;
        }
        if let (End::Early(end), 0) = (&end, self.last.occurrence) {
            self.fault.when_mut().every = None;
            end_at(&mut self.fault, *end);
            return;
        }
        // `until` ends the repetitions, and not an occurrence.
        let until = start.after(self.last.occurrence, every).map(|last| match last {
            Moment::Step(step) => Moment::Step(step + 1),
            Moment::Block(block) => Moment::Block(block + 1),
            Moment::Time(time) => Moment::Time(time + 0.001),
        });
        self.fault.when_mut().until = until;
        if let End::Early(end) = end {
            comments.push(format!(
                "the last occurrence of `{}` was lifted early, at {end}, which cannot be repeated",
                self.first.fault
            ));
        }
    }
}

/// Lets a fault end at `end`, and in no other way.
fn end_at(fault: &mut Fault, end: Moment) {
    if let Fault::Kill(kill) = fault {
        kill.restart_after = None;
    }
    let when = fault.when_mut();
    when.r#for = None;
    when.until = Some(end);
}
