//! The sample of the forwards as columns by name: those of the view of the events, and the features of texts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mirror_spec::{Analysis, Feature, PROMPT};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::collect::sample::{Sample, SampledForward};
use crate::features::{self, Compute, TextModels};
use crate::numbers::{count, counted};

/// Maximum number of forwards for whose texts embeddings are computed. Tokens of lists of texts have the same limit.
const MODEL_FORWARDS: usize = 2_000;

/// The sampled forwards as columns.
pub(crate) struct Frame<'a> {
    forwards: Vec<&'a SampledForward>,
    /// Number of all forwards.
    of: u64,
    features: Vec<FeatureColumn<'a>>,
    /// Name of the run's reward model if it has no tokenizer, so that tokens are those of the builtin tokenizer.
    reward_model_without_tokenizer: Option<String>,
    /// Random seed of samples.
    pub(crate) seed: u64,
}

/// A feature of a column.
struct FeatureColumn<'a> {
    /// The column of texts.
    column: &'a str,
    feature: Feature,
    /// The values, or the reason why there are none.
    values: Result<Column<'a>, String>,
    /// Number of forwards with values, if it is not all of them.
    sample: Option<usize>,
}

/// A column with its name.
pub(crate) struct NamedColumn<'f, 'a> {
    /// Name of the column: `completion_num_words`.
    pub(crate) name: String,
    /// The column of texts of which this is a feature, otherwise the column itself.
    pub(crate) of: &'f str,
    /// The feature. `None` for a column of the view.
    feature: Option<Feature>,
    pub(crate) values: Cow<'f, Column<'a>>,
    /// Number of forwards with values, if it is not all of them.
    sample: Option<usize>,
}

/// The values of a column, by event.
#[derive(Clone)]
pub(crate) enum Column<'a> {
    /// A number per event. NaN if it is unknown.
    Numbers(Vec<f64>),
    /// A text per event. `None` if the event has none.
    Texts(Vec<Option<&'a str>>),
    /// A list per event, each element of which belongs to a uid.
    Lists { lists: Vec<List<'a>>, uids: ElementUids },
    /// A vector per event. `None` if it was not computed. All vectors have the same length.
    Vectors(Vec<Option<Vec<f64>>>),
}

/// The elements of a list of an event.
#[derive(Clone)]
pub(crate) enum List<'a> {
    Uids(&'a [u32]),
    Rewards(&'a [f64]),
    Scores(&'a [f32]),
    Texts(&'a [String]),
    Numbers(Vec<f64>),
    Words(Vec<Option<&'a str>>),
}

/// The uids to which the elements of a list belong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementUids {
    /// The uids of the successful calls.
    Successful,
    /// The uids of all calls.
    Called,
    /// The position in the list is the uid.
    Position,
}

/// A value of a column.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Cell<'a> {
    Number(f64),
    Word(&'a str),
    /// The value is unknown or not finite.
    Missing,
}

impl<'a> Cell<'a> {
    fn number(number: f64) -> Self {
        if number.is_finite() {
            Self::Number(number)
        } else {
            Self::Missing
        }
    }

    fn word(word: Option<&'a str>) -> Self {
        word.map_or(Self::Missing, Self::Word)
    }
}

impl<'a> List<'a> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Uids(uids) => uids.len(),
            Self::Rewards(rewards) => rewards.len(),
            Self::Scores(scores) => scores.len(),
            Self::Texts(texts) => texts.len(),
            Self::Numbers(numbers) => numbers.len(),
            Self::Words(words) => words.len(),
        }
    }

    fn cell(&self, element: usize) -> Cell<'a> {
        match self {
            Self::Uids(uids) => Cell::Number(uids[element].into()),
            Self::Rewards(rewards) => Cell::number(rewards[element]),
            Self::Scores(scores) => Cell::number(scores[element].into()),
            Self::Texts(texts) => Cell::Word(&texts[element]),
            Self::Numbers(numbers) => Cell::number(numbers[element]),
            Self::Words(words) => Cell::word(words[element]),
        }
    }
}

impl<'a> Column<'a> {
    /// Returns the lists. `None` if the column has one value per event.
    pub(crate) fn lists(&self) -> Option<&[List<'a>]> {
        match self {
            Self::Lists { lists, .. } => Some(lists),
            Self::Numbers(_) | Self::Texts(_) | Self::Vectors(_) => None,
        }
    }

    /// Returns the value of an event, or of the element of its list. A vector is missing, because it is not one value.
    pub(crate) fn cell(&self, event: usize, element: usize) -> Cell<'a> {
        match self {
            Self::Numbers(numbers) => Cell::number(numbers[event]),
            Self::Texts(texts) => Cell::word(texts[event]),
            Self::Lists { lists, .. } => lists[event].cell(element),
            Self::Vectors(_) => Cell::Missing,
        }
    }

    /// Returns the value of a uid in a list with an element for each uid. It is missing if the list ends before.
    pub(crate) fn cell_of_uid(&self, event: usize, uid: u32) -> Cell<'a> {
        let list = self.lists().map(|lists| &lists[event]);
        list.filter(|list| (uid as usize) < list.len())
            .map_or(Cell::Missing, |list| list.cell(uid as usize))
    }

    /// Returns whether the values are texts.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            Self::Texts(_) => true,
            Self::Lists { lists, .. } => matches!(lists.first(), Some(List::Texts(_) | List::Words(_))),
            Self::Numbers(_) | Self::Vectors(_) => false,
        }
    }

    /// Returns a number per event, which is the mean of the finite elements of a list. NaN if an event has none.
    /// `None` if the column has no numbers.
    pub(crate) fn means(&self) -> Option<Vec<f64>> {
        match self {
            Self::Numbers(numbers) => Some(numbers.clone()),
            Self::Lists { lists, .. } if !self.is_text() => Some(lists.iter().map(mean).collect()),
            Self::Lists { .. } | Self::Texts(_) | Self::Vectors(_) => None,
        }
    }
}

/// Returns the mean of the finite numbers of a list, or NaN if there are none.
fn mean(list: &List<'_>) -> f64 {
    let numbers = (0..list.len()).filter_map(|element| match list.cell(element) {
        Cell::Number(number) => Some(number),
        Cell::Word(_) | Cell::Missing => None,
    });
    let (sum, count) = numbers.fold((0.0, 0_u64), |(sum, count), number| (sum + number, count + 1));
    sum / count as f64
}

impl<'a> Frame<'a> {
    /// Computes the features that an analysis creates.
    pub(crate) fn new(
        sample: &'a Sample,
        analysis: &'a Analysis,
        models: &dyn TextModels,
        seed: u64,
    ) -> Self {
        let mut frame = Self {
            forwards: sample.forwards(),
            of: sample.of,
            features: Vec::new(),
            reward_model_without_tokenizer: models.reward_model_without_tokenizer().map(str::to_owned),
            seed,
        };
        for (column, features) in &analysis.create_features {
            let column = if column == PROMPT { "message" } else { column };
            for feature in features {
                let is_new = |known: &FeatureColumn<'_>| (known.column, known.feature) != (column, *feature);
                if frame.features.iter().all(is_new) {
                    let added = frame.feature(column, *feature, models);
                    frame.features.push(added);
                }
            }
        }
        frame
    }

    /// Returns the sampled forwards, in the order of the events.
    pub(crate) fn forwards(&self) -> &[&'a SampledForward] {
        &self.forwards
    }

    /// Returns the columns of this name. Several columns of texts may have a feature of the same name.
    ///
    /// # Errors
    /// Returns the reason why there is no such column.
    pub(crate) fn columns<'f>(&'f self, name: &'f str) -> Result<Vec<NamedColumn<'f, 'a>>, String> {
        if let Some(values) = self.of_view(name) {
            return Ok(vec![NamedColumn {
                name: name.to_owned(),
                of: name,
                feature: None,
                values: Cow::Owned(values),
                sample: None,
            }]);
        }
        let full = |feature: &FeatureColumn<'_>| format!("{}_{}", feature.column, feature.feature.word());
        let of_prompt = name.strip_prefix(PROMPT).map(|rest| format!("message{rest}"));
        let wanted = of_prompt.as_deref().unwrap_or(name);
        let exact: Vec<&FeatureColumn<'a>> = self
            .features
            .iter()
            .filter(|feature| full(feature) == wanted)
            .collect();
        let found = if exact.is_empty() {
            let has_name = |feature: &&FeatureColumn<'a>| feature.feature.word() == name;
            self.features.iter().filter(has_name).collect()
        } else {
            exact
        };
        if found.is_empty() {
            return Err(format!("there is no column `{name}`"));
        }
        let columns = found.into_iter().map(|feature| {
            Ok(NamedColumn {
                name: if feature.column == "message" {
                    feature.feature.word().to_owned()
                } else {
                    full(feature)
                },
                of: feature.column,
                feature: Some(feature.feature),
                values: Cow::Borrowed(
                    feature
                        .values
                        .as_ref()
                        .map_err(|why| format!("`{name}`: {why}"))?,
                ),
                sample: feature.sample,
            })
        });
        columns.collect()
    }

    /// Returns the column of this name: that of `message` if several columns have the feature.
    ///
    /// # Errors
    /// Returns the reason why there is no such column, or why it is ambiguous.
    pub(crate) fn column<'f>(&'f self, name: &'f str) -> Result<NamedColumn<'f, 'a>, String> {
        let mut columns = self.columns(name)?;
        if let Some(of_message) = columns.iter().position(|column| column.name == name) {
            return Ok(columns.swap_remove(of_message));
        }
        match columns.len() {
            1 => Ok(columns.remove(0)),
            _ => Err(format!(
                "several columns have the feature `{name}`: name one, such as `{}`",
                columns[0].name
            )),
        }
    }

    /// Returns the columns of texts that have a feature.
    pub(crate) fn with_feature(&self, feature: Feature) -> Vec<&'a str> {
        let with_it = self.features.iter().filter(|column| column.feature == feature);
        with_it.map(|column| column.column).collect()
    }

    /// Returns the uid to which an element of a list belongs.
    pub(crate) fn uid(&self, uids: ElementUids, event: usize, element: usize) -> u32 {
        match uids {
            ElementUids::Successful => self.forwards[event].uids[element],
            ElementUids::Called => self.forwards[event].all_uids[element],
            ElementUids::Position => element as u32,
        }
    }

    /// Describes the samples from which columns are computed, and the tokenizer of tokens if it is not that of the
    /// reward model, in sentences that end with a space, or an empty text.
    pub(crate) fn notes(&self, columns: &[&NamedColumn<'_, 'a>]) -> String {
        let mut note = String::new();
        if (self.forwards.len() as u64) < self.of {
            note = format!(
                "From a random sample of {} of {}. ",
                count(self.forwards.len() as u64),
                counted(self.of, "event", "events")
            );
        }
        for column in columns {
            if let Some(sample) = column.sample {
                note.extend([format!(
                    "`{}` was computed for a random sample of {}. ",
                    column.name,
                    counted(sample as u64, "event", "events")
                )]);
            }
        }
        let has_tokens = columns
            .iter()
            .any(|column| column.feature == Some(Feature::RewardNumTokens));
        if let Some(model) = self
            .reward_model_without_tokenizer
            .as_ref()
            .filter(|_| has_tokens)
        {
            note.extend([format!(
                "Tokens are those of the builtin tokenizer, because the reward model `{model}` has none. "
            )]);
        }
        note
    }

    /// Returns a column of the view of the events.
    fn of_view(&self, name: &str) -> Option<Column<'a>> {
        let numbers = |of: fn(&SampledForward) -> f64| {
            Column::Numbers(self.forwards.iter().map(|forward| of(forward)).collect())
        };
        let texts = |of: fn(&'a SampledForward) -> Option<&'a str>| {
            Column::Texts(self.forwards.iter().map(|forward| of(forward)).collect())
        };
        let lists = |uids: ElementUids, of: fn(&'a SampledForward) -> List<'a>| Column::Lists {
            lists: self.forwards.iter().map(|forward| of(forward)).collect(),
            uids,
        };
        Some(match name {
            "message" | PROMPT => texts(|forward| Some(&forward.message)),
            "completion" => texts(|forward| forward.completion.as_deref()),
            "path" => texts(|forward| Some(&forward.run)),
            "validator" => texts(|forward| Some(&forward.validator)),
            // The sample has no manual forwards.
            "purpose" => texts(|_| Some(crate::forwards::QUERY)),
            "uids" => lists(ElementUids::Successful, |forward| List::Uids(&forward.uids)),
            "rewards" => lists(ElementUids::Successful, |forward| List::Rewards(&forward.rewards)),
            "scores" => lists(ElementUids::Position, |forward| List::Scores(&forward.scores)),
            "all_uids" => lists(ElementUids::Called, |forward| List::Uids(&forward.all_uids)),
            "all_completions" => lists(ElementUids::Called, |forward| {
                List::Texts(&forward.all_completions)
            }),
            "block" => numbers(|forward| forward.block as f64),
            "is_question" => numbers(|forward| f64::from(u8::from(forward.is_question))),
            "call_time" => numbers(|forward| forward.call_time.unwrap_or(f64::NAN)),
            "step" => numbers(|forward| forward.step as f64),
            "step_sub" => numbers(|forward| forward.forward_index.into()),
            _ => return None,
        })
    }

    /// Computes a feature of a column of texts.
    fn feature(&self, column: &'a str, feature: Feature, models: &dyn TextModels) -> FeatureColumn<'a> {
        let mut sample = None;
        let values = match (self.of_view(column), features::compute(feature)) {
            (Some(Column::Texts(texts)), Compute::Number(of)) => Ok(Column::Numbers(
                texts.iter().map(|text| text.map_or(f64::NAN, of)).collect(),
            )),
            (Some(Column::Texts(texts)), Compute::Word(of)) => Ok(Column::Texts(
                texts.iter().map(|text| text.and_then(of)).collect(),
            )),
            (Some(Column::Texts(texts)), Compute::ModelNumber(of)) => {
                let ask = |texts: &[String]| of(models, texts);
                by_distinct_text(texts.iter().copied(), ask).map(|numbers| {
                    let number = |number: Option<f64>| number.unwrap_or(f64::NAN);
                    Column::Numbers(numbers.into_iter().map(number).collect())
                })
            }
            (Some(Column::Texts(texts)), Compute::ModelVector(of)) => {
                let events = self.model_sample(&mut sample);
                let sampled = texts
                    .iter()
                    .zip(&events)
                    .map(|(text, is_in)| text.filter(|_| *is_in));
                by_distinct_text(sampled, |texts| of(models, texts)).map(Column::Vectors)
            }
            (Some(Column::Lists { lists, uids }), compute)
                if matches!(lists.first(), Some(List::Texts(_))) =>
            {
                self.feature_of_lists(&lists, compute, models, &mut sample)
                    .map(|lists| Column::Lists { lists, uids })
            }
            (Some(Column::Lists { .. }), _) if self.forwards.is_empty() => {
                Err("the run has no events".to_owned())
            }
            _ => Err(format!("`{column}` has no texts")),
        };
        FeatureColumn {
            column,
            feature,
            values,
            sample,
        }
    }

    fn feature_of_lists(
        &self,
        lists: &[List<'a>],
        compute: Compute,
        models: &dyn TextModels,
        sample: &mut Option<usize>,
    ) -> Result<Vec<List<'a>>, String> {
        let texts = |list: &List<'a>| -> &'a [String] {
            match list {
                List::Texts(texts) => texts,
                _ => &[],
            }
        };
        let of_each =
            |of: &dyn Fn(&'a [String]) -> List<'a>| lists.iter().map(|list| of(texts(list))).collect();
        match compute {
            Compute::Number(of) => Ok(of_each(&|texts| {
                List::Numbers(texts.iter().map(|text| of(text)).collect())
            })),
            Compute::Word(of) => Ok(of_each(&|texts| {
                List::Words(texts.iter().map(|text| of(text)).collect())
            })),
            Compute::ModelNumber(of) => {
                let events = self.model_sample(sample);
                let each = lists.iter().zip(&events).flat_map(|(list, is_in)| {
                    let all = texts(list).iter();
                    all.map(|text| is_in.then_some(text.as_str()))
                });
                let mut numbers = by_distinct_text(each, |texts| of(models, texts))?.into_iter();
                let list = |list: &List<'a>| {
                    let its = numbers.by_ref().take(list.len());
                    List::Numbers(its.map(|number| number.unwrap_or(f64::NAN)).collect())
                };
                Ok(lists.iter().map(list).collect())
            }
            Compute::ModelVector(_) => {
                Err("embeddings need a column with one text per event, such as `completion`".to_owned())
            }
        }
    }

    /// Returns for each event whether it is in the sample of the features of models. Sets `sample` to its size if it
    /// does not have all events.
    fn model_sample(&self, sample: &mut Option<usize>) -> Vec<bool> {
        let Some(chosen) = chosen(self.forwards.len(), MODEL_FORWARDS, self.seed) else {
            return vec![true; self.forwards.len()];
        };
        *sample = Some(chosen.len());
        let mut events = vec![false; self.forwards.len()];
        for event in chosen {
            events[event] = true;
        }
        events
    }
}

/// Computes a value of each text that is present, with one question for all distinct texts.
fn by_distinct_text<'t, T: Clone>(
    texts: impl Iterator<Item = Option<&'t str>> + Clone,
    ask: impl FnOnce(&[String]) -> Result<Vec<T>, String>,
) -> Result<Vec<Option<T>>, String> {
    let mut places: BTreeMap<&str, usize> = texts.clone().flatten().map(|text| (text, 0)).collect();
    let mut distinct = Vec::with_capacity(places.len());
    for (place, (text, its_place)) in places.iter_mut().enumerate() {
        *its_place = place;
        distinct.push((*text).to_owned());
    }
    if distinct.is_empty() {
        return Ok(texts.map(|_| None).collect());
    }
    let values = ask(&distinct)?;
    if values.len() != distinct.len() {
        return Err(format!(
            "the model returned {} values for {} texts",
            values.len(),
            distinct.len()
        ));
    }
    let value = |text: Option<&'t str>| Some(values[*places.get(text?)?].clone());
    Ok(texts.map(value).collect())
}

/// Returns the numbers of `most` of `total` things in ascending order, drawn at random with a seed. `None` if all
/// things are kept because there are not more than `most`.
pub(crate) fn chosen(total: usize, most: usize, seed: u64) -> Option<Vec<usize>> {
    if total <= most {
        return None;
    }
    let mut chosen = rand::seq::index::sample(&mut ChaCha8Rng::seed_from_u64(seed), total, most).into_vec();
    chosen.sort_unstable();
    Some(chosen)
}
