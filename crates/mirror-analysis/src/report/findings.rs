//! Findings of a run in sentences: what ran, who was paid, what failed, which incidents occurred.

use mirror_runs::State;
use mirror_runs::expectations::Checked;

use crate::numbers::{count, counted, duration, value};
use crate::run_data::RunData;
use crate::summary::{Pay, Summary, UidRow};

/// A sentence at the top of the page.
pub(super) struct Finding {
    /// `plain`, or `warning` for a finding that needs attention.
    pub(super) class: &'static str,
    pub(super) text: String,
}

pub(super) fn plain(text: String) -> Finding {
    Finding { class: "plain", text }
}

pub(super) fn warning(text: String) -> Finding {
    Finding {
        class: "warning",
        text,
    }
}

pub(super) fn findings(data: &RunData, summary: &Summary) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(state(data.state));
    findings.push(size(data, summary));
    findings.extend(pay_of_uids(summary));
    findings.extend(failed_calls(summary));
    findings.extend(incidents(data));
    findings.extend(skipped_records(data));
    findings.extend(of_expectations(&data.expectations));
    findings
}

/// Returns a sentence about the expectations that held.
pub(super) fn of_expectations(checked: &[Checked]) -> Option<Finding> {
    let broken: Vec<&str> = checked
        .iter()
        .filter(|checked| !checked.decision.held())
        .map(|checked| checked.name.as_str())
        .collect();
    let all = counted(checked.len() as u64, "expectation", "expectations");
    match (checked, broken.as_slice()) {
        ([], _) => None,
        (_, []) => Some(plain(format!("Of {all}, all held."))),
        (_, broken) => Some(warning(format!(
            "Of {all}, {} did not hold: {}.",
            count(broken.len() as u64),
            broken.join("; ")
        ))),
    }
}

fn state(state: State) -> Option<Finding> {
    let text = match state {
        State::Done => return None,
        State::Running => "This run is in progress: the report shows the records up to its creation.",
        State::Interrupted => "This run was interrupted: the report shows the records up to that time.",
        State::Failed => "This run failed: the report shows the records up to that time.",
    };
    Some(warning(text.to_owned()))
}

fn size(data: &RunData, summary: &Summary) -> Finding {
    let totals = &summary.totals;
    if totals.events == 0 {
        return warning("No event was recorded: there is nothing to analyse.".to_owned());
    }
    let duration = totals
        .duration
        .map_or_else(String::new, |seconds| format!(", in {}", duration(seconds)));
    plain(format!(
        "{} made {} in {}{duration}, with seed {}.",
        counted(totals.validators as u64, "validator", "validators"),
        counted(totals.events, "event", "events"),
        counted(totals.steps, "step", "steps"),
        data.manifest.seed,
    ))
}

fn pay_of_uids(summary: &Summary) -> Option<Finding> {
    let pay = summary.pay;
    let best = summary.uids.first()?;
    let paid = pay.of(best)?;
    let worst = summary
        .uids
        .iter()
        .rev()
        .find_map(|row| Some((row, pay.of(row)?)));
    let worst = match worst {
        Some((worst, least)) if worst.uid != best.uid => {
            format!(", the worst-paid was {} with {}", name(worst), value(least))
        }
        _ => String::new(),
    };
    let why = match pay {
        Pay::Incentive | Pay::Weight => "",
        Pay::Reward => " The chain accepted no weights, so pay is measured by the mean reward.",
    };
    Some(plain(format!(
        "The best-paid uid was {} with {} {}{worst}.{why}",
        name(best),
        pay.name(),
        value(paid)
    )))
}

fn name(row: &UidRow) -> String {
    match &row.role {
        Some(role) => format!("{} ({role})", row.uid),
        None => row.uid.to_string(),
    }
}

fn failed_calls(summary: &Summary) -> Vec<Finding> {
    let totals = &summary.totals;
    let mut findings = Vec::new();
    if totals.outcomes.calls() > 0 {
        let words = sentence(&totals.calls_in_words());
        findings.push(match totals.outcomes.successes() {
            0 => warning(words),
            _ => plain(words),
        });
    }
    if totals.failed_events > 0 {
        findings.push(warning(format!(
            "In {} no call succeeded.",
            counted(totals.failed_events, "event", "events")
        )));
    }
    if totals.unusable_rewards > 0 {
        findings.push(warning(format!(
            "{} not finite and excluded from every mean.",
            counted(
                totals.unusable_rewards,
                "reward of the reward model is",
                "rewards of the reward model are"
            )
        )));
    }
    if totals.weights_refused > 0 {
        findings.push(warning(format!(
            "The chain refused {} and accepted {}.",
            counted(
                totals.weights_refused,
                "setting of weights",
                "settings of weights"
            ),
            count(totals.weights_set)
        )));
    }
    if totals.timing_dependent > 0 {
        findings.push(warning(format!(
            "{} lost to slowness of the machine, not to a drawn delay: another run of the same file may have \
             other outcomes.",
            counted(totals.timing_dependent, "call was", "calls were")
        )));
    }
    if totals.manual > 0 {
        findings.push(plain(format!(
            "{} requested by a client while the run was in progress (`manual`) and excluded from this report.",
            counted(totals.manual, "forward was", "forwards were")
        )));
    }
    findings
}

/// Adds a capital and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let capital = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", capital.unwrap_or_default(), letters.as_str())
}

fn incidents(data: &RunData) -> Option<Finding> {
    let kinds: Vec<String> = data
        .incidents
        .counts
        .iter()
        .map(|(what, times)| format!("{} {what}", count(*times)))
        .collect();
    let incidents = data.incidents.count();
    (incidents > 0).then(|| {
        let text = counted(incidents, "incident", "incidents");
        warning(format!("{text} of nodes: {}.", kinds.join(", ")))
    })
}

fn skipped_records(data: &RunData) -> Option<Finding> {
    let counts = &data.manifest.counts;
    (counts.skipped > 0).then(|| {
        warning(format!(
            "{} of a kind unknown to the version that finished the run, and not written to any table.",
            counted(counts.skipped, "record was", "records were")
        ))
    })
}
