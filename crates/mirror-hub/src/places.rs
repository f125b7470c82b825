//! The folders and the server that the environment names.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

const OFFICIAL_HUB: &str = "https://huggingface.co";

/// Where named data sets and models are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `$MIRROR_DATA`: a folder with data sets by name.
    pub mirror_data: Option<PathBuf>,
    /// `$MIRROR_MODELS`: a folder with models and tokenizers by name.
    pub mirror_models: Option<PathBuf>,
    /// `$HF_HOME`, by default `~/.cache/huggingface`; its `hub` folder is the Hugging Face cache.
    pub hf_home: Option<PathBuf>,
    /// Our own cache: `$XDG_CACHE_HOME/mirror-neuron`, by default `~/.cache/mirror-neuron`. What is
    /// fetched from the hub is kept in its `hub` folder and found there without a network.
    pub cache: Option<PathBuf>,
    /// `$HF_ENDPOINT`, by default the official hub.
    pub hub_endpoint: String,
}

impl Places {
    /// The places that the environment names.
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    /// The places that these environment variables name; an empty one counts as not set.
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

    /// The caches that are looked through, in this order: the official one, then our own.
    pub fn caches(&self) -> impl Iterator<Item = PathBuf> {
        let hf_cache = self.hf_home.as_deref().map(|home| home.join("hub"));
        [hf_cache, self.own_cache()].into_iter().flatten()
    }

    /// The cache that is fetched into.
    pub fn own_cache(&self) -> Option<PathBuf> {
        Some(self.cache.as_deref()?.join("hub"))
    }

    /// A folder of the user's and the Hugging Face cache, for people.
    pub fn describe(&self, variable: &str, folder: Option<&PathBuf>) -> String {
        let place = |name: &str, path: Option<&PathBuf>| match path {
            Some(path) => format!("{name} ({})", path.display()),
            None => format!("{name} (not set)"),
        };
        format!(
            "{}, nor in {}",
            place(variable, folder),
            place("the Hugging Face cache", self.hf_home.as_ref()),
        )
    }
}

/// Whether this can be `name` or `owner/name` on the hub, and so never leaves a folder it is
/// joined to.
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
    fn places_follow_the_environment() {
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
