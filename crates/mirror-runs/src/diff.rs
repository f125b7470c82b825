//! Compares two runs of the same experiment: are their events equal, except for timing?
//!
//! Decisions are the same for the same file and random seed, but timings are not. Columns with timings are therefore
//! not compared. A call that was lost to real slowness (`timing_dependent`) excuses its own differences and the later
//! ones of its validator, because the validator's rewards, gating model and weights depend on it. It also excuses
//! differences of the chain in later blocks. Excused differences are listed separately. Manual forwards are counted but
//! not compared. Incidents are not compared, because they describe processes. Of a fault, the step and block of a
//! change that is due by the clock are not compared. Both runs are read once, in parallel.
//!
//! Of the differences without an excuse, the earliest in the order of the run is the first decision in which the runs
//! part ([`Parting`]).

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;

use crate::error::RunError;
use crate::files::Rows;
use crate::run::Run;
use crate::tables::{
    BondRow, EpochRow, EventRow, FaultRow, LossRow, MANUAL, ParameterRow, ResponseRow, Row, TransactionRow,
    WeightRow,
};
use faults::Matched;
use parting::{Decided, Earliest};

pub use parting::Parting;

mod faults;
mod parting;

/// Maximum length of a shown value, in characters.
const MAX_VALUE: usize = 160;

/// The differences between two runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The first decision in which the runs part. `None` if there is no difference without an excuse.
    pub parting: Option<Parting>,
    /// Number of rows that both runs contain, by table.
    pub compared: BTreeMap<&'static str, u64>,
    /// Differences without an excuse.
    pub divergences: Sample<Divergence>,
    /// Calls that were lost to real slowness in either run.
    pub timing_dependent: Sample<String>,
    /// Number of these calls in the first and in the second run.
    pub timing_dependent_calls: (u64, u64),
    /// Differences in such calls, in events that depend on them, and in faults that only one run reached by the clock.
    pub excused: Sample<Divergence>,
    /// Number of manual forwards in the first and in the second run.
    pub manual: (u64, u64),
}

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The runs are equal in everything that is compared.
    Same,
    /// The runs are equal except for calls lost to real slowness and events that depend on them.
    SameButForTiming,
    /// The runs differ.
    Different,
}

/// The first elements of a longer list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sample<T> {
    /// The first elements.
    pub first: Vec<T>,
    /// Total number of elements.
    pub total: u64,
}

/// A difference between two runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Divergence {
    /// Name of the table.
    pub table: &'static str,
    /// Description of the row.
    pub row: String,
    /// Kind of the difference.
    pub what: Disagreement,
}

/// Kind of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disagreement {
    /// The second run has no such row.
    OnlyFirst,
    /// The first run has no such row.
    OnlySecond,
    /// Both runs have the row, with different values in a column.
    Column(Values),
}

/// The values of a column that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Values {
    /// Name of the column.
    pub column: &'static str,
    /// Value in the first run, shortened.
    pub first: String,
    /// Value in the second run, shortened.
    pub second: String,
}

impl Values {
    fn in_words(&self) -> String {
        format!(
            "{} is {} in the first run and {} in the second",
            self.column, self.first, self.second
        )
    }
}

impl Difference {
    /// Returns the result of the comparison.
    pub fn verdict(&self) -> Verdict {
        match (self.divergences.total, self.excused.total) {
            (0, 0) => Verdict::Same,
            (0, _) => Verdict::SameButForTiming,
            _ => Verdict::Different,
        }
    }
}

impl Divergence {
    fn of<R: Row>(row: &R, what: Disagreement) -> Self {
        Self {
            table: R::TABLE,
            row: row.identity(),
            what,
        }
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.table, self.row, self.what)
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyFirst => f.write_str("only in the first run"),
            Self::OnlySecond => f.write_str("only in the second run"),
            Self::Column(values) => f.write_str(&values.in_words()),
        }
    }
}

impl<T> Default for Sample<T> {
    fn default() -> Self {
        Self {
            first: Vec::new(),
            total: 0,
        }
    }
}

impl<T> Sample<T> {
    fn add(&mut self, one: T, keep: usize) {
        self.total += 1;
        if self.first.len() < keep {
            self.first.push(one);
        }
    }
}

/// Compares two runs. The result contains the first `keep` differences of each kind.
pub fn diff(first: &Run, second: &Run, keep: usize) -> Result<Difference, RunError> {
    let mut comparison = Comparison {
        difference: Difference::default(),
        excused_from: HashMap::new(),
        excused_after: None,
        earliest: Earliest::default(),
        keep,
    };
    // The responses are compared first, because they determine which differences are excused in the other tables.
    comparison.compare::<ResponseRow>(first, second)?;
    comparison.difference.manual = comparison.compare::<EventRow>(first, second)?;
    comparison.compare::<LossRow>(first, second)?;
    comparison.compare::<ParameterRow>(first, second)?;
    comparison.compare::<WeightRow>(first, second)?;
    comparison.compare::<TransactionRow>(first, second)?;
    comparison.compare::<EpochRow>(first, second)?;
    comparison.compare::<BondRow>(first, second)?;
    comparison.compare_faults(first, second)?;
    comparison.difference.parting = comparison.earliest.into_parting(first)?;
    Ok(comparison.difference)
}

/// gRPC status of a call that exceeded its deadline.
const DEADLINE_EXCEEDED: i32 = 4;

/// Step and forward index.
type Moment = (u64, u32);

struct Comparison {
    difference: Difference,
    /// For each validator, the moment of its first call with a difference that slowness caused.
    excused_from: HashMap<String, Moment>,
    /// The block at which the first excused event occurred.
    excused_after: Option<u64>,
    /// The earliest decision without an excuse that differs.
    earliest: Earliest,
    keep: usize,
}

/// The cause on which a row depends.
enum Origin<'row> {
    /// Everything that a validator had done up to a moment.
    Validator(&'row str, Moment),
    /// Everything that happened before a block closed.
    Block(u64),
    /// The schedule of the faults, which depends on no event.
    Schedule,
}

/// A table whose rows must be equal in repeated runs.
trait Repeatable: Decided {
    fn origin(&self) -> Origin<'_>;

    /// Returns the last block that had closed when the row was made. `None` for tables without it.
    fn made_at(&self) -> Option<u64> {
        None
    }

    fn manual(&self) -> bool {
        false
    }

    fn timing_dependent(&self) -> bool {
        false
    }

    /// Returns whether a column must have the same value in both runs.
    fn repeats(&self, _other: &Self, column: &str) -> bool {
        !Self::TIMING.contains(&column)
    }

    /// Returns the columns with different values that must be equal.
    fn differing_values(&self, other: &Self) -> Vec<Values> {
        let differing = self.differing(other).into_iter();
        let differing = differing.filter(|(column, ..)| self.repeats(other, column));
        let values = differing.map(|(column, first, second)| Values {
            column,
            first: shorten(&first),
            second: shorten(&second),
        });
        values.collect()
    }
}

impl Repeatable for EventRow {
    fn origin(&self) -> Origin<'_> {
        Origin::Validator(&self.validator, (self.step, self.forward_index))
    }

    fn made_at(&self) -> Option<u64> {
        Some(self.block)
    }

    fn manual(&self) -> bool {
        self.purpose == MANUAL
    }
}

impl Repeatable for ResponseRow {
    fn origin(&self) -> Origin<'_> {
        Origin::Validator(&self.validator, (self.step, self.forward_index))
    }

    fn manual(&self) -> bool {
        self.purpose == MANUAL
    }

    fn timing_dependent(&self) -> bool {
        self.timing_dependent
    }

    /// Excludes the messages of a failed transport, which contain socket addresses that differ from run to run. The
    /// messages of an axon are compared. Also excludes the status of a reward call that exceeded its deadline in either
    /// run, because nothing depends on it.
    fn repeats(&self, other: &Self, column: &str) -> bool {
        let transport_failed = self.grpc_code != 0 || other.grpc_code != 0;
        let transport_speaks = column == "return_message" && transport_failed;
        let came_late = [self, other].map(|row| row.backward_code == Some(DEADLINE_EXCEEDED));
        let reported_late = column == "backward_code" && came_late.contains(&true);
        !transport_speaks && !reported_late && !Self::TIMING.contains(&column)
    }
}

impl Repeatable for LossRow {
    fn origin(&self) -> Origin<'_> {
        Origin::Validator(&self.validator, (self.step, self.forward_index))
    }

    fn manual(&self) -> bool {
        self.purpose == MANUAL
    }
}

impl Repeatable for ParameterRow {
    fn origin(&self) -> Origin<'_> {
        Origin::Validator(&self.validator, (self.step, self.forward_index))
    }

    fn manual(&self) -> bool {
        self.purpose == MANUAL
    }
}

impl Repeatable for WeightRow {
    /// Returns the end of the step, because weights depend on the whole step.
    fn origin(&self) -> Origin<'_> {
        Origin::Validator(&self.validator, (self.step, u32::MAX))
    }
}

impl Repeatable for TransactionRow {
    fn origin(&self) -> Origin<'_> {
        Origin::Block(self.block)
    }

    /// Excludes the arguments of `serve_` calls, because the kernel assigns different ports in every run.
    fn repeats(&self, _other: &Self, column: &str) -> bool {
        column != "arguments" || !self.call.starts_with("serve_")
    }
}

impl Repeatable for EpochRow {
    fn origin(&self) -> Origin<'_> {
        Origin::Block(self.block)
    }
}

impl Repeatable for BondRow {
    fn origin(&self) -> Origin<'_> {
        Origin::Block(self.block)
    }
}

impl Repeatable for FaultRow {
    fn origin(&self) -> Origin<'_> {
        Origin::Schedule
    }

    /// Excludes everything that describes the plan and not the change.
    fn repeats(&self, _other: &Self, column: &str) -> bool {
        matches!(column, "kind" | "who" | "step" | "block")
    }
}

impl Comparison {
    /// Returns the number of rows of the first and of the second run that were skipped because they are manual.
    fn compare<R: Repeatable>(&mut self, first: &Run, second: &Run) -> Result<(u64, u64), RunError> {
        let mut both = 0;
        let mut manual = (0, 0);
        let mut pairs = Pairs::of(first.rows::<R>()?, second.rows::<R>()?)?;
        while let Some(pair) = pairs.next()? {
            let (first_manual, second_manual) = pair.manual();
            manual.0 += u64::from(first_manual);
            manual.1 += u64::from(second_manual);
            if first_manual || second_manual {
                continue;
            }
            match pair {
                Pair::First(row) => self.alone(&row, Disagreement::OnlyFirst),
                Pair::Second(row) => self.alone(&row, Disagreement::OnlySecond),
                Pair::Both(one, other) => {
                    both += 1;
                    self.together(&one, &other);
                }
            }
        }
        self.difference.compared.insert(R::TABLE, both);
        Ok(manual)
    }

    fn compare_faults(&mut self, first: &Run, second: &Run) -> Result<(), RunError> {
        let mut both = 0;
        faults::matched(first, second, |matched| {
            match matched {
                Matched::Both(pair) => {
                    let [one, other] = *pair;
                    both += 1;
                    let mut differing = one.row.differing_values(&other.row);
                    let by_clock = one.by_clock || other.by_clock;
                    differing.retain(|values| !by_clock || !matches!(values.column, "step" | "block"));
                    self.record_together(&one.row, &other.row, differing);
                }
                // The other run may have ended before the time of the change.
                Matched::First(change) if change.by_clock => {
                    self.record_excused(&change.row, Disagreement::OnlyFirst);
                }
                Matched::Second(change) if change.by_clock => {
                    self.record_excused(&change.row, Disagreement::OnlySecond);
                }
                Matched::First(change) => self.record_alone(&change.row, Disagreement::OnlyFirst),
                Matched::Second(change) => self.record_alone(&change.row, Disagreement::OnlySecond),
            }
            Ok(())
        })?;
        self.difference.compared.insert(FaultRow::TABLE, both);
        Ok(())
    }

    fn alone<R: Repeatable>(&mut self, row: &R, what: Disagreement) {
        if row.timing_dependent() {
            self.difference.timing_dependent.add(row.identity(), self.keep);
            let (first, second) = &mut self.difference.timing_dependent_calls;
            match what {
                Disagreement::OnlyFirst => *first += 1,
                Disagreement::OnlySecond => *second += 1,
                Disagreement::Column(_) => {}
            }
            self.excuse(row);
        }
        self.note_excused_block(row);
        self.record_alone(row, what);
    }

    fn together<R: Repeatable>(&mut self, one: &R, other: &R) {
        let differing = one.differing_values(other);
        if one.timing_dependent() || other.timing_dependent() {
            self.difference.timing_dependent.add(one.identity(), self.keep);
            let (first, second) = &mut self.difference.timing_dependent_calls;
            *first += u64::from(one.timing_dependent());
            *second += u64::from(other.timing_dependent());
            if !differing.is_empty() {
                self.excuse(one);
            }
        }
        self.note_excused_block(one);
        self.record_together(one, other, differing);
    }

    fn excuse<R: Repeatable>(&mut self, row: &R) {
        let Origin::Validator(validator, moment) = row.origin() else {
            return;
        };
        let from = self.excused_from.entry(validator.to_owned()).or_insert(moment);
        *from = moment.min(*from);
    }

    fn is_excused<R: Repeatable>(&self, row: &R) -> bool {
        match row.origin() {
            Origin::Validator(validator, moment) => self
                .excused_from
                .get(validator)
                .is_some_and(|from| moment >= *from),
            Origin::Block(block) => self.excused_after.is_some_and(|excused| block > excused),
            Origin::Schedule => false,
        }
    }

    /// Records the block of an excused event. The chain may differ after it.
    fn note_excused_block<R: Repeatable>(&mut self, row: &R) {
        if let Some(block) = row.made_at()
            && self.is_excused(row)
        {
            self.excused_after = Some(self.excused_after.map_or(block, |first| first.min(block)));
        }
    }

    fn record_together<R: Repeatable>(&mut self, one: &R, other: &R, differing: Vec<Values>) {
        if differing.is_empty() {
            return;
        }
        let is_excused = self.is_excused(one);
        if !is_excused {
            self.earliest.note(one.parted(other, &differing));
        }
        for values in differing {
            let what = Disagreement::Column(values);
            if is_excused {
                self.record_excused(one, what);
            } else {
                self.record_divergence(one, what);
            }
        }
    }

    fn record_alone<R: Repeatable>(&mut self, row: &R, what: Disagreement) {
        if self.is_excused(row) {
            self.record_excused(row, what);
        } else {
            self.earliest.note(row.alone(&what));
            self.record_divergence(row, what);
        }
    }

    fn record_excused<R: Row>(&mut self, row: &R, what: Disagreement) {
        self.difference.excused.add(Divergence::of(row, what), self.keep);
    }

    fn record_divergence<R: Row>(&mut self, row: &R, what: Disagreement) {
        self.difference
            .divergences
            .add(Divergence::of(row, what), self.keep);
    }
}

fn shorten(value: &str) -> String {
    match value.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
        None => value.to_owned(),
    }
}

/// Iterates over the rows of two runs in parallel.
struct Pairs<R> {
    first: Rows<R>,
    second: Rows<R>,
    heads: (Option<R>, Option<R>),
}

enum Pair<R> {
    First(R),
    Second(R),
    Both(R, R),
}

impl<R: Repeatable> Pair<R> {
    fn manual(&self) -> (bool, bool) {
        match self {
            Self::First(row) => (row.manual(), false),
            Self::Second(row) => (false, row.manual()),
            Self::Both(one, other) => (one.manual(), other.manual()),
        }
    }
}

impl<R: Row> Pairs<R> {
    fn of(mut first: Rows<R>, mut second: Rows<R>) -> Result<Self, RunError> {
        let heads = (first.next().transpose()?, second.next().transpose()?);
        Ok(Self { first, second, heads })
    }

    fn next(&mut self) -> Result<Option<Pair<R>>, RunError> {
        let order = match &self.heads {
            (None, None) => return Ok(None),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.order(other),
        };
        let first = match order {
            Ordering::Greater => None,
            Ordering::Less | Ordering::Equal => {
                std::mem::replace(&mut self.heads.0, self.first.next().transpose()?)
            }
        };
        let second = match order {
            Ordering::Less => None,
            Ordering::Greater | Ordering::Equal => {
                std::mem::replace(&mut self.heads.1, self.second.next().transpose()?)
            }
        };
        Ok(match (first, second) {
            (Some(one), Some(other)) => Some(Pair::Both(one, other)),
            (Some(one), None) => Some(Pair::First(one)),
            (None, Some(other)) => Some(Pair::Second(other)),
            (None, None) => None,
        })
    }
}
