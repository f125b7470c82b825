//! Results in sentences, for the report and the terminal.

use mirror_runs::expectations::Checked;
use mirror_runs::{Missing, NeuronKind, State};

use crate::comparison::{Comparison, GroupPay, Measure, Verdict};
use crate::moments::Moments;
use crate::numbers::{count, counted, duration, percent, quantity, signed_percent};
use crate::run_data::RunData;
use crate::summary::{Pay, Summary, UidRow};

/// A result in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Sentence {
    /// Kind of the result.
    pub kind: SentenceKind,
    /// The sentence.
    pub text: String,
}

/// Kind of a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SentenceKind {
    /// The answer to the question of the experiment: the pay of its groups.
    Answer,
    /// A fact.
    Plain,
    /// A fact that needs attention.
    Warning,
}

impl SentenceKind {
    /// Returns the name, which is the CSS class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Plain => "plain",
            Self::Warning => "warning",
        }
    }
}

impl Sentence {
    /// Returns the parts of the sentence, each with whether it is a name between backticks.
    pub fn parts(&self) -> impl Iterator<Item = (bool, &str)> {
        parts(&self.text)
    }
}

/// Returns the parts of a text, each with whether it is a name between backticks.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = (bool, &str)> {
    let parts = text.split('`').enumerate();
    parts
        .map(|(number, part)| (number % 2 == 1, part))
        .filter(|(_, part)| !part.is_empty())
}

pub(crate) fn answer(text: String) -> Sentence {
    Sentence {
        kind: SentenceKind::Answer,
        text,
    }
}

pub(crate) fn plain(text: String) -> Sentence {
    Sentence {
        kind: SentenceKind::Plain,
        text,
    }
}

pub(crate) fn warning(text: String) -> Sentence {
    Sentence {
        kind: SentenceKind::Warning,
        text,
    }
}

/// Returns the results of a run: the answer first, then what did not hold, what failed, and what ran.
pub(crate) fn of_run(data: &RunData, summary: &Summary) -> Vec<Sentence> {
    let compared = crate::comparison::compare(&[(data, summary)]);
    let mut sentences = Vec::new();
    sentences.extend(state(data.state));
    for table in &data.missing_tables {
        sentences.push(warning(format!(
            "The file {table}.parquet had rows and no longer exists: this report lacks what it contained."
        )));
    }
    if summary.totals.events == 0 {
        sentences.push(warning(
            "No event was recorded: there is nothing to analyse.".to_owned(),
        ));
    }
    sentences.extend(of_pay(&compared));
    sentences.extend(best_and_worst(data, summary));
    sentences.extend(unpaid(data, summary));
    sentences.extend(of_expectations(&data.expectations));
    sentences.extend(outliers(data, summary));
    sentences.extend(failed_calls(data, summary));
    sentences.extend(faults(data));
    sentences.extend(incidents(data));
    sentences.extend(gaps(data));
    sentences.extend(skipped_records(data));
    sentences.extend(size(data, summary));
    sentences
}

/// Returns a sentence for each group that is compared with a control, and one about the runs that are left out.
pub(crate) fn of_pay(compared: &Comparison) -> Vec<Sentence> {
    let answers = compared.groups.iter().filter_map(pay_of_group).map(answer);
    let left_out = (compared.left_out > 0).then(|| {
        warning(format!(
            "{} left out of the comparison, because pay is measured in another way there: no miner was paid by an epoch.",
            counted(compared.left_out as u64, "run is", "runs are")
        ))
    });
    let incomplete = (compared.incomplete > 0).then(|| {
        warning(format!(
            "{} left out of the comparison, because only complete runs are compared.",
            counted(
                compared.incomplete as u64,
                "run that did not end is",
                "runs that did not end are"
            )
        ))
    });
    answers.chain(left_out).chain(incomplete).collect()
}

fn pay_of_group(group: &GroupPay) -> Option<String> {
    let difference = group.difference.as_ref()?;
    let (own, control) = (difference.own_value.mean, difference.control_value.mean);
    let (verb, unit) = match group.measure {
        Measure::Emission => ("earned", " TAO per epoch and uid"),
        Measure::Weight => ("had a weight of", ""),
        Measure::Reward => ("had a mean reward of", ""),
        Measure::Yield => ("earned dividends of", " of their stake per epoch"),
    };
    let amount = |amount: f64| match group.measure {
        Measure::Yield => format!("{}%", quantity(amount * 100.0)),
        Measure::Emission | Measure::Weight | Measure::Reward => quantity(amount),
    };
    let kind = group.kind.name();
    let (by, interval) = match difference.relative() {
        Some((relative, interval)) => (
            signed_percent(relative),
            interval.map(|(least, greatest)| (signed_percent(least), signed_percent(greatest))),
        ),
        // A control without pay, or with a negative reward, has no percent.
        None => (
            format!("a difference of {}", amount(difference.difference.mean)),
            difference
                .difference
                .bounds()
                .map(|(least, greatest)| (amount(least), amount(greatest))),
        ),
    };
    let interval = match interval {
        None => "one run, so without an interval".to_owned(),
        Some((least, greatest)) => {
            let seeds = counted(difference.seeds, "seed", "seeds");
            format!("{least} to {greatest}, {seeds}")
        }
    };
    let found = match difference.verdict {
        // Two seeds have an interval that is almost always too wide.
        Verdict::NoDifferenceFound if difference.seeds == 2 => "; inconclusive with two seeds",
        Verdict::NoDifferenceFound => "; no difference found",
        Verdict::More | Verdict::Less | Verdict::OneRun => "",
    };
    Some(format!(
        "The {kind}s `{}` ({}) {verb} {}{unit}, their control `{}` ({}) {}: {by} ({interval}){found}.",
        group.label,
        counted(group.uids as u64, "uid", "uids"),
        amount(own),
        difference.control,
        counted(difference.control_uids as u64, "uid", "uids"),
        amount(control),
    ))
}

/// Returns a sentence about the expectations that held.
pub(crate) fn of_expectations(checked: &[Checked]) -> Option<Sentence> {
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

fn state(state: State) -> Option<Sentence> {
    let text = match state {
        State::Done => return None,
        State::Running => "This run is in progress: the report shows the records up to its creation.",
        State::Interrupted => "This run was interrupted: the report shows the records up to that time.",
        State::Failed => "This run failed: the report shows the records up to that time.",
    };
    Some(warning(text.to_owned()))
}

fn size(data: &RunData, summary: &Summary) -> Option<Sentence> {
    let totals = &summary.totals;
    let duration = totals
        .duration
        .map_or_else(String::new, |seconds| format!(", in {}", duration(seconds)));
    let seed = if data.is_imported() || data.runs > 1 {
        String::new()
    } else {
        format!(", with seed {}", data.manifest.seed)
    };
    (totals.events > 0).then(|| {
        plain(format!(
            "{} made {} in {}{duration}{seed}.",
            counted(totals.validators as u64, "validator", "validators"),
            counted(totals.events, "event", "events"),
            counted(totals.steps, "step", "steps"),
        ))
    })
}

fn miners<'a>(data: &'a RunData, summary: &'a Summary) -> impl Iterator<Item = &'a UidRow> {
    summary
        .uids
        .iter()
        .filter(|row| data.label(row.uid).0 == NeuronKind::Miner)
}

fn best_and_worst(data: &RunData, summary: &Summary) -> Option<Sentence> {
    let pay = summary.pay;
    let paid: Vec<(&UidRow, f64)> = miners(data, summary)
        .filter_map(|row| Some((row, pay.of(row)?)))
        .collect();
    let (best, most) = *paid.first().filter(|(_, most)| *most > 0.0)?;
    let (worst, least) = *paid.last()?;
    let (unit, why) = match pay {
        Pay::Emission => (" TAO over the run", ""),
        Pay::Weight => (
            " of the weight",
            " The run ended before the chain's first epoch, so pay is measured by the weights.",
        ),
        Pay::Reward if data.is_imported() => (
            " as its mean reward",
            " An event log has no pay, so the mean reward stands for it.",
        ),
        Pay::Reward => (
            " as its mean reward",
            " The chain accepted no weights, so pay is measured by the mean reward.",
        ),
    };
    let with_least = paid.iter().filter(|(_, amount)| *amount == least).count();
    let words = if paid.len() == 1 {
        format!(
            "The only paid miner was uid {} with {}{unit}",
            name(best),
            quantity(most)
        )
    } else if most == least {
        format!(
            "All {} miners were paid the same: {}{unit}",
            paid.len(),
            quantity(most)
        )
    } else {
        let others = match with_least {
            1 => format!("the worst-paid uid {} with {}", name(worst), quantity(least)),
            several => format!("the worst-paid were {several} miners with {}", quantity(least)),
        };
        format!(
            "The best-paid miner was uid {} with {}{unit}, {others}",
            name(best),
            quantity(most)
        )
    };
    Some(plain(format!("{words}.{why}")))
}

fn name(row: &UidRow) -> String {
    format!("{} ({})", row.uid, row.label)
}

/// Returns a sentence if the chain had epochs and no miner was paid.
fn unpaid(data: &RunData, summary: &Summary) -> Option<Sentence> {
    let mut earned = data.epochs.uids.values();
    if data.epochs.uids.is_empty() || earned.any(|earned| earned.for_incentive > 0) {
        return None;
    }
    let totals = &summary.totals;
    let why = if totals.weights_set == 0 && totals.weights_refused > 0 {
        "the chain refused all weights"
    } else if totals.weights_set == 0 {
        "no validator set weights"
    } else {
        "the weights that validators set came too late for an epoch, or agreed on no miner"
    };
    Some(warning(format!("No miner was paid: {why}.")))
}

/// Least number of calls of a uid that is compared with its peers, and least number of peers.
const LEAST_CALLS: u64 = 20;
const LEAST_PEERS: usize = 3;

/// Names miners that fail much more often than the other miners with their label: by at least 20 percentage points.
fn outliers(data: &RunData, summary: &Summary) -> Vec<Sentence> {
    const FAR: f64 = 0.2;
    let mut sentences = Vec::new();
    for row in miners(data, summary).filter(|row| row.calls() >= LEAST_CALLS) {
        let (mut failures, mut pay) = (Moments::default(), Moments::default());
        let peers = miners(data, summary)
            .filter(|peer| peer.uid != row.uid && peer.label == row.label && peer.calls() >= LEAST_CALLS);
        for peer in peers {
            failures.push(1.0 - peer.success_rate().unwrap_or(0.0));
            pay.push(summary.pay.of(peer).unwrap_or(0.0));
        }
        let (Some(usual), Some(paid), Some(rate)) = (failures.mean(), pay.mean(), row.success_rate()) else {
            continue;
        };
        let failed = 1.0 - rate;
        if (failures.count() as usize) < LEAST_PEERS || failed - usual < FAR {
            continue;
        }
        let own = summary.pay.of(row).unwrap_or(0.0);
        let relative = if paid > 0.0 { own / paid - 1.0 } else { 0.0 };
        let words = if paid <= 0.0 {
            "was, like its peers, not paid".to_owned()
        } else if relative.abs() <= 0.1 {
            "is paid like its peers".to_owned()
        } else {
            let direction = if relative < 0.0 { "less" } else { "more" };
            format!("is paid {} {direction} than its peers", percent(relative.abs()))
        };
        sentences.push(warning(format!(
            "Uid {} failed {} of its calls, the other miners `{}` {}; it {words}.",
            row.uid,
            percent(failed),
            row.label,
            percent(usual)
        )));
    }
    let kept = 5;
    if sentences.len() > kept {
        let more = sentences.len() - kept;
        sentences.truncate(kept);
        let more = counted(more as u64, "other miner fails", "other miners fail");
        sentences.push(warning(format!("{more} much more often than their peers.")));
    }
    sentences
}

fn failed_calls(data: &RunData, summary: &Summary) -> Vec<Sentence> {
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
    if totals.uncalled_events > 0 {
        findings.push(plain(format!(
            "{} called no uid.",
            counted(totals.uncalled_events, "event", "events")
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
            "{} lost to {}, not to a drawn delay: another run of the same file may have other outcomes.",
            counted(totals.timing_dependent, "call was", "calls were"),
            slowness(data)
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

/// Returns the cause of calls that timed out in real time.
fn slowness(data: &RunData) -> &'static str {
    let stops_nodes = ["pause", "partition", "wire", "limit", "kill", "crash_loop"];
    let kinds = data.faults.kinds();
    if kinds.iter().any(|(kind, _)| stops_nodes.contains(kind)) {
        "paused nodes, faults on the wire or slowness of the machine"
    } else {
        "slowness of the machine"
    }
}

/// Adds a capital and a full stop.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let capital = letters.next().map(|first| first.to_uppercase().to_string());
    format!("{}{}.", capital.unwrap_or_default(), letters.as_str())
}

/// Returns a sentence about the faults that took effect and the calls that they affected.
fn faults(data: &RunData) -> Option<Sentence> {
    let faults = &data.faults;
    let applied = faults.applied().count() as u64;
    if applied == 0 {
        return None;
    }
    let kinds = faults.kinds();
    let kinds_have_rules = kinds.contains_key("link");
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, number)| format!("{} `{kind}`", count(*number)))
        .collect();
    let times = match faults.occurrences {
        occurrences if occurrences == applied => String::new(),
        occurrences => format!(" {} times in total", count(occurrences)),
    };
    let calls = match (kinds_have_rules, faults.calls) {
        (false, _) => String::new(),
        (true, 0) => "; rules of links affected no call".to_owned(),
        (true, calls) => format!(
            "; {} affected by rules of links, {} of them failed",
            counted(calls, "call was", "calls were"),
            count(faults.failed)
        ),
    };
    Some(plain(format!(
        "{} applied{times}: {}{calls}.",
        counted(applied, "fault was", "faults were"),
        kinds.join(", ")
    )))
}

fn incidents(data: &RunData) -> Option<Sentence> {
    let kinds: Vec<String> = data
        .incidents
        .counts
        .iter()
        .map(|(what, times)| format!("{} {what}", count(*times)))
        .collect();
    let incidents = data.incidents.count();
    (incidents > 0).then(|| {
        let text = counted(incidents, "incident", "incidents");
        let text = format!("{text} of nodes: {}", kinds.join(", "));
        match data.incidents.caused_by_faults {
            0 => warning(format!("{text}.")),
            of_faults if of_faults == incidents => plain(format!("{text}, caused by faults.")),
            of_faults => warning(format!("{text}; faults caused {} of them.", count(of_faults))),
        }
    })
}

fn gaps(data: &RunData) -> Option<Sentence> {
    let counts = &data.manifest.counts;
    let places = counts.losses.len() as u64 + counts.further_losses;
    counts.has_gaps().then(|| {
        let ranges = counts.losses.iter().filter_map(|loss| match loss.missing() {
            Missing::Range { first, last } => Some((last - first).saturating_add(1)),
            Missing::Nothing | Missing::From { .. } | Missing::Unknown => None,
        });
        let known = ranges.fold(0, u64::saturating_add);
        let unknown = counts.further_losses > 0
            || counts
                .losses
                .iter()
                .any(|loss| matches!(loss.missing(), Missing::From { .. } | Missing::Unknown));
        let at_least = if unknown { "at least " } else { "" };
        warning(format!(
            "The record of this run has gaps: {} of its journal could not be read, and {at_least}{} missing from the tables.",
            counted(places, "part", "parts"),
            counted(known, "record is", "records are")
        ))
    })
}

fn skipped_records(data: &RunData) -> Option<Sentence> {
    let counts = &data.manifest.counts;
    (counts.skipped > 0).then(|| {
        warning(format!(
            "{} of a kind unknown to the version that finished the run, and not written to any table.",
            counted(counts.skipped, "record was", "records were")
        ))
    })
}
