//! Writes the plots of a report as PNG files, which Chromium draws from the page.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Report;
use crate::error::AnalysisError;

/// Names of the browser's program on Debian and other systems.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// Maximum time that the page may take, in milliseconds of the page's own clock.
const PATIENCE: &str = "--virtual-time-budget=600000";

impl Report {
    /// Writes each plot to `folder` as `<name>.png` of 1600 × 900 pixels, and returns the paths. The folder is created
    /// if it does not exist.
    ///
    /// # Errors
    /// Returns an error if there is no Chromium, if it fails, or if a file cannot be written.
    pub fn write_pictures(&self, folder: &Path) -> Result<Vec<PathBuf>, AnalysisError> {
        let write_error = |path: &Path| {
            let path = path.to_owned();
            move |source| AnalysisError::Write { path, source }
        };
        fs::create_dir_all(folder).map_err(write_error(folder))?;
        let work = tempfile::tempdir().map_err(write_error(&std::env::temp_dir()))?;
        let page = work.path().join("report.html");
        fs::write(&page, self.to_html()?).map_err(write_error(&page))?;
        let drawn = drawn_by_browser(&page, work.path())?;
        let mut paths = Vec::new();
        for line in pictures(&drawn)?.lines() {
            let (name, data) = line
                .split_once(" data:image/png;base64,")
                .ok_or(AnalysisError::Browser(
                    "it drew a plot in another format".to_owned(),
                ))?;
            let known = self.plots.iter().any(|plot| plot.name == name);
            let picture = STANDARD.decode(data).ok().filter(|_| known);
            let picture = picture.ok_or(AnalysisError::Browser("its output is damaged".to_owned()))?;
            let path = folder.join(format!("{name}.png"));
            mirror_files::replace(&path, &picture).map_err(write_error(&path))?;
            paths.push(path);
        }
        Ok(paths)
    }
}

fn is_there(browser: &str) -> bool {
    let version = Command::new(browser)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

/// Returns the page after its script has replaced it by the pictures.
fn drawn_by_browser(page: &Path, work: &Path) -> Result<String, AnalysisError> {
    let browser = BROWSERS.iter().find(|name| is_there(name));
    let browser = browser.ok_or(AnalysisError::NoBrowser)?;
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--dump-dom",
            PATIENCE,
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .arg(format!("--user-data-dir={}", work.join("profile").display()))
        .arg(format!("file://{}#png", page.display()))
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| AnalysisError::Browser(error.to_string()))?;
    if !output.status.success() {
        return Err(AnalysisError::Browser(output.status.to_string()));
    }
    String::from_utf8(output.stdout).map_err(|error| AnalysisError::Browser(error.to_string()))
}

/// Returns the lines with the pictures.
fn pictures(page: &str) -> Result<&str, AnalysisError> {
    let start = page.split_once("<pre id=\"pictures\">").map(|(_, after)| after);
    let whole = start.and_then(|after| after.split_once("</pre>"));
    whole.map(|(lines, _)| lines).ok_or(AnalysisError::Browser(
        "it did not draw the plots in time".to_owned(),
    ))
}
