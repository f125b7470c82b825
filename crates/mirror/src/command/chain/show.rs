//! `mirror chain show`: the metagraph of a run's chain as an epoch left it, whether the run has ended, goes on or was
//! interrupted.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, LineStyle, Table};
use mirror_runs::tables::EpochRow;
use mirror_runs::{Run, roles};
use serde_json::json;

use crate::command::{RunsDir, Status, epochs, place};

/// Rao in a TAO.
const RAO_PER_TAO: f64 = 1e9;

/// Characters of a hotkey that are shown, from its beginning.
const HOTKEY: usize = 8;

#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// The run: an id or its beginning, `last`, or a path
    run: String,
    /// Which of the chain's epochs, from 1; without it the last
    #[arg(long, value_name = "N")]
    epoch: Option<u64>,
    /// Prints all columns of the table `epochs`, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    runs_dir: RunsDir,
}

pub(super) fn show(arguments: &ShowArguments) -> anyhow::Result<Status> {
    let run = Run::open(place::run(&arguments.runs_dir.runs_dir, &arguments.run)?)?;
    let roles = roles::load(run.layout())?;
    let roles = roles.into_iter().map(|role| (role.uid, role.role)).collect();
    let epoch = Epoch::of(&run, arguments.epoch)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &epoch.json(&roles))?;
        writeln!(out)?;
    } else {
        writeln!(out, "{}", epoch.table(&roles))?;
    }
    Ok(Status::Done)
}

/// By uid.
type Roles = BTreeMap<u32, String>;

/// An epoch of a run.
struct Epoch {
    number: u64,
    block: u64,
    /// By uid.
    rows: Vec<EpochRow>,
    /// The run's first and last epoch.
    among: (u64, u64),
}

impl Epoch {
    /// The epoch that is wanted, or the last.
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

    fn json(&self, roles: &Roles) -> serde_json::Value {
        let neuron = |row: &EpochRow| {
            json!({
                "uid": row.uid,
                "role": roles.get(&row.uid),
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

    /// For a terminal, without colours.
    fn table(&self, roles: &Roles) -> String {
        let mut table = Table::new();
        table.load_style(NOTHING.header_separator(LineStyle::none().fill('─').junction('─')));
        table.set_header(COLUMNS.map(|column| column.title));
        for (shown, column) in table.column_iter_mut().zip(&COLUMNS) {
            shown.set_cell_alignment(column.alignment);
        }
        for row in &self.rows {
            let role = roles.get(&row.uid).map_or("–", String::as_str);
            table.add_row(COLUMNS.map(|column| (column.cell)(row, role)));
        }
        let (first, last) = self.among;
        format!(
            "{}\n\nepoch {} of epochs {first} to {last}, with block {}; stake and emission in TAO",
            table.trim_fmt(),
            self.number,
            self.block
        )
    }
}

/// A column of the table.
#[derive(Clone, Copy)]
struct Column {
    title: &'static str,
    alignment: CellAlignment,
    /// Of a row, and of its uid's role.
    cell: fn(&EpochRow, &str) -> String,
}

const COLUMNS: [Column; 12] = [
    number("uid", |row, _| row.uid.to_string()),
    text("role", |_, role| role.to_owned()),
    text("hotkey", |row, _| {
        row.hotkey.chars().take(HOTKEY).chain(['…']).collect()
    }),
    number("stake", |row, _| tao(row.stake)),
    number("trust", |row, _| share(row.trust)),
    number("vtrust", |row, _| share(row.validator_trust)),
    number("consensus", |row, _| share(row.consensus)),
    number("incentive", |row, _| share(row.incentive)),
    number("dividends", |row, _| share(row.dividends)),
    number("emission", |row, _| tao(row.emission)),
    text("permit", |row, _| {
        if row.validator_permit { "yes" } else { "no" }.to_owned()
    }),
    number("pruning", |row, _| share(row.pruning_score)),
];

const fn number(title: &'static str, cell: fn(&EpochRow, &str) -> String) -> Column {
    Column {
        title,
        alignment: CellAlignment::Right,
        cell,
    }
}

const fn text(title: &'static str, cell: fn(&EpochRow, &str) -> String) -> Column {
    Column {
        title,
        alignment: CellAlignment::Left,
        cell,
    }
}

fn tao(rao: u64) -> String {
    format!("{:.4}", rao as f64 / RAO_PER_TAO)
}

fn share(share: f32) -> String {
    format!("{share:.4}")
}
