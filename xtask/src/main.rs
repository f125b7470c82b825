//! The tasks of this workspace: set-up, build, run, test, lint, documentation, benchmarks.
//!
//! Cargo does the work. This program adds what cargo does not do: it provides libtorch ([`libtorch`]) and DuckDB, which
//! executes SQL ([`duckdb`]), reports missing programs ([`prerequisites`]), builds all node binaries into one folder
//! for an experiment and for the whole-system tests, and builds the images of the containers ([`images`]).

mod duckdb;
mod images;
mod libtorch;
mod prerequisites;
mod prints;
mod wheels;
mod width;
mod words;

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::images::Origin;

#[cfg(not(unix))]
compile_error!("the nodes are Unix processes: on Windows, work inside WSL");

const USAGE: &str = "\
usage: cargo xtask COMMAND

  setup             download libtorch and DuckDB once; every command below does it too
  run FILE [ARGS]   build the programs and run the experiment FILE (ARGS go to `mirror run`)
  test [ARGS]       build the programs and run every test, including the documentation's examples
  test -p CRATE     build and run the tests of one crate and the programs that they start
                    (ARGS go to the test runner, and exclude the documentation's examples)
  lint              check the format, the width and the words of comments, clippy's lints, and the dependencies'
                    licences and sources
  doc               write the tables of docs/experiment-file.md from the declarations of keys, and build
                    the documentation with warnings as errors
  bench [NAME]      build the programs and run every benchmark, or the one called NAME
  images            build the images of the containers from the programs that are already built
  images --from-source [IMAGE]
                    build the images from the source, inside a container of IMAGE, by default of rust's image
  image-files FOLDER
                    write the files of the images from the programs that are already built";

/// The packages whose binaries make up an experiment: the coordinator and the three nodes.
const PROGRAMS: [&str; 5] = [
    "mirror",
    "mirror-subtensor",
    "mirror-miner",
    "mirror-validator",
    "mirror-proxy",
];

/// The package whose tests start the binaries of other packages, and the packages that only they start.
const STARTS_PROGRAMS: &str = "mirror-tests";
const STARTED_BY_TESTS: [&str; 2] = ["mirror-agent", "xtask"];

fn main() -> ExitCode {
    match Chore::parse(env::args_os().skip(1).collect()).and_then(Chore::perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A command of the command line.
#[derive(Debug, PartialEq)]
enum Chore {
    Help,
    SetUp,
    Run {
        experiment: OsString,
        arguments: Vec<OsString>,
    },
    Test {
        arguments: Vec<OsString>,
    },
    Lint,
    Document,
    Bench {
        name: Option<OsString>,
    },
    Images {
        origin: Origin,
    },
    ImageFiles {
        folder: OsString,
    },
}

impl Chore {
    fn parse(arguments: Vec<OsString>) -> Result<Self> {
        let mut words = arguments.into_iter();
        let command = words
            .next()
            .with_context(|| format!("a command is missing\n\n{USAGE}"))?;
        let chore = match command.to_str() {
            Some("help" | "--help" | "-h") => return Ok(Self::Help),
            Some("run") => {
                let experiment = words
                    .next()
                    .context("`run` needs an experiment file, such as configs/quickstart.yml")?;
                return Ok(Self::Run {
                    experiment,
                    arguments: words.collect(),
                });
            }
            Some("test") => {
                return Ok(Self::Test {
                    arguments: words.collect(),
                });
            }
            Some("setup") => Self::SetUp,
            Some("lint") => Self::Lint,
            Some("doc") => Self::Document,
            Some("bench") => Self::Bench { name: words.next() },
            Some("images") => Self::Images {
                origin: Origin::parse(&mut words)?,
            },
            Some("image-files") => Self::ImageFiles {
                folder: words
                    .next()
                    .context("`image-files` needs the folder to write to")?,
            },
            _ => bail!("unknown command {}\n\n{USAGE}", command.display()),
        };
        if let Some(unexpected) = words.next() {
            bail!("unexpected argument {}\n\n{USAGE}", unexpected.display());
        }
        Ok(chore)
    }

    fn perform(self) -> Result<()> {
        if self == Self::Help {
            println!("{USAGE}");
            return Ok(());
        }
        let checkout = Checkout::of_this_program()?;
        if let Self::Images {
            origin: Origin::Source { build_image },
        } = &self
        {
            return images::build_from_source(&checkout, build_image.as_deref());
        }
        libtorch::set_up(&checkout.root)?;
        self.set_up_duckdb()?;
        prerequisites::check_compilers()?;
        match self {
            Self::Help | Self::SetUp => Ok(()),
            Self::Run {
                experiment,
                arguments,
            } => checkout.run(&experiment, &arguments),
            Self::Test { arguments } => test(&arguments),
            Self::Lint => checkout.lint(),
            Self::Document => checkout.document(),
            Self::Bench { name } => bench(name.as_deref()),
            Self::Images { .. } => images::build_from_programs(&checkout),
            Self::ImageFiles { folder } => images::write_files(&checkout, Path::new(&folder)),
        }
    }

    /// Sets up DuckDB. Only SQL requires it, so for commands that can work without it a failure is only a warning.
    fn set_up_duckdb(&self) -> Result<()> {
        match self {
            Self::SetUp | Self::Images { .. } | Self::ImageFiles { .. } => duckdb::set_up().map(drop),
            Self::Run { .. } | Self::Test { .. } | Self::Bench { .. } => {
                if let Err(error) = duckdb::set_up() {
                    eprintln!("warning: `mirror sql` and `expect` will not work: {error:#}");
                }
                Ok(())
            }
            Self::Help | Self::Lint | Self::Document => Ok(()),
        }
    }
}

/// The work tree and the folder of its programs.
struct Checkout {
    root: PathBuf,
    /// The folder of release binaries, `target/release` by default.
    release: PathBuf,
}

impl Checkout {
    fn of_this_program() -> Result<Self> {
        let package = env::var_os("CARGO_MANIFEST_DIR").context("start this program as `cargo xtask`")?;
        let root = Path::new(&package)
            .parent()
            .context("the xtask package is not in a workspace")?;
        let program = env::current_exe().context("cannot determine the path of this program")?;
        let release = program
            .ancestors()
            .nth(2)
            .with_context(|| format!("{} is not in a target folder", program.display()))?
            .join("release");
        Ok(Self {
            root: root.to_owned(),
            release,
        })
    }

    fn run(&self, experiment: &OsStr, arguments: &[OsString]) -> Result<()> {
        build_programs()?;
        let mirror = self.release.join("mirror");
        // exec replaces this process, so signals and the exit code pass through unchanged.
        let error = Command::new(&mirror)
            .arg("run")
            .arg(experiment)
            .args(arguments)
            .exec();
        Err(error).with_context(|| format!("cannot start {}", mirror.display()))
    }

    fn lint(&self) -> Result<()> {
        succeed(&mut cargo("fmt --all --check"))?;
        width::check(&self.root)?;
        words::check(&self.root)?;
        prints::check(&self.root)?;
        succeed(&mut cargo(
            "clippy --release --workspace --all-targets -- --deny warnings",
        ))?;
        check_features()?;
        if !prerequisites::on_path("cargo-deny") {
            eprintln!(
                "skipped the check of dependencies: run `cargo install --locked cargo-deny` to enable it"
            );
            return Ok(());
        }
        succeed(cargo("deny check bans licenses sources").current_dir(&self.root))
    }

    fn document(&self) -> Result<()> {
        let mut reference = cargo("run --quiet --release --package mirror-config --example write_reference");
        let page = "docs/experiment-file.md";
        succeed(reference.args(["--", page]).current_dir(&self.root))?;
        let mut doc = cargo("doc --release --workspace --no-deps");
        succeed(doc.env("RUSTDOCFLAGS", "--deny warnings"))
    }
}

/// Checks that each crate, built alone, uses the dependencies that were built for all crates together. If a feature is
/// missing in `crates/mirror-features/Cargo.toml`, a dependency differs and has files of its own.
fn check_features() -> Result<()> {
    let clippy = "clippy --release --all-targets --message-format json --quiet";
    let together = output(cargo(clippy).arg("--workspace"))?;
    let together: BTreeSet<(&str, &str)> = built_dependencies(&together).collect();
    let listed = output(&mut cargo("tree --workspace --depth 0 --prefix none"))?;
    let packages = listed.lines().filter_map(|line| line.split_whitespace().next());
    let mut differing = BTreeSet::new();
    for package in packages.filter(|package| !package.starts_with('[') && *package != "xtask") {
        let alone = output(cargo(clippy).arg("--package").arg(package))?;
        let differs = built_dependencies(&alone).filter(|built| !together.contains(built));
        differing.extend(differs.map(|(dependency, _)| dependency.to_owned()));
    }
    ensure!(
        differing.is_empty(),
        "these dependencies are compiled more than once, because crates enable different features of them: list all the \
         features in crates/mirror-features/Cargo.toml (under build-dependencies for one of a build script or a macro):\n  {}",
        differing.into_iter().collect::<Vec<_>>().join("\n  ")
    );
    Ok(())
}

/// Returns each package of a registry with the files that cargo has built of it, from cargo's messages, which are one
/// JSON object per line. Cargo names the files by a hash of the features of the package and of its dependencies.
fn built_dependencies(messages: &str) -> impl Iterator<Item = (&str, &str)> {
    messages.lines().filter_map(|line| {
        let (_, id) = line.split_once("\"package_id\":\"registry+")?;
        let (_, package) = id.split_once('"')?.0.rsplit_once('#')?;
        let (_, files) = line.split_once("\"filenames\":[")?;
        Some((package, files.split_once(']')?.0))
    })
}

fn test(arguments: &[OsString]) -> Result<()> {
    let packages = packages(arguments);
    if packages.is_empty() {
        succeed(&mut cargo("build --release --workspace --bins --tests"))?;
        if arguments.is_empty() {
            succeed(&mut cargo("test --release --workspace --doc"))?;
        }
    } else if packages.iter().any(|package| *package == STARTS_PROGRAMS) {
        build_packages(&[&PROGRAMS[..], &STARTED_BY_TESTS].concat())?;
    }
    let (nextest, test) = (
        "nextest run --release",
        "test --release --lib --bins --tests --no-fail-fast",
    );
    let mut runner = cargo(if prerequisites::on_path("cargo-nextest") {
        nextest
    } else {
        test
    });
    if packages.is_empty() {
        runner.arg("--workspace");
    }
    succeed(runner.args(arguments))
}

/// Returns the packages that a test runner's arguments name.
fn packages(arguments: &[OsString]) -> Vec<&OsStr> {
    let mut words = arguments.iter();
    let mut named = Vec::new();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            break;
        }
        if text == "-p" || text == "--package" {
            named.extend(words.next().map(OsString::as_os_str));
        } else if let Some(at) = ["--package=", "-p"]
            .iter()
            .find(|option| text.starts_with(**option))
        {
            named.push(OsStr::from_bytes(&word.as_bytes()[at.len()..]));
        }
    }
    named
}

fn bench(name: Option<&OsStr>) -> Result<()> {
    build_programs()?;
    let mut bench = cargo("bench --package mirror-benches");
    if let Some(name) = name {
        bench.arg("--bench").arg(name);
    }
    succeed(&mut bench)
}

fn build_programs() -> Result<()> {
    build_packages(&PROGRAMS)
}

fn build_packages(packages: &[&str]) -> Result<()> {
    let mut build = cargo("build --release");
    for package in packages {
        build.args(["--package", package]);
    }
    succeed(&mut build)
}

/// Creates a cargo command from its arguments.
fn cargo(words: &str) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.args(words.split_whitespace());
    cargo
}

/// Returns the standard output of `command`. Its standard error goes to this program's terminal.
///
/// # Errors
///
/// Returns an error if the command cannot be started or does not exit with 0.
fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(
        output.status.success(),
        "`{}` failed ({})",
        command.get_program().display(),
        output.status
    );
    String::from_utf8(output.stdout).context("its output is not UTF-8")
}

/// Runs `command` with this program's terminal, and waits until it ends.
///
/// # Errors
///
/// Returns an error if the command cannot be started or does not exit with 0.
fn succeed(command: &mut Command) -> Result<()> {
    let words = iter::once(command.get_program())
        .chain(command.get_args())
        .take(3);
    let said = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{said}`"))?;
    ensure!(status.success(), "`{said}` failed ({status})");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Chore, String> {
        let words = line.split_whitespace().map(OsString::from).collect();
        Chore::parse(words).map_err(|error| error.to_string())
    }

    #[test]
    fn arguments_after_the_experiment_go_to_mirror_run() {
        assert_eq!(
            parse("run configs/quickstart.yml --runs-dir /runs"),
            Ok(Chore::Run {
                experiment: "configs/quickstart.yml".into(),
                arguments: vec!["--runs-dir".into(), "/runs".into()],
            })
        );
    }

    #[test]
    fn images_are_built_from_programs_unless_the_source_is_requested() {
        let images = |origin| Ok(Chore::Images { origin });
        assert_eq!(parse("images"), images(Origin::Programs));
        let source = |image: Option<&str>| Origin::Source {
            build_image: image.map(OsString::from),
        };
        assert_eq!(parse("images --from-source"), images(source(None)));
        assert_eq!(
            parse("images --from-source rust:1"),
            images(source(Some("rust:1")))
        );
    }

    #[test]
    fn arguments_after_test_go_to_the_test_runner() {
        assert_eq!(
            parse("test"),
            Ok(Chore::Test {
                arguments: Vec::new()
            })
        );
        assert_eq!(
            parse("test -p xtask"),
            Ok(Chore::Test {
                arguments: vec!["-p".into(), "xtask".into()]
            })
        );
    }

    #[test]
    fn the_packages_to_test_are_taken_from_the_arguments_of_the_test_runner() {
        let packages_in = |line: &str| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            let named: Vec<String> = packages(&words)
                .into_iter()
                .map(|package| package.to_string_lossy().into_owned())
                .collect();
            named
        };
        assert_eq!(
            packages_in("-p xtask --package mirror-net"),
            ["xtask", "mirror-net"]
        );
        assert_eq!(
            packages_in("--package=xtask -pmirror-net"),
            ["xtask", "mirror-net"]
        );
        assert_eq!(packages_in("-E test(wire) -- -p xtask"), Vec::<String>::new());
    }

    #[test]
    fn the_built_files_of_dependencies_are_taken_from_the_messages_of_cargo() {
        let registry = "registry+https://index#";
        let messages = [
            format!(
                r#"{{"reason":"compiler-artifact","package_id":"{registry}libc@0.2.1","filenames":["/t/liblibc-1a.rmeta"],"fresh":true}}"#
            ),
            r#"{"reason":"compiler-artifact","package_id":"path+file:///w/mirror#0.1.0","filenames":["/t/libmirror-2b.rmeta"],"fresh":false}"#
                .to_owned(),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ]
        .join("\n");
        let built: Vec<(&str, &str)> = built_dependencies(&messages).collect();
        assert_eq!(built, [("libc@0.2.1", "\"/t/liblibc-1a.rmeta\"")]);
    }

    #[test]
    fn a_benchmark_may_be_named() {
        assert_eq!(parse("bench"), Ok(Chore::Bench { name: None }));
        assert_eq!(
            parse("bench calls"),
            Ok(Chore::Bench {
                name: Some("calls".into())
            })
        );
    }

    #[test]
    fn an_invalid_command_line_prints_the_usage() {
        for line in ["", "tset", "lint now", "bench calls steps", "images --from-sauce"] {
            let error = parse(line).expect_err("the command line is wrong");
            assert!(error.contains("usage: cargo xtask"), "{line}: {error}");
        }
        assert!(parse("run").is_err_and(|error| error.contains("experiment file")));
    }
}
