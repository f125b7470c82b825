//! Tests of the whole system with real programs, processes and sockets, from the point of view of a user.

mod acknowledged;
mod ask_a_question;
mod bad_input;
mod behaviours;
mod checkpoints;
mod checks;
mod commands;
mod commit_reveal;
mod ending;
mod event_logs;
mod experiment;
mod groups;
mod hangs;
mod kills;
mod learning;
mod metagraphs;
mod models;
mod named_plots;
mod network;
mod questions;
mod repeats;
mod restarts;
mod running_chain;
mod start_up;
mod terminal;
mod upstream_files;
