//! Calls to axons over the network.

mod behaviours;
mod honest;
mod test_env;
