//! `config.json`: the options of an architecture, with the names and defaults of Hugging Face's transformers.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::ModelError;
use crate::json;
use crate::weights::Init;

/// Upper limit for widths and for numbers of layers, positions and tokens, above that of any existing model.
const COUNT_MAX: i64 = 1 << 24;

/// The options of a `config.json`.
pub(super) struct Config {
    path: PathBuf,
    options: Map<String, Value>,
}

impl Config {
    /// Reads the `config.json` in the folder of a model.
    pub(super) fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("config.json");
        let options = json::read(&path)?;
        Ok(Self { path, options })
    }

    /// Returns `model_type`, or an empty string if it is missing.
    pub(super) fn model_type(&self) -> &str {
        self.options
            .get("model_type")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns a count of at least 1, from the first of `keys` that is present. An option can have several names.
    pub(super) fn count(&self, keys: &[&str], default: i64) -> Result<i64, ModelError> {
        Ok(self.optional_count(keys)?.unwrap_or(default))
    }

    /// Returns a count of at least 1, or `None` if it is missing or `null`.
    pub(super) fn optional_count(&self, keys: &[&str]) -> Result<Option<i64>, ModelError> {
        let Some((key, value)) = self.first_of(keys) else {
            return Ok(None);
        };
        match value.as_i64() {
            Some(count) if (1..=COUNT_MAX).contains(&count) => Ok(Some(count)),
            _ => Err(self.refused(key, format!("expected a whole number from 1 to {COUNT_MAX}"))),
        }
    }

    /// Returns whether an option is present, including as `null`.
    pub(super) fn mentions(&self, key: &str) -> bool {
        self.options.contains_key(key)
    }

    /// Returns a non-negative number.
    pub(super) fn size(&self, key: &str, default: f64) -> Result<f64, ModelError> {
        let Some((_, value)) = self.first_of(&[key]) else {
            return Ok(default);
        };
        match value.as_f64() {
            Some(number) if number >= 0.0 => Ok(number),
            _ => Err(self.refused(key, "expected a non-negative number")),
        }
    }

    /// Returns the distribution from which the parameters of a new model are drawn.
    pub(super) fn init(&self) -> Result<Init, ModelError> {
        Ok(Init::Normal {
            deviation: self.size("initializer_range", 0.02)?,
        })
    }

    /// Returns a boolean option.
    pub(super) fn switch(&self, key: &str, default: bool) -> Result<bool, ModelError> {
        match self.options.get(key) {
            None => Ok(default),
            Some(Value::Bool(switch)) => Ok(*switch),
            Some(_) => Err(self.refused(key, "expected true or false")),
        }
    }

    /// Returns a string option.
    pub(super) fn word(&self, key: &str, default: &'static str) -> Result<&str, ModelError> {
        match self.first_of(&[key]) {
            None => Ok(default),
            Some((_, Value::String(word))) => Ok(word),
            Some(_) => Err(self.refused(key, "expected a string")),
        }
    }

    /// Returns the value of an option, or `None` if it is missing or `null`.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.first_of(&[key]).map(|(_, value)| value)
    }

    /// Checks that options which would change the result, but are not supported, are absent, `null`, `false` or empty.
    ///
    /// # Errors
    /// Returns an error if one of the options is in use.
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

    /// Returns the width of each of `heads` heads that divide `width` evenly.
    ///
    /// # Errors
    /// Returns an error if `heads` does not divide `width`.
    pub(super) fn head_width(&self, width: i64, heads: i64, key: &str) -> Result<i64, ModelError> {
        if width % heads == 0 {
            Ok(width / heads)
        } else {
            Err(self.refused(key, format!("the heads must divide the width of {width} evenly")))
        }
    }

    /// Returns the error for an option with an invalid value.
    pub(super) fn refused(&self, key: &str, expected: impl Into<String>) -> ModelError {
        let found = self.options.get(key).map_or_else(|| "missing".to_owned(), brief);
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

/// Formats a value for a message, truncated to 64 characters.
fn brief(value: &Value) -> String {
    value.to_string().chars().take(64).collect()
}
