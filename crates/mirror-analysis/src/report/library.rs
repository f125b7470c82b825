//! The plots' library, plotly.js, as the page carries it.

use std::sync::LazyLock;

/// The crate hands out two scripts, each in its element: plotly.js, and one that typesets formulas, which no plot has
/// and which would add two megabytes to every page.
static SOURCES: LazyLock<String> = LazyLock::new(plotly::Plot::offline_js_sources);

/// The text of plotly.js, which holds no closing tag of a script.
pub(super) fn plotly_js() -> &'static str {
    let inside = SOURCES.split_once('>').map_or("", |(_, inside)| inside);
    inside
        .split_once("</script>")
        .map_or(inside, |(plotly, _)| plotly)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_plotly_and_nothing_else() {
        let library = plotly_js();
        assert!(library.trim_start().starts_with("/**\n* plotly.js v3."));
        assert!(!library.contains("</script"));
        assert!(
            (4_000_000..5_200_000).contains(&library.len()),
            "{} bytes",
            library.len()
        );
    }
}
