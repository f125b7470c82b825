//! The `telemetry` section: traces, metrics and logs of the processes.

use crate::declare::{choice, keys};

keys! {
    /// The `telemetry` section: traces, metrics and logs of the processes.
    pub struct Telemetry: Default {
        /// Traces that are kept.
        traces: Traces = "all",
        /// Share of the traces that are recorded at all, chosen by the trace id.
        trace_share: f64 [Number(0.0..=1.0)] = 1,
        /// Time between two measurements of the metrics of each process.
        metrics_interval: f64 [Duration(0.1..=3_600.0)] = 5,
        /// Format of the logs of the nodes.
        logs: LogFormat = "pretty",
    }
}

choice! {
    /// Traces that are kept.
    pub enum Traces {
        /// All recorded traces.
        All = "all",
        /// Traces with an error, and the slowest hundredth of the others.
        ErrorsAndSlowest = "errors_and_slowest",
        /// None. Nothing is recorded, neither spans nor metrics, and lines of logs have no trace ids.
        Off = "off",
    }
}

choice! {
    /// The format of the lines of a log.
    pub enum LogFormat {
        /// Text to be read by a person.
        Pretty = "pretty",
        /// One JSON object per line.
        Json = "json",
    }
}
