//! `mirror metagraph`: checks and converts metagraph files, and exports the metagraphs of runs.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use mirror_metagraph_file::MetagraphFile;
use mirror_output::message;
use mirror_runs::Run;

use super::{Misuse, RunsDir, Status, epochs, place};
use mirror_coordinator::metagraphs::{self, Moment};

#[derive(Debug, Args)]
pub(super) struct MetagraphArguments {
    #[command(flatten)]
    runs_dir: RunsDir,
    #[command(subcommand)]
    command: MetagraphCommand,
}

#[derive(Debug, Subcommand)]
enum MetagraphCommand {
    /// Checks metagraph files, prints every problem, and converts them
    Import {
        /// Files that end in `.json` or `.parquet`, as `network.metagraph` takes them
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Writes each file again in this format
        #[arg(long, value_name = "FORMAT")]
        format: Option<Format>,
        /// Folder of the written files
        #[arg(long, default_value = ".", value_name = "FOLDER", requires = "format")]
        out: PathBuf,
    },
    /// Writes the metagraph of runs at a block or after an epoch
    Export {
        /// Id of a run or the start of one, `last`, or a path
        #[arg(required = true, value_name = "RUN")]
        runs: Vec<String>,
        /// The block after which the metagraph is taken [default: the last]
        #[arg(long, value_name = "N")]
        block: Option<u64>,
        /// The epoch after which the metagraph is taken, from 1. The run must have saved a metagraph between this epoch
        /// and the next
        #[arg(long, value_name = "N", conflicts_with = "block")]
        epoch: Option<u64>,
        /// Format of the files
        #[arg(long, value_name = "FORMAT", default_value = "json")]
        format: Format,
        /// Folder of the written files, each named after its run and block
        #[arg(long, default_value = ".", value_name = "FOLDER")]
        out: PathBuf,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Parquet,
}

impl Format {
    fn extension(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }
}

pub(super) fn metagraph(arguments: &MetagraphArguments) -> anyhow::Result<Status> {
    match &arguments.command {
        MetagraphCommand::Import { files, format, out } => {
            let mut status = Status::Done;
            for file in files {
                match MetagraphFile::read(file) {
                    Ok(metagraph_file) => {
                        writeln!(
                            std::io::stdout(),
                            "{}: {}",
                            file.display(),
                            in_words(&metagraph_file)
                        )?;
                        if let Some(format) = format {
                            let name = file.with_extension(format.extension());
                            write(&metagraph_file, &out.join(name.file_name().unwrap_or_default()))?;
                        }
                    }
                    Err(problem) => {
                        message!("error: {problem}");
                        status = Status::Misused;
                    }
                }
            }
            Ok(status)
        }
        MetagraphCommand::Export {
            runs,
            block,
            epoch,
            format,
            out,
        } => {
            for run in runs {
                let run = Run::open(place::run(&arguments.runs_dir.runs_dir, run)?)?;
                let moment = match (block, epoch) {
                    (Some(block), _) => Moment::Closed(*block),
                    (None, Some(epoch)) => epochs::blocks(&run, *epoch)?,
                    (None, None) => Moment::End,
                };
                let (of, metagraph_file) = metagraphs::load(run.layout(), moment).map_err(Misuse::of)?;
                let block = block.unwrap_or(of);
                let name = format!("{}-block-{block}.{}", run.manifest().id, format.extension());
                write(&metagraph_file, &out.join(name))?;
            }
            Ok(Status::Done)
        }
    }
}

fn write(metagraph_file: &MetagraphFile, path: &Path) -> anyhow::Result<()> {
    metagraph_file.write(path)?;
    Ok(writeln!(std::io::stdout(), "wrote {}", path.display())?)
}

fn in_words(metagraph_file: &MetagraphFile) -> String {
    let neurons = &metagraph_file.neurons;
    let permits = neurons.iter().filter(|neuron| neuron.permit).count();
    let stake: u64 = neurons.iter().map(|neuron| neuron.stake).sum();
    let weights: usize = neurons.iter().map(|neuron| neuron.weights.len()).sum();
    format!(
        "{} neurons, {permits} with a permit, {} TAO, {weights} weights",
        neurons.len(),
        stake / 1_000_000_000
    )
}
