//! Puts nodes somewhere and keeps them there.
//!
//! A [`Placement`] starts, watches, pauses and ends nodes; [`local::LocalProcesses`] is the one for this machine.
//! Nothing outside a placement knows of process ids, paths or loopback addresses. [`fleet`] starts and ends many nodes,
//! [`supervise`] decides what becomes of a node that died by itself, and [`shim`] is the small program between a
//! placement and a program that is not ours.

pub mod fleet;
pub mod local;
mod placement;
mod readiness;
pub mod shim;
pub mod supervise;

pub use placement::{
    Capability, EndedBy, Exit, ForeignProgram, LastLog, Liveness, NodeSpec, Placement, PlacementError,
    Program, Role, Status,
};
pub use readiness::HealthProbe;
