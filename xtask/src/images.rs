//! The images of the containers: `node`, `coordinator` and `validator`, which `deploy/Dockerfile` describes.
//!
//! Their files are written to a folder first ([`files`]), each image with a list of its components ([`components`]).
//! The build stage of the Dockerfile does the same from the source, inside a container.

mod components;
mod docker;
mod files;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use self::docker::Docker;
pub(crate) use self::files::write_files;
use crate::Checkout;

/// The version of the programs.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An image of a container.
struct Image {
    /// The name of the image below `mirror-neuron/`, and of its stage in the Dockerfile.
    name: &'static str,
    /// The programs of the workspace in it, which have the names of their packages.
    programs: &'static [&'static str],
    /// The part of the image in a run, which determines its further files.
    role: Role,
}

/// The part that an image has in a run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// It starts nodes.
    Agent,
    /// It runs experiments. It needs DuckDB and the certificates of public authorities.
    Coordinator,
}

const IMAGES: [Image; 3] = [
    Image {
        name: "node",
        programs: &["mirror-agent", "mirror-miner", "mirror-subtensor", "mirror-proxy"],
        role: Role::Agent,
    },
    Image {
        name: "coordinator",
        programs: &["mirror"],
        role: Role::Coordinator,
    },
    Image {
        name: "validator",
        programs: &["mirror-agent", "mirror-validator"],
        role: Role::Agent,
    },
];

impl Image {
    /// Returns the name by which the engine knows the image.
    fn full_name(&self) -> String {
        format!("mirror-neuron/{}", self.name)
    }
}

/// The origin of the programs in the images.
#[derive(Debug, PartialEq)]
pub(crate) enum Origin {
    /// They are already built.
    Programs,
    /// They are built from the source, inside a container of this image, or of the Dockerfile's default.
    Source { build_image: Option<OsString> },
}

impl Origin {
    /// Takes the origin from the words after `images`.
    ///
    /// # Errors
    ///
    /// Returns an error if the first word is no option of `images`.
    pub(crate) fn parse(words: &mut impl Iterator<Item = OsString>) -> Result<Self> {
        match words.next() {
            None => Ok(Self::Programs),
            Some(option) if option == "--from-source" => Ok(Self::Source {
                build_image: words.next(),
            }),
            Some(unknown) => bail!(
                "unexpected argument {}: `images` takes `--from-source`\n\n{}",
                unknown.display(),
                crate::USAGE
            ),
        }
    }
}

/// Builds the images from the programs that are already built.
///
/// # Errors
///
/// Returns an error if a program is not built, there is no Docker that builds with `BuildKit`, or a build fails.
pub(crate) fn build_from_programs(checkout: &Checkout) -> Result<()> {
    let docker = Docker::find()?;
    let folder = checkout.release.with_file_name("images");
    write_files(checkout, &folder)?;
    build(&docker, checkout, &folder, &[OsStr::new("PROGRAMS=prebuilt")])
}

/// Builds the images from the source.
///
/// # Errors
///
/// Returns an error if there is no Docker that builds with `BuildKit`, or a build fails.
pub(crate) fn build_from_source(checkout: &Checkout, build_image: Option<&OsStr>) -> Result<()> {
    let docker = Docker::find()?;
    let base = build_image.map(|image| {
        let mut argument = OsString::from("BUILD_IMAGE=");
        argument.push(image);
        argument
    });
    let arguments: Vec<&OsStr> = base.iter().map(OsString::as_os_str).collect();
    build(&docker, checkout, &checkout.root, &arguments)
}

/// Builds all images from the files in `context`, and prints their names and sizes.
fn build(docker: &Docker, checkout: &Checkout, context: &Path, arguments: &[&OsStr]) -> Result<()> {
    let revision = format!("REVISION={}", revision(&checkout.root)?);
    let version = format!("VERSION={VERSION}");
    let own = [OsStr::new(&revision), OsStr::new(&version)];
    let arguments: Vec<&OsStr> = own.iter().chain(arguments).copied().collect();
    for image in &IMAGES {
        docker.build(
            &checkout.root.join("deploy/Dockerfile"),
            image.name,
            &image.full_name(),
            &arguments,
            context,
        )?;
    }
    for image in &IMAGES {
        let name = image.full_name();
        println!("{name:26}{:>5} MB", docker.size(&name)?.div_ceil(1_000_000));
    }
    Ok(())
}

/// Returns the commit of the checkout, with the suffix `-modified` if files differ from it.
fn revision(root: &Path) -> Result<String> {
    let git = |words: &[&str]| crate::output(Command::new("git").args(words).current_dir(root));
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let suffix = if changes.is_empty() { "" } else { "-modified" };
    Ok(format!("{}{suffix}", commit.trim_end()))
}
