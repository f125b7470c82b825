//! DuckDB's executable, which executes SQL, in the cache. `mirror` finds it there as `bin/duckdb`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::prerequisites::all_on_path;
use crate::wheels::{Bundle, Part, Wheel, cache_folder, point};

pub(crate) static DUCKDB: Bundle = Bundle {
    name: "duckdb",
    sizes: "a 21 MB download, once, and 62 MB on disk",
    remedy: "`pip install duckdb-cli` and put `duckdb` on the PATH, or set MIRROR_DUCKDB to an executable",
    notes: &[],
    wheels: &[Wheel {
        name: "duckdb-cli",
        version: "1.5.6",
        file: "duckdb_cli-1.5.6-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        sha256: "9797555bd39095d730eb0d0b3bf29e95e148c96a4cdce1e363f01c7bf7003a44",
        parts: &[Part::File {
            member: "duckdb_cli/duckdb",
            target: "duckdb",
            size: 61_932_504,
            mode: 0o755,
        }],
    }],
};

/// The oldest version, as major and minor number, that `mirror` accepts from the search path. `mirror-sql` has the
/// same.
const MINIMUM_VERSION: (u32, u32) = (1, 5);

/// Makes sure that `mirror` finds DuckDB: the user's executable, which `MIRROR_DUCKDB` names or which is on the search
/// path and recent enough, or else the one that is downloaded once. Returns its path.
///
/// # Errors
///
/// Returns an error if there is none for this system, if a program that the download requires is missing, or if the
/// download or writing fails.
pub(crate) fn set_up() -> Result<PathBuf> {
    if let Some(own) = env::var_os("MIRROR_DUCKDB").filter(|own| !own.is_empty()) {
        return Ok(own.into());
    }
    if let Some(program) = all_on_path("duckdb").into_iter().find(|file| is_recent(file)) {
        return Ok(program);
    }
    let program = DUCKDB.set_up()?.join("duckdb");
    let programs = cache_folder(|name| env::var_os(name))?.join("bin");
    fs::create_dir_all(&programs).with_context(|| format!("cannot create {}", programs.display()))?;
    point(&programs.join("duckdb"), &program)?;
    Ok(program)
}

/// Returns whether the executable `program` is a DuckDB that is recent enough.
fn is_recent(program: &Path) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .output();
    asked.is_ok_and(|output| {
        let printed = String::from_utf8_lossy(&output.stdout);
        version_of(&printed).is_some_and(|version| version >= MINIMUM_VERSION)
    })
}

/// Parses the major and minor number in the output of `duckdb --version`: `v1.5.6 (Variegata) 1234abcd`.
fn version_of(printed: &str) -> Option<(u32, u32)> {
    let mut numbers = printed.strip_prefix('v')?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_parsed_from_the_output_of_duckdb() {
        assert_eq!(version_of("v1.5.6 (Variegata) 0123456789"), Some((1, 5)));
        assert_eq!(version_of("v2.0.0-dev1"), Some((2, 0)));
        assert!(version_of("v1.4.9").is_some_and(|version| version < MINIMUM_VERSION));
        assert_eq!(version_of("sqlite 3.40"), None);
        assert_eq!(version_of(""), None);
    }
}
