//! Values of columns: conversion of Rust types to Arrow arrays and back.

use std::sync::Arc;

use arrow_array::builder::{Float32Builder, Float64Builder, ListBuilder, UInt64Builder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt64Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, ListArray, RecordBatch,
    StringArray, UInt32Array, UInt64Array,
};
use arrow_schema::{DataType, Field};

/// The reason why a column of a file does not match its table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ColumnError {
    /// The column is missing.
    #[error("column {column} is missing")]
    Missing {
        /// Name of the column.
        column: &'static str,
    },
    /// The column has another type.
    #[error("column {column} has type {found}, expected {expected}")]
    Type {
        /// Name of the column.
        column: &'static str,
        /// Type of the column in the file.
        found: DataType,
        /// Expected type of the column.
        expected: DataType,
    },
    /// A cell is empty in a column that requires values.
    #[error("column {column} has empty cells")]
    Null {
        /// Name of the column.
        column: &'static str,
    },
}

/// A type whose values are the cells of a column.
pub(crate) trait Cell: Sized + 'static {
    type Array: Array + 'static;
    const NULLABLE: bool;

    fn data_type() -> DataType;
    fn gather<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef;
    fn get(array: &Self::Array, row: usize) -> Self;

    /// Returns whether two cells are equal to the last bit. All NaNs are equal.
    fn same(&self, other: &Self) -> bool;
    /// Formats the cell for people.
    fn show(&self) -> String;
    /// Returns the approximate size in memory, in bytes.
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }

    fn field(column: &'static str) -> Field {
        Field::new(column, Self::data_type(), Self::NULLABLE)
    }

    /// Returns the column of `batch` after checking its type, so that [`Cell::get`] cannot fail.
    fn column<'a>(batch: &'a RecordBatch, column: &'static str) -> Result<&'a Self::Array, ColumnError> {
        let array = batch
            .column_by_name(column)
            .ok_or(ColumnError::Missing { column })?;
        if !Self::NULLABLE && array.null_count() > 0 {
            return Err(ColumnError::Null { column });
        }
        let typed = array.as_any().downcast_ref::<Self::Array>();
        typed
            .filter(|array| *array.data_type() == Self::data_type())
            .ok_or_else(|| ColumnError::Type {
                column,
                found: array.data_type().clone(),
                expected: Self::data_type(),
            })
    }
}

macro_rules! plain_cells {
    ($($type:ty, $array:ty, $data_type:ident, $same:expr;)*) => {$(
        impl Cell for $type {
            type Array = $array;
            const NULLABLE: bool = false;

            fn data_type() -> DataType {
                DataType::$data_type
            }

            fn gather<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
                Arc::new(cells.copied().map(Some).collect::<$array>())
            }

            fn get(array: &Self::Array, row: usize) -> Self {
                array.value(row)
            }

            fn same(&self, other: &Self) -> bool {
                let same: fn(Self, Self) -> bool = $same;
                same(*self, *other)
            }

            fn show(&self) -> String {
                self.to_string()
            }
        }

        impl Cell for Option<$type> {
            type Array = $array;
            const NULLABLE: bool = true;

            fn data_type() -> DataType {
                <$type>::data_type()
            }

            fn gather<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
                Arc::new(cells.copied().collect::<$array>())
            }

            fn get(array: &Self::Array, row: usize) -> Self {
                array.is_valid(row).then(|| array.value(row))
            }

            fn same(&self, other: &Self) -> bool {
                same_option(self.as_ref(), other.as_ref())
            }

            fn show(&self) -> String {
                show_option(self.as_ref())
            }
        }
    )*};
}

plain_cells! {
    bool, BooleanArray, Boolean, |a, b| a == b;
    u32, UInt32Array, UInt32, |a, b| a == b;
    u64, UInt64Array, UInt64, |a, b| a == b;
    i32, Int32Array, Int32, |a, b| a == b;
    f32, Float32Array, Float32, |a, b| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    f64, Float64Array, Float64, |a, b| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
}

fn same_option<T: Cell>(one: Option<&T>, other: Option<&T>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.same(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn show_option<T: Cell>(cell: Option<&T>) -> String {
    cell.map_or_else(|| "null".to_owned(), Cell::show)
}

impl Cell for String {
    type Array = StringArray;
    const NULLABLE: bool = false;

    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn gather<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(cells.map(Some).collect::<StringArray>())
    }

    fn get(array: &Self::Array, row: usize) -> Self {
        array.value(row).to_owned()
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

impl Cell for Option<String> {
    type Array = StringArray;
    const NULLABLE: bool = true;

    fn data_type() -> DataType {
        DataType::Utf8
    }

    fn gather<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(cells.map(Option::as_ref).collect::<StringArray>())
    }

    fn get(array: &Self::Array, row: usize) -> Self {
        array.is_valid(row).then(|| array.value(row).to_owned())
    }

    fn same(&self, other: &Self) -> bool {
        self == other
    }

    fn show(&self) -> String {
        show_option(self.as_ref())
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + self.as_ref().map_or(0, String::len)
    }
}

/// Implements [`Cell`] for lists of numbers.
macro_rules! list {
    ($type:ty, $variant:ident, $builder:ident, $arrow:ident) => {
        impl Cell for Vec<$type> {
            type Array = ListArray;
            const NULLABLE: bool = false;

            fn data_type() -> DataType {
                DataType::new_list(DataType::$variant, false)
            }

            fn gather<'a>(cells: impl Iterator<Item = &'a Self>) -> ArrayRef {
                let item = Field::new_list_field(DataType::$variant, false);
                let mut lists = ListBuilder::new($builder::new()).with_field(item);
                for cell in cells {
                    lists.values().append_slice(cell);
                    lists.append(true);
                }
                Arc::new(lists.finish())
            }

            fn get(array: &Self::Array, row: usize) -> Self {
                array.value(row).as_primitive::<$arrow>().values().to_vec()
            }

            fn same(&self, other: &Self) -> bool {
                self.len() == other.len() && self.iter().zip(other).all(|(one, other)| one.same(other))
            }

            fn show(&self) -> String {
                format!("{self:?}")
            }

            fn bytes(&self) -> usize {
                size_of::<Self>() + size_of_val(self.as_slice())
            }
        }
    };
}

list!(f32, Float32, Float32Builder, Float32Type);
list!(f64, Float64, Float64Builder, Float64Type);
list!(u64, UInt64, UInt64Builder, UInt64Type);
