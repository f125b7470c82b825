//! Calls to axons over the network.

mod admission;
mod behaviours;
mod honest;
mod test_env;
