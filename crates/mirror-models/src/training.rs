//! Gradient descent, as the gating models learn: PyTorch's SGD with momentum.

use std::path::Path;

use tch::{Kind, Reduction, Tensor};

use crate::error::ModelError;
use crate::weights::{Init, Weights};

/// How a gating model learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Descent {
    /// Factor of a step.
    pub learning_rate: f64,
    /// Share of the last step that is taken again.
    pub momentum: f64,
    /// What becomes of gradients after a step.
    pub gradients: Gradients,
}

/// What becomes of gradients after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gradients {
    /// They are forgotten.
    Zeroed,
    /// They are kept and added to, as in Bittensor v4, which never zeroes them.
    Accumulated,
}

/// A parameter that learns.
pub struct Parameter {
    /// As it is called in a file.
    pub name: String,
    /// Its numbers.
    pub value: Tensor,
    /// Of the last step; `None` before the first.
    pub gradient: Option<Tensor>,
    velocity: Tensor,
}

/// Parameters that are to learn, by name.
pub type Learning = Vec<(String, Tensor)>;

/// The parameters of a model that learn.
pub struct Trained {
    descent: Descent,
    parameters: Vec<Parameter>,
}

impl Trained {
    /// These parameters, by name.
    pub fn new(descent: Descent, parameters: Learning) -> Self {
        let parameter = |(name, value): (String, Tensor)| Parameter {
            name,
            gradient: None,
            velocity: tch::no_grad(|| value.zeros_like()),
            value,
        };
        Self {
            descent,
            parameters: parameters.into_iter().map(parameter).collect(),
        }
    }

    /// The parameters, in the order in which they were added.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// One step against the gradients of `loss`.
    pub fn step(&mut self, loss: &Tensor) {
        let values: Vec<&Tensor> = self.parameters.iter().map(|parameter| &parameter.value).collect();
        let gradients = Tensor::run_backward(&[loss], &values, false, false);
        let Descent {
            learning_rate,
            momentum,
            gradients: kept,
        } = self.descent;
        tch::no_grad(|| {
            for (parameter, mut gradient) in self.parameters.iter_mut().zip(gradients) {
                // It had no part in this loss.
                if !gradient.defined() {
                    continue;
                }
                if let (Gradients::Accumulated, Some(earlier)) = (kept, &parameter.gradient) {
                    gradient += earlier;
                }
                parameter.velocity *= momentum;
                parameter.velocity += &gradient;
                parameter.value -= &parameter.velocity * learning_rate;
                parameter.gradient = Some(gradient);
            }
        });
    }

    /// Writes parameters, momentum and gradients kept to a safetensors file.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let mut tensors = Vec::new();
        for parameter in &self.parameters {
            let mut add = |name: String, tensor: &Tensor| {
                tensors.push((name, tensor.detach().to_device(tch::Device::Cpu).contiguous()));
            };
            add(parameter.name.clone(), &parameter.value);
            add(velocity_name(&parameter.name), &parameter.velocity);
            if let (Gradients::Accumulated, Some(gradient)) = (self.descent.gradients, &parameter.gradient) {
                add(gradient_name(&parameter.name), gradient);
            }
        }
        Tensor::write_safetensors(&tensors, path).map_err(|source| ModelError::Unwritten {
            path: path.to_owned(),
            source,
        })
    }

    /// Goes on from what [`Trained::save`] wrote.
    pub fn restore(&mut self, mut saved: Weights) -> Result<(), ModelError> {
        tch::no_grad(|| {
            for parameter in &mut self.parameters {
                let shape = parameter.value.size();
                let mut take = |name: &str| saved.take(name, &shape, Init::Zeros);
                parameter.value.copy_(&take(&parameter.name)?);
                parameter.velocity.copy_(&take(&velocity_name(&parameter.name))?);
                let gradient = gradient_name(&parameter.name);
                if saved.contains(&gradient) {
                    parameter.gradient = Some(saved.take(&gradient, &shape, Init::Zeros)?);
                }
            }
            Ok(())
        })
    }
}

fn velocity_name(parameter: &str) -> String {
    format!("momentum.{parameter}")
}

fn gradient_name(parameter: &str) -> String {
    format!("gradient.{parameter}")
}

/// Mean squared error of softmax(scores) to softmax(rewards): Bittensor v4's loss of a gating model. `scores` carry
/// gradients; `uids` are those who answered, one at least, `rewards` beside them.
pub(crate) fn loss(scores: &Tensor, uids: &[u32], rewards: &[f32]) -> Tensor {
    let uids: Vec<i64> = uids.iter().copied().map(i64::from).collect();
    let chosen = scores.index_select(0, &Tensor::from_slice(&uids).to_device(scores.device()));
    let rewards = Tensor::from_slice(rewards).to_device(scores.device());
    chosen
        .softmax(0, Kind::Float)
        .mse_loss(&rewards.softmax(0, Kind::Float), Reduction::Mean)
}
