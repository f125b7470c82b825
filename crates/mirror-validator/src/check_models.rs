//! The part of `mirror models check` that needs libtorch: compares models with the numbers that Python computed for
//! them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use mirror_models::check::{self, CheckError, Checked};
use mirror_models::torch;
use mirror_output::message;

/// Exit status if every difference is within the tolerance.
const WITHIN: u8 = 0;
/// Exit status if a difference is beyond the tolerance.
const BEYOND: u8 = 1;
/// Exit status if a directory cannot be checked or the command line is invalid.
const WRONG: u8 = 2;

/// Checks the directories in the arguments after `check-models` and the tolerance. The exit status is 0 if all
/// differences are within the tolerance, 1 if one is not, and 2 if a directory cannot be checked.
pub fn main(mut words: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let tolerance = words.next().and_then(|word| word.to_str()?.parse::<f64>().ok());
    let Some(tolerance) = tolerance else {
        message!("error: expected a tolerance and then directories, as `mirror models check` passes them");
        return ExitCode::from(WRONG);
    };
    match check_all(words.map(PathBuf::from), tolerance) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            message!("error: {error:#}");
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
                    print_outcome(checked, tolerance)?;
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

/// Returns whether a difference is within the tolerance. NaN is not.
fn is_within(difference: f64, tolerance: f64) -> bool {
    difference <= tolerance
}

fn print_outcome(checked: &Checked, tolerance: f64) -> anyhow::Result<()> {
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
    message!("{}: {:#}", folder.display(), anyhow::Error::new(error));
}
