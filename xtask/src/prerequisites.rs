//! The programs that the work tree needs and a machine may lack, and how to get them.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const CXX: &str = "no C++ compiler (c++, g++ or clang++, or one named by CXX): \
    apt install g++, dnf install gcc-c++, pacman -S gcc, zypper install gcc-c++, xcode-select --install";
const GIT: &str = "no git: apt, dnf or zypper install git, pacman -S git";
const PYTHON: &str = "no Python 3 (python3 or python): \
    apt, dnf or zypper install python3 python3-pip, pacman -S python python-pip";
const PIP: &str = "Python has no pip: \
    apt, dnf or zypper install python3-pip, pacman -S python-pip, elsewhere python3 -m ensurepip";

/// Whether a program called `name` lies on the search path.
pub(crate) fn on_path(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| is_program(&folder.join(name)))
}

fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Checks that what every build needs is there; starts no process, so it costs nothing.
///
/// # Errors
///
/// All that is missing, with how to get it.
pub(crate) fn check_compilers() -> Result<()> {
    let mut missing = Vec::new();
    if env::var_os("CXX").is_none() && !["c++", "g++", "clang++"].into_iter().any(on_path) {
        missing.push(CXX);
    }
    if !on_path("git") {
        missing.push(GIT);
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!("this machine lacks something:\n  {}", missing.join("\n  "))
}

/// The first Python 3 on the search path that has pip.
///
/// # Errors
///
/// When there is none, with how to get one.
pub(crate) fn python_with_pip() -> Result<&'static str> {
    let mut lacking = PYTHON;
    for python in ["python3", "python"].into_iter().filter(|name| on_path(name)) {
        if !answers(
            python,
            &["-c", "import sys, zipfile; sys.exit(sys.version_info < (3, 6))"],
        )? {
            continue;
        }
        if answers(python, &["-m", "pip", "--version"])? {
            return Ok(python);
        }
        lacking = PIP;
    }
    bail!("libtorch is fetched with pip, and this machine lacks it:\n  {lacking}")
}

fn answers(program: &str, arguments: &[&str]) -> Result<bool> {
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {program}"))?;
    Ok(status.success())
}
