//! The whole system: real programs, real processes, real sockets, and what a user sees of them.

mod acknowledged;
mod bad_input;
mod behaviours;
mod checkpoints;
mod checks;
mod commands;
mod commit_reveal;
mod ending;
mod experiment;
mod hangs;
mod kills;
mod learning;
mod metagraphs;
mod models;
mod network;
mod questions;
mod repeats;
mod restarts;
mod running_chain;
mod seed_files;
mod start_up;
