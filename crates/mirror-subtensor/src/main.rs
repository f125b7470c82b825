//! The chain's process.

use std::process::ExitCode;

use mirror_config::launch::{Launch, SubtensorLaunch};

fn main() -> ExitCode {
    mirror_node::run(async |launch: Launch<SubtensorLaunch>, listener, shutdown| {
        mirror_subtensor::serve(listener, launch.role, shutdown).await
    })
}
