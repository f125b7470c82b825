//! Finds the models of an experiment before any process starts. Nodes only open folders and files, and never access the
//! hub.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use mirror_hub::model::{self, Part, Request};
use mirror_hub::{Places, Progress};
use mirror_spec::{GatingModel, RewardModel};

use crate::data::Network;

/// The parts that a model needs to process text.
const MODEL: [Part; 2] = [Part::Config, Part::Parameters];

/// Name of the tokenizer that is built into the validator's program.
pub const BUILTIN_TOKENIZER: &str = "builtin";

/// The places where models are searched for.
pub(crate) struct ModelSearch<'a> {
    /// The directory against which relative paths are resolved.
    pub(crate) base: &'a Path,
    pub(crate) places: &'a Places,
    pub(crate) network: Network,
}

/// Returns the folder of a model with these parts. `path_or_name` is a path or a name on the hub. Relative paths are
/// resolved against the working directory.
pub fn model_folder(path_or_name: &str, parts: &[Part], network: Network) -> anyhow::Result<PathBuf> {
    let library = ModelSearch {
        base: Path::new(""),
        places: &Places::from_env(),
        network,
    };
    library.folder(path_or_name, parts).map(PathBuf::from)
}

impl ModelSearch<'_> {
    /// Returns the gating model with names replaced by folders.
    pub(crate) fn gating_model(&self, model: &GatingModel) -> anyhow::Result<GatingModel> {
        let mut found = model.clone();
        match &mut found {
            GatingModel::SequentialGatingModel(args) => {
                args.tokenizer_name = self.folder(&args.tokenizer_name, &[Part::Tokenizer])?;
            }
            GatingModel::HuggingFaceGatingModel(args) => {
                let parts = [needed(args.random_init), &[Part::Tokenizer]].concat();
                args.model_name = self.folder(&args.model_name, &parts)?;
            }
            GatingModel::MaskedGatingModel(args) => {
                *args.gating_model = self.gating_model(&args.gating_model)?;
            }
            // The other models name no folder.
            _ => {}
        }
        Ok(found)
    }

    /// Returns the reward model with names replaced by folders.
    pub(crate) fn reward_model(&self, model: &RewardModel) -> anyhow::Result<RewardModel> {
        let mut found = model.clone();
        match &mut found {
            RewardModel::CustomRewardModel(args) => {
                let tokenizer = args.tokenizer_path.as_ref().unwrap_or(&args.model_path);
                args.tokenizer_path = Some(self.folder(tokenizer, &[Part::Tokenizer])?);
                let from_file = args.checkpoint.is_some();
                args.model_path = self.folder(&args.model_path, needed(from_file || args.random_init))?;
                if let Some(checkpoint) = &args.checkpoint {
                    let file = self.base.join(checkpoint);
                    ensure!(file.is_file(), "the checkpoint {} does not exist", file.display());
                    args.checkpoint = Some(text(file)?);
                }
            }
            RewardModel::HuggingFaceRewardModel(args) => {
                args.model_path = self.folder(&args.model_path, needed(args.random_init))?;
                args.tokenizer_path = self.folder(&args.tokenizer_path, &[Part::Tokenizer])?;
            }
            // The other models name no folder.
            _ => {}
        }
        Ok(found)
    }

    /// Returns the folder of a model. The built-in tokenizer has no folder and keeps its name.
    fn folder(&self, path_or_name: &str, parts: &[Part]) -> anyhow::Result<String> {
        if path_or_name == BUILTIN_TOKENIZER && parts == [Part::Tokenizer] {
            return Ok(BUILTIN_TOKENIZER.to_owned());
        }
        let request = Request {
            path_or_name,
            parts,
            base_dir: self.base,
            offline: self.network == Network::Forbidden,
        };
        let bar = RefCell::new(None);
        let found = model::locate(&request, self.places, &|progress| show(&bar, progress));
        text(found?)
    }
}

/// Returns the parts that a model must have. The parameters are required only if they come from its folder.
fn needed(parameters_from_elsewhere: bool) -> &'static [Part] {
    if parameters_from_elsewhere {
        &MODEL[..1]
    } else {
        &MODEL
    }
}

/// Returns an absolute path as text, because launch configs are JSON and nodes have another working directory.
fn text(path: PathBuf) -> anyhow::Result<String> {
    let path = std::path::absolute(path).context("cannot determine the working directory")?;
    path.into_os_string()
        .into_string()
        .map_err(|path| anyhow::anyhow!("the path {} is not UTF-8", path.display()))
}

/// Shows a progress bar for each file on standard error, if that is a terminal.
fn show(bar: &RefCell<Option<ProgressBar>>, progress: Progress<'_>) {
    match progress {
        Progress::Begins { file, bytes } => {
            let style = "{msg} {wide_bar} {bytes} of {total_bytes}, {bytes_per_sec}";
            let style = ProgressStyle::with_template(style).expect("the template is valid");
            let drawn = bytes.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            *bar.borrow_mut() = Some(drawn.with_style(style).with_message(file.to_owned()));
        }
        Progress::Read(bytes) => {
            if let Some(bar) = &*bar.borrow() {
                bar.inc(bytes);
            }
        }
        Progress::Ends => {
            if let Some(bar) = bar.take() {
                bar.finish();
            }
        }
    }
}
