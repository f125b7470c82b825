//! libtorch for processors, in a cache outside the checkout, reached by the link `.libtorch`.
//!
//! It is taken from PyTorch's wheels, of which it is a small part: the wheels are fetched by pip,
//! which holds them against the hashes written here, and the few libraries and the headers are
//! unpacked in a folder beside the final one and moved into place in one step. So whatever stops
//! a set-up, and whenever, the final place holds all or nothing. A lock keeps a second set-up
//! waiting until the first has ended, and then there is nothing left for it to do.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::{prerequisites, succeed};

/// The release of libtorch that the tch crate of this workspace is made for.
const VERSION: &str = "2.13.0";

/// The link in the checkout that `.cargo/config.toml` names.
const LINK: &str = ".libtorch";

/// One file of the package index, known by the hash of its content, and what is kept of it.
struct Wheel {
    name: &'static str,
    version: &'static str,
    file: &'static str,
    sha256: &'static str,
    /// The folder of the headers inside the wheel.
    headers: Option<&'static str>,
    /// The folder of the libraries inside the wheel.
    folder: &'static str,
    /// The libraries with their sizes in bytes, by which a damaged copy is told at a glance.
    libraries: &'static [(&'static str, u64)],
}

const WHEELS: [Wheel; 3] = [
    Wheel {
        name: "torch",
        version: VERSION,
        file: "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl",
        sha256: "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
        headers: Some("torch/include/"),
        folder: "torch/lib/",
        // Without libtorch_cuda.so the build is one for processors.
        libraries: &[
            ("libtorch.so", 89_185),
            ("libtorch_cpu.so", 438_418_417),
            ("libc10.so", 1_623_185),
            ("libgomp.so.1", 254_009),
        ],
    },
    // This wheel's libtorch_cpu.so is linked with the next two, even where there is no CUDA device.
    Wheel {
        name: "nvidia-cuda-runtime",
        version: "13.5.37",
        file: "nvidia_cuda_runtime-13.5.37-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        sha256: "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
        headers: None,
        folder: "nvidia/cu13/lib/",
        libraries: &[("libcudart.so.13", 806_720)],
    },
    Wheel {
        name: "nvidia-cuda-cupti",
        version: "13.5.25",
        file: "nvidia_cuda_cupti-13.5.25-py3-none-manylinux_2_25_x86_64.whl",
        sha256: "9dcca41c12a734192b14e7128ae116bc9ce1b9da686e2ebf48ae7a4415f76650",
        headers: None,
        folder: "nvidia/cu13/lib/",
        libraries: &[("libcupti.so.13", 7_171_272)],
    },
];

/// What the wheels are made for, as pip names it.
const PLATFORMS: [&str; 3] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_25_x86_64",
    "manylinux2014_x86_64",
];

/// Makes sure that a build finds libtorch: the user's own, or the one that is fetched once.
///
/// # Errors
///
/// When the user's own is not there, when there is none for this system, when something that
/// fetching needs is missing, or when fetching or writing fails.
pub(crate) fn set_up(checkout: &Path) -> Result<()> {
    let link = checkout.join(LINK);
    match Choice::of_environment(&link, |name| env::var_os(name)) {
        Choice::Pytorch => Ok(()),
        Choice::Own(folder) => {
            let libraries = env::var_os("LIBTORCH_LIB")
                .map_or(folder, PathBuf::from)
                .join("lib");
            ensure!(
                libraries.is_dir(),
                "LIBTORCH names your own libtorch, but there is no folder {}: \
                 set LIBTORCH to a libtorch {VERSION}, or unset it to have one fetched",
                libraries.display()
            );
            Ok(())
        }
        Choice::Fetched => {
            ensure!(
                cfg!(all(
                    target_os = "linux",
                    target_arch = "x86_64",
                    target_env = "gnu"
                )),
                "the libtorch that set-up fetches is for Linux on x86-64 with glibc, not for this system: \
                 get libtorch {VERSION} for it and set LIBTORCH to its folder (the one with include and lib)"
            );
            let place = cache_folder(|name| env::var_os(name))?.join(folder_name());
            if !is_complete(&place) {
                fetch(&place)?;
            }
            point(&link, &place)
        }
    }
}

/// Which libtorch a build uses.
#[derive(Debug, PartialEq)]
enum Choice {
    /// The one inside the PyTorch of the user's Python (`LIBTORCH_USE_PYTORCH`).
    Pytorch,
    /// The user's own, in this folder (`LIBTORCH`).
    Own(PathBuf),
    /// The one that set-up puts behind the link.
    Fetched,
}

impl Choice {
    /// Cargo sets `LIBTORCH` to the link where the user has not set it.
    fn of_environment(link: &Path, variable: impl Fn(&str) -> Option<OsString>) -> Self {
        if variable("LIBTORCH_USE_PYTORCH").is_some() {
            return Self::Pytorch;
        }
        match variable("LIBTORCH").map(PathBuf::from) {
            Some(folder) if folder != link => Self::Own(folder),
            _ => Self::Fetched,
        }
    }
}

/// The folder that outlives `cargo clean` and is shared by all checkouts of a user.
fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(chosen) = folder("MIRROR_CACHE") {
        return std::path::absolute(&chosen)
            .with_context(|| format!("MIRROR_CACHE is no usable path: {}", chosen.display()));
    }
    folder("XDG_CACHE_HOME")
        .filter(|caches| caches.is_absolute())
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .map(|caches| caches.join("mirror-neuron"))
        .context("no place for a cache: set MIRROR_CACHE to a folder, or HOME")
}

/// A name of its own for each set of wheels, so that checkouts of different ages get along.
fn folder_name() -> String {
    let versions: Vec<&str> = WHEELS.iter().map(|wheel| wheel.version).collect();
    format!("libtorch-{}", versions.join("-"))
}

/// The wheels in the form that pip reads; kept in the result as the mark of what it was made of.
fn requirements_file() -> String {
    let line = |wheel: &Wheel| format!("{}=={} --hash=sha256:{}", wheel.name, wheel.version, wheel.sha256);
    WHEELS.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Whether `place` holds what this module would put there.
fn is_complete(place: &Path) -> bool {
    let made_of_the_same = fs::read_to_string(place.join("requirements.txt"))
        .is_ok_and(|requirements| requirements == requirements_file());
    let mut libraries = WHEELS.iter().flat_map(|wheel| wheel.libraries);
    made_of_the_same
        && libraries.all(|(library, size)| {
            fs::metadata(place.join("lib").join(library)).is_ok_and(|found| found.len() == *size)
        })
}

/// Fetches and unpacks libtorch to `place`, unless another set-up does so meanwhile.
fn fetch(place: &Path) -> Result<()> {
    let lock = lock(&place.with_added_extension("lock"))?;
    if is_complete(place) {
        return Ok(());
    }
    let python = prerequisites::check_compilers_and_python()?;
    let work = place.with_added_extension("partial");
    download(python, &work, &lock)?;
    let made = unpack(python, &work, &lock)?;
    ensure!(
        is_complete(&made),
        "the wheels do not hold the libraries that they should: {}",
        work.display()
    );

    if place.exists() {
        let damaged = work.join("scratch").join("damaged");
        fs::rename(place, &damaged)
            .with_context(|| format!("cannot move the damaged {} aside", place.display()))?;
    }
    fs::rename(&made, place).with_context(|| format!("cannot move libtorch to {}", place.display()))?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    eprintln!("libtorch {VERSION} is in {}", place.display());
    Ok(())
}

/// Takes the lock, waiting for another set-up to end. The kernel gives it back when its last
/// holder is gone, however that ends; the programs started here hold it too (as their standard
/// input), so a pip that outlives a killed set-up does not meet the next one.
fn lock(file: &Path) -> Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the cache {}", folder.display()))?;
    }
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(file)
        .with_context(|| format!("cannot open the lock {}", file.display()))?;
    match lock.try_lock() {
        Ok(()) => return Ok(lock),
        Err(TryLockError::WouldBlock) => eprintln!("waiting for another set-up to end"),
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", file.display()));
        }
    }
    lock.lock()
        .with_context(|| format!("cannot lock {}", file.display()))?;
    Ok(lock)
}

/// Has pip fetch the wheels to `work/wheels`. Those that an interrupted set-up had finished
/// are used again, if their hashes are right; what pip had begun is thrown away.
fn download(python: &str, work: &Path, lock: &File) -> Result<()> {
    let scratch = work.join("scratch");
    clear(&scratch)?;
    let list = work.join("requirements.txt");
    write(&list, &requirements_file())?;
    eprintln!("fetching libtorch {VERSION}: 542 MB, once; 489 MB are kept");
    let mut pip = Command::new(python);
    pip.args("-m pip download --disable-pip-version-check --no-input --no-cache-dir".split(' '))
        .args("--no-deps --only-binary=:all: --implementation cp --python-version 3.12".split(' '))
        .args(PLATFORMS.iter().flat_map(|platform| ["--platform", platform]))
        .arg("--require-hashes")
        .arg("--requirement")
        .arg(&list)
        .arg("--dest")
        .arg(work.join("wheels"))
        .env("TMPDIR", &scratch);
    succeed(holding(&mut pip, lock)?)
        .context("libtorch was not fetched: try again, or set LIBTORCH to a libtorch of your own")
}

/// Unpacks the wheels of `work` to a folder in it, and gives that.
fn unpack(python: &str, work: &Path, lock: &File) -> Result<PathBuf> {
    let made = work.join("made");
    clear(&made)?;
    write(&work.join("unpack.py"), include_str!("unpack.py"))?;
    let mut copy = Command::new(python);
    copy.arg("unpack.py").current_dir(work);
    for wheel in &WHEELS {
        let file = format!("wheels/{}", wheel.file);
        if let Some(headers) = wheel.headers {
            copy.args([&file, headers, "made/include/"]);
        }
        for (library, _) in wheel.libraries {
            copy.args([
                &file,
                &format!("{}{library}", wheel.folder),
                &format!("made/lib/{library}"),
            ]);
        }
    }
    succeed(holding(&mut copy, lock)?).context("the wheels cannot be unpacked")?;
    // torch-sys holds this against the release that it is made for.
    write(&made.join("build-version"), VERSION)?;
    write(&made.join("requirements.txt"), &requirements_file())?;
    Ok(made)
}

fn holding<'command>(command: &'command mut Command, lock: &File) -> Result<&'command mut Command> {
    let lock = lock.try_clone().context("cannot share the lock")?;
    Ok(command.stdin(Stdio::from(lock)))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Makes `folder` an empty one.
fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot clear {}", folder.display())),
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Makes `link` lead to `place`, in one step for whoever looks.
fn point(link: &Path, place: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|target| target == place) {
        return Ok(());
    }
    if link.is_dir() && !link.is_symlink() {
        bail!(
            "{} is a folder, where a link belongs: move it away and set LIBTORCH to it",
            link.display()
        );
    }
    let fresh = link.with_added_extension(std::process::id().to_string());
    symlink(place, &fresh).with_context(|| format!("cannot make the link {}", fresh.display()))?;
    fs::rename(&fresh, link).with_context(|| format!("cannot make the link {}", link.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(set: &[(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        }
    }

    #[test]
    fn the_cache_is_where_the_user_says_and_else_where_caches_lie() {
        let folder = |set: &[_]| cache_folder(variables(set)).map_err(|error| error.to_string());
        let home = ("HOME", "/home/ada");
        let caches = ("XDG_CACHE_HOME", "/caches");
        assert_eq!(
            folder(&[home, caches, ("MIRROR_CACHE", "/mine")]),
            Ok("/mine".into())
        );
        assert_eq!(folder(&[home, caches]), Ok("/caches/mirror-neuron".into()));
        assert_eq!(folder(&[home]), Ok("/home/ada/.cache/mirror-neuron".into()));
    }

    #[test]
    fn empty_and_relative_cache_variables_do_not_count() {
        let home = ("HOME", "/home/ada");
        for unusable in [
            ("MIRROR_CACHE", ""),
            ("XDG_CACHE_HOME", ""),
            ("XDG_CACHE_HOME", "caches"),
        ] {
            let folder = cache_folder(variables(&[home, unusable])).expect("HOME gives a place");
            assert_eq!(
                folder,
                Path::new("/home/ada/.cache/mirror-neuron"),
                "{unusable:?}"
            );
        }
        let error = cache_folder(variables(&[])).expect_err("nothing gives a place");
        assert!(error.to_string().contains("MIRROR_CACHE"), "{error}");
    }

    #[test]
    fn a_libtorch_of_the_users_own_wins() {
        let link = Path::new("/checkout/.libtorch");
        let choice = |set: &[_]| Choice::of_environment(link, variables(set));
        assert_eq!(choice(&[]), Choice::Fetched);
        assert_eq!(choice(&[("LIBTORCH", "/checkout/.libtorch")]), Choice::Fetched);
        assert_eq!(
            choice(&[("LIBTORCH", "/opt/libtorch")]),
            Choice::Own("/opt/libtorch".into())
        );
        let python = [("LIBTORCH", "/checkout/.libtorch"), ("LIBTORCH_USE_PYTORCH", "1")];
        assert_eq!(choice(&python), Choice::Pytorch);
    }

    #[test]
    fn each_wheel_is_asked_for_by_version_and_hash() {
        for line in requirements_file().lines() {
            let (wheel, hash) = line.split_once(" --hash=sha256:").expect("a hash on each line");
            assert!(wheel.contains("=="), "{line}");
            assert!(
                hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()),
                "{line}"
            );
        }
        for wheel in &WHEELS {
            assert!(
                wheel.file.contains(&format!("-{}-", wheel.version)),
                "{}",
                wheel.file
            );
        }
    }

    /// A folder that has all the marks of a finished set-up; its libraries are holes of the right size.
    fn finished(folder: &Path) {
        fs::create_dir_all(folder.join("lib")).expect("a temporary folder can be written");
        write(&folder.join("requirements.txt"), &requirements_file()).expect("a file can be written");
        for (library, size) in WHEELS.iter().flat_map(|wheel| wheel.libraries) {
            let file = File::create(folder.join("lib").join(library)).expect("a file can be made");
            file.set_len(*size).expect("a hole can be made");
        }
    }

    #[test]
    fn a_set_up_counts_only_with_its_mark_and_every_library_whole() {
        let place = tempfile::tempdir().expect("a temporary folder can be made");
        let place = place.path();
        assert!(!is_complete(place), "an empty folder");
        finished(place);
        assert!(is_complete(place));

        let library = place.join("lib/libtorch_cpu.so");
        File::create(&library)
            .and_then(|file| file.set_len(7))
            .expect("a library can be cut short");
        assert!(!is_complete(place), "a library is cut short");

        finished(place);
        write(&place.join("requirements.txt"), "torch==1.0").expect("a file can be written");
        assert!(!is_complete(place), "made of other wheels");
    }

    #[test]
    fn a_finished_set_up_fetches_nothing() {
        let cache = tempfile::tempdir().expect("a temporary folder can be made");
        let place = cache.path().join("libtorch");
        finished(&place);
        fetch(&place).expect("nothing is left to do");
        assert!(!place.with_added_extension("partial").exists());
    }

    #[test]
    fn the_link_is_made_and_moved_but_never_laid_over_a_folder() {
        let checkout = tempfile::tempdir().expect("a temporary folder can be made");
        let link = checkout.path().join(LINK);
        for place in ["/caches/old", "/caches/old", "/caches/new"] {
            point(&link, Path::new(place)).expect("a link can be made");
            assert_eq!(fs::read_link(&link).expect("a link"), Path::new(place));
        }
        assert_eq!(
            fs::read_dir(checkout.path()).expect("a folder").count(),
            1,
            "nothing else is left"
        );

        fs::remove_file(&link).expect("a link can be removed");
        fs::create_dir(&link).expect("a folder can be made");
        assert!(point(&link, Path::new("/caches/new")).is_err());
        assert!(link.is_dir());
    }
}
