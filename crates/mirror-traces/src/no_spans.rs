//! The reason why a run has no spans.

use std::fmt::{self, Display};

use mirror_runs::{Run, State};
use mirror_spec::Telemetry;

/// The reason why a run has no spans, as far as its state and its settings tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoSpans {
    /// The run was imported from an event log.
    Imported,
    /// The setting `telemetry.traces` is `off`.
    Off,
    /// The setting `telemetry.trace_share` is 0.
    NoShare,
    /// The run is in progress, and its first spans are not written yet.
    InProgress,
    /// The settings do not exclude spans.
    Unclear {
        /// Setting `telemetry.trace_share`, from 0 to 1.
        trace_share: f64,
    },
    /// The settings of the run cannot be read.
    UnknownSettings,
}

impl NoSpans {
    /// Returns the reason of a run without spans.
    pub fn of_run(run: &Run) -> Self {
        if run.manifest().is_imported() {
            return Self::Imported;
        }
        // An experiment file of another version may be one that this version refuses.
        let loaded = mirror_config::load(&run.layout().resolved()).ok();
        Self::of(
            run.state(),
            loaded.map(|loaded| loaded.experiment.telemetry).as_ref(),
        )
    }

    fn of(state: State, settings: Option<&Telemetry>) -> Self {
        match settings {
            Some(settings) if settings.traces == mirror_spec::Traces::Off => Self::Off,
            Some(settings) if settings.trace_share <= 0.0 => Self::NoShare,
            _ if state == State::Running => Self::InProgress,
            Some(settings) => Self::Unclear {
                trace_share: settings.trace_share,
            },
            None => Self::UnknownSettings,
        }
    }
}

/// The reason as a clause that follows "the run has no spans: ".
impl Display for NoSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imported => f.write_str("it was imported from an event log"),
            Self::Off => f.write_str("its traces were off (`telemetry: {traces: off}`)"),
            Self::NoShare => f.write_str("it recorded no share of the traces (`telemetry: {trace_share: 0}`)"),
            Self::InProgress => f.write_str("it is in progress, and its first spans are not written yet"),
            Self::Unclear { trace_share } if *trace_share < 1.0 => write!(
                f,
                "none of its traces was among the share that it recorded (`telemetry: {{trace_share: {trace_share}}}`), \
                 it ended before the first spans were written, they were lost, or an earlier version made it"
            ),
            Self::Unclear { .. } => f.write_str(
                "it ended before the first spans were written, they were lost, or an earlier version made it",
            ),
            Self::UnknownSettings => f.write_str(
                "its traces were off (`telemetry: {traces: off}`), it recorded no share of them (`telemetry: \
                 {trace_share: 0}`), it ended before the first spans were written, they were lost, or an earlier \
                 version made it (its settings cannot be read)",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use mirror_runs::State;
    use mirror_spec::{Telemetry, Traces};

    use super::NoSpans;

    #[test]
    fn the_reason_follows_from_the_settings_and_the_state() {
        let all = Telemetry::default();
        let off = Telemetry {
            traces: Traces::Off,
            ..Telemetry::default()
        };
        let of_share = |trace_share| Telemetry {
            trace_share,
            ..Telemetry::default()
        };
        for state in [State::Running, State::Done] {
            assert_eq!(NoSpans::of(state, Some(&off)), NoSpans::Off);
            assert_eq!(NoSpans::of(state, Some(&of_share(0.0))), NoSpans::NoShare);
        }
        assert_eq!(NoSpans::of(State::Running, Some(&all)), NoSpans::InProgress);
        assert_eq!(NoSpans::of(State::Running, None), NoSpans::InProgress);
        let unclear = |trace_share| NoSpans::Unclear { trace_share };
        assert_eq!(NoSpans::of(State::Done, Some(&all)), unclear(1.0));
        assert_eq!(NoSpans::of(State::Failed, Some(&of_share(0.01))), unclear(0.01));
        assert_eq!(NoSpans::of(State::Done, None), NoSpans::UnknownSettings);
    }
}
