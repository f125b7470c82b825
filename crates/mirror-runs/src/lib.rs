//! The run directory: written so that a crash loses nothing acknowledged, read back, compared.

mod cell;
pub mod tables;

pub use cell::ColumnError;
