//! Axons over the wire.

mod behaviours;
mod honest;
mod laboratory;
