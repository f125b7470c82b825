//! The models on this machine that features of texts need.

use std::path::PathBuf;

use mirror_analysis::TextModels;
use mirror_coordinator::{Network, model_folder};
use mirror_hub::model::Part;
use mirror_spec::RewardModel;

use crate::sentences;

/// The reward model of a run and the sentence model of an analysis. Nothing is downloaded.
pub(crate) struct LocalTextModels<'a> {
    /// The reward model. `None` if the run does not state it.
    pub(crate) reward_model: Option<&'a RewardModel>,
    /// Folder or name of the sentence model.
    pub(crate) sentence_model: Option<&'a str>,
    /// The validator's program, or the reason why it cannot be found.
    pub(crate) validator: Result<PathBuf, String>,
}

impl TextModels for LocalTextModels<'_> {
    fn token_counts(&self, texts: &[String]) -> Result<Vec<u32>, String> {
        let tokenizer = match self.reward_model {
            Some(RewardModel::CustomRewardModel(args)) => {
                args.tokenizer_path.as_ref().unwrap_or(&args.model_path)
            }
            Some(RewardModel::HuggingFaceRewardModel(args)) => &args.tokenizer_path,
            Some(other) => return Err(format!("the reward model `{}` has no tokenizer", other.name())),
            None => return Err("the run does not state its reward model".to_owned()),
        };
        let folder = folder(tokenizer, &[Part::Tokenizer])?;
        sentences::token_counts(self.validator.as_ref().map_err(Clone::clone)?, &folder, texts)
            .map_err(|error| format!("{error:#}"))
    }

    fn embeddings(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, String> {
        let model = self
            .sentence_model
            .ok_or("name a model in `analysis.sentence_model`")?;
        let folder = folder(model, &[Part::Config, Part::Parameters, Part::Tokenizer])?;
        sentences::embeddings(self.validator.as_ref().map_err(Clone::clone)?, &folder, texts)
            .map_err(|error| format!("{error:#}"))
    }
}

fn folder(model: &str, parts: &[Part]) -> Result<PathBuf, String> {
    model_folder(model, parts, Network::Forbidden).map_err(|error| format!("{error:#}"))
}
