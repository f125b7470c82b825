//! Columns that an analysis names: those of the view of the events, and the features that it creates.

use std::collections::BTreeSet;

use mirror_spec::{Analysis, EVENT_COLUMNS, Feature, PROMPT, TEXT_COLUMNS};

use super::{Place, Walked, is_given, origin};
use crate::problem::Finding;
use crate::spelling::{brief, suggest};
use crate::tree::{Node, Origin};

/// Reports names of columns that do not exist.
pub(super) fn check(file: Walked<'_>, found: &mut Vec<Finding>) {
    let analysis = file.resolved.analysis();
    if !is_given(analysis) {
        return;
    }
    let analysis = analysis.inner();
    let columns = Columns::of(analysis, found);
    let plot = analysis.plot();
    for y in plot.node().map(Node::entries).unwrap_or_default() {
        columns.expect(&y.key, y.key_origin, "analysis.plot", found);
        let mut named = BTreeSet::new();
        for x in plot.named(&y.key).items() {
            let at = origin(x);
            if let Some(name) = x.get().filter(|name| !named.insert(name.clone())) {
                let (y, x) = (brief(&y.key), brief(&name));
                let message = format!("`analysis.plot.{y}` names `{x}` twice");
                found.push(
                    Finding::warning(at, message).with_help("remove one of them: the plot is drawn once"),
                );
            }
            columns.expect_at(x, &format!("analysis.plot.{}", brief(&y.key)), found);
        }
    }
    for column in analysis.embedding_plot().inner().columns().items() {
        columns.expect_at(column, "analysis.embedding_plot.columns", found);
    }
    for column in analysis.pca().inner().columns().items() {
        columns.expect_at(column, "analysis.pca.columns", found);
    }
    let predict = analysis.predict();
    for target in predict.node().map(Node::entries).unwrap_or_default() {
        columns.expect(&target.key, target.key_origin, "analysis.predict", found);
        let path = format!("analysis.predict.{}.x", brief(&target.key));
        columns.expect_at(predict.named(&target.key).x(), &path, found);
    }
}

/// The names of the columns that exist.
struct Columns {
    names: Vec<String>,
}

impl Columns {
    /// Collects the columns, and reports features of columns without texts.
    fn of(analysis: Place<'_, Analysis>, found: &mut Vec<Finding>) -> Self {
        let mut names: Vec<String> = EVENT_COLUMNS.iter().map(|&name| name.to_owned()).collect();
        names.push(PROMPT.to_owned());
        let created = analysis.create_features();
        for column in created.node().map(Node::entries).unwrap_or_default() {
            let name = column.key.as_str();
            if !TEXT_COLUMNS.contains(&name) {
                let why = if EVENT_COLUMNS.contains(&name) {
                    format!("`{name}` has no texts, so it has no features")
                } else {
                    format!(
                        "no column in `analysis.create_features` is called `{}`",
                        brief(name)
                    )
                };
                found.push(Finding::error(column.key_origin, why).with_help(suggest(name, &TEXT_COLUMNS)));
            }
            for feature in created.named(name).items() {
                let Some(word) = feature.get().map(Feature::word) else {
                    continue;
                };
                if name == "all_completions" && word == Feature::Embeddings.word() {
                    found.push(
                        Finding::error(
                            origin(feature),
                            "`embeddings` need a column with one text per event, but `all_completions` has a list",
                        )
                        .with_help("compute them for `completion`"),
                    );
                }
                for name in [word.to_owned(), format!("{name}_{word}")] {
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
            }
        }
        Self { names }
    }

    fn expect_at(&self, place: Place<'_, String>, path: &str, found: &mut Vec<Finding>) {
        if let Some(name) = place.get() {
            self.expect(&name, origin(place), path, found);
        }
    }

    /// Reports `name` if there is no such column.
    fn expect(&self, name: &str, at: Origin, path: &str, found: &mut Vec<Finding>) {
        if self.names.iter().any(|known| known == name) {
            return;
        }
        let help = if let Some((column, feature)) = missing_feature(name) {
            format!("it is a feature: add `{feature}` to `analysis.create_features` for `{column}`")
        } else {
            let known: Vec<&str> = self.names.iter().map(String::as_str).collect();
            suggest(name, &known)
        };
        let message = format!("no column in `{path}` is called `{}`", brief(name));
        found.push(Finding::error(at, message).with_help(help));
    }
}

/// Returns the column and the feature if a name is that of a feature that could be created.
fn missing_feature(name: &str) -> Option<(&'static str, &'static str)> {
    let columns = std::iter::once(("message", name)).chain(
        TEXT_COLUMNS
            .iter()
            .filter_map(|&column| Some((column, name.strip_prefix(column)?.strip_prefix('_')?))),
    );
    let mut found = columns.filter_map(|(column, word)| {
        let feature = Feature::ALL.iter().find(|feature| feature.word() == word)?;
        Some((column, feature.word()))
    });
    found.next()
}
