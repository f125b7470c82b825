//! DuckDB's executable, which answers SQL, in the cache. `mirror` finds it there as `bin/duckdb`.

use std::env;
use std::fs;

use anyhow::{Context, Result};

use crate::wheels::{Bundle, Part, Wheel, cache_folder, point};

pub(crate) static DUCKDB: Bundle = Bundle {
    name: "duckdb",
    sizes: "21 MB, once; 62 MB are kept",
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

/// Makes sure that `mirror` finds DuckDB: the user's own, which `MIRROR_DUCKDB` names, or the one that is fetched once.
///
/// # Errors
///
/// When there is none for this system, when something that fetching needs is missing, or when fetching or writing fails.
pub(crate) fn set_up() -> Result<()> {
    if env::var_os("MIRROR_DUCKDB").is_some_and(|own| !own.is_empty()) {
        return Ok(());
    }
    let place = DUCKDB.set_up()?;
    let programs = cache_folder(|name| env::var_os(name))?.join("bin");
    fs::create_dir_all(&programs).with_context(|| format!("cannot make {}", programs.display()))?;
    point(&programs.join("duckdb"), &place.join("duckdb"))
}
