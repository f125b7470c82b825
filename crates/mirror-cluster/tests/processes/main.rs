//! Tests of nodes as real processes: they are started, watched and stopped, and none is left running, however the
//! coordinator ends.

mod coordinator;
mod limits;
mod local;
mod support;
