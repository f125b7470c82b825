//! `mirror trace export`: writes traces in the format of another program.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use mirror_traces::export::{FORMATS, Format};
use mirror_traces::{Neurons, Traces, Wanted};

use super::super::Status;

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Format of the file
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(FORMATS.map(|format| format.name)))]
    format: String,
    /// File to write [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes only this trace: its id, the start of it, or `step:41`
    #[arg(long, value_name = "TRACE")]
    trace: Option<Wanted>,
}

pub(super) fn export(runs_dir: &Path, arguments: &ExportArguments) -> anyhow::Result<Status> {
    let run = super::open(runs_dir, &arguments.run)?;
    let format = Format::named(&arguments.format).context("the command line accepts only known formats")?;
    let neurons = Neurons::of_run(&run)?;
    let found = arguments.trace.as_ref().map(|wanted| super::found(&run, wanted));
    let found = found.transpose()?;
    // Everything that the command line names exists, so a file of this name is replaced only now.
    let mut out: Box<dyn Write> = match &arguments.output {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Box::new(BufWriter::new(file))
        }
        None => Box::new(BufWriter::new(io::stdout().lock())),
    };
    let mut exporter = format.exporter();
    match &found {
        Some(trace) => exporter.trace(trace, &neurons, &mut out)?,
        None => {
            for trace in Traces::of_run(&run)? {
                exporter.trace(&trace?, &neurons, &mut out)?;
            }
        }
    }
    exporter.finish(&mut out)?;
    out.flush()?;
    Ok(Status::Done)
}
