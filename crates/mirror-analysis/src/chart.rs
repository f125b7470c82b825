//! A drawn plot as data: axes and traces, in full precision, independent of the library that shows it.

use serde::Serialize;

pub(crate) mod plotly;

/// A drawn plot.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figure {
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// The data.
    pub traces: Vec<Trace>,
    /// Arrangement of the bars of several traces.
    #[serde(skip)]
    pub bars: BarMode,
    /// Height in pixels.
    #[serde(skip)]
    pub height: Height,
    /// Text alternative for readers who cannot see the plot.
    pub alternative: String,
    /// Description of how the data was reduced, or empty.
    pub note: String,
}

/// An axis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Axis {
    /// Title with the unit.
    pub title: String,
    /// Scale of the axis.
    pub scale: Scale,
}

/// Scale of an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Numbers.
    #[default]
    Linear,
    /// Shares of one, shown in percent.
    Share,
    /// Uids as categories at equal distances.
    Uids,
    /// Texts as categories at equal distances.
    Words,
    /// Number of the forward over all steps.
    Forward,
    /// Step of the query.
    Step,
    /// Epoch of the chain.
    Epoch,
    /// Seconds since the first forward.
    Second,
}

impl Scale {
    /// Returns whether incidents are drawn on an axis with this scale.
    pub fn is_time(self) -> bool {
        matches!(self, Self::Forward | Self::Step | Self::Epoch | Self::Second)
    }
}

impl Axis {
    pub(crate) fn new(title: impl Into<String>, scale: Scale) -> Self {
        Self {
            title: title.into(),
            scale,
        }
    }

    pub(crate) fn linear(title: impl Into<String>) -> Self {
        Self::new(title, Scale::Linear)
    }

    pub(crate) fn uids() -> Self {
        Self::new("uid", Scale::Uids)
    }
}

/// Arrangement of the bars of several traces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BarMode {
    /// One in front of the other.
    #[default]
    Overlay,
    /// One on top of the other.
    Stack,
    /// Side by side.
    Group,
}

/// Height of a plot in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Height(pub u32);

impl Default for Height {
    fn default() -> Self {
        Self(340)
    }
}

/// One series of a plot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trace {
    /// Name in the legend.
    pub name: String,
    /// The uid to which the whole trace belongs, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Colour.
    #[serde(skip)]
    pub color: Color,
    /// The points.
    #[serde(flatten)]
    pub data: Data,
}

/// Colour of a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// The colour of the main data of a plot.
    #[default]
    Main,
    /// The colour of data in the background.
    Behind,
    /// One of the colours of traces of equal importance.
    Series(usize),
    /// A fixed colour, in CSS notation.
    Fixed(&'static str),
}

/// The points of a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Data {
    /// A line. It has a gap where `y` is absent.
    Line {
        /// Positions.
        x: Vec<f64>,
        /// Values.
        y: Vec<Option<f64>>,
    },
    /// The area between two lines, in the background.
    Band {
        /// Positions.
        x: Vec<f64>,
        /// Lower bounds.
        low: Vec<f64>,
        /// Upper bounds.
        high: Vec<f64>,
    },
    /// Single points.
    Points {
        /// Positions.
        x: Values,
        /// Values.
        y: Values,
        /// The uid of each point, or empty.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        uids: Vec<u32>,
        /// A number that colours each point, or empty.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        shade: Vec<f64>,
        /// Text of each point, or empty.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        text: Vec<String>,
    },
    /// Points in space.
    Space {
        /// First coordinate.
        x: Vec<f64>,
        /// Second coordinate.
        y: Vec<f64>,
        /// Third coordinate.
        z: Vec<f64>,
        /// Titles of the three axes.
        titles: [String; 3],
    },
    /// Bars.
    Bars {
        /// Positions.
        x: Values,
        /// Heights.
        y: Vec<Option<f64>>,
        /// Half the length of an interval around each height, or empty.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        half_widths: Vec<Option<f64>>,
        /// Text of each bar, or empty.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        text: Vec<String>,
    },
    /// Lines between pairs of points.
    Edges {
        /// Both ends of each line.
        ends: Vec<[(f64, f64); 2]>,
    },
    /// A table of cells, coloured by value. A cell is blank where the value is absent.
    Heat {
        /// Position of each column.
        x: Vec<f64>,
        /// Name of each row, the first at the top.
        y: Vec<String>,
        /// Values by row.
        z: Vec<Vec<Option<f64>>>,
        /// Title of the values.
        title: String,
    },
}

/// Values along an axis.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Values {
    /// Numbers.
    Numbers(Vec<f64>),
    /// Categories.
    Words(Vec<String>),
}

impl Values {
    /// Returns uids as categories.
    pub(crate) fn uids<'a>(uids: impl IntoIterator<Item = &'a u32>) -> Self {
        Self::Words(uids.into_iter().map(u32::to_string).collect())
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Numbers(numbers) => numbers.len(),
            Self::Words(words) => words.len(),
        }
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Trace {
    pub(crate) fn new(name: impl Into<String>, color: Color, data: Data) -> Self {
        Self {
            name: name.into(),
            uid: None,
            color,
            data,
        }
    }

    pub(crate) fn line(
        name: impl Into<String>,
        color: Color,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> Self {
        let (x, y) = points.map(|(x, y)| (x, Some(y))).unzip();
        Self::new(name, color, Data::Line { x, y })
    }

    /// A band from the lower to the upper bound at each position.
    pub(crate) fn band(
        name: impl Into<String>,
        color: Color,
        points: impl Iterator<Item = (f64, (f64, f64))>,
    ) -> Self {
        let (x, bounds): (Vec<f64>, Vec<(f64, f64)>) = points.unzip();
        let (low, high) = bounds.into_iter().unzip();
        Self::new(name, color, Data::Band { x, low, high })
    }

    pub(crate) fn bars(name: impl Into<String>, color: Color, x: Values, y: Vec<Option<f64>>) -> Self {
        let half_widths = Vec::new();
        let text = Vec::new();
        Self::new(
            name,
            color,
            Data::Bars {
                x,
                y,
                half_widths,
                text,
            },
        )
    }

    pub(crate) fn points(name: impl Into<String>, color: Color, x: Values, y: Values) -> Self {
        Self::new(
            name,
            color,
            Data::Points {
                x,
                y,
                uids: Vec::new(),
                shade: Vec::new(),
                text: Vec::new(),
            },
        )
    }
}
