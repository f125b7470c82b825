//! gRPC servers and channels with the limits, deadlines and health checks that all nodes share, the metadata of calls, and
//! signed transactions.

pub mod channel;
mod gathering;
pub mod metadata;
pub mod server;
pub mod signed;
pub mod tracer;
