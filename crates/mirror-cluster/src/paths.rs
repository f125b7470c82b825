//! The paths in the specification of a node. A placement whose nodes do not share the files of the coordinator replaces
//! them.

use std::path::{Path, PathBuf};

use mirror_spec::{GatingModel, RewardModel};

use crate::{NodeSpec, Program, Role};

/// The use of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// A file or a folder that the coordinator has and the node reads.
    Input,
    /// A folder that only this node uses, in all its incarnations.
    State,
    /// A file or a folder that the node writes for the run.
    Result,
}

/// Replaces each path in the specification of a node by what `replace` returns for it.
///
/// # Errors
///
/// Returns the first error of `replace`.
pub(crate) fn replace<E>(
    spec: &mut NodeSpec,
    replace: &mut impl FnMut(Use, &Path) -> Result<PathBuf, E>,
) -> Result<(), E> {
    let Program::Ours { profiles, role, .. } = &mut spec.program else {
        return Ok(());
    };
    if let Some(profiles) = profiles {
        *profiles = replace(Use::Result, profiles)?;
    }
    match role {
        Role::Subtensor(launch) => launch.state = replace(Use::State, &launch.state)?,
        Role::Miner(launch) => launch.dataset = replace(Use::Input, &launch.dataset)?,
        Role::Proxy(_) => {}
        Role::Validator(launch) => {
            launch.state = replace(Use::State, &launch.state)?;
            launch.checkpoints = replace(Use::Result, &launch.checkpoints)?;
            let inputs = [&mut launch.resume, &mut launch.questions];
            for input in inputs.into_iter().flatten() {
                *input = replace(Use::Input, input)?;
            }
            if let Some(acknowledged) = &mut launch.acknowledged {
                *acknowledged = replace(Use::Result, acknowledged)?;
            }
            let models = of_gating_model(&mut launch.gating_model)
                .into_iter()
                .chain(of_reward_model(&mut launch.reward_model));
            for model in models {
                // The coordinator makes paths absolute. Any other text is the name of a part of the program.
                if Path::new(&*model).is_absolute() {
                    *model = replace(Use::Input, Path::new(&*model))?
                        .to_string_lossy()
                        .into_owned();
                }
            }
        }
    }
    Ok(())
}

fn of_gating_model(model: &mut GatingModel) -> Vec<&mut String> {
    match model {
        GatingModel::SequentialGatingModel(args) => vec![&mut args.tokenizer_name],
        GatingModel::HuggingFaceGatingModel(args) => vec![&mut args.model_name],
        GatingModel::MaskedGatingModel(args) => of_gating_model(&mut args.gating_model),
        GatingModel::ConstantGatingModel(_)
        | GatingModel::RandomGatingModel(_)
        | GatingModel::LongestMessageGatingModel(_) => Vec::new(),
    }
}

fn of_reward_model(model: &mut RewardModel) -> Vec<&mut String> {
    match model {
        RewardModel::CustomRewardModel(args) => {
            let optional = [&mut args.checkpoint, &mut args.tokenizer_path];
            let required = std::iter::once(&mut args.model_path);
            required.chain(optional.into_iter().flatten()).collect()
        }
        RewardModel::HuggingFaceRewardModel(args) => vec![&mut args.model_path, &mut args.tokenizer_path],
        RewardModel::ConstantRewardModel(_)
        | RewardModel::RandomRewardModel(_)
        | RewardModel::DummyRewardModel(_)
        | RewardModel::BuiltinRewardModel(_) => Vec::new(),
    }
}
