//! plotly.js, the library for plots, as embedded in the page.

use std::io::Write;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

/// plotly.js, packed. It is a third of the size of the text.
static LIBRARY: LazyLock<String> = LazyLock::new(|| packed(text().as_bytes()));

/// Compresses a text with gzip and encodes it in base64. The browser unpacks it after the page has been painted.
pub(super) fn packed(text: &[u8]) -> String {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text).expect("writing to memory does not fail");
    STANDARD.encode(gzip.finish().expect("writing to memory does not fail"))
}

/// Sources of the `plotly` crate: two script elements, plotly.js and a library for formulas. No plot contains formulas,
/// and the second library would add two megabytes to every page.
static SOURCES: LazyLock<String> = LazyLock::new(plotly::Plot::offline_js_sources);

/// Returns plotly.js, packed.
pub(super) fn plotly_js() -> &'static str {
    &LIBRARY
}

/// Returns the text of plotly.js.
fn text() -> &'static str {
    let inside = SOURCES.split_once('>').map_or("", |(_, inside)| inside);
    inside
        .split_once("</script>")
        .map_or(inside, |(plotly, _)| plotly)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_library_is_only_plotly() {
        let library = text();
        assert!(library.trim_start().starts_with("/**\n* plotly.js v3."));
        assert!(!library.contains("</script"));
        let mut unpacked = String::new();
        flate2::read::GzDecoder::new(STANDARD.decode(plotly_js()).unwrap().as_slice())
            .read_to_string(&mut unpacked)
            .unwrap();
        assert!(unpacked == library, "the page has another text");
        assert!(plotly_js().len() < 2_200_000, "{} bytes", plotly_js().len());
    }
}
