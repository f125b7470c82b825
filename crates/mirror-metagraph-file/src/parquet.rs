//! Metagraph files in Parquet. Weights and bonds are lists of pairs, and each pair is a list of two whole numbers.

use std::fs::File;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;

use arrow_array::builder::{ListBuilder, UInt16Builder};
use arrow_array::{ArrayRef, BooleanArray, RecordBatch, StringArray, UInt32Array, UInt64Array};
use parquet::arrow::ArrowWriter;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, List};

use crate::row::{Row, Rows};
use crate::{Cause, MAX_NEURONS, MetagraphFile, Neuron};

/// Maximum number of values of a column in a row group. A few compressed bytes can represent many values.
const MAX_VALUES: i64 = 1 << 26;

pub(crate) fn read(file: File) -> Result<Rows, Cause> {
    // The Parquet reader panics on some kinds of damage instead of returning an error. The rows that were read before
    // the panic are discarded, so no inconsistent state is visible.
    let read = panic::catch_unwind(AssertUnwindSafe(|| rows(file)));
    read.unwrap_or_else(|_| Err(Cause::Parquet("the Parquet reader panicked".to_owned())))
}

fn rows(file: File) -> Result<Rows, Cause> {
    let reader = SerializedFileReader::new(file).map_err(unreadable)?;
    let metadata = reader.metadata();
    let counted = metadata.file_metadata().num_rows();
    if usize::try_from(counted).is_ok_and(|rows| rows > MAX_NEURONS) {
        return Err(Cause::Parquet(format!(
            "it has {counted} rows, but a subnet has at most {MAX_NEURONS} neurons"
        )));
    }
    for group in metadata.row_groups() {
        if group
            .columns()
            .iter()
            .any(|column| column.num_values() > MAX_VALUES)
        {
            return Err(Cause::Parquet(format!(
                "a column has more than {MAX_VALUES} values"
            )));
        }
    }
    let mut rows = Rows::default();
    for (number, found) in (1..).zip(reader.get_row_iter(None).map_err(unreadable)?) {
        if number > MAX_NEURONS {
            return Err(Cause::Parquet(format!("it has more than {MAX_NEURONS} rows")));
        }
        let mut row = Row::default();
        for (column, field) in found.map_err(unreadable)?.get_column_iter() {
            if let Err(expected) = row.take(column, field) {
                rows.problems.push(format!("row {number}: {expected}"));
            }
        }
        rows.rows.push(row);
    }
    Ok(rows)
}

fn unreadable(error: impl std::fmt::Display) -> Cause {
    Cause::Parquet(error.to_string())
}

impl Row {
    fn take(&mut self, column: &str, field: &Field) -> Result<(), String> {
        if matches!(field, Field::Null) {
            return Ok(());
        }
        let expected = |what: &str| format!("`{column}` must be {what}");
        match column {
            "uid" => self.uid = Some(whole(field).ok_or_else(|| expected("a whole number"))?),
            "stake" => self.stake = Some(whole(field).ok_or_else(|| expected("a whole number of rao"))?),
            "hotkey" => self.hotkey = Some(text(field).ok_or_else(|| expected("a string"))?),
            "coldkey" => self.coldkey = Some(text(field).ok_or_else(|| expected("a string"))?),
            "permit" => match field {
                Field::Bool(permit) => self.permit = Some(*permit),
                _ => return Err(expected("true or false")),
            },
            "weights" => self.weights = Some(pairs(field).ok_or_else(|| expected(PAIRS))?),
            "bonds" => self.bonds = Some(pairs(field).ok_or_else(|| expected(PAIRS))?),
            _ => {
                return Err(format!(
                    "unknown column `{column}`; the columns are `uid`, `hotkey`, `coldkey`, `stake`, `permit`, \
                     `weights` and `bonds`"
                ));
            }
        }
        Ok(())
    }
}

const PAIRS: &str = "a list of pairs of whole numbers";

fn whole(field: &Field) -> Option<i64> {
    Some(match *field {
        Field::Byte(number) => number.into(),
        Field::Short(number) => number.into(),
        Field::Int(number) => number.into(),
        Field::Long(number) => number,
        Field::UByte(number) => number.into(),
        Field::UShort(number) => number.into(),
        Field::UInt(number) => number.into(),
        Field::ULong(number) => number.try_into().ok()?,
        _ => return None,
    })
}

fn text(field: &Field) -> Option<String> {
    match field {
        Field::Str(text) => Some(text.clone()),
        _ => None,
    }
}

fn pairs(field: &Field) -> Option<Vec<(i64, i64)>> {
    list(field)?.elements().iter().map(pair).collect()
}

fn pair(field: &Field) -> Option<(i64, i64)> {
    match list(field)?.elements() {
        [uid, value] => Some((whole(uid)?, whole(value)?)),
        _ => None,
    }
}

fn list(field: &Field) -> Option<&List> {
    match field {
        Field::ListInternal(list) => Some(list),
        _ => None,
    }
}

pub(crate) fn write(metagraph: &MetagraphFile, file: File) -> Result<(), Cause> {
    let neurons = &metagraph.neurons;
    let texts = |of: fn(&Neuron) -> String| StringArray::from_iter_values(neurons.iter().map(of));
    let columns: [(&str, ArrayRef); 7] = [
        (
            "uid",
            Arc::new(UInt32Array::from_iter_values(0..neurons.len() as u32)),
        ),
        ("hotkey", Arc::new(texts(|neuron| neuron.hotkey.to_string()))),
        ("coldkey", Arc::new(texts(|neuron| neuron.coldkey.to_string()))),
        (
            "stake",
            Arc::new(UInt64Array::from_iter_values(
                neurons.iter().map(|neuron| neuron.stake),
            )),
        ),
        (
            "permit",
            Arc::new(
                neurons
                    .iter()
                    .map(|neuron| Some(neuron.permit))
                    .collect::<BooleanArray>(),
            ),
        ),
        ("weights", lists(neurons.iter().map(|neuron| &neuron.weights[..]))),
        ("bonds", lists(neurons.iter().map(|neuron| &neuron.bonds[..]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(unreadable)?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).map_err(unreadable)?;
    writer.write(&batch).map_err(unreadable)?;
    writer.close().map_err(unreadable)?;
    Ok(())
}

fn lists<'a>(rows: impl Iterator<Item = &'a [(u16, u16)]>) -> ArrayRef {
    let mut lists = ListBuilder::new(ListBuilder::new(UInt16Builder::new()));
    for row in rows {
        for &(uid, value) in row {
            lists.values().values().append_slice(&[uid, value]);
            lists.values().append(true);
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}
