//! Writes traces in the formats of other programs, one trace after the other. Times are corrected.
//!
//! To add a format, add its module and an entry in [`FORMATS`].

pub(crate) mod attributes;
mod jaeger;
mod otlp_json;
mod perfetto;

use std::io::{self, Write};

use crate::neurons::Neurons;
use crate::trace::Trace;

/// A format of another program.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Name of the format on the command line.
    pub name: &'static str,
    /// The programs that read it.
    pub about: &'static str,
    exporter: fn() -> Box<dyn Exporter>,
}

/// All formats.
pub const FORMATS: [Format; 3] = [
    Format {
        name: "otlp-json",
        about: "OTLP in JSON, one line per trace, for OpenTelemetry collectors",
        exporter: || Box::new(otlp_json::OtlpJson),
    },
    Format {
        name: "jaeger",
        about: "JSON that Jaeger's user interface loads",
        exporter: || Box::new(jaeger::Jaeger::default()),
    },
    Format {
        name: "perfetto",
        about: "Chrome's JSON trace events, for ui.perfetto.dev and chrome://tracing",
        exporter: || Box::new(perfetto::Perfetto::default()),
    },
];

impl Format {
    /// Returns the format with this name.
    pub fn named(name: &str) -> Option<Self> {
        FORMATS.into_iter().find(|format| format.name == name)
    }

    /// Begins to write a file of this format.
    pub fn exporter(&self) -> Box<dyn Exporter> {
        (self.exporter)()
    }
}

/// Writes traces to a file of one format.
pub trait Exporter {
    /// Writes a trace of a run with these neurons.
    ///
    /// # Errors
    /// Returns an error of `out`.
    fn trace(&mut self, trace: &Trace, neurons: &Neurons, out: &mut dyn Write) -> io::Result<()>;

    /// Writes the end of the file, which is complete only then.
    ///
    /// # Errors
    /// Returns an error of `out`.
    fn finish(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes `value` as JSON after the separator that its place in a list requires.
fn element(
    out: &mut dyn Write,
    is_first: &mut bool,
    start: &str,
    value: &serde_json::Value,
) -> io::Result<()> {
    let separator = if std::mem::take(is_first) { start } else { ",\n" };
    out.write_all(separator.as_bytes())?;
    serde_json::to_writer(&mut *out, value)?;
    Ok(())
}
