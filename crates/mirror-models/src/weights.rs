//! Parameters by name: read from safetensors files, sharded or not, read from PyTorch files, or drawn at random.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use mirror_seed::Seed;
use rand::RngExt;
use rand_distr::StandardNormal;
use safetensors::SafeTensors;
use serde::Deserialize;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::ModelError;
use crate::json;
use crate::training::Learning;

/// Device and precision of tensors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Precision {
    /// The device.
    pub device: Device,
    /// `Float` or `Half`.
    pub kind: Kind,
}

impl Precision {
    /// Returns single precision on a device.
    pub fn single(device: Device) -> Self {
        Self {
            device,
            kind: Kind::Float,
        }
    }
}

/// Distribution of a parameter that is drawn instead of read from a file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// All elements are 0.
    Zeros,
    /// All elements are 1.
    Ones,
    /// Normal distribution with mean 0.
    Normal {
        /// Standard deviation.
        deviation: f64,
    },
    /// Uniform distribution from `-bound` to `bound`.
    Uniform {
        /// Upper bound of the absolute value.
        bound: f64,
    },
}

impl Init {
    /// Returns the distribution that PyTorch uses for a linear layer with `inputs` inputs.
    pub fn linear(inputs: i64) -> Self {
        Self::Uniform {
            bound: 1.0 / (inputs as f64).sqrt(),
        }
    }

    /// Returns the distribution of the bias for a weight with this distribution. PyTorch uses the same one, and
    /// Hugging Face's transformers initialises biases with zeros.
    pub(crate) fn of_bias(self) -> Self {
        match self {
            Self::Uniform { .. } => self,
            Self::Zeros | Self::Ones | Self::Normal { .. } => Self::Zeros,
        }
    }
}

/// The parameters of a model, from which they are taken one by one.
pub struct Weights {
    origin: Origin,
    precision: Precision,
    /// The parameters that were taken for training. `None` if parameters are taken without gradients.
    learning: Option<Learning>,
}

enum Origin {
    Read {
        /// The file or folder, for error messages.
        path: PathBuf,
        tensors: HashMap<String, Tensor>,
        /// Prefix of the names of the architecture.
        prefix: String,
    },
    Drawn(Seed),
}

/// `model.safetensors.index.json`.
#[derive(Deserialize)]
struct Index {
    weight_map: HashMap<String, String>,
}

impl Weights {
    /// Draws the parameters from `random_init` if it is set, which is logged as a warning. Otherwise reads the
    /// parameters of the model in `folder`.
    ///
    /// # Errors
    /// Returns an error if the parameters cannot be read.
    pub fn of_model(
        folder: &Path,
        random_init: Option<Seed>,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        match random_init {
            Some(seed) => {
                tracing::warn!(
                    model = %folder.display(),
                    "random_init is set: the parameters are drawn at random instead of read from files"
                );
                Ok(Self::drawn(seed, precision))
            }
            None => Self::read(folder, precision),
        }
    }

    /// Reads the parameters in the folder of a model: `model.safetensors`, its shards, or `pytorch_model.bin`,
    /// whichever of these is found first.
    ///
    /// # Errors
    /// Returns an error if there are no parameters or a file cannot be read.
    pub fn read(folder: &Path, precision: Precision) -> Result<Self, ModelError> {
        let index = folder.join("model.safetensors.index.json");
        let whole = ["model.safetensors", "pytorch_model.bin"].map(|name| folder.join(name));
        let files: Vec<PathBuf> = if let Some(file) = whole[..1].iter().find(|file| file.exists()) {
            vec![file.clone()]
        } else if index.exists() {
            shards(&index, folder)?
        } else if let Some(file) = whole.into_iter().find(|file| file.exists()) {
            vec![file]
        } else {
            return Err(ModelError::NoWeights {
                folder: folder.to_owned(),
            });
        };
        let mut tensors = HashMap::new();
        for file in &files {
            tensors.extend(named_tensors(file)?);
        }
        Ok(Self::of(folder, tensors, precision))
    }

    /// Reads the parameters in one file: `.safetensors`, or a `.bin`, `.pt` or `.ckpt` file of PyTorch.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read_file(file: &Path, precision: Precision) -> Result<Self, ModelError> {
        Ok(Self::of(
            file,
            named_tensors(file)?.into_iter().collect(),
            precision,
        ))
    }

    /// Reads parameters from the bytes of a safetensors file. `name` identifies the file in error messages.
    ///
    /// # Errors
    /// Returns [`ModelError::Damaged`] if the bytes are not a valid safetensors file.
    pub fn read_bytes(name: &str, bytes: &[u8], precision: Precision) -> Result<Self, ModelError> {
        let path = Path::new(name);
        let damaged = |source| ModelError::Damaged {
            path: path.to_owned(),
            source,
        };
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| damaged(TchError::FileFormat(error.to_string())))?;
        let tensors = file.tensors().into_iter().map(|(name, view)| {
            let tensor = Tensor::try_from(view).map_err(damaged)?;
            Ok((name, tensor))
        });
        Ok(Self::of(
            path,
            tensors.collect::<Result<_, ModelError>>()?,
            precision,
        ))
    }

    /// Returns parameters that are drawn from the random seed, each depending on its name.
    pub fn drawn(seed: Seed, precision: Precision) -> Self {
        Self {
            origin: Origin::Drawn(seed),
            precision,
            learning: None,
        }
    }

    fn of(path: &Path, tensors: HashMap<String, Tensor>, precision: Precision) -> Self {
        Self {
            origin: Origin::Read {
                path: path.to_owned(),
                tensors,
                prefix: String::new(),
            },
            precision,
            learning: None,
        }
    }

    /// Returns the device and precision of the tensors that are taken.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Returns whether the files contain a tensor of this name.
    pub fn contains(&self, name: &str) -> bool {
        match &self.origin {
            Origin::Read { tensors, prefix, .. } => tensors.contains_key(&format!("{prefix}{name}")),
            Origin::Drawn(_) => false,
        }
    }

    /// Sets the prefix of all further names to the text that precedes `anchor` in the file. A model that was saved as
    /// part of a larger one has names such as `transformer.wte.weight`. If several parts contain `anchor`, the shortest
    /// prefix is used.
    #[must_use]
    pub fn part_with(mut self, anchor: &str) -> Self {
        if let Origin::Read { tensors, prefix, .. } = &mut self.origin {
            let before = tensors
                .keys()
                .filter_map(|name| name.strip_suffix(anchor))
                .filter(|before| before.is_empty() || before.ends_with('.'));
            let shortest = before.min_by_key(|before| before.len());
            *prefix = shortest.map(str::to_owned).unwrap_or_default();
        }
        self
    }

    /// Removes the prefix that [`Weights::part_with`] set.
    #[must_use]
    pub fn whole(mut self) -> Self {
        if let Origin::Read { prefix, .. } = &mut self.origin {
            prefix.clear();
        }
        self
    }

    /// Takes all further parameters for training, with gradients.
    #[must_use]
    pub fn learning(mut self) -> Self {
        self.learning.get_or_insert_default();
        self
    }

    /// Returns the parameters that were taken for training, with their names, in their order. Further parameters are
    /// taken without gradients.
    pub fn take_learning(&mut self) -> Learning {
        self.learning.take().unwrap_or_default()
    }

    /// Checks that all parameters were taken.
    ///
    /// # Errors
    /// Returns [`ModelError::Unexpected`] if a parameter is left.
    pub(crate) fn nothing_left(&self) -> Result<(), ModelError> {
        let Origin::Read { path, tensors, .. } = &self.origin else {
            return Ok(());
        };
        match tensors.keys().min() {
            None => Ok(()),
            Some(name) => Err(ModelError::Unexpected {
                path: path.clone(),
                name: name.clone(),
                count: tensors.len(),
            }),
        }
    }

    /// Removes a parameter and returns it with the device and precision of the model. `init` is used only for drawn
    /// parameters.
    ///
    /// # Errors
    /// Returns an error if the parameter is missing, is not of floating-point type, has another shape, or has elements
    /// that are not finite.
    pub fn take(&mut self, name: &str, shape: &[i64], init: Init) -> Result<Tensor, ModelError> {
        let tensor = match &mut self.origin {
            Origin::Drawn(seed) => draw(seed, name, shape, init),
            Origin::Read {
                path,
                tensors,
                prefix,
            } => {
                let name = format!("{prefix}{name}");
                let Some(tensor) = tensors.remove(&name) else {
                    return Err(ModelError::Missing {
                        path: path.clone(),
                        name,
                    });
                };
                sound(&tensor, path, name, shape)?;
                tensor
            }
        };
        let tensor = tensor
            .to_device(self.precision.device)
            .to_kind(self.precision.kind);
        let Some(learning) = &mut self.learning else {
            return Ok(tensor);
        };
        let tensor = tensor.set_requires_grad(true);
        learning.push((name.to_owned(), tensor.shallow_clone()));
        Ok(tensor)
    }
}

fn sound(tensor: &Tensor, path: &Path, name: String, shape: &[i64]) -> Result<(), ModelError> {
    let path = path.to_owned();
    let found = tensor.kind();
    if !matches!(found, Kind::Float | Kind::Half | Kind::BFloat16 | Kind::Double) {
        return Err(ModelError::Type { path, name, found });
    }
    if tensor.size() != shape {
        return Err(ModelError::Shape {
            path,
            name,
            found: tensor.size(),
            expected: shape.to_vec(),
        });
    }
    if tensor.isfinite().all().int64_value(&[]) == 0 {
        return Err(ModelError::NotFinite { path, name });
    }
    Ok(())
}

fn draw(seed: &Seed, name: &str, shape: &[i64], init: Init) -> Tensor {
    let count = shape.iter().product::<i64>() as usize;
    let mut generator = seed.child(name).generator();
    let numbers: Vec<f32> = match init {
        Init::Zeros => vec![0.0; count],
        Init::Ones => vec![1.0; count],
        Init::Normal { deviation } => (0..count)
            .map(|_| (deviation * generator.sample::<f64, _>(StandardNormal)) as f32)
            .collect(),
        Init::Uniform { bound } => (0..count)
            .map(|_| (bound * (2.0 * generator.random::<f64>() - 1.0)) as f32)
            .collect(),
    };
    Tensor::from_slice(&numbers).view(shape)
}

/// Returns the paths of the shards that an index lists. They must be in the folder of the index.
fn shards(index: &Path, folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let Index { weight_map } = json::read(index)?;
    let names: BTreeSet<String> = weight_map.into_values().collect();
    names
        .into_iter()
        .map(|name| {
            let is_plain = Path::new(&name)
                .file_name()
                .is_some_and(|plain| plain == name.as_str());
            if is_plain {
                Ok(folder.join(name))
            } else {
                Err(ModelError::Option {
                    path: index.to_owned(),
                    key: "weight_map".to_owned(),
                    found: name,
                    expected: "every shard must be in the folder of its index".to_owned(),
                })
            }
        })
        .collect()
}

/// Reads all tensors of a file.
///
/// # Errors
/// Returns an error if the file cannot be read.
pub(crate) fn named_tensors(file: &Path) -> Result<Vec<(String, Tensor)>, ModelError> {
    fs::metadata(file).map_err(ModelError::io(file))?;
    let is_safetensors = file
        .extension()
        .is_some_and(|extension| extension == "safetensors");
    let read = if is_safetensors {
        Tensor::read_safetensors(file)
    } else {
        Tensor::loadz_multi_with_device(file, Device::Cpu)
    };
    let tensors = read.map_err(|source| ModelError::Damaged {
        path: file.to_owned(),
        source,
    })?;
    Ok(tensors
        .into_iter()
        .map(|(name, tensor)| (of_today(&name), tensor))
        .collect())
}

/// Returns the current name of a parameter. In old checkpoints, the parameters of a layer norm have TensorFlow's names
/// gamma and beta.
fn of_today(name: &str) -> String {
    for (old, new) in [
        ("LayerNorm.gamma", "LayerNorm.weight"),
        ("LayerNorm.beta", "LayerNorm.bias"),
    ] {
        if let Some(before) = name.strip_suffix(old) {
            return format!("{before}{new}");
        }
    }
    name.to_owned()
}
