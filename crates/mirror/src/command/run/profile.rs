//! The CPU profiles of a run: that of the coordinator, which is this process, and a list of all.

use std::io::{self, Write};

use mirror_output::message;
use mirror_profile::{ProfileError, Profiler, Recording};
use mirror_proto::protocol::COORDINATOR;
use mirror_runs::Layout;
use mirror_runs::profiles::Profiles;

/// Returns the profiler of this process. Without one, the run proceeds.
pub(super) fn profiler() -> Option<Profiler> {
    recorded(Profiler::new(&std::env::temp_dir()))
}

/// Starts the profile of the coordinator of a run. Without one, the run proceeds.
pub(super) fn start(profiler: &Profiler, layout: &Layout) -> Option<Recording> {
    recorded(profiler.start(&layout.profiles(), COORDINATOR))
}

/// Writes the profile of the coordinator.
pub(super) fn finish(recording: Recording) {
    recorded(recording.finish());
}

fn recorded<T>(outcome: Result<T, ProfileError>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(error) => {
            let error = anyhow::Error::from(error);
            message!("warning: the coordinator has no CPU profile: {error:#}");
            None
        }
    }
}

/// Prints the folder of the profiles, the processes that have one, and those that have none.
pub(super) fn print(profiles: &Profiles, layout: &Layout) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let folder = layout.profiles();
    let written = if profiles.written.is_empty() {
        "no flame graph".to_owned()
    } else {
        format!("flame graphs of {}", profiles.written.join(", "))
    };
    writeln!(out, "profiles {}: {written}", folder.display())?;
    for missing in &profiles.missing {
        writeln!(out, "no profile of {}: {}", missing.process, missing.reason)?;
    }
    Ok(())
}
