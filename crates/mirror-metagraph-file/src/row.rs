//! The rows of a metagraph file, and the checks of all rows together.

use std::collections::BTreeMap;

use mirror_identity::PublicKey;
use serde::Deserialize;

use crate::{MAX_NEURONS, MAX_STAKE, MetagraphFile, Neuron, Problems};

/// The row of one neuron in a file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    pub(crate) uid: Option<i64>,
    pub(crate) hotkey: Option<String>,
    pub(crate) coldkey: Option<String>,
    pub(crate) stake: Option<i64>,
    pub(crate) permit: Option<bool>,
    pub(crate) weights: Option<Vec<(i64, i64)>>,
    pub(crate) bonds: Option<Vec<(i64, i64)>>,
}

/// The rows of a file, and the problems of those that could not be read.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) problems: Problems,
}

impl Rows {
    /// Checks the rows and returns the metagraph.
    ///
    /// # Errors
    /// Returns all problems of the rows. Row numbers start at 1.
    pub(crate) fn checked(self) -> Result<MetagraphFile, Problems> {
        let Self { rows, mut problems } = self;
        let count = rows.len();
        if count == 0 {
            problems.push("there is no row: a metagraph file must have one row per neuron".to_owned());
        }
        missing_columns(&rows, &mut problems);
        let mut by_uid: BTreeMap<i64, usize> = BTreeMap::new();
        let mut by_hotkey = BTreeMap::new();
        let mut stake = 0_u128;
        let mut neurons: Vec<Option<Neuron>> = vec![None; count];
        for (number, row) in (1..).zip(rows) {
            let place = row.uid.map_or_else(
                || format!("row {number}"),
                |uid| format!("row {number} (uid {uid})"),
            );
            let mut tell = |problem: String| problems.push(format!("{place}: {problem}"));
            if let Some(uid) = row.uid {
                if usize::try_from(uid).is_ok_and(|uid| uid < count) {
                    if let Some(first) = by_uid.insert(uid, number) {
                        tell(format!("row {first} has the same uid"));
                    }
                } else {
                    tell(format!("with {count} rows, uids must be from 0 to {}", count - 1));
                }
            }
            let hotkey = row.hotkey.and_then(|text| key("hotkey", &text, &mut tell));
            let coldkey = row.coldkey.and_then(|text| key("coldkey", &text, &mut tell));
            if let Some(first) = hotkey.and_then(|hotkey| by_hotkey.insert(hotkey, number)) {
                tell(format!("row {first} has the same hotkey"));
            }
            if let Some(rao) = row.stake.filter(|rao| *rao < 0) {
                tell(format!("the stake is negative: {rao} rao"));
            }
            let own = row.stake.and_then(|rao| u64::try_from(rao).ok());
            stake += u128::from(own.unwrap_or_default());
            let weights = pairs("weights", row.weights.unwrap_or_default(), count, &mut tell);
            let bonds = pairs("bonds", row.bonds.unwrap_or_default(), count, &mut tell);
            let place = row
                .uid
                .and_then(|uid| neurons.get_mut(usize::try_from(uid).ok()?));
            if let (Some(place), Some(hotkey), Some(coldkey), Some(stake)) = (place, hotkey, coldkey, own) {
                *place = Some(Neuron {
                    hotkey,
                    coldkey,
                    stake,
                    permit: row.permit.unwrap_or_default(),
                    weights,
                    bonds,
                });
            }
        }
        if stake > MAX_STAKE.into() {
            problems.push(format!(
                "the stakes total {stake} rao; the limit of the chain is {MAX_STAKE}"
            ));
        }
        match neurons.into_iter().collect() {
            Some(neurons) if problems.total == 0 => Ok(MetagraphFile { neurons }),
            _ => Err(problems),
        }
    }
}

/// Returns whether a row has a value in a column.
type Has = fn(&Row) -> bool;

/// Reports a column that no row has once, and a value that only some rows lack for each of those rows.
fn missing_columns(rows: &[Row], problems: &mut Problems) {
    let columns: [(&str, Has); 4] = [
        ("uid", |row| row.uid.is_some()),
        ("hotkey", |row| row.hotkey.is_some()),
        ("coldkey", |row| row.coldkey.is_some()),
        ("stake", |row| row.stake.is_some()),
    ];
    for (column, has) in columns {
        if !rows.is_empty() && !rows.iter().any(has) {
            problems.push(format!("the column `{column}` is missing"));
            continue;
        }
        for (number, _) in (1..).zip(rows).filter(|(_, row)| !has(row)) {
            problems.push(format!("row {number}: it has no `{column}`"));
        }
    }
}

fn key(column: &str, text: &str, tell: &mut impl FnMut(String)) -> Option<PublicKey> {
    match text.parse() {
        Ok(key) => Some(key),
        Err(error) => {
            let shown: String = text.chars().take(64).collect();
            tell(format!("the {column} `{shown}` is not an ss58 address: {error}"));
            None
        }
    }
}

fn pairs(
    column: &str,
    pairs: Vec<(i64, i64)>,
    count: usize,
    tell: &mut impl FnMut(String),
) -> Vec<(u16, u16)> {
    let mut named = vec![false; count.min(MAX_NEURONS)];
    let mut sound = Vec::with_capacity(pairs.len());
    for (uid, value) in pairs {
        let Some(place) = usize::try_from(uid).ok().and_then(|uid| named.get_mut(uid)) else {
            tell(format!("its {column} contain uid {uid}, which no row has"));
            continue;
        };
        if std::mem::replace(place, true) {
            tell(format!("its {column} contain uid {uid} twice"));
        }
        match (u16::try_from(uid), u16::try_from(value)) {
            (Ok(uid), Ok(value)) => sound.push((uid, value)),
            _ => tell(format!(
                "its {column} contain {value} for uid {uid}, which is not from 0 to 65,535"
            )),
        }
    }
    sound
}
