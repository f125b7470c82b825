//! The programs that the work tree requires and a machine may lack, and how to install them.

use std::env;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, ensure};

const CXX: &str = "no C++ compiler (c++, g++ or clang++, or one named by CXX): \
    apt install g++, dnf install gcc-c++, pacman -S gcc, zypper install gcc-c++, xcode-select --install";
const GIT: &str = "no git: apt, dnf or zypper install git, pacman -S git";
const PYTHON: &str = "no Python 3 (python3 or python): \
    apt, dnf or zypper install python3 python3-pip, pacman -S python python-pip";
const PIP: &str = "Python has no pip: \
    apt, dnf or zypper install python3-pip, pacman -S python-pip, elsewhere python3 -m ensurepip";

/// Returns whether a program called `name` is on the search path.
pub(crate) fn on_path(name: &str) -> bool {
    !all_on_path(name).is_empty()
}

/// Returns all programs called `name` on the search path, in its order.
pub(crate) fn all_on_path(name: &str) -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .filter(|file| is_program(file))
        .collect()
}

fn is_program(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Checks that the programs that every build requires exist. Starts no process, so it is fast.
///
/// # Errors
///
/// Returns an error that lists everything that is missing and how to install it.
pub(crate) fn check_compilers() -> Result<()> {
    report(&missing_compilers())
}

/// Checks that the programs that every build requires exist, and returns the Python, with pip, that downloads libtorch.
///
/// # Errors
///
/// Returns an error that lists everything that is missing and how to install it.
pub(crate) fn check_compilers_and_python() -> Result<&'static str> {
    let mut missing = missing_compilers();
    let python = python_with_pip().unwrap_or_else(|lacking| {
        missing.push(lacking);
        "python3"
    });
    report(&missing)?;
    Ok(python)
}

fn report(missing: &[&str]) -> Result<()> {
    ensure!(
        missing.is_empty(),
        "required programs are missing on this machine:\n  {}",
        missing.join("\n  ")
    );
    Ok(())
}

fn missing_compilers() -> Vec<&'static str> {
    let mut missing = Vec::new();
    if env::var_os("CXX").is_none() && !["c++", "g++", "clang++"].into_iter().any(on_path) {
        missing.push(CXX);
    }
    if !on_path("git") {
        missing.push(GIT);
    }
    missing
}

/// Returns the first Python 3 on the search path that has pip, or the description of what is missing.
fn python_with_pip() -> Result<&'static str, &'static str> {
    let mut lacking = PYTHON;
    for python in ["python3", "python"] {
        if !succeeds(
            python,
            &["-c", "import sys, zipfile; sys.exit(sys.version_info < (3, 6))"],
        ) {
            continue;
        }
        if succeeds(python, &["-m", "pip", "--version"]) {
            return Ok(python);
        }
        lacking = PIP;
    }
    Err(lacking)
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};

    #[test]
    fn a_program_is_a_file_that_may_be_executed() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let file = folder.path().join("python3");
        assert!(!is_program(&file), "the file does not exist");
        fs::write(&file, "").expect("a file can be written");
        fs::set_permissions(&file, Permissions::from_mode(0o644)).expect("permissions can be set");
        assert!(!is_program(&file), "the file is not executable");
        fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("permissions can be set");
        assert!(is_program(&file));
        assert!(!is_program(folder.path()), "a folder");
    }

    #[test]
    fn everything_that_is_missing_is_reported_together() {
        assert!(report(&[]).is_ok());
        let said = report(&[CXX, PIP])
            .expect_err("two things are missing")
            .to_string();
        assert!(
            said.contains("apt install g++") && said.contains("python3-pip"),
            "{said}"
        );
    }
}
