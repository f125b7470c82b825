//! One column by another: a point for each event, or for each element of its lists.

use super::{in_words, sentence_case};
use crate::chart::{Axis, Color, Data, Figure, Scale, Trace, Values};
use crate::frame::{Cell, Column, ElementUids, Frame, NamedColumn, chosen};
use crate::numbers::{count, counted};
use crate::plots::NothingToDraw;
use crate::report::Plots;

/// Maximum number of points of a plot.
const POINTS: usize = 20_000;

/// Draws the plot `{y}_by_{x}`.
pub(super) fn draw(frame: &Frame<'_>, y: &str, x: &str, plots: &mut Plots) {
    let title = sentence_case(&format!("{} by {}", in_words(y), in_words(x)));
    let explain = format!(
        "Each point is a value of {} and the value of {} of the same event.",
        in_words(y),
        in_words(x)
    );
    let figure = figure(frame, y, x).map_err(NothingToDraw);
    plots.push(&format!("{y}_by_{x}"), &title, &explain, figure);
}

fn figure(frame: &Frame<'_>, y: &str, x: &str) -> Result<Figure, String> {
    let (of_y, of_x) = (frame.columns(y)?, frame.columns(x)?);
    let pairs: Vec<Pair<'_, '_>> = of_y
        .iter()
        .flat_map(|y| of_x.iter().map(move |x| Pair { frame, y, x }))
        .collect();
    // Of several columns with the same feature, those that cannot be paired are left out and noted.
    let (fitting, unfit): (Vec<_>, Vec<_>) = pairs
        .iter()
        .map(|pair| pair.check().map(|()| pair))
        .partition(Result::is_ok);
    let left_out: Vec<String> = unfit.into_iter().filter_map(Result::err).collect();
    if fitting.is_empty() {
        return Err(left_out.join("; "));
    }
    let most = POINTS / fitting.len();
    let mut traces = Vec::new();
    let (mut drawn, mut all) = (0, 0);
    for (number, pair) in fitting.into_iter().flatten().enumerate() {
        let points = pair.rows().count();
        let (trace, kept) = pair.trace(number, points, most);
        drawn += kept;
        all += points;
        traces.push(trace);
    }
    if drawn == 0 {
        return Err(format!("no event has both `{y}` and `{x}`"));
    }
    let columns: Vec<&NamedColumn<'_, '_>> = of_y.iter().chain(&of_x).collect();
    let mut note = frame.notes(&columns);
    for why in left_out {
        note.extend([format!("Left out: {why}. ")]);
    }
    if drawn < all {
        note.extend([format!(
            "A random sample of {} of {}.",
            count(drawn as u64),
            counted(all as u64, "point", "points")
        )]);
    }
    Ok(Figure {
        x: axis(x, &of_x),
        y: axis(y, &of_y),
        traces,
        alternative: format!(
            "Scatter plot of {} by {} with {}.",
            in_words(y),
            in_words(x),
            counted(drawn as u64, "point", "points")
        ),
        note: note.trim_end().to_owned(),
        ..Figure::default()
    })
}

fn axis(name: &str, columns: &[NamedColumn<'_, '_>]) -> Axis {
    let title = in_words(name);
    if columns.iter().any(|column| column.values.is_text()) {
        return Axis::new(title, Scale::Words);
    }
    match name {
        "step" => Axis::new(title, Scale::Step),
        "call_time" => Axis::linear("call time (seconds)"),
        _ => Axis::linear(title),
    }
}

/// Two columns whose values are paired. Two lists are paired by position, or by uid if only one of them has an element
/// for each uid.
pub(super) struct Pair<'f, 'a> {
    pub(super) frame: &'f Frame<'a>,
    pub(super) y: &'f NamedColumn<'f, 'a>,
    pub(super) x: &'f NamedColumn<'f, 'a>,
}

/// The values of an event, or of two elements of its lists.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub(super) event: usize,
    pub(super) y: Cell<'a>,
    pub(super) x: Cell<'a>,
    /// The uid to which the element belongs. `None` if neither column is a list.
    pub(super) uid: Option<u32>,
}

impl<'f, 'a> Pair<'f, 'a> {
    /// Returns an error if the values cannot be paired.
    pub(super) fn check(&self) -> Result<(), String> {
        let (y, x) = (self.y, self.x);
        for column in [y, x] {
            if matches!(*column.values, Column::Vectors(_)) {
                return Err(format!(
                    "`{}` has several numbers per event: plot their principal components with `pca`",
                    column.name
                ));
            }
        }
        if self.by_uid().is_none()
            && let (Some(of_y), Some(of_x)) = (y.values.lists(), x.values.lists())
        {
            for (event, (of_y, of_x)) in of_y.iter().zip(of_x).enumerate() {
                if of_y.len() != of_x.len() {
                    return Err(format!(
                        "the lists have different lengths: in step {}, `{}` has {} and `{}` has {}",
                        self.frame.forwards()[event].step,
                        y.name,
                        counted(of_y.len() as u64, "value", "values"),
                        x.name,
                        of_x.len()
                    ));
                }
            }
        }
        Ok(())
    }

    /// Returns the list with an element for each uid, if the other list has an element for each call. `None` if the two
    /// columns are not such lists.
    fn by_uid(&self) -> Option<&Column<'a>> {
        let is_by_uid = |column: &Column<'a>| Some(element_uids(column)? == ElementUids::Position);
        match (is_by_uid(&self.y.values)?, is_by_uid(&self.x.values)?) {
            (true, false) => Some(&self.y.values),
            (false, true) => Some(&self.x.values),
            _ => None,
        }
    }

    /// Returns the rows in which both values are known, in the order of the events.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'a>> + use<'_, 'f, 'a> {
        self.all_rows()
            .filter(|row| row.y != Cell::Missing && row.x != Cell::Missing)
    }

    /// Returns all rows, in the order of the events.
    pub(super) fn all_rows(&self) -> impl Iterator<Item = Row<'a>> + use<'_, 'f, 'a> {
        let by_uid = self.by_uid();
        let (y, x): (&Column<'a>, &Column<'a>) = (&self.y.values, &self.x.values);
        // The elements are those of the other list.
        let (first, second) = match by_uid {
            Some(by_uid) if std::ptr::eq(by_uid, y) => (x, y),
            _ => (y, x),
        };
        let lists = first.lists().or_else(|| second.lists());
        let uids = element_uids(first).or_else(|| element_uids(second));
        let cell = move |column: &Column<'a>, event: usize, element: usize| match (by_uid, uids) {
            (Some(by_uid), Some(uids)) if std::ptr::eq(by_uid, column) => {
                column.cell_of_uid(event, self.frame.uid(uids, event, element))
            }
            _ => column.cell(event, element),
        };
        (0..self.frame.forwards().len()).flat_map(move |event| {
            let elements = lists.map_or(1, |lists| lists[event].len());
            (0..elements).map(move |element| Row {
                event,
                y: cell(y, event, element),
                x: cell(x, event, element),
                uid: uids.map(|uids| self.frame.uid(uids, event, element)),
            })
        })
    }

    /// Returns at most `most` of the `total` points as a trace, and their number.
    fn trace(&self, number: usize, total: usize, most: usize) -> (Trace, usize) {
        let rows = sampled(self.rows(), chosen(total, most, self.frame.seed));
        let name = match (self.y.name == self.y.of, self.x.name == self.x.of) {
            (true, false) => self.x.of,
            (false, true) => self.y.of,
            _ => &self.y.name,
        };
        let data = Data::Points {
            x: values(rows.iter().map(|row| row.x), self.x.values.is_text()),
            y: values(rows.iter().map(|row| row.y), self.y.values.is_text()),
            uids: rows.iter().filter_map(|row| row.uid).collect(),
            shade: Vec::new(),
            text: Vec::new(),
        };
        (
            Trace::new(in_words(name), Color::Series(number), data),
            rows.len(),
        )
    }
}

fn element_uids(column: &Column<'_>) -> Option<ElementUids> {
    match column {
        Column::Lists { uids, .. } => Some(*uids),
        Column::Numbers(_) | Column::Texts(_) | Column::Vectors(_) => None,
    }
}

/// Returns the rows with the chosen numbers, which are in ascending order, or all rows without a choice.
pub(super) fn sampled<T>(rows: impl Iterator<Item = T>, chosen: Option<Vec<usize>>) -> Vec<T> {
    let Some(chosen) = chosen else {
        return rows.collect();
    };
    let mut chosen = chosen.into_iter().peekable();
    let kept = rows
        .enumerate()
        .filter(|(number, _)| chosen.next_if_eq(number).is_some());
    kept.map(|(_, row)| row).collect()
}

fn values<'a>(cells: impl Iterator<Item = Cell<'a>>, is_text: bool) -> Values {
    if is_text {
        Values::Words(
            cells
                .filter_map(|cell| match cell {
                    Cell::Word(word) => Some(word.to_owned()),
                    Cell::Number(_) | Cell::Missing => None,
                })
                .collect(),
        )
    } else {
        Values::Numbers(
            cells
                .filter_map(|cell| match cell {
                    Cell::Number(number) => Some(number),
                    Cell::Word(_) | Cell::Missing => None,
                })
                .collect(),
        )
    }
}
