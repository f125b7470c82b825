//! gRPC servers and channels with the limits, deadlines and health checks that all nodes share, and the metadata of
//! calls. Precise alarms, and counters with few log lines.

pub mod alarm;
pub mod channel;
pub mod counter;
mod gathering;
pub mod metadata;
pub mod metrics;
pub mod otlp;
pub mod server;
pub mod tls;
pub mod tracer;
