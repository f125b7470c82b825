//! Principal components of columns or of embeddings.

use mirror_spec::{ComponentCount as Requested, Feature, PROMPT};
use mirror_statistics::{ComponentCount, Matrix, Pca, principal_components};

use super::{in_words, sentence_case};
use crate::chart::{Axis, Color, Data, Figure, Scale, Trace, Values};
use crate::frame::{Column, Frame, NamedColumn};
use crate::numbers::{counted, percent, shortened};
use crate::plots::NothingToDraw;
use crate::report::Plots;

/// Maximum number of components if the file does not state one.
const COMPONENTS: usize = 10;

/// Number of characters of a prompt that a point shows.
const PROMPT_LENGTH: usize = 80;

/// Draws the plot of the first two components, coloured by mean reward, and that of the explained variance.
pub(super) fn draw(frame: &Frame<'_>, columns: &[String], count: Option<Requested>, plots: &mut Plots) {
    let (name, variance, of) = match columns {
        [embeddings] if embeddings.ends_with(Feature::Embeddings.word()) => {
            let before = embeddings
                .strip_suffix(Feature::Embeddings.word())
                .unwrap_or_default();
            (
                embeddings.clone(),
                format!("{before}explained_variance"),
                in_words(embeddings),
            )
        }
        _ => {
            let names: Vec<String> = columns.iter().map(|column| in_words(column)).collect();
            (
                "pca".to_owned(),
                "pca_explained_variance".to_owned(),
                names.join(", "),
            )
        }
    };
    let analysed = analyse(frame, columns, count);
    let points = analysed
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|analysed| analysed.points(frame));
    plots.push(
        &name,
        &format!("Principal components of {of}"),
        "Each point is an event at its first two principal components, coloured by its mean reward.",
        points.map_err(NothingToDraw),
    );
    plots.push(
        &variance,
        &sentence_case(&format!("explained variance of {of}")),
        "Share of the variance that each principal component explains.",
        analysed
            .map(|analysed| analysed.variance())
            .map_err(NothingToDraw),
    );
}

/// Returns the name of the embeddings of a column of texts.
pub(super) fn name_of_embeddings(column: &str) -> String {
    let feature = Feature::Embeddings.word();
    match column {
        "message" => feature.to_owned(),
        column => format!("{column}_{feature}"),
    }
}

/// Returns the column of texts whose embeddings are the only one of `columns`. `None` if there is no such column.
pub(super) fn embedded<'a>(frame: &Frame<'a>, columns: &[String]) -> Option<&'a str> {
    let [name] = columns else { return None };
    let feature = Feature::Embeddings.word();
    let of = match name.strip_suffix(feature)?.strip_suffix('_') {
        Some(PROMPT) | None => "message",
        Some(column) => column,
    };
    match frame.with_feature(Feature::Embeddings).as_slice() {
        [only] if name == feature => Some(only),
        columns => columns.iter().copied().find(|column| *column == of),
    }
}

/// The components of the events with complete values.
struct Analysed {
    /// Numbers of the events.
    events: Vec<usize>,
    pca: Pca,
    note: String,
}

fn analyse(frame: &Frame<'_>, columns: &[String], count: Option<Requested>) -> Result<Analysed, String> {
    let columns: Vec<NamedColumn<'_, '_>> = columns
        .iter()
        .map(|column| frame.column(column))
        .collect::<Result<_, _>>()?;
    let mut rows: Vec<Vec<f64>> = vec![Vec::new(); frame.forwards().len()];
    for column in &columns {
        match &*column.values {
            Column::Vectors(vectors) => {
                for (row, vector) in rows.iter_mut().zip(vectors) {
                    match vector {
                        Some(vector) => row.extend_from_slice(vector),
                        None => row.push(f64::NAN),
                    }
                }
            }
            values => {
                let means = values
                    .means()
                    .ok_or_else(|| format!("`{}` is not a column of numbers", column.name))?;
                for (row, mean) in rows.iter_mut().zip(means) {
                    row.push(mean);
                }
            }
        }
    }
    let complete = rows
        .into_iter()
        .enumerate()
        .filter(|(_, row)| row.iter().all(|number| number.is_finite()));
    let (events, rows): (Vec<usize>, Vec<Vec<f64>>) = complete.unzip();
    let Some(first) = rows.first() else {
        return Err("no event has a value in every column".to_owned());
    };
    let most = rows.len().min(first.len());
    let count = match count {
        Some(Requested::Exactly(count)) => ComponentCount::Exactly(count as usize),
        Some(Requested::VarianceShare(share)) => ComponentCount::VarianceShare(share),
        None => ComponentCount::Exactly(COMPONENTS.min(most)),
    };
    let table = Matrix::from_rows(&rows).map_err(|error| error.to_string())?;
    let pca = principal_components(&table, count).map_err(|error| error.to_string())?;
    let note = frame.notes(&columns.iter().collect::<Vec<_>>());
    Ok(Analysed { events, pca, note })
}

impl Analysed {
    fn points(&self, frame: &Frame<'_>) -> Result<Figure, String> {
        let [first, second, ..] = self.pca.explained_variance_ratio[..] else {
            return Err("there is only one component".to_owned());
        };
        let rewards = frame.column("rewards")?.values.means().unwrap_or_default();
        let coordinates = |component: usize| -> Values {
            let projections = self.pca.projections.iter();
            Values::Numbers(projections.map(|projection| projection[component]).collect())
        };
        let shade: Vec<f64> = self.events.iter().map(|event| rewards[*event]).collect();
        let has_rewards = shade.iter().any(|reward| reward.is_finite());
        let message = |event: &usize| shortened(&frame.forwards()[*event].message, PROMPT_LENGTH);
        let data = Data::Points {
            x: coordinates(0),
            y: coordinates(1),
            uids: Vec::new(),
            shade: if has_rewards { shade } else { Vec::new() },
            text: self.events.iter().map(message).collect(),
        };
        let title = |name: &str, share: f64| Axis::linear(format!("{name} component ({})", percent(share)));
        Ok(Figure {
            x: title("first", first),
            y: title("second", second),
            traces: vec![Trace::new("events", Color::Main, data)],
            alternative: format!(
                "Scatter plot of the first two principal components of {}.",
                counted(self.events.len() as u64, "event", "events")
            ),
            note: self.note.trim_end().to_owned(),
            ..Figure::default()
        })
    }

    fn variance(&self) -> Figure {
        let shares = &self.pca.explained_variance_ratio;
        let components = (1..=shares.len()).map(|component| component as f64).collect();
        let heights = shares.iter().copied().map(Some).collect();
        Figure {
            x: Axis::linear("component"),
            y: Axis::new("share of the variance", Scale::Share),
            traces: vec![Trace::bars(
                "explained variance",
                Color::Main,
                Values::Numbers(components),
                heights,
            )],
            alternative: format!(
                "Bar chart of the variance that {} explain.",
                counted(shares.len() as u64, "component", "components")
            ),
            note: self.note.trim_end().to_owned(),
            ..Figure::default()
        }
    }
}
