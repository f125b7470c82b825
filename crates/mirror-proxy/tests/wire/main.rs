//! Tests of the proxy as a process, over real sockets.

mod bad_input;
mod effects;
mod hostile;
mod lifting;
mod partitions;
mod test_env;
