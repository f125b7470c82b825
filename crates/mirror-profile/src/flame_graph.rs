//! Flame graphs: stacks as nested bars whose widths are their numbers of samples, drawn as SVG. The threads are at the
//! top, and each function is below its caller.
//!
//! The form is that of Brendan Gregg, "The Flame Graph", ACM Queue 14(2), 2016, with the origin at the top.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Height of a bar in pixels.
const ROW: usize = 18;

/// Height of the title and the explanation in pixels.
const HEADER: usize = 56;

/// The share of all samples below which a bar is left out, because it would be about one pixel wide. It also bounds the
/// size of the picture: each level has at most a thousand bars.
const MIN_SHARE: f64 = 0.001;

/// Enlarges the bar that is clicked to the width of the picture. The bars above it remain, the others are hidden.
const SCRIPT: &str = include_str!("flame_graph.js");

/// The tree of the stacks. A node is a thread or a function, and its children are the functions that it called.
#[derive(Debug, Default)]
pub(crate) struct FlameGraph {
    samples: u64,
    children: BTreeMap<String, FlameGraph>,
}

impl FlameGraph {
    /// Adds `count` samples of a stack, whose outermost name is the first.
    pub(crate) fn add(&mut self, stack: Vec<String>, count: u64) {
        self.samples += count;
        let mut node = self;
        for name in stack {
            node = node.children.entry(name).or_default();
            node.samples += count;
        }
    }

    /// Returns the number of samples of all stacks.
    pub(crate) fn samples(&self) -> u64 {
        self.samples
    }

    /// Draws the graph as SVG. It fills the width of its window.
    pub(crate) fn draw(&self, title: &str, explanation: &str) -> String {
        let mut drawing = Drawing {
            bars: String::new(),
            all: self.samples,
            levels: 0,
        };
        drawing.bar("all threads", self, 0, 0);
        let Drawing { bars, levels, .. } = drawing;
        let (title, explanation) = (escaped(title), escaped(explanation));
        let height = HEADER + levels * ROW + ROW;
        format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="100%" height="{height}" font-family="monospace" font-size="12">
<title>{title}</title>
<style>.bar {{ cursor: pointer }} .bar rect {{ stroke: white; stroke-width: 0.5 }}</style>
<rect width="100%" height="100%" fill="white"/>
<text x="8" y="20" font-size="16">{title}</text>
<text x="8" y="40">{explanation}</text>
{bars}<script><![CDATA[
{SCRIPT}]]></script>
</svg>
"#
        )
    }
}

/// A picture in progress.
struct Drawing {
    bars: String,
    /// Number of samples of the whole width.
    all: u64,
    levels: usize,
}

impl Drawing {
    /// Draws a node that begins at the sample `from`, and the nodes below it.
    fn bar(&mut self, name: &str, node: &FlameGraph, from: u64, level: usize) {
        let percent = |samples: u64| samples as f64 / self.all as f64 * 100.0;
        let width = percent(node.samples);
        if width < MIN_SHARE * 100.0 {
            return;
        }
        let (to, samples, name) = (from + node.samples, node.samples, escaped(name));
        let (x, y, hue) = (percent(from), HEADER + level * ROW, hue(&name));
        // A write to a string cannot fail. An inner `svg` element clips its text.
        let _ = writeln!(
            self.bars,
            r#"<svg class="bar" data-from="{from}" data-to="{to}" x="{x:.3}%" y="{y}" width="{width:.3}%" height="{ROW}"><title>{name}: {samples} samples, {width:.1}%</title><rect width="100%" height="100%" fill="hsl({hue}, 85%, 70%)"/><text x="3" y="13">{name}</text></svg>"#
        );
        self.levels = self.levels.max(level + 1);
        let mut begins = from;
        for (name, child) in &node.children {
            self.bar(name, child, begins, level + 1);
            begins += child.samples;
        }
    }
}

/// Returns a hue between red and yellow in degrees, the same for the same name.
fn hue(name: &str) -> u32 {
    let sum = name
        .bytes()
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    sum % 50
}

/// Returns a text for an XML document. Characters that XML does not allow are replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(stacks: &[(&[&str], u64)]) -> String {
        let mut graph = FlameGraph::default();
        for (stack, count) in stacks {
            graph.add(stack.iter().map(|&name| name.to_owned()).collect(), *count);
        }
        graph.draw("a title", "an explanation")
    }

    /// Returns the bars with this name: the numbers of their first and last samples, and their distances from the top.
    fn bars(picture: &str, name: &str) -> Vec<(u64, u64, u64)> {
        let document = roxmltree::Document::parse(picture).expect("the picture is XML");
        let bars = document
            .descendants()
            .filter(|node| node.attribute("class") == Some("bar"));
        let named = bars.filter(|bar| {
            let mut texts = bar.children().filter(|part| part.has_tag_name("text"));
            texts.any(|text| text.text() == Some(name))
        });
        let number = |bar: roxmltree::Node<'_, '_>, key| {
            let value = bar.attribute(key).expect("a bar has a place");
            value.parse().expect("a number")
        };
        named
            .map(|bar| (number(bar, "data-from"), number(bar, "data-to"), number(bar, "y")))
            .collect()
    }

    #[test]
    fn a_bar_is_as_wide_as_its_samples_and_lies_below_its_caller() {
        let picture = graph(&[
            (&["main", "serve", "read"], 30),
            (&["main", "serve"], 10),
            (&["main", "wait"], 60),
        ]);
        let [main] = bars(&picture, "main")[..] else {
            panic!()
        };
        let [serve] = bars(&picture, "serve")[..] else {
            panic!()
        };
        let [read] = bars(&picture, "read")[..] else {
            panic!()
        };
        let [wait] = bars(&picture, "wait")[..] else {
            panic!()
        };
        let width = |bar: (u64, u64, u64)| bar.1 - bar.0;
        assert_eq!([main, serve, read, wait].map(width), [100, 40, 30, 60]);
        for (caller, called) in [(main, serve), (serve, read), (main, wait)] {
            assert!(
                caller.0 <= called.0 && called.1 <= caller.1,
                "{caller:?} {called:?}"
            );
            assert!(caller.2 < called.2, "{caller:?} {called:?}");
        }
        assert!(serve.1 <= wait.0 || wait.1 <= serve.0, "{serve:?} {wait:?}");
    }

    #[test]
    fn a_function_called_from_two_places_has_two_bars() {
        let picture = graph(&[(&["main", "one", "copy"], 5), (&["main", "two", "copy"], 7)]);
        assert_eq!(bars(&picture, "copy").len(), 2);
    }

    #[test]
    fn a_function_below_a_thousandth_of_the_samples_is_left_out() {
        let picture = graph(&[(&["main", "rare"], 1), (&["main", "frequent"], 1_999)]);
        assert_eq!(bars(&picture, "rare"), []);
        assert_eq!(bars(&picture, "frequent").len(), 1);
    }

    #[test]
    fn names_may_have_any_characters() {
        let strange = "<[u8; 32] as Into<&'a \"T\">>::f && ]]>";
        let picture = graph(&[(&["main", strange], 1), (&["main", "control \u{1b}\u{ffff}"], 1)]);
        assert_eq!(bars(&picture, strange).len(), 1);
        assert_eq!(bars(&picture, "control \u{fffd}\u{fffd}").len(), 1);
    }
}
