//! plotly.js, the library for plots, as embedded in the page.

use std::sync::LazyLock;

/// Sources of the `plotly` crate: two script elements, plotly.js and a library for formulas. No plot contains formulas,
/// and the second library would add two megabytes to every page.
static SOURCES: LazyLock<String> = LazyLock::new(plotly::Plot::offline_js_sources);

/// Returns the text of plotly.js, which contains no closing script tag.
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
    fn the_library_is_only_plotly() {
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
