//! The files of the images. Below the folder of an image, `libraries` has those that seldom change, so that they are a
//! layer of their own, and `programs` has the rest.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::components::{Components, CrateList};
use super::{IMAGES, Image, Role};
use crate::{Checkout, duckdb};

/// The user and group of every image, with the number that its stage in the Dockerfile names.
const USERS: &str = "mirror:x:65532:65532::/var/lib/mirror:/sbin/nologin\n";
const GROUPS: &str = "mirror:x:65532:\n";

/// The order in which names of hosts are looked up.
const NAME_SERVICES: &str = "hosts: files dns\n";

/// The folder of Debian's package ca-certificates with the certificates of public authorities, one file each.
const AUTHORITIES: &str = "/usr/share/ca-certificates/mozilla";

/// Writes the files of all images from the programs that are already built to `folder`, which is emptied first.
///
/// # Errors
///
/// Returns an error if a program is not built, a library is not found, or a file cannot be written.
pub(crate) fn write_files(checkout: &Checkout, folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    // A folder for what a container writes. It is empty, so that a layer of it only has an owner.
    create(&folder.join("empty"))?;
    let crates = CrateList::read(&checkout.root)?;
    for image in &IMAGES {
        write_image(checkout, image, &crates, &folder.join(image.name))?;
    }
    Ok(())
}

fn write_image(checkout: &Checkout, image: &Image, crates: &CrateList, folder: &Path) -> Result<()> {
    let programs = folder.join("programs");
    let libraries = folder.join("libraries");
    let mut components = Components::of_crates(&checkout.root, image.programs, crates)?;
    let mut linked = BTreeMap::new();
    for name in image.programs {
        let program = checkout.release.join(name);
        ensure!(
            program.exists(),
            "{} does not exist: build the programs first with `cargo build --release --bins`",
            program.display()
        );
        place(&program, &programs, &Path::new("usr/bin").join(name))?;
        linked.append(&mut libraries_of(&program)?);
    }
    if image.role == Role::Coordinator {
        let engine = duckdb::set_up()?;
        place(&engine, &libraries, Path::new("usr/bin/duckdb"))?;
        linked.append(&mut libraries_of(&engine)?);
        components.add_file(&engine)?;
        let authorities = read_authorities()?;
        write(&libraries, "etc/ssl/certs/ca-certificates.crt", &authorities)?;
        components.add_package("ca-certificates")?;
    }
    for (target, library) in &linked {
        place(library, &libraries, target)?;
        components.add_file(library)?;
    }
    write(&libraries, "etc/passwd", USERS)?;
    write(&libraries, "etc/group", GROUPS)?;
    write(&libraries, "etc/nsswitch.conf", NAME_SERVICES)?;
    // The parent of a folder that belongs to the user of the image. It must not get the same owner.
    create(&libraries.join("var/lib"))?;
    let temporary = libraries.join("tmp");
    create(&temporary)?;
    fs::set_permissions(&temporary, Permissions::from_mode(0o1777))
        .with_context(|| format!("cannot set the permissions of {}", temporary.display()))?;
    write(
        &programs,
        &format!("usr/share/sbom/mirror-neuron-{}.cdx.json", image.name),
        &components.to_json(&image.full_name()),
    )
}

/// Returns the certificates of public authorities as one text. Those that were added on this machine are left out.
fn read_authorities() -> Result<String> {
    let advice = || {
        format!(
            "cannot read {AUTHORITIES}: install Debian's package ca-certificates, or build the images with \
             `cargo xtask images --from-source`"
        )
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(AUTHORITIES).with_context(advice)? {
        files.push(entry.with_context(advice)?.path());
    }
    files.sort();
    let mut all = String::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        all.push_str(text.trim_end());
        all.push('\n');
    }
    Ok(all)
}

/// Returns the shared libraries that a program loads when it starts, by their places in an image.
fn libraries_of(program: &Path) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let printed = crate::output(Command::new("ldd").arg(program))?;
    linked_files(&printed).with_context(|| format!("the libraries of {}", program.display()))
}

/// Parses the output of ldd. The dynamic linker keeps its path, which every program contains. All libraries get into
/// the folder of the C library, where the dynamic linker searches whatever the programs say about their libraries.
fn linked_files(printed: &str) -> Result<BTreeMap<PathBuf, PathBuf>> {
    let mut found = Vec::new();
    let mut linker = None;
    for line in printed.lines().map(str::trim) {
        let line = line.rsplit_once(" (0x").map_or(line, |(line, _)| line);
        match line.split_once(" => ") {
            Some((name, "not found")) => bail!("{name} is not found: run `cargo xtask setup`"),
            Some((name, path)) => found.push((name, Path::new(path))),
            None if line.starts_with('/') => linker = Some(Path::new(line)),
            // The kernel's part, which is no file.
            None => {}
        }
    }
    let c_library = found.iter().find(|(name, _)| *name == "libc.so.6");
    let folder = c_library.and_then(|(_, path)| path.parent());
    let (Some(folder), Some(linker)) = (folder, linker) else {
        bail!("ldd lists no C library, which every program for Linux with glibc has:\n{printed}");
    };
    let libraries = found.iter().map(|(name, path)| (folder.join(name), *path));
    let all = libraries.chain([(linker.to_owned(), linker)]);
    let inside = |path: PathBuf| path.strip_prefix("/").map_or(path.clone(), Path::to_owned);
    Ok(all
        .map(|(target, path)| (inside(target), path.to_owned()))
        .collect())
}

/// Puts a file into `root` at the path `target`, without a copy if both are in one file system.
fn place(file: &Path, root: &Path, target: &Path) -> Result<()> {
    let target = root.join(target);
    let folder = target.parent().context("a file of an image is in a folder")?;
    create(folder)?;
    let file = file
        .canonicalize()
        .with_context(|| format!("cannot find {}", file.display()))?;
    if fs::hard_link(&file, &target).is_err() {
        fs::copy(&file, &target)
            .with_context(|| format!("cannot copy {} to {}", file.display(), target.display()))?;
    }
    Ok(())
}

fn write(root: &Path, target: &str, text: &str) -> Result<()> {
    let file = root.join(target);
    create(file.parent().context("a file of an image is in a folder")?)?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn create(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_get_into_the_folder_of_the_c_library() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffc)\n\
            \tlibc10.so => /opt/libtorch/lib/libc10.so (0x00007fcd)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007fce)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007fcf)\n";
        let found = linked_files(printed).expect("all libraries are found");
        let found: Vec<(&str, &str)> = found
            .iter()
            .filter_map(|(target, path)| Some((target.to_str()?, path.to_str()?)))
            .collect();
        assert_eq!(
            found,
            [
                (
                    "lib/x86_64-linux-gnu/libc.so.6",
                    "/lib/x86_64-linux-gnu/libc.so.6"
                ),
                ("lib/x86_64-linux-gnu/libc10.so", "/opt/libtorch/lib/libc10.so"),
                ("lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2"),
            ]
        );
    }

    #[test]
    fn a_library_that_is_not_found_is_named() {
        let error = linked_files("\tlibc10.so => not found\n").expect_err("a library is missing");
        assert!(error.to_string().contains("libc10.so"), "{error}");
        assert!(linked_files("\tstatically linked\n").is_err());
    }
}
