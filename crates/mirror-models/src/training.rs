//! Training of the gating models by gradient descent: PyTorch's SGD with momentum.

use std::path::Path;

use tch::{Device, Kind, Reduction, Tensor};

use crate::error::ModelError;
use crate::weights::{Init, Precision, Weights};

/// The settings of stochastic gradient descent for a gating model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdConfig {
    /// Learning rate.
    pub learning_rate: f64,
    /// Momentum: the factor of the previous velocity in the next one.
    pub momentum: f64,
    /// Treatment of the gradients after a step.
    pub gradients: Gradients,
}

/// Treatment of the gradients after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gradients {
    /// The gradients are reset.
    Zeroed,
    /// The gradients are accumulated over all steps, as in Bittensor v4, which never zeroes them.
    Accumulated,
}

/// A trained parameter.
pub struct Parameter {
    /// Name of the parameter in a file.
    pub name: String,
    /// Value of the parameter.
    pub value: Tensor,
    /// Gradient of the last step. `None` before the first step.
    pub gradient: Option<Tensor>,
    velocity: Tensor,
}

/// The parameters to be trained, with their names.
pub type Learning = Vec<(String, Tensor)>;

/// Number of bins of a histogram.
const BINS: i64 = 64;

/// Statistics of a parameter after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamStats {
    /// Name of the parameter in a file.
    pub name: String,
    /// Euclidean norm of the gradient of the step. 0 before the first step.
    pub gradient_norm: f32,
    /// Smallest element.
    pub minimum: f32,
    /// Largest element.
    pub maximum: f32,
    /// Number of elements in each of 64 bins of equal width from `minimum` to `maximum`. The last bin includes both its
    /// ends. Empty if an element is not finite.
    pub histogram: Vec<u64>,
}

/// The parameters of a model, trained and frozen, with the settings of the training.
pub struct Trained {
    sgd: SgdConfig,
    parameters: Vec<Parameter>,
    /// Frozen parameters with their names.
    frozen: Vec<(String, Tensor)>,
}

impl Trained {
    /// Creates the training state of these parameters.
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

    /// Adds a frozen parameter, which is saved in checkpoints because the model cannot be restored without it.
    #[must_use]
    pub(crate) fn with_frozen(mut self, name: &str, value: &Tensor) -> Self {
        self.frozen.push((name.to_owned(), value.shallow_clone()));
        self
    }

    /// Returns the trained parameters, in the order in which they were added.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Performs one step of gradient descent on `loss`.
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
                // The loss does not depend on this parameter.
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

    /// Returns the current statistics of the trained parameters, in their order.
    pub fn param_stats(&self) -> Vec<ParamStats> {
        tch::no_grad(|| self.parameters.iter().map(Parameter::param_stats).collect())
    }

    /// Writes parameters, momentum and accumulated gradients to a safetensors file.
    ///
    /// # Errors
    /// Returns [`ModelError::Unwritten`] if the file cannot be written.
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

    /// Restores the state that [`Trained::save`] wrote for a model of the same form.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, or contains other parameters or a parameter of another shape.
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

/// Returns the counts of finite numbers per bin. If all numbers are equal, they are counted in the last bin.
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

/// Returns the mean squared error between softmax(scores) and softmax(rewards), which is the loss of the gating model
/// of Bittensor v4. `scores` carry gradients. `uids` contains the uids that answered, at least one, and `rewards` is
/// parallel to it.
pub(crate) fn loss(scores: &Tensor, uids: &[u32], rewards: &[f32]) -> Tensor {
    let uids: Vec<i64> = uids.iter().copied().map(i64::from).collect();
    let chosen = scores.index_select(0, &Tensor::from_slice(&uids).to_device(scores.device()));
    let rewards = Tensor::from_slice(rewards).to_device(scores.device());
    chosen
        .softmax(0, Kind::Float)
        .mse_loss(&rewards.softmax(0, Kind::Float), Reduction::Mean)
}
