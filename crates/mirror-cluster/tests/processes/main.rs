//! Nodes as real processes: started, watched, ended; and none left behind, however the coordinator went.

mod coordinator;
mod local;
mod support;
