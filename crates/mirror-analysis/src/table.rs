//! The table of uids: its columns, for the page and the terminal alike, and the terminal's table.

use crate::numbers::{count, milliseconds, percent, value};
use crate::outcome::OUTCOMES;
use crate::summary::{Summary, UidRow};
use crate::terminal_table::{Alignment, TerminalColumn, TerminalTable};

/// More uids than these are not all shown in a terminal.
const SHOWN_WHOLE: usize = 40;

/// Rows shown from either end where not all are.
const SHOWN_OF_MANY: usize = 15;

/// A column of the table.
#[derive(Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    /// What it says, for somebody who sees it first.
    pub(crate) about: &'static str,
    pub(crate) kind: Kind,
    pub(crate) shown: Shown,
    /// None where there is nothing to say; a column of nothing but these is left out.
    pub(crate) cell: fn(&UidRow) -> Option<Cell>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Number,
    Text,
}

/// A terminal is narrower than a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// On the page, and in a terminal that has room for it: columns of a higher rank are left out first.
    Everywhere {
        rank: u8,
    },
    OnThePage,
}

impl Kind {
    /// Its class in the page's style.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Text => "text",
        }
    }

    fn alignment(self) -> Alignment {
        match self {
            Self::Number => Alignment::Right,
            Self::Text => Alignment::Left,
        }
    }
}

/// What stands in one place of the table.
pub(crate) struct Cell {
    pub(crate) text: String,
    /// By which it is sorted; none where by its text.
    pub(crate) number: Option<f64>,
}

impl Cell {
    fn number(number: f64, text: String) -> Self {
        Self {
            text,
            number: Some(number),
        }
    }

    fn text(text: String) -> Self {
        Self { text, number: None }
    }
}

const COLUMNS: [Column; 20] = [
    Column {
        title: "uid",
        about: "its place in the subnet; validators follow the miners",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 0 },
        cell: |row| Some(Cell::number(row.uid.into(), row.uid.to_string())),
    },
    Column {
        title: "role",
        about: "its behaviour in the experiment, or that it validates",
        kind: Kind::Text,
        shown: Shown::Everywhere { rank: 0 },
        cell: |row| row.role.clone().map(Cell::text),
    },
    Column {
        title: "calls",
        about: "how often it was asked",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 6 },
        cell: |row| Some(Cell::number(row.calls() as f64, count(row.calls()))),
    },
    Column {
        title: "successes",
        about: "calls answered with a completion that counts",
        kind: Kind::Number,
        shown: Shown::OnThePage,
        cell: |row| Some(Cell::number(row.successes() as f64, count(row.successes()))),
    },
    Column {
        title: "success rate",
        about: "successes among its calls",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 2 },
        cell: |row| row.success_rate().map(|rate| Cell::number(rate, percent(rate))),
    },
    Column {
        title: "mean reward",
        about: "mean reward of its successful calls",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 1 },
        cell: |row| row.mean_reward.map(|reward| Cell::number(reward, value(reward))),
    },
    Column {
        title: "deviation",
        about: "standard deviation of its rewards",
        kind: Kind::Number,
        shown: Shown::OnThePage,
        cell: |row| {
            row.reward_deviation
                .map(|deviation| Cell::number(deviation, value(deviation)))
        },
    },
    Column {
        title: "weight",
        about: "mean over the validators of the last weights that the chain took from each",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 7 },
        cell: |row| row.weight.map(|weight| Cell::number(weight, value(weight))),
    },
    Column {
        title: "incentive",
        about: "its share of what the chain's last epoch paid miners",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 4 },
        cell: |row| {
            row.incentive
                .map(|incentive| Cell::number(incentive, value(incentive)))
        },
    },
    Column {
        title: "dividends",
        about: "its share of what the chain's last epoch paid validators",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 5 },
        cell: |row| {
            row.dividends
                .map(|dividends| Cell::number(dividends, value(dividends)))
        },
    },
    Column {
        title: "emission (TAO)",
        about: "what the chain's epochs paid it over the run",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 0 },
        cell: |row| {
            row.emission
                .map(|emission| Cell::number(emission, value(emission)))
        },
    },
    Column {
        title: "call time (ms)",
        about: "mean time of a call, failed ones included",
        kind: Kind::Number,
        shown: Shown::Everywhere { rank: 8 },
        cell: |row| {
            row.mean_call_time
                .map(|seconds| Cell::number(seconds, milliseconds(seconds)))
        },
    },
    failures::<1>(),
    failures::<2>(),
    failures::<3>(),
    failures::<4>(),
    failures::<5>(),
    failures::<6>(),
    failures::<7>(),
    failures::<8>(),
];

/// Calls that ended in outcome number `KIND`.
const fn failures<const KIND: usize>() -> Column {
    Column {
        title: OUTCOMES[KIND].name,
        about: OUTCOMES[KIND].about,
        kind: Kind::Number,
        shown: Shown::OnThePage,
        cell: |row| {
            let calls = row.outcomes.of(KIND);
            (calls > 0).then(|| Cell::number(calls as f64, count(calls)))
        },
    }
}

impl Summary {
    /// The columns in which at least one row has something to say.
    pub(crate) fn columns(&self) -> Vec<Column> {
        let says_something = |column: &Column| self.uids.iter().any(|row| (column.cell)(row).is_some());
        COLUMNS.into_iter().filter(says_something).collect()
    }

    /// The table for a terminal of `width` characters, without colours. Of more than 40 uids it has the 15 best and the
    /// 15 worst paid. A line below it says how all calls ended.
    pub fn table(&self, width: usize) -> String {
        if self.uids.is_empty() {
            return "no uid was called\n".to_owned();
        }
        let mut columns = Vec::new();
        let mut table_columns = Vec::new();
        for column in self.columns() {
            if let Shown::Everywhere { rank } = column.shown {
                columns.push(column);
                table_columns.push(TerminalColumn {
                    title: column.title,
                    alignment: column.kind.alignment(),
                    rank,
                });
            }
        }
        let mut table = TerminalTable::new(table_columns);
        let cells = |row: &UidRow| -> Vec<String> {
            let cell = |column: &Column| (column.cell)(row).map_or_else(|| "–".to_owned(), |cell| cell.text);
            columns.iter().map(cell).collect()
        };
        let (best, worst) = self.ends();
        for row in best {
            table.push(cells(row));
        }
        let mut below = vec![self.totals.calls_in_words()];
        if !worst.is_empty() {
            table.push(columns.iter().map(|_| "⋮".to_owned()));
            for row in worst {
                table.push(cells(row));
            }
            let left_out = self.uids.len() - best.len() - worst.len();
            below.insert(
                0,
                format!(
                    "{} of {} uids are left out, between the {} best and the {} worst by {}",
                    count(left_out as u64),
                    count(self.uids.len() as u64),
                    best.len(),
                    worst.len(),
                    self.pay.name()
                ),
            );
        }
        format!("{}\n\n{}\n", table.fitted(width), below.join("\n"))
    }

    /// All rows and none, or the best and the worst of many.
    fn ends(&self) -> (&[UidRow], &[UidRow]) {
        if self.uids.len() <= SHOWN_WHOLE {
            return (&self.uids, &[]);
        }
        let (best, others) = self.uids.split_at(SHOWN_OF_MANY);
        (best, &others[others.len() - SHOWN_OF_MANY..])
    }
}
