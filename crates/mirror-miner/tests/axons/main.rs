//! Axons over the wire.

mod behaviours;
mod honest;
mod test_env;
