//! The files that an experiment reads, which the coordinator receives with the experiment.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Component, Path};

use anyhow::{Context, anyhow, ensure};
use mirror_kubernetes::manifests::launcher::{Inputs, MAX_FILES};

use super::super::Misuse;
use super::super::run::StartArguments;

/// Reads the experiment file and the files that it names: each text in it that is the path of an existing file. Files
/// that data sets, models, metagraphs and delays come from are among them.
pub(super) fn inputs(start: &StartArguments) -> anyhow::Result<Inputs> {
    let path = start.file();
    let base = mirror_coordinator::base_of(path);
    let file = path
        .file_name()
        .and_then(|name| name.to_str())
        .with_context(|| format!("the name of {} is not UTF-8", path.display()))?
        .to_owned();
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut named = Vec::new();
    // The experiment was loaded before, so it is YAML.
    collect_texts(&serde_yaml::from_str(&text)?, &mut named);
    named.extend(start.values().map(str::to_owned));
    let mut files = BTreeMap::from([(file.clone(), text.into_bytes())]);
    for name in named {
        let path = base.join(&name);
        if !path.is_file() {
            // A folder of a model, with a separator. A word can be the name of a folder by chance.
            if name.contains('/') && path.is_dir() {
                return Err(Misuse::of(anyhow!(
                    "the folder `{name}` is not sent to a cluster: build an image of the coordinator that contains it, \
                     and write its absolute path in the file"
                ))
                .into());
            }
            continue;
        }
        let is_below = Path::new(&name)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !is_below {
            return Err(Misuse::of(anyhow!(
                "the file `{name}` is not below the folder of the experiment file, so it is not sent to a cluster: move \
                 it there"
            ))
            .into());
        }
        let content = read(&path)?;
        files.insert(name.trim_start_matches("./").to_owned(), content);
    }
    let size: usize = files.values().map(Vec::len).sum();
    ensure!(
        size <= MAX_FILES,
        Misuse::of(anyhow!(
            "the files of the experiment have {size} bytes, and a cluster takes at most {MAX_FILES}: build an image of \
             the coordinator that contains the large ones, and write their absolute paths in the file"
        ))
    );
    Ok(Inputs {
        file,
        files,
        arguments: start.for_another_machine()?,
    })
}

/// Reads a file that is not larger than all files together may be.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let in_words = || format!("cannot read {}", path.display());
    let file = File::open(path).with_context(in_words)?;
    let content = mirror_files::read_at_most(file, MAX_FILES as u64).with_context(in_words)?;
    content
        .with_context(|| {
            format!(
                "{} is larger than the {MAX_FILES} bytes that a cluster takes: build an image of the coordinator that \
                 contains it, and write its absolute path in the file",
                path.display()
            )
        })
        .map_err(|error| Misuse::of(error).into())
}

fn collect_texts(value: &serde_yaml::Value, texts: &mut Vec<String>) {
    match value {
        serde_yaml::Value::String(text) => texts.push(text.clone()),
        serde_yaml::Value::Sequence(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        serde_yaml::Value::Mapping(entries) => entries.values().for_each(|item| collect_texts(item, texts)),
        serde_yaml::Value::Tagged(tagged) => collect_texts(&tagged.value, texts),
        _ => {}
    }
}
