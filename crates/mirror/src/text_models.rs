//! The models on this machine that features of texts need.

use std::path::PathBuf;

use mirror_analysis::TextModels;
use mirror_coordinator::{BUILTIN_TOKENIZER, Network, model_folder};
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
        let model = self
            .reward_model
            .ok_or("the run does not state its reward model")?;
        let folder = folder(tokenizer(model).unwrap_or(BUILTIN_TOKENIZER), &[Part::Tokenizer])?;
        sentences::token_counts(self.validator.as_ref().map_err(Clone::clone)?, &folder, texts)
            .map_err(|error| format!("{error:#}"))
    }

    fn reward_model_without_tokenizer(&self) -> Option<&str> {
        let model = self.reward_model.filter(|model| tokenizer(model).is_none());
        model.map(RewardModel::name)
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

/// Returns the folder or name of the tokenizer of a reward model. `None` if the model reads no tokens.
fn tokenizer(model: &RewardModel) -> Option<&str> {
    match model {
        RewardModel::CustomRewardModel(args) => {
            Some(args.tokenizer_path.as_ref().unwrap_or(&args.model_path))
        }
        RewardModel::HuggingFaceRewardModel(args) => Some(&args.tokenizer_path),
        RewardModel::BuiltinRewardModel(_) => Some(BUILTIN_TOKENIZER),
        RewardModel::ConstantRewardModel(_)
        | RewardModel::RandomRewardModel(_)
        | RewardModel::DummyRewardModel(_) => None,
    }
}

fn folder(model: &str, parts: &[Part]) -> Result<PathBuf, String> {
    model_folder(model, parts, Network::Forbidden).map_err(|error| format!("{error:#}"))
}
