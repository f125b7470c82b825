//! `config.json`: what an architecture is told, by transformers' names and with transformers' defaults.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::ModelError;
use crate::json;
use crate::weights::Init;

/// Widths, layers, positions, words: none is larger in any model that exists.
const COUNT_MAX: i64 = 1 << 24;

/// The options of a `config.json`.
pub(super) struct Config {
    path: PathBuf,
    options: Map<String, Value>,
}

impl Config {
    /// Reads the `config.json` of a model's folder.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let options = json::read(&path)?;
        Ok(Self { path, options })
    }

    /// What the model is, by `model_type`; empty where nothing is said.
    pub(super) fn model_type(&self) -> &str {
        self.options
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A count of at least one, under the first of `keys` that is there: an option may have several names.
    pub(super) fn count(&self, keys: &[&str], default: i64) -> Result<i64, ModelError> {
        Ok(self.optional_count(keys)?.unwrap_or(default))
    }

    /// A count that may be `null`, which is as if it was not there.
    pub(super) fn optional_count(&self, keys: &[&str]) -> Result<Option<i64>, ModelError> {
        let Some((key, value)) = self.first_of(keys) else {
            return Ok(None);
        };
        match value.as_i64() {
            Some(count) if (1..=COUNT_MAX).contains(&count) => Ok(Some(count)),
            _ => Err(self.refused(key, format!("a whole number from 1 to {COUNT_MAX} is expected"))),
        }
    }

    /// Whether an option is there at all, if only as `null`.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.options.contains_key(key)
    }

    /// A number that is not negative.
    pub(super) fn size(&self, key: &str, default: f64) -> Result<f64, ModelError> {
        let Some((_, value)) = self.first_of(&[key]) else {
            return Ok(default);
        };
        match value.as_f64() {
            Some(number) if number >= 0.0 => Ok(number),
            _ => Err(self.refused(key, "a number that is not negative is expected")),
        }
    }

    /// How the parameters of a fresh model are drawn.
    pub(super) fn init(&self) -> Result<Init, ModelError> {
        Ok(Init::Normal {
            deviation: self.size("initializer_range", 0.02)?,
        })
    }

    /// A switch.
    pub(super) fn switch(&self, key: &str, default: bool) -> Result<bool, ModelError> {
        match self.options.get(key) {
            None => Ok(default),
            Some(Value::Bool(switch)) => Ok(*switch),
            Some(_) => Err(self.refused(key, "true or false is expected")),
        }
    }

    /// A word.
    pub(super) fn word(&self, key: &str, default: &'static str) -> Result<&str, ModelError> {
        match self.first_of(&[key]) {
            None => Ok(default),
            Some((_, Value::String(word))) => Ok(word),
            Some(_) => Err(self.refused(key, "a text is expected")),
        }
    }

    /// Any value but `null`.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.first_of(&[key]).map(|(_, value)| value)
    }

    /// Refuses what would change the numbers and is not built here: each must be absent, `null`, `false` or empty.
    pub(super) fn refuse(&self, keys: &[&str]) -> Result<(), ModelError> {
        for key in keys {
            let is_off = match self.options.get(*key) {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::Object(map)) => map.is_empty(),
                Some(Value::Array(list)) => list.is_empty(),
                Some(_) => false,
            };
            if !is_off {
                return Err(self.refused(key, "this option is not supported"));
            }
        }
        Ok(())
    }

    /// The width of one of `heads` that share `width`.
    pub(super) fn head_width(&self, width: i64, heads: i64, key: &str) -> Result<i64, ModelError> {
        if width % heads == 0 {
            Ok(width / heads)
        } else {
            Err(self.refused(key, format!("heads share the width of {width} evenly")))
        }
    }

    /// The error for an option that cannot be what it is.
    pub(super) fn refused(&self, key: &str, expected: impl Into<String>) -> ModelError {
        let found = self.options.get(key).map_or_else(|| "left out".to_owned(), brief);
        ModelError::Option {
            path: self.path.clone(),
            key: key.to_owned(),
            found,
            expected: expected.into(),
        }
    }

    fn first_of<'k>(&self, keys: &[&'k str]) -> Option<(&'k str, &Value)> {
        keys.iter()
            .filter_map(|key| Some((*key, self.options.get(*key)?)))
            .find(|(_, value)| !value.is_null())
    }
}

/// A value for a message.
fn brief(value: &Value) -> String {
    value.to_string().chars().take(64).collect()
}
