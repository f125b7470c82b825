//! `mirror chain show`: shows the metagraph of a run's chain after an epoch. The run may have ended, be in progress or
//! have been interrupted.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use mirror_analysis::terminal_table::{Alignment, TerminalColumn, TerminalTable};
use mirror_runs::tables::EpochRow;
use mirror_runs::{Run, neurons};
use serde_json::json;

use crate::command::{RunsDir, Status, epochs, place, terminal};

/// Number of rao in a TAO.
const RAO_PER_TAO: f64 = 1e9;

/// Number of characters of a hotkey that the table shows.
const HOTKEY: usize = 8;

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// Id of a run or the start of one, `last`, or a path
    run: String,
    /// Number of the epoch, from 1 [default: the last]
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// Prints all columns of the table `epochs` as JSON
    #[arg(long)]
    json: bool,
    /// Prints every column, even if the table is wider than the terminal
    #[arg(long, conflicts_with = "json")]
    wide: bool,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn show(arguments: &ShowArguments) -> anyhow::Result<Status> {
    let run = Run::open(place::run(&arguments.runs_dir.runs_dir, &arguments.run)?)?;
    let labels = neurons::load(run.layout())?
        .into_iter()
        .map(|neuron| (neuron.uid, neuron.label))
        .collect();
    let epoch = Epoch::of(&run, arguments.epoch)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &epoch.json(&labels))?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", epoch.table(&labels, terminal::width(arguments.wide)))?;
    }
    Ok(Status::Done)
}

/// Labels by uid.
type Labels = BTreeMap<u32, String>;

/// An epoch of a run.
struct Epoch {
    number: u64,
    block: u64,
    /// The rows of this epoch, by uid.
    rows: Vec<EpochRow>,
    /// The first and the last epoch of the run.
    among: (u64, u64),
}

impl Epoch {
    /// Reads the epoch `wanted`, or the last one if it is `None`.
    fn of(run: &Run, wanted: Option<u64>) -> anyhow::Result<Self> {
        let mut rows: Vec<EpochRow> = Vec::new();
        let mut among: Option<(u64, u64)> = None;
        for row in run.rows::<EpochRow>()? {
            let row = row?;
            let first = among.map_or(row.epoch, |(first, _)| first);
            among = Some((first, row.epoch));
            if wanted.is_some_and(|wanted| wanted != row.epoch) {
                continue;
            }
            if rows.last().is_some_and(|last| last.epoch != row.epoch) {
                rows.clear();
            }
            rows.push(row);
        }
        let among = among.ok_or_else(|| epochs::none(run))?;
        let Some(row) = rows.first() else {
            return Err(epochs::not_among(run, wanted.unwrap_or(among.1), among));
        };
        Ok(Self {
            number: row.epoch,
            block: row.block,
            rows,
            among,
        })
    }

    fn json(&self, labels: &Labels) -> serde_json::Value {
        let neuron = |row: &EpochRow| {
            json!({
                "uid": row.uid,
                "label": labels.get(&row.uid),
                "hotkey": row.hotkey,
                "coldkey": row.coldkey,
                "stake": row.stake,
                "rank": row.rank,
                "trust": row.trust,
                "consensus": row.consensus,
                "incentive": row.incentive,
                "dividends": row.dividends,
                "emission": row.emission,
                "server_emission": row.server_emission,
                "validator_emission": row.validator_emission,
                "validator_trust": row.validator_trust,
                "validator_permit": row.validator_permit,
                "active": row.active,
                "pruning_score": row.pruning_score,
            })
        };
        json!({
            "epoch": self.number,
            "block": self.block,
            "neurons": self.rows.iter().map(neuron).collect::<Vec<_>>(),
        })
    }

    /// The table for a terminal of `width` characters, without colours.
    fn table(&self, labels: &Labels, width: usize) -> String {
        let mut table = TerminalTable::new(COLUMNS.map(|column| column.of_table));
        for row in &self.rows {
            let label = labels.get(&row.uid).map_or("–", String::as_str);
            table.push(COLUMNS.map(|column| (column.cell)(row, label)));
        }
        let (first, last) = self.among;
        format!(
            "{}\n\nepoch {} of epochs {first} to {last}, at block {}; stake and emission in TAO",
            table.fitted(width),
            self.number,
            self.block
        )
    }
}

/// A column of the table.
#[derive(Clone, Copy)]
struct Column {
    of_table: TerminalColumn,
    /// The cell of a row, given the row and the label of its uid.
    cell: fn(&EpochRow, &str) -> String,
}

const COLUMNS: [Column; 12] = [
    number("uid", 0, |row, _| row.uid.to_string()),
    text("label", 0, |_, label| label.to_owned()),
    text("hotkey", 9, |row, _| {
        row.hotkey.chars().take(HOTKEY).chain(['…']).collect()
    }),
    number("stake", 3, |row, _| tao(row.stake)),
    number("trust", 4, |row, _| share(row.trust)),
    number("vtrust", 5, |row, _| share(row.validator_trust)),
    number("consensus", 6, |row, _| share(row.consensus)),
    number("incentive", 1, |row, _| share(row.incentive)),
    number("dividends", 1, |row, _| share(row.dividends)),
    number("emission", 0, |row, _| tao(row.emission)),
    text("permit", 7, |row, _| {
        if row.validator_permit { "yes" } else { "no" }.to_owned()
    }),
    number("pruning", 8, |row, _| share(row.pruning_score)),
];

const fn number(title: &'static str, rank: u8, cell: fn(&EpochRow, &str) -> String) -> Column {
    column(title, Alignment::Right, rank, cell)
}

const fn text(title: &'static str, rank: u8, cell: fn(&EpochRow, &str) -> String) -> Column {
    column(title, Alignment::Left, rank, cell)
}

const fn column(
    title: &'static str,
    alignment: Alignment,
    rank: u8,
    cell: fn(&EpochRow, &str) -> String,
) -> Column {
    Column {
        of_table: TerminalColumn {
            title,
            alignment,
            rank,
        },
        cell,
    }
}

fn tao(rao: u64) -> String {
    format!("{:.4}", rao as f64 / RAO_PER_TAO)
}

fn share(share: f32) -> String {
    format!("{share:.4}")
}
