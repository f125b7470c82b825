//! Records the CPU profile of a node.

use std::path::Path;

use mirror_profile::{ProfileError, Profiler, Recording};
use mirror_spec::launch::Launch;

/// The CPU profile of this process.
pub(crate) struct Profile {
    recording: Recording,
    /// Kept until the recording has finished.
    _profiler: Profiler,
}

impl Profile {
    /// Starts the profile if the launch config requires one. A node whose profiler cannot start logs a warning and
    /// works without it.
    pub(crate) fn start<R>(launch: &Launch<R>) -> Option<Self> {
        let folder = launch.profiles.as_deref()?;
        match Self::try_start(folder, &name(&launch.node, launch.incarnation)) {
            Ok(profile) => Some(profile),
            Err(error) => {
                warn(error);
                None
            }
        }
    }

    fn try_start(folder: &Path, name: &str) -> Result<Self, ProfileError> {
        let profiler = Profiler::new(folder)?;
        Ok(Self {
            recording: profiler.start(folder, name)?,
            _profiler: profiler,
        })
    }

    /// Writes the profile. A failure is logged.
    pub(crate) fn finish(self) {
        if let Err(error) = self.recording.finish() {
            warn(error);
        }
    }
}

fn warn(error: ProfileError) {
    tracing::warn!(
        "this process has no CPU profile: {:#}",
        anyhow::Error::from(error)
    );
}

/// Returns the name of the profile of a process: that of the node, with the incarnation from the second process on.
fn name(node: &str, incarnation: u32) -> String {
    match incarnation {
        0 => node.to_owned(),
        later => format!("{node}.{later}"),
    }
}
