//! The folders and the server from the environment variables.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

const OFFICIAL_HUB: &str = "https://huggingface.co";

/// The places that are searched for named data sets and models.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `$MIRROR_DATA`: folder of data sets by name.
    pub mirror_data: Option<PathBuf>,
    /// `$MIRROR_MODELS`: folder of models and tokenizers by name.
    pub mirror_models: Option<PathBuf>,
    /// `$HF_HOME`, by default `~/.cache/huggingface`. Its `hub` folder is the Hugging Face cache.
    pub hf_home: Option<PathBuf>,
    /// The cache of Mirror Neuron: `$XDG_CACHE_HOME/mirror-neuron`, by default `~/.cache/mirror-neuron`. Downloads from
    /// the hub are stored in its `hub` folder and are found there without network access.
    pub cache: Option<PathBuf>,
    /// `$HF_ENDPOINT`, by default the official hub.
    pub hub_endpoint: String,
}

impl Places {
    /// Returns the places from the environment of the process.
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    /// Returns the places from the given environment variables. An empty variable counts as not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let path = |name| set(name).map(PathBuf::from);
        let caches = path("XDG_CACHE_HOME").or_else(|| Some(path("HOME")?.join(".cache")));
        let hub_endpoint = set("HF_ENDPOINT").map(|endpoint| endpoint.to_string_lossy().into_owned());
        Self {
            mirror_data: path("MIRROR_DATA"),
            mirror_models: path("MIRROR_MODELS"),
            hf_home: path("HF_HOME").or_else(|| Some(caches.as_ref()?.join("huggingface"))),
            cache: caches.map(|caches| caches.join("mirror-neuron")),
            hub_endpoint: hub_endpoint.unwrap_or_else(|| OFFICIAL_HUB.to_owned()),
        }
    }

    /// Returns the caches in the order of the search: the Hugging Face cache, then the one of Mirror Neuron.
    pub fn caches(&self) -> impl Iterator<Item = PathBuf> {
        let hf_cache = self.hf_home.as_deref().map(|home| home.join("hub"));
        [hf_cache, self.own_cache()].into_iter().flatten()
    }

    /// Returns the cache for downloads, or `None` if there is no cache folder.
    pub fn own_cache(&self) -> Option<PathBuf> {
        Some(self.cache.as_deref()?.join("hub"))
    }

    /// Describes a folder of the user and the Hugging Face cache for a message.
    pub fn describe(&self, variable: &str, folder: Option<&PathBuf>) -> String {
        let place = |name: &str, path: Option<&PathBuf>| match path {
            Some(path) => format!("{name} ({})", path.display()),
            None => format!("{name} (not set)"),
        };
        format!(
            "{} or {}",
            place(variable, folder),
            place("the Hugging Face cache", self.hf_home.as_ref()),
        )
    }
}

/// Returns whether `text` is a valid `name` or `owner/name` on the hub. A path that is joined with a valid name stays
/// inside its folder.
pub fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        (1..=96).contains(&part.len())
            && !part.starts_with(['.', '-'])
            && !part.contains("--")
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
    };
    text.split('/').count() <= 2 && text.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_the_environment() {
        let places = |variables: &[(&str, &str)]| {
            Places::from_variables(|name| {
                let set = variables.iter().find(|(variable, _)| *variable == name);
                set.map(|(_, value)| OsString::from(value))
            })
        };
        assert_eq!(
            places(&[("HOME", "/home/me")]),
            Places {
                mirror_data: None,
                mirror_models: None,
                hf_home: Some("/home/me/.cache/huggingface".into()),
                cache: Some("/home/me/.cache/mirror-neuron".into()),
                hub_endpoint: "https://huggingface.co".to_owned(),
            }
        );
        assert_eq!(
            places(&[
                ("HOME", "/home/me"),
                ("XDG_CACHE_HOME", "/c"),
                ("HF_HOME", "/hf"),
                ("MIRROR_DATA", "/data"),
                ("MIRROR_MODELS", "/models"),
                ("HF_ENDPOINT", "http://localhost:8000"),
            ]),
            Places {
                mirror_data: Some("/data".into()),
                mirror_models: Some("/models".into()),
                hf_home: Some("/hf".into()),
                cache: Some("/c/mirror-neuron".into()),
                hub_endpoint: "http://localhost:8000".to_owned(),
            }
        );
        let nothing = places(&[("HF_HOME", "")]);
        assert_eq!((nothing.hf_home, nothing.cache), (None, None));
    }
}
