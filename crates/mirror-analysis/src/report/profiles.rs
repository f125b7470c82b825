//! The CPU profiles of a run, to which the report links. They are not part of the page, because their zoom and search
//! work only in documents of their own.

use mirror_runs::Layout;
use mirror_runs::profiles::{MissingProfile, Profiles};

/// Returns the CPU profiles of the run in `layout`. `None` if it was not profiled.
pub(super) fn profiles(layout: &Layout) -> Option<Profiles> {
    Profiles::read(layout).unwrap_or_else(|error| {
        Some(Profiles {
            written: Vec::new(),
            missing: vec![MissingProfile {
                process: "all processes".to_owned(),
                reason: format!("{} cannot be read: {error}", layout.profiles().display()),
            }],
        })
    })
}
