//! `mirror trace export`: writes traces for other programs.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use clap::builder::PossibleValuesParser;
use mirror_traces::export::FORMATS;
use mirror_traces::{Selector, traces};

use super::super::Status;

#[derive(Debug, Args)]
pub(super) struct ExportArguments {
    /// Run: an id or the start of one, `last`, or a path
    run: String,
    /// Format of the file
    #[arg(long, value_parser = PossibleValuesParser::new(FORMATS.map(|format| format.name)))]
    format: String,
    /// File that is written [default: standard output]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exports only one trace: an id or the start of one, `step:41`, or `validator-0/step:41`
    #[arg(long)]
    trace: Option<Selector>,
}

pub(super) fn export(runs_dir: &Path, arguments: &ExportArguments) -> anyhow::Result<Status> {
    let run = super::open(runs_dir, &arguments.run)?;
    let format = FORMATS.iter().find(|format| format.name == arguments.format);
    let mut export = (format
        .expect("the command line accepts only formats of the list")
        .new)();
    let single = arguments.trace.as_ref();
    let single = single.map(|selector| super::find(&run, selector)).transpose()?;
    let out: Box<dyn Write> = match &arguments.output {
        Some(path) => {
            Box::new(File::create(path).with_context(|| format!("cannot write {}", path.display()))?)
        }
        None => Box::new(io::stdout().lock()),
    };
    let mut out = BufWriter::new(out);
    export.begin(&mut out)?;
    if let Some(trace) = single {
        export.trace(&trace, &mut out)?;
    } else {
        for trace in traces(&run)? {
            export.trace(&trace?, &mut out)?;
        }
    }
    export.end(&mut out)?;
    out.flush()?;
    Ok(Status::Done)
}
