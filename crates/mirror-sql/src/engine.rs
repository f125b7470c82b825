//! Finds the DuckDB executable and checks its version.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::EngineError;

/// Name of the executable, on the search path and in the cache.
pub const PROGRAM: &str = "duckdb";

/// The oldest supported version of DuckDB: major and minor version. Its table function `query` accepts a variable, and
/// its parser produces the syntax tree that `judge` reads.
pub const MINIMUM_VERSION: (u32, u32) = (1, 5);

/// Maximum execution time of a query.
pub(crate) const MAX_TIME: Duration = Duration::from_secs(30);

/// Maximum execution time of `duckdb --version`, and maximum number of bytes of its output that are read.
const VERSION_TIME: Duration = Duration::from_secs(5);
const VERSION_BYTES: u64 = 4 << 10;

/// Environment variable that contains the path of a custom executable.
const VARIABLE: &str = "MIRROR_DUCKDB";

/// A DuckDB executable of a supported version.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) program: PathBuf,
    /// Maximum execution time of a query.
    pub(crate) time: Duration,
    /// Directory in which each query gets a temporary directory. It is removed after the query.
    pub(crate) folder: PathBuf,
}

impl Engine {
    /// Finds the executable: the one at the path in `MIRROR_DUCKDB`, otherwise `duckdb` on the `PATH` if its version is
    /// supported, otherwise the one that `cargo xtask setup` downloaded.
    ///
    /// # Errors
    ///
    /// Returns an error if `MIRROR_DUCKDB` is set and that executable cannot be used, or if no usable executable is
    /// found.
    pub fn find() -> Result<Self, EngineError> {
        Self::find_by(|name| env::var_os(name))
    }

    /// Finds the executable as [`Engine::find`] does, with the environment variables that `variable` returns.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Engine::find`].
    pub fn find_by(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, EngineError> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        if let Some(own) = set(VARIABLE) {
            return Self::at(Path::new(&own));
        }
        let path = set("PATH").unwrap_or_default();
        let on_path = env::split_paths(&path)
            .map(|folder| folder.join(PROGRAM))
            .filter(|file| file.is_file());
        let fetched = fetched(set).filter(|file| file.exists());
        let mut unfit = None;
        for program in on_path.chain(fetched) {
            match Self::at(&program) {
                Ok(engine) => return Ok(engine),
                Err(error) => unfit = unfit.or(Some(error)),
            }
        }
        Err(EngineError::Missing {
            unfit: unfit.map(Box::new),
        })
    }

    /// Returns the engine for the executable at a path.
    ///
    /// # Errors
    ///
    /// Returns an error if the executable cannot be started, is not DuckDB, or is older than [`MINIMUM_VERSION`].
    pub fn at(program: &Path) -> Result<Self, EngineError> {
        let start = |source| EngineError::Start {
            program: program.to_owned(),
            source,
        };
        // DuckDB runs in another working directory, in which a relative path would be wrong.
        let absolute = std::path::absolute(program).map_err(start)?;
        let printed = first_line_of_version(&absolute).map_err(start)?;
        let Some(version) = printed.as_deref().and_then(Version::parse) else {
            return Err(EngineError::NotDuckDb {
                program: program.to_owned(),
                printed: printed.unwrap_or_default(),
            });
        };
        if (version.major, version.minor) < MINIMUM_VERSION {
            return Err(EngineError::Old {
                program: program.to_owned(),
                version: version.to_string(),
            });
        }
        Ok(Self {
            program: absolute,
            time: MAX_TIME,
            folder: env::temp_dir(),
        })
    }

    /// Returns the same engine with another time limit for a query. The default and maximum is 30 seconds.
    #[must_use]
    pub fn with_time(self, time: Duration) -> Self {
        Self {
            time: time.min(MAX_TIME),
            ..self
        }
    }

    /// Returns the same engine with another directory for its temporary files.
    #[must_use]
    pub fn working_in(self, folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            ..self
        }
    }

    /// Returns the path of the executable.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// Returns the path of the executable that `cargo xtask setup` downloads: `bin/duckdb` in the cache directory of xtask.
fn fetched(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let absolute = |name: &str| {
        variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = absolute("MIRROR_CACHE").or_else(|| {
        let caches = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")));
        Some(caches?.join("mirror-neuron"))
    })?;
    Some(cache.join("bin").join(PROGRAM))
}

/// Returns the first line that a program prints for `--version`, at most 80 characters. Returns `None` if the program
/// fails or exceeds the time limit.
fn first_line_of_version(program: &Path) -> io::Result<Option<String>> {
    let mut child = Command::new(program)
        .arg("--version")
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let started = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            // The program may block because it prints more than the pipe holds, or it may hang.
            None if started.elapsed() > VERSION_TIME => {
                child.kill()?;
                break child.wait()?;
            }
            None => thread::sleep(Duration::from_millis(2)),
        }
    };
    let mut printed = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(VERSION_BYTES).read_to_end(&mut printed)?;
    }
    let printed = String::from_utf8_lossy(&printed);
    let line = printed.lines().next().unwrap_or_default();
    Ok(status.success().then(|| line.chars().take(80).collect()))
}

/// A version as printed by `duckdb --version`: `v1.5.6 (Variegata) 1234abcd`.
#[derive(Debug, PartialEq)]
struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

impl Version {
    fn parse(printed: &str) -> Option<Self> {
        let word = printed.split_whitespace().next()?.strip_prefix('v')?;
        let numbers = word.split('-').next()?;
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let version = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
        };
        Some(version)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Creates a directory with an executable `duckdb` that prints `version`.
    fn prints(folder: &Path, version: &str) -> PathBuf {
        fs::create_dir_all(folder).expect("a folder can be made");
        let file = folder.join(PROGRAM);
        fs::write(&file, format!("#!/bin/sh\necho '{version}'\n")).expect("a file can be written");
        fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("permissions can be set");
        file
    }

    fn find(set: &[(&str, &Path)]) -> Result<PathBuf, String> {
        let variable = |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| value.as_os_str().to_owned())
        };
        Engine::find_by(variable)
            .map(|engine| engine.program)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_custom_executable_precedes_the_path_and_the_path_precedes_the_fetched_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let own = prints(&at("own"), "v1.5.0 (Own) 0123456789");
        let on_path = prints(&at("path"), "v2.0.1-dev12 (Path) 0123456789");
        let fetched = prints(&at("cache/bin"), "v1.5.6 (Fetched) 0123456789");
        let (path, cache) = (at("path"), at("cache"));
        let all = [
            ("MIRROR_DUCKDB", own.as_path()),
            ("PATH", path.as_path()),
            ("MIRROR_CACHE", cache.as_path()),
        ];
        assert_eq!(find(&all), Ok(own.clone()));
        assert_eq!(find(&all[1..]), Ok(on_path));
        assert_eq!(find(&all[2..]), Ok(fetched));
    }

    #[test]
    fn the_fetched_executable_is_found_in_each_kind_of_cache_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let below_xdg = prints(&folder.path().join("mirror-neuron/bin"), "v1.5.6");
        assert_eq!(find(&[("XDG_CACHE_HOME", folder.path())]), Ok(below_xdg));
        let below_home = prints(&folder.path().join(".cache/mirror-neuron/bin"), "v1.5.6");
        assert_eq!(find(&[("HOME", folder.path())]), Ok(below_home));
    }

    #[test]
    fn an_old_executable_on_the_path_is_skipped_for_the_fetched_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        prints(&at("path"), "v1.4.9 (Old) 0123456789");
        let (path, cache) = (at("path"), at("cache"));
        let set = [("PATH", path.as_path()), ("MIRROR_CACHE", cache.as_path())];
        let error = find(&set).expect_err("only the old executable exists");
        assert!(
            error.contains("is DuckDB 1.4.9, but at least 1.5 is required"),
            "{error}"
        );
        for way in ["cargo xtask setup", "MIRROR_DUCKDB", "PATH"] {
            assert!(error.contains(way), "{way}: {error}");
        }
        let fetched = prints(&at("cache/bin"), "v1.5.6 (Fetched) 0123456789");
        assert_eq!(find(&set), Ok(fetched));
    }

    #[test]
    fn a_relative_path_is_made_absolute() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = prints(folder.path(), "v1.5.6 (Own) 0123456789");
        let here = env::current_dir().expect("a working directory");
        let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
        let relative = up.join(program.strip_prefix("/").expect("the path is absolute"));
        let engine = Engine::at(&relative).expect("the executable is usable");
        assert!(engine.program().is_absolute(), "{}", engine.program().display());
    }

    #[test]
    fn an_unusable_custom_executable_is_an_error_without_a_fallback() {
        let folder = tempfile::tempdir().expect("a folder");
        let cache = folder.path().join("cache");
        prints(&cache.join("bin"), "v1.5.6 (Fetched) 0123456789");
        let mut own = vec![
            (folder.path().join("nothing"), "cannot be started"),
            (prints(&folder.path().join("old"), "v1.0.0"), "is DuckDB 1.0.0"),
            (
                prints(&folder.path().join("other"), "sqlite 3.40"),
                "is not DuckDB",
            ),
        ];
        let text = folder.path().join("text");
        fs::write(&text, "not a program").expect("a file can be written");
        own.push((text, "cannot be started"));
        for (own, complaint) in own {
            let error = find(&[("MIRROR_DUCKDB", &own), ("MIRROR_CACHE", &cache)])
                .expect_err("the executable is not usable");
            let name = own.display().to_string();
            assert!(error.contains(complaint) && error.contains(&name), "{error}");
        }
    }
}
