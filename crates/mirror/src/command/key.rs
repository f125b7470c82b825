//! `mirror key`: key files of Bittensor's wallets.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use mirror_identity::{MiniSecret, Owner};
use mirror_keyfile::{KeyFile, Password};
use mirror_runs::Layout;
use mirror_seed::Seed;
use rand::TryRng;
use rand::rngs::SysRng;

use super::{Misuse, RunsDir, Status, place};

/// Maximum size of a password file in bytes.
const MAX_PASSWORD: u64 = 4 << 10;

/// The largest uid.
const MAX_UID: u32 = mirror_spec::key::MAX_UID;

#[derive(Debug, Args)]
pub(super) struct KeyArguments {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Creates a key file with a random key
    New {
        /// The file to create
        file: PathBuf,
        #[command(flatten)]
        password: PasswordArguments,
    },
    /// Writes the hotkey of a neuron of a run to a key file
    Export {
        /// Run: an id or the start of one, `last`, or a path
        run: String,
        /// The uid of a miner, or the name of a validator, such as `validator-0`
        #[arg(value_parser = neuron)]
        neuron: Neuron,
        /// The file to create
        file: PathBuf,
        #[command(flatten)]
        password: PasswordArguments,
        #[command(flatten)]
        runs_dir: RunsDir,
    },
    /// Prints the address of a key file
    Show {
        /// The key file
        file: PathBuf,
        #[command(flatten)]
        password: PasswordArguments,
    },
}

/// The password of a key file. It comes from a file, because other users can see command lines.
#[derive(Debug, Args)]
pub(super) struct PasswordArguments {
    /// File whose first line is the password of the key file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// A neuron of a run whose key the run derives from its random seed.
#[derive(Debug, Clone, Copy)]
struct Neuron(Owner);

fn neuron(text: &str) -> Result<Neuron, String> {
    let validator = text.strip_prefix("validator-").map(str::parse);
    let owner = match validator {
        Some(index) => index.ok().map(Owner::Validator),
        None => text.parse().ok().filter(|uid| *uid <= MAX_UID).map(Owner::Miner),
    };
    owner.map(Neuron).ok_or_else(|| {
        "expected the uid of a miner, or the name of a validator, such as `validator-0`".to_owned()
    })
}

impl PasswordArguments {
    /// Reads the password. `None` if no file is given.
    fn read(&self) -> anyhow::Result<Option<Password>> {
        let Some(path) = &self.password_file else {
            return Ok(None);
        };
        let file = File::open(path).and_then(|file| mirror_files::read_at_most(file, MAX_PASSWORD));
        let bytes = file.with_context(|| format!("cannot read the password file {}", path.display()))?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        let line = text.as_deref().and_then(|text| text.lines().next());
        let password = line.filter(|line| !line.is_empty()).ok_or_else(|| {
            let file = path.display();
            Misuse::of(anyhow!(
                "the first line of the password file {file} must be the password, in at most {MAX_PASSWORD} bytes"
            ))
        })?;
        Ok(Some(Password::new(password)))
    }

    /// Opens a key file with the password.
    pub(super) fn open(&self, path: &Path) -> anyhow::Result<KeyFile> {
        let file = KeyFile::read(path, self.read()?.as_ref());
        file.with_context(|| format!("cannot read the key file {}", path.display()))
    }

    fn create(&self, secret: MiniSecret, path: &Path) -> anyhow::Result<KeyFile> {
        let file = KeyFile::new(secret);
        let created = file.create(path, self.read()?.as_ref());
        created.with_context(|| format!("cannot create the key file {}", path.display()))?;
        Ok(file)
    }
}

pub(super) fn key(arguments: &KeyArguments) -> anyhow::Result<Status> {
    let file = match &arguments.command {
        KeyCommand::New { file, password } => {
            let mut secret = [0; 32];
            SysRng
                .try_fill_bytes(&mut secret)
                .context("the operating system has no random numbers")?;
            password.create(MiniSecret::from_bytes(secret), file)?
        }
        KeyCommand::Export {
            run,
            neuron,
            file,
            password,
            runs_dir,
        } => {
            let layout = Layout::new(place::run(&runs_dir.runs_dir, run)?);
            password.create(hotkey(&layout, run, neuron.0)?, file)?
        }
        KeyCommand::Show { file, password } => password.open(file)?,
    };
    writeln!(io::stdout().lock(), "{}", file.public())?;
    Ok(Status::Done)
}

/// Derives the mini secret of a neuron's hotkey from the random seed of a run.
fn hotkey(layout: &Layout, run: &str, owner: Owner) -> anyhow::Result<MiniSecret> {
    let path = layout.resolved();
    let loaded = mirror_config::load(&path)
        .map_err(|problems| anyhow!("cannot read {}: {problems}", path.display()))?;
    let experiment = loaded.experiment;
    let network = &experiment.network;
    if network.metagraph.is_some() {
        let error =
            anyhow!("the neurons of the run {run} come from a metagraph file, so their keys are not known");
        return Err(Misuse::of(error).into());
    }
    let problem = match owner {
        Owner::Validator(index) if index >= network.validators => {
            let last = network.validators - 1;
            Some(format!(
                "the run {run} has no validator-{index}: its validators are 0 to {last}"
            ))
        }
        Owner::Miner(uid) => {
            let miners = experiment
                .model
                .as_ref()
                .map_or(0, |model| model.metagraph.args().num_nodes);
            let has_other_key = network
                .miners
                .iter()
                .rfind(|group| group.uids.contains(&uid) && group.outside().is_some())
                .is_some_and(|group| group.hotkey.is_some());
            if has_other_key {
                Some(format!(
                    "uid {uid} of the run {run} is an axon of another program, whose key is not known"
                ))
            } else {
                (uid >= miners).then(|| format!("the file of the run {run} has no miner with uid {uid}"))
            }
        }
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(Misuse::of(anyhow!(problem)).into());
    }
    Ok(MiniSecret::hotkey(&Seed::root(experiment.seed), owner))
}
