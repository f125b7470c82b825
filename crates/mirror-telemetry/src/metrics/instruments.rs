//! All instruments. A new metric is one entry here, and a call where it is measured.

use std::sync::LazyLock;

use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use super::SCOPE;

/// Upper bounds of the buckets of durations, in seconds: from a local call to a timeout.
const SECONDS: [f64; 17] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
    30.0,
];

/// Upper bounds of the buckets of rewards. Reward models return values of any size, mostly within these.
const REWARDS: [f64; 13] = [
    -10.0, -3.0, -1.0, -0.3, 0.0, 0.1, 0.25, 0.5, 0.75, 1.0, 3.0, 10.0, 100.0,
];

/// The name of a metric and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Name of the metric.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Unit of the metric by the Unified Code for Units of Measure.
    pub unit: &'static str,
    /// The meaning of the metric, with its attributes.
    pub about: &'static str,
}

/// Declares the instruments: `field: kind "name" "unit"`, with the meaning as a doc comment.
macro_rules! instruments {
    ($(#[doc = $about:literal] $field:ident: $kind:ident $name:literal $unit:literal,)*) => {
        /// The instruments of this process.
        pub struct Instruments {
            $(#[doc = $about] pub $field: instruments!(@type $kind),)*
        }

        /// The descriptions of all instruments in [`Instruments`].
        pub const DESCRIPTIONS: &[Description] = &[
            $(Description {
                name: $name,
                kind: instruments!(@word $kind),
                unit: $unit,
                about: $about,
            },)*
        ];

        impl Instruments {
            fn new(meter: &Meter) -> Self {
                Self {
                    $($field: instruments!(@build meter $kind $name)
                        .with_unit($unit)
                        .with_description($about)
                        .build(),)*
                }
            }
        }
    };
    (@type counter) => { Counter<u64> };
    (@type gauge) => { Gauge<f64> };
    (@type durations) => { Histogram<f64> };
    (@type rewards) => { Histogram<f64> };
    (@word counter) => { "counter" };
    (@word gauge) => { "gauge" };
    (@word durations) => { "histogram" };
    (@word rewards) => { "histogram" };
    (@build $meter:ident counter $name:literal) => { $meter.u64_counter($name) };
    (@build $meter:ident gauge $name:literal) => { $meter.f64_gauge($name) };
    (@build $meter:ident durations $name:literal) => {
        $meter.f64_histogram($name).with_boundaries(SECONDS.to_vec())
    };
    (@build $meter:ident rewards $name:literal) => {
        $meter.f64_histogram($name).with_boundaries(REWARDS.to_vec())
    };
}

instruments! {
    #[doc = "Duration of a call that the process made, by method, status, and `mirror.code` for prompts."]
    client_calls: durations "rpc.client.call.duration" "s",
    #[doc = "Duration of a call that the process served, by `rpc.method` and `rpc.response.status_code`."]
    server_calls: durations "rpc.server.call.duration" "s",
    #[doc = "Duration of a step of a validator, with the work up to the next step."]
    steps: durations "mirror.step.duration" "s",
    #[doc = "Forwards of a validator, by `mirror.has_completion`."]
    forwards: counter "mirror.forwards" "{forward}",
    #[doc = "Rewards that the reward model gave to completions."]
    rewards: rewards "mirror.reward" "1",
    #[doc = "The last weights that a validator submitted, by `mirror.uid`."]
    weights: gauge "mirror.weight" "1",
    #[doc = "Height of the chain: the last closed block, as the process knows it."]
    block: gauge "mirror.block" "{block}",
    #[doc = "Transactions in closed blocks, by `mirror.outcome`."]
    transactions: counter "mirror.transactions" "{transaction}",
    #[doc = "Time that calls waited for a worker of the axon. Calls that found a free one are not counted."]
    axon_queue: durations "mirror.axon.queue.duration" "s",
    #[doc = "Calls that an axon refused, by `mirror.uid` and `mirror.cause`."]
    refusals: counter "mirror.axon.refusals" "{call}",
    #[doc = "Room that unacknowledged records take in the queue of a node, which waits at 1,024."]
    unacknowledged: gauge "mirror.reports.unacknowledged" "{record}",
    #[doc = "Records that the coordinator wrote to the journal."]
    journal_records: counter "mirror.journal.records" "{record}",
    #[doc = "Spans that the process lost, because its buffer was full or they could not be sent."]
    lost_spans: counter "mirror.spans.lost" "{span}",
    #[doc = "Size of the spans and metrics that wait in the coordinator."]
    telemetry_queue: gauge "mirror.telemetry.queue" "By",
}

/// Returns the instruments of this process.
pub fn instruments() -> &'static Instruments {
    static INSTRUMENTS: LazyLock<Instruments> =
        LazyLock::new(|| Instruments::new(&opentelemetry::global::meter(SCOPE)));
    &INSTRUMENTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_lists_every_metric() {
        let documented = include_str!("../../../../docs/traces.md");
        for Description {
            name,
            kind,
            unit,
            about,
        } in DESCRIPTIONS
        {
            let line = format!("| `{name}` | {kind} | `{unit}` | {about} |");
            assert!(
                documented.lines().any(|known| known == line),
                "docs/traces.md lacks:\n{line}"
            );
        }
    }
}
