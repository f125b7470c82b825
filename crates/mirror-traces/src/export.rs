//! Writes traces in the formats of other programs, with corrected times.
//!
//! [`FORMATS`] is the list of formats. An [`Export`] receives one trace at a time, so that its memory does not grow
//! with the number of spans.

mod attributes;
mod jaeger;
mod otlp_json;
mod perfetto;

use std::io::{self, Write};

use crate::trace::Trace;

/// A format.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// Name of the format, as on the command line.
    pub name: &'static str,
    /// Description of the format.
    pub about: &'static str,
    /// Creates a writer of the format.
    pub new: fn() -> Box<dyn Export>,
}

/// All formats.
pub const FORMATS: [Format; 3] = [otlp_json::FORMAT, jaeger::FORMAT, perfetto::FORMAT];

/// Writes one file of a format.
pub trait Export {
    /// Writes the beginning of the file.
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()>;

    /// Writes one trace.
    fn trace(&mut self, trace: &Trace, out: &mut dyn Write) -> io::Result<()>;

    /// Writes the end of the file.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()>;
}

/// Writes the commas between the items of a JSON list.
#[derive(Debug, Default)]
struct Items {
    has_some: bool,
}

impl Items {
    fn write(&mut self, item: &serde_json::Value, out: &mut dyn Write) -> io::Result<()> {
        if std::mem::replace(&mut self.has_some, true) {
            out.write_all(b",\n")?;
        }
        serde_json::to_writer(out, item)?;
        Ok(())
    }
}
