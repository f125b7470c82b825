//! Tests of nodes as real processes: they are started, watched and stopped, and none is left running, however the
//! coordinator ends.

mod agents;
mod coordinator;
mod limits;
mod local;
mod support;
