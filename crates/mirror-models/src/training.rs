//! Gradient descent, as the gating models learn: PyTorch's SGD with momentum.

use std::path::Path;

use tch::{Device, Kind, Reduction, Tensor};

use crate::error::ModelError;
use crate::weights::{Init, Precision, Weights};

/// The settings of stochastic gradient descent, by which a gating model learns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdConfig {
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

/// Bins of a histogram.
const BINS: i64 = 64;

/// Statistics of a parameter after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamStats {
    /// As it is called in a file.
    pub name: String,
    /// Euclidean norm of the step's gradient; 0 before the first step.
    pub gradient_norm: f32,
    /// The least of its numbers.
    pub minimum: f32,
    /// The greatest of its numbers.
    pub maximum: f32,
    /// Numbers in each of 64 bins of equal width from `minimum` to `maximum`, the last of which has both its ends;
    /// empty where a number is not finite.
    pub histogram: Vec<u64>,
}

/// The parameters of a model: those that learn, and those that stay.
pub struct Trained {
    sgd: SgdConfig,
    parameters: Vec<Parameter>,
    /// Those that stay, by name.
    frozen: Vec<(String, Tensor)>,
}

impl Trained {
    /// These parameters, by name.
    pub fn new(sgd: SgdConfig, parameters: Learning) -> Self {
        let parameter = |(name, value): (String, Tensor)| Parameter {
            name,
            gradient: None,
            velocity: tch::no_grad(|| value.zeros_like()),
            value,
        };
        Self {
            sgd,
            parameters: parameters.into_iter().map(parameter).collect(),
            frozen: Vec::new(),
        }
    }

    /// Keeps a parameter that does not learn in checkpoints too, since the model is none without it.
    #[must_use]
    pub(crate) fn with_frozen(mut self, name: &str, value: &Tensor) -> Self {
        self.frozen.push((name.to_owned(), value.shallow_clone()));
        self
    }

    /// The parameters, in the order in which they were added.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// One step against the gradients of `loss`.
    pub fn step(&mut self, loss: &Tensor) {
        let values: Vec<&Tensor> = self.parameters.iter().map(|parameter| &parameter.value).collect();
        let gradients = Tensor::run_backward(&[loss], &values, false, false);
        let SgdConfig {
            learning_rate,
            momentum,
            gradients: kept,
        } = self.sgd;
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

    /// Statistics of the parameters as they are now, in their order.
    pub fn param_stats(&self) -> Vec<ParamStats> {
        tch::no_grad(|| self.parameters.iter().map(Parameter::param_stats).collect())
    }

    /// Writes parameters, momentum and gradients kept to a safetensors file.
    pub fn save(&self, path: &Path) -> Result<(), ModelError> {
        let mut tensors: Vec<(String, Tensor)> = self.frozen.iter().map(on_processor).collect();
        for parameter in &self.parameters {
            let mut add = |name: String, tensor: &Tensor| {
                tensors.push(on_processor(&(name, tensor.shallow_clone())));
            };
            add(parameter.name.clone(), &parameter.value);
            add(velocity_name(&parameter.name), &parameter.velocity);
            if let (Gradients::Accumulated, Some(gradient)) = (self.sgd.gradients, &parameter.gradient) {
                add(gradient_name(&parameter.name), gradient);
            }
        }
        Tensor::write_safetensors(&tensors, path).map_err(|source| ModelError::Unwritten {
            path: path.to_owned(),
            source,
        })
    }

    /// Goes on from what [`Trained::save`] wrote of a model of the same form: one that has other parameters, or
    /// parameters of another shape, is refused.
    pub fn restore(&mut self, path: &Path) -> Result<(), ModelError> {
        let mut saved = Weights::read_file(path, Precision::single(Device::Cpu))?;
        tch::no_grad(|| {
            for (name, value) in &mut self.frozen {
                value.copy_(&saved.take(name, &value.size(), Init::Zeros)?);
            }
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
            saved.nothing_left()
        })
    }
}

impl Parameter {
    fn param_stats(&self) -> ParamStats {
        let norm = |gradient: &Tensor| gradient.norm().double_value(&[]) as f32;
        let is_finite = self.value.isfinite().all().int64_value(&[]) != 0;
        let histogram = is_finite.then(|| histogram(&self.value.detach()));
        ParamStats {
            name: self.name.clone(),
            gradient_norm: self.gradient.as_ref().map_or(0.0, norm),
            minimum: self.value.min().double_value(&[]) as f32,
            maximum: self.value.max().double_value(&[]) as f32,
            histogram: histogram.unwrap_or_default(),
        }
    }
}

/// Counts of finite numbers. Where all are the same, they are in the last bin.
fn histogram(numbers: &Tensor) -> Vec<u64> {
    let (least, greatest) = (numbers.min(), numbers.max());
    let width = (&greatest - &least) / BINS;
    let bins = ((numbers.flatten(0, -1) - &least) / width)
        .nan_to_num(BINS as f64, BINS as f64, BINS as f64)
        .floor()
        .clamp(0, BINS - 1)
        .to_kind(Kind::Int64)
        .to_device(Device::Cpu);
    let counts = bins.bincount(None::<&Tensor>, BINS);
    let mut counted = vec![0_i64; BINS as usize];
    counts.copy_data(&mut counted, BINS as usize);
    counted.into_iter().map(i64::unsigned_abs).collect()
}

fn on_processor((name, tensor): &(String, Tensor)) -> (String, Tensor) {
    (name.clone(), tensor.detach().to_device(Device::Cpu).contiguous())
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
