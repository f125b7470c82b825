//! `mirror models check`, the part that needs libtorch: models held against the numbers that Python computed from them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mirror_models::check::{self, CheckError, Checked};
use mirror_models::torch;

/// Every number is within the tolerance.
const WITHIN: u8 = 0;
/// One is not.
const BEYOND: u8 = 1;
/// A folder is not what it should be, or the command line is not.
const WRONG: u8 = 2;

/// Checks the folders that the words after `check-models` name, behind the tolerance. The exit status is 0 when all
/// numbers are within it, 1 when one is not, 2 when a folder cannot be checked.
pub fn main(mut words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let tolerance = words.next().and_then(|word| word.to_str()?.parse::<f64>().ok());
    let Some(tolerance) = tolerance else {
        eprintln!("a tolerance is expected, then folders; `mirror models check` gives them");
        return ExitCode::from(WRONG);
    };
    match check_all(words.map(PathBuf::from), tolerance) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check_all(folders: impl Iterator<Item = PathBuf>, tolerance: f64) -> anyhow::Result<u8> {
    torch::prepare("cpu", 1)?;
    let mut status = WITHIN;
    for folder in folders {
        match check::check(&folder) {
            Ok(all) => {
                for checked in &all {
                    tell(checked, tolerance)?;
                    if !is_within(checked.largest(), tolerance) {
                        status = status.max(BEYOND);
                    }
                }
            }
            Err(error) => {
                refuse(&folder, error);
                status = WRONG;
            }
        }
    }
    Ok(status)
}

/// NaN is within nothing.
fn is_within(difference: f64, tolerance: f64) -> bool {
    difference <= tolerance
}

fn tell(checked: &Checked, tolerance: f64) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", checked.folder.display())?;
    for (quantity, difference) in &checked.differences {
        let verdict = if is_within(*difference, tolerance) {
            ""
        } else {
            "  beyond the tolerance"
        };
        writeln!(out, "  {quantity:<24}{difference:>10.1e}{verdict}")?;
    }
    if !checked.unknown.is_empty() {
        writeln!(out, "  not checked: {}", checked.unknown.join(", "))?;
    }
    Ok(())
}

fn refuse(folder: &Path, error: CheckError) {
    eprintln!("{}: {:#}", folder.display(), anyhow::Error::new(error));
}
