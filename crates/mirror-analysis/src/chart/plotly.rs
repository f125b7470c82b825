//! Turns figures into the JSON that plotly.js draws. Numbers are rounded to five significant digits, which is more
//! precise than a plot.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Axis, BarMode, Color, Data, Figure, Scale, Trace, Values};
use crate::numbers::rounded;

/// Colours of lines of equal importance. Most people with colour vision deficiencies can distinguish them (after Okabe
/// and Ito).
const SERIES: [&str; 7] = [
    "#3b7dd8", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6bb1",
];

/// Colour of data in the background.
const BEHIND: &str = "rgba(140, 150, 165, 0.45)";

/// Number of bars above which the ends of intervals have no caps.
const CAPPED: usize = 64;

fn color(color: Color) -> &'static str {
    match color {
        Color::Main => SERIES[0],
        Color::Behind => BEHIND,
        Color::Series(number) => SERIES[number % SERIES.len()],
        Color::Fixed(color) => color,
    }
}

/// A time of a run as a place on every time axis. A place is `None` if the axis has none for this time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Place {
    pub(crate) step: Option<f64>,
    pub(crate) forward: Option<f64>,
    pub(crate) epoch: Option<f64>,
    pub(crate) second: Option<f64>,
}

/// An incident, which is a line in every plot with a time axis.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) label: String,
    pub(crate) place: Place,
}

/// A fault while it was in effect, which is a shaded span in every plot with a time axis.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Span {
    /// Name of the fault.
    pub(crate) fault: String,
    /// Kind of the fault.
    pub(crate) kind: String,
    /// The nodes that it names.
    pub(crate) who: String,
    /// Number of the occurrence, from 0.
    pub(crate) occurrence: u64,
    /// Whether the fault was lifted. If not, `to` is the end of the run.
    pub(crate) lifted: bool,
    /// The beginning.
    pub(crate) from: Place,
    /// The end.
    pub(crate) to: Place,
}

impl Span {
    fn label(&self) -> String {
        let occurrence = match self.occurrence {
            0 => String::new(),
            number => format!(" (occurrence {number})"),
        };
        format!("{}{occurrence}: {} {}", self.fault, self.kind, self.who)
    }
}

impl Place {
    /// Returns the place on an axis of this scale. `None` if there is none.
    fn on(&self, scale: Scale) -> Option<f64> {
        match scale {
            Scale::Step => self.step,
            Scale::Forward => self.forward,
            Scale::Epoch => self.epoch,
            Scale::Second => self.second,
            Scale::Linear | Scale::Share | Scale::Uids | Scale::Words => None,
        }
    }
}

/// Escapes a text of a run or an experiment: plotly.js reads tags, such as links, in the texts of a plot.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn all_escaped(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| escaped(text)).collect()
}

/// Returns the traces and the layout of a figure. The page sets the colours of text and background.
pub(crate) fn figure(figure: &Figure, marks: &[Mark], spans: &[Span]) -> Value {
    let mut data = Vec::new();
    for trace in &figure.traces {
        traces(trace, &mut data);
    }
    let mut layout = Map::new();
    layout.insert("xaxis".to_owned(), axis(&figure.x));
    layout.insert("yaxis".to_owned(), y_axis(figure));
    let mode = match figure.bars {
        BarMode::Overlay => "overlay",
        BarMode::Stack => "stack",
        BarMode::Group => "group",
    };
    layout.insert("barmode".to_owned(), mode.into());
    let named = figure.traces.iter().filter(|trace| in_legend(trace)).count();
    layout.insert("showlegend".to_owned(), (named > 1).into());
    if let Some(Data::Space { titles, .. }) = figure.traces.first().map(|trace| &trace.data) {
        let [x, y, z] = titles
            .each_ref()
            .map(|title| json!({"title": {"text": escaped(title)}}));
        layout.insert("scene".to_owned(), json!({"xaxis": x, "yaxis": y, "zaxis": z}));
    }
    let places = marks
        .iter()
        .filter_map(|mark| Some((rounded(mark.place.on(figure.x.scale)?), &mark.label)));
    let marked: Vec<Value> = places
        .map(|(x, label)| json!({"x": x, "label": escaped(label)}))
        .collect();
    let shaded = spans.iter().filter_map(|span| {
        let from = rounded(span.from.on(figure.x.scale)?);
        let to = rounded(span.to.on(figure.x.scale)?);
        Some(json!({"from": from, "to": to, "label": escaped(&span.label())}))
    });
    let shaded: Vec<Value> = shaded.collect();
    json!({
        "data": data,
        "layout": layout,
        "marks": marked,
        "spans": shaded,
        "uids": uids_on(figure),
        "time": figure.x.scale.is_time(),
    })
}

/// Returns where a figure has uids, so that the page can select them.
fn uids_on(figure: &Figure) -> Option<&'static str> {
    let has = |test: fn(&Trace) -> bool| figure.traces.iter().any(test);
    if figure.x.scale == Scale::Uids {
        Some("x")
    } else if figure.y.scale == Scale::Uids {
        Some("y")
    } else if has(|trace| trace.uid.is_some()) {
        Some("trace")
    } else if has(|trace| matches!(&trace.data, Data::Points { uids, .. } if !uids.is_empty())) {
        Some("point")
    } else {
        None
    }
}

fn axis(axis: &Axis) -> Value {
    let mut object = json!({"title": {"text": escaped(&axis.title)}, "automargin": true});
    let more = match axis.scale {
        Scale::Linear => json!({}),
        Scale::Share => json!({"tickformat": ".0%"}),
        Scale::Uids | Scale::Words => json!({"type": "category", "showgrid": false}),
        Scale::Forward | Scale::Step | Scale::Epoch | Scale::Second => json!({"zeroline": false}),
    };
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        object.extend(more.clone());
    }
    object
}

fn y_axis(figure: &Figure) -> Value {
    let mut y = axis(&figure.y);
    let rows = figure.traces.iter().find_map(|trace| match &trace.data {
        Data::Heat { y, .. } => Some(y.len()),
        _ => None,
    });
    if let Some(rows) = rows {
        // The first row is at the top, as in a table.
        y["range"] = json!([rows as f64 - 0.5, -0.5]);
    }
    y
}

fn in_legend(trace: &Trace) -> bool {
    !matches!(
        trace.data,
        Data::Band { .. } | Data::Edges { .. } | Data::Heat { .. }
    )
}

fn traces(trace: &Trace, data: &mut Vec<Value>) {
    let colour = color(trace.color);
    let mut base = json!({"name": escaped(&trace.name), "showlegend": in_legend(trace)});
    if let Some(uid) = trace.uid {
        base["meta"] = json!({"uid": uid});
    }
    let mut push = |more: Value| {
        let mut whole = base.clone();
        if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), more) {
            whole.extend(more);
        }
        data.push(whole);
    };
    match &trace.data {
        Data::Line { x, y } => push(json!({
            "type": "scatter",
            "mode": if x.len() == 1 { "markers" } else { "lines" },
            "line": {"color": colour, "width": 1.8},
            "x": numbers(x),
            "y": optional(y),
        })),
        Data::Band { x, low, high } => {
            let edge = |y: &[f64]| {
                json!({
                    "type": "scatter",
                    "mode": "lines",
                    "line": {"color": colour, "width": 0},
                    "hoverinfo": "skip",
                    "x": numbers(x),
                    "y": numbers(y),
                })
            };
            push(edge(low));
            let mut upper = edge(high);
            upper["fill"] = "tonexty".into();
            upper["fillcolor"] = format!("{colour}33").into();
            push(upper);
        }
        Data::Points {
            x,
            y,
            uids,
            shade,
            text,
        } => {
            let mut marker = json!({"size": 6, "opacity": 0.65, "color": colour});
            if !shade.is_empty() {
                marker["color"] = numbers(shade);
                marker["colorscale"] = "Viridis".into();
                marker["showscale"] = true.into();
            }
            let mut points = json!({
                "type": if x.len() > 2_000 { "scattergl" } else { "scatter" },
                "mode": "markers",
                "marker": marker,
                "x": values(x),
                "y": values(y),
            });
            if !uids.is_empty() {
                points["customdata"] = json!(uids);
            }
            if !text.is_empty() {
                points["text"] = json!(all_escaped(text));
            }
            push(points);
        }
        Data::Space { x, y, z, .. } => push(json!({
            "type": "scatter3d",
            "mode": "markers",
            "marker": {"size": 3, "opacity": 0.7, "color": colour},
            "x": numbers(x),
            "y": numbers(y),
            "z": numbers(z),
        })),
        Data::Bars {
            x,
            y,
            half_widths,
            text,
        } => {
            let mut bars = json!({
                "type": "bar",
                "marker": {"color": colour},
                "x": values(x),
                "y": optional(y),
            });
            if !half_widths.is_empty() {
                let cap = if half_widths.len() > CAPPED { 0 } else { 4 };
                bars["error_y"] = json!({
                    "type": "data",
                    "array": optional(half_widths),
                    "color": "rgba(120, 130, 145, 0.9)",
                    "thickness": 1,
                    "width": cap,
                });
            }
            if !text.is_empty() {
                bars["hovertext"] = json!(all_escaped(text));
            }
            push(bars);
        }
        Data::Edges { ends } => {
            let flat = |of: fn(&(f64, f64)) -> f64| -> Vec<Value> {
                ends.iter()
                    .flat_map(|[one, other]| [number(of(one)), number(of(other)), Value::Null])
                    .collect()
            };
            push(json!({
                "type": "scatter",
                "mode": "lines",
                "line": {"color": colour, "width": 0.8},
                "hoverinfo": "skip",
                "x": flat(|end| end.0),
                "y": flat(|end| end.1),
            }));
        }
        Data::Heat { x, y, z, title } => push(json!({
            "type": "heatmap",
            "colorscale": "Viridis",
            "colorbar": {"title": {"text": title}, "thickness": 14, "outlinewidth": 0},
            "hoverongaps": false,
            "hovertemplate": format!("uid %{{y}}<br>%{{x}}<br>{title} %{{z:.4g}}<extra></extra>"),
            "x": numbers(x),
            "y": all_escaped(y),
            "z": z.iter().map(|row| optional(row)).collect::<Vec<_>>(),
        })),
    }
}

fn number(value: f64) -> Value {
    let value = rounded(value);
    if value.fract() == 0.0 && value.abs() < 1e15 {
        return json!(value as i64);
    }
    // A number that is not finite has no JSON form and no place in a plot.
    serde_json::Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn numbers(values: &[f64]) -> Value {
    values.iter().map(|value| exact_if_whole(*value)).collect()
}

/// Returns a whole number as it is, such as a step, and rounds any other.
fn exact_if_whole(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 {
        json!(value as i64)
    } else {
        number(value)
    }
}

fn optional(values: &[Option<f64>]) -> Value {
    values
        .iter()
        .map(|value| value.map_or(Value::Null, exact_if_whole))
        .collect()
}

fn values(values: &Values) -> Value {
    match values {
        Values::Numbers(values) => numbers(values),
        Values::Words(words) => json!(all_escaped(words)),
    }
}
