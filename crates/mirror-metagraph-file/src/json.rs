//! Metagraph files in JSON: a list with one object per neuron.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::row::{Row, Rows};
use crate::{Cause, MAX_BYTES, MAX_NEURONS, MetagraphFile};

pub(crate) fn read(file: File) -> Result<Rows, Cause> {
    // The limit also applies to a file that grows while it is read.
    let text = BufReader::new(file.take(MAX_BYTES));
    let bounded: Bounded = serde_json::from_reader(text).map_err(|error| match error.io_error_kind() {
        Some(kind) => Cause::Io(kind.into()),
        None => Cause::Json(error),
    })?;
    Ok(Rows {
        rows: bounded.0,
        ..Rows::default()
    })
}

/// At most as many rows as a subnet can have neurons.
struct Bounded(Vec<Row>);

impl<'de> Deserialize<'de> for Bounded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Bounded;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list with one object per neuron")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Bounded, A::Error> {
        let mut rows = Vec::new();
        while let Some(row) = list.next_element()? {
            if rows.len() == MAX_NEURONS {
                return Err(A::Error::custom(format_args!(
                    "more than {MAX_NEURONS} rows, the maximum number of neurons in a subnet"
                )));
            }
            rows.push(row);
        }
        Ok(Bounded(rows))
    }
}

/// A row in the written form.
#[derive(Serialize)]
struct Written<'a> {
    uid: usize,
    hotkey: String,
    coldkey: String,
    stake: u64,
    permit: bool,
    weights: &'a [(u16, u16)],
    bonds: &'a [(u16, u16)],
}

/// Writes one line per neuron, so that two files can be compared line by line.
pub(crate) fn write(metagraph: &MetagraphFile, file: File) -> Result<(), Cause> {
    let mut out = BufWriter::new(file);
    for (uid, neuron) in metagraph.neurons.iter().enumerate() {
        out.write_all(if uid == 0 { b"[\n" } else { b",\n" })?;
        let row = Written {
            uid,
            hotkey: neuron.hotkey.to_string(),
            coldkey: neuron.coldkey.to_string(),
            stake: neuron.stake,
            permit: neuron.permit,
            weights: &neuron.weights,
            bonds: &neuron.bonds,
        };
        serde_json::to_writer(&mut out, &row).map_err(Cause::Json)?;
    }
    out.write_all(b"\n]\n")?;
    Ok(out.flush()?)
}
