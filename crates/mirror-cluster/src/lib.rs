//! Starts nodes in a placement and manages them there.
//!
//! A [`Placement`] starts, watches, pauses and stops nodes. [`local::LocalProcesses`] is the placement on this machine.
//! Process ids, paths and loopback addresses are internal to a placement. [`fleet`] starts and stops many nodes,
//! [`supervise`] decides what happens to a node that exited unexpectedly, and [`shim`] is a small program that runs
//! between a placement and a foreign program.

pub mod agents;
pub mod fleet;
pub mod local;
mod paths;
mod placement;
mod readiness;
pub mod shim;
pub mod supervise;
mod watched;

pub use placement::{
    Capability, DiskSpace, EndedBy, Exit, ForeignProgram, LastLog, Liveness, NodeLimits, NodeSpec, NodeState,
    NodeView, Placement, PlacementError, Program, Role, Status,
};
pub use readiness::HealthProbe;
pub use watched::ProcessState;
