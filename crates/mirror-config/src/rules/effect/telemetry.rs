//! Keys of the telemetry of a file that records none.

use mirror_spec::Traces;

use super::{Sound, warn};
use crate::problem::Finding;

pub(super) fn check(sound: Sound<'_>, found: &mut Vec<Finding>) {
    if sound.experiment.telemetry.traces != Traces::Off {
        return;
    }
    let why = "`telemetry.traces` is `off`, so neither spans nor metrics are recorded";
    let help = "remove it, or write `trace_share: 0` instead of `traces: off` for metrics without spans";
    let telemetry = sound.file.resolved.telemetry();
    warn(telemetry.trace_share(), "telemetry.trace_share", why, help, found);
    warn(
        telemetry.metrics_interval(),
        "telemetry.metrics_interval",
        why,
        help,
        found,
    );
    warn(telemetry.prometheus(), "telemetry.prometheus", why, help, found);
    warn(
        telemetry.otlp_endpoint(),
        "telemetry.otlp_endpoint",
        why,
        help,
        found,
    );
}
