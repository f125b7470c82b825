//! The plots of the report. To add a plot, add its module and an entry in [`PLOTS`].

use std::collections::BTreeMap;

use crate::chart::{Axis, Color, Data, Figure, Height, Scale, Trace};
use crate::collect::FIFTHS;
use crate::collect::calls::UidTally;
use crate::collect::scores::ScoreTally;
use crate::moments::Mean;
use crate::numbers::counted;
use crate::run_data::RunData;
use crate::series::{Series, middle};

mod answers_alike;
mod auc;
mod average_reward;
mod average_score;
pub(crate) mod by_label;
mod call_rates;
mod call_time;
mod calls_by_uid;
mod consensus_by_uid;
mod correlation;
mod critical_path_by_phase;
mod critical_path_by_uid;
pub(crate) mod dividends_by_label;
mod dividends_by_validator;
mod first_of_equals;
mod gating_loss;
mod gini_over_time;
mod gradient_norms;
mod histograms;
pub(crate) mod incentive_by_label;
mod incentive_by_uid;
mod lines;
mod message_rates;
mod outcomes_by_uid;
mod pairs;
mod pay_against_calls;
pub(crate) mod pay_by_label;
mod points;
mod rates;
mod reward_against_cost;
mod reward_histogram;
mod reward_histogram_by_fifth;
mod reward_lines;
mod rewards_by_uid;
mod score_histogram;
mod score_histogram_by_fifth;
mod scores_by_label;
mod scores_by_uid;
mod shared_completions;
mod smoothed_rewards_by_uid;
mod smoothed_scores_by_uid;
mod spring;
mod throughput;
mod trust_by_uid;
pub(crate) mod validator_trust_by_label;
mod validator_trust_by_validator;
mod weights_by_uid;

/// All plots, in the order of the report.
pub const PLOTS: &[&dyn Plot] = &[
    &pay_by_label::PAY,
    &incentive_by_label::INCENTIVE,
    &dividends_by_label::DIVIDENDS,
    &validator_trust_by_label::VALIDATOR_TRUST,
    &gating_loss::GatingLoss,
    &gradient_norms::GradientNorms,
    &correlation::Correlation,
    &auc::Auc,
    &rewards_by_uid::RewardsByUid,
    &smoothed_rewards_by_uid::SmoothedRewardsByUid,
    &average_reward::AverageReward,
    &reward_histogram::RewardHistogram,
    &reward_histogram_by_fifth::RewardHistogramByFifth,
    &reward_lines::RewardLines,
    &reward_against_cost::RewardAgainstCost,
    &scores_by_label::ScoresByLabel,
    &scores_by_uid::ScoresByUid,
    &smoothed_scores_by_uid::SmoothedScoresByUid,
    &average_score::AverageScore,
    &score_histogram::ScoreHistogram,
    &score_histogram_by_fifth::ScoreHistogramByFifth,
    &calls_by_uid::CallsByUid,
    &outcomes_by_uid::OutcomesByUid,
    &call_rates::CallRates,
    &call_time::CallTime,
    &throughput::Throughput,
    &critical_path_by_phase::CriticalPathByPhase,
    &critical_path_by_uid::CriticalPathByUid,
    &weights_by_uid::WeightsByUid,
    &incentive_by_uid::IncentiveByUid,
    &consensus_by_uid::ConsensusByUid,
    &gini_over_time::GiniOverTime,
    &trust_by_uid::TrustByUid,
    &dividends_by_validator::DividendsByValidator,
    &validator_trust_by_validator::ValidatorTrustByValidator,
    &pay_against_calls::PayAgainstCalls,
    &answers_alike::AnswersAlike,
    &first_of_equals::FirstOfEquals,
    &shared_completions::SharedCompletions,
    &message_rates::MessageRates,
];

/// A plot of a run.
pub trait Plot: Sync {
    /// Returns the name in files and links: lower-case letters and underscores.
    fn name(&self) -> &'static str;
    /// Returns the heading.
    fn title(&self) -> &'static str;
    /// Returns an explanation of the plot in one or two sentences.
    fn explain(&self) -> &'static str;
    /// Draws the plot. Returns [`NothingToDraw`] if the run lacks its data, or if the plot would show nothing.
    fn build(&self, data: &RunData) -> Result<Figure, NothingToDraw>;
}

/// The reason why a run has no such plot: `no call received a reward`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NothingToDraw(pub String);

impl From<&str> for NothingToDraw {
    fn from(why: &str) -> Self {
        Self(why.to_owned())
    }
}

/// Reason why there is no data of the chain's epochs.
const NO_EPOCH: &str = "the run ended before the chain's first epoch";

/// Reason why the validators' trust is not drawn if it is always 1.
const ALL_WITHIN: &str = "all weights of all validators were within consensus";

/// Reason why there is no data of rewards.
const NO_REWARD: &str = "no call received a reward";

/// Reason why there is no data of equal completions.
const NO_EQUALS: &str = "no two uids gave equal completions in the same forward";

/// Reason why a plot over seconds has no data.
const NO_START: &str = "the start of no event is known";

/// Reason why there is no data of scores.
const NO_SCORE: &str = "no event has scores of a gating model";

/// Reason why there is no data of critical paths.
const NO_STEP_TRACE: &str = "the run has no traces of steps";

/// Names of the parts of a run.
const FIFTH_NAMES: [&str; FIFTHS] = [
    "first fifth",
    "second fifth",
    "third fifth",
    "fourth fifth",
    "last fifth",
];

/// Maximum number of cells of a heat map. Columns are merged to stay below it.
const CELLS: usize = 40_000;

/// Treatment of columns without values.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gaps {
    /// The column is kept blank.
    Kept,
    /// The column is removed, and the remaining columns are adjacent.
    Closed,
    /// A cell without a value repeats the last value of its row.
    Filled,
}

/// Description of a heat map of uids over time.
struct Heat {
    /// Value of a cell: `mean reward`.
    value: &'static str,
    /// Unit of time: `forward`.
    position: &'static str,
    /// Scale of the time axis.
    scale: Scale,
    /// Treatment of times at which no uid has a value.
    gaps: Gaps,
    /// Reason for an empty cell: `was not called or received no reward`.
    blank: &'static str,
}

/// Returns the series of every uid that was called or has a weight.
fn of_tallies(data: &RunData, of: fn(&UidTally) -> &Series<Mean>) -> BTreeMap<u32, &Series<Mean>> {
    data.uids.iter().map(|(&uid, tally)| (uid, of(tally))).collect()
}

/// Returns the scores of every uid that has finite scores and that was called, is configured or was in an epoch. A
/// gating model may have scores for more uids than there are.
fn scored(data: &RunData) -> BTreeMap<u32, &ScoreTally> {
    let exists = |uid: &u32| {
        data.uids.contains_key(uid) || data.neurons.contains_key(uid) || data.epochs.uids.contains_key(uid)
    };
    let scored = (0..).zip(&data.scores.uids);
    scored
        .filter(|(uid, tally)| exists(uid) && tally.scores.count() > 0)
        .collect()
}

/// Draws a heat map with one row per uid and one column per bin of time. Cells without a value are blank.
fn heat_map(series: &BTreeMap<u32, &Series<Mean>>, heat: &Heat) -> Option<Figure> {
    let mut width = series.values().map(|series| series.width()).max()?;
    let rows = loop {
        let rows: Vec<Vec<Mean>> = series.values().map(|series| series.widened(width)).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        if columns <= 1 || columns * rows.len() <= CELLS {
            break rows;
        }
        // Bins that cannot be wider are too many rows, and are drawn as they are.
        let Some(wider) = width.checked_mul(2) else {
            break rows;
        };
        width = wider;
    };
    let cell = |row: &Vec<Mean>, column: usize| row.get(column).and_then(Mean::mean);
    let longest = rows.iter().map(Vec::len).max().unwrap_or(0);
    let mut columns: Vec<usize> = (0..longest).collect();
    if heat.gaps == Gaps::Closed {
        columns.retain(|&column| rows.iter().any(|row| cell(row, column).is_some()));
    }
    if !rows
        .iter()
        .any(|row| row.iter().any(|cell| cell.mean().is_some()))
    {
        return None;
    }
    let cells = |row: &Vec<Mean>| -> Vec<Option<f64>> {
        let mut last = None;
        let cells = columns.iter().map(|&column| {
            let value = cell(row, column);
            if heat.gaps == Gaps::Filled {
                last = value.or(last);
                last
            } else {
                value
            }
        });
        cells.collect()
    };
    let trace = Trace::new(
        heat.value,
        Color::Main,
        Data::Heat {
            x: columns
                .iter()
                .map(|&column| middle(column as u64, width))
                .collect(),
            y: series.keys().map(u32::to_string).collect(),
            z: rows.iter().map(cells).collect(),
            title: heat.value.to_owned(),
        },
    );
    let merged = match width {
        1 => String::new(),
        width => format!("Each column is the mean over {width} {}s. ", heat.position),
    };
    Some(Figure {
        x: Axis::new(heat.position, heat.scale),
        y: Axis::uids(),
        traces: vec![trace],
        height: Height((120 + 18 * series.len() as u32).clamp(260, 720)),
        alternative: format!(
            "Heat map of the {} of {} over {}.",
            heat.value,
            counted(series.len() as u64, "uid", "uids"),
            counted(columns.len() as u64, "time bin", "time bins")
        ),
        note: format!("{merged}Blank: the uid {}.", heat.blank),
        ..Figure::default()
    })
}

/// Returns a note about merged positions of a line: `Each point represents 4 steps.`, or an empty text.
fn merged_note(width: u64, position: &str) -> String {
    match width {
        1 => String::new(),
        width => format!("Each point represents {width} {position}s."),
    }
}
