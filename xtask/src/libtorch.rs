//! libtorch for CPUs, in the cache, with the link `.libtorch` to it.
//!
//! It is extracted from PyTorch's wheels, of which it is a small part.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use crate::wheels::{Bundle, Part, Wheel, point};

/// The release of libtorch that the tch crate of this workspace requires.
const VERSION: &str = "2.13.0";

/// The link in the checkout that `.cargo/config.toml` names.
const LINK: &str = ".libtorch";

const fn library(member: &'static str, target: &'static str, size: u64) -> Part {
    Part::File {
        member,
        target,
        size,
        mode: 0o644,
    }
}

pub(crate) static LIBTORCH: Bundle = Bundle {
    name: "libtorch",
    sizes: "a 542 MB download, once, and 489 MB on disk",
    remedy: "download libtorch 2.13.0 for this system and set LIBTORCH to its folder (the one with include and lib)",
    // torch-sys compares this with the release that it requires.
    notes: &[("build-version", VERSION)],
    wheels: &[
        Wheel {
            name: "torch",
            version: VERSION,
            file: "torch-2.13.0-cp312-cp312-manylinux_2_28_x86_64.whl",
            sha256: "796633c4cdf0fe2cdced72d8f88f22e73dbcfce83132763162f6d4bff13b820b",
            // Without libtorch_cuda.so, the build is one for CPUs.
            parts: &[
                Part::Folder {
                    member: "torch/include/",
                    target: "include/",
                },
                library("torch/lib/libtorch.so", "lib/libtorch.so", 89_185),
                library("torch/lib/libtorch_cpu.so", "lib/libtorch_cpu.so", 438_418_417),
                library("torch/lib/libc10.so", "lib/libc10.so", 1_623_185),
                library("torch/lib/libgomp.so.1", "lib/libgomp.so.1", 254_009),
            ],
        },
        // The first wheel's libtorch_cpu.so is linked with the next two, even without a CUDA device.
        Wheel {
            name: "nvidia-cuda-runtime",
            version: "13.5.37",
            file: "nvidia_cuda_runtime-13.5.37-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
            sha256: "df2b79a8852f10d1fef8c848489c49eebb5754051bf870202a862831412b179d",
            parts: &[library(
                "nvidia/cu13/lib/libcudart.so.13",
                "lib/libcudart.so.13",
                806_720,
            )],
        },
        Wheel {
            name: "nvidia-cuda-cupti",
            version: "13.5.25",
            file: "nvidia_cuda_cupti-13.5.25-py3-none-manylinux_2_25_x86_64.whl",
            sha256: "9dcca41c12a734192b14e7128ae116bc9ce1b9da686e2ebf48ae7a4415f76650",
            parts: &[library(
                "nvidia/cu13/lib/libcupti.so.13",
                "lib/libcupti.so.13",
                7_171_272,
            )],
        },
    ],
};

/// Makes sure that a build finds libtorch: the user's, or the one that is downloaded once.
///
/// # Errors
///
/// Returns an error if the user's libtorch does not exist, if there is none for this system, if a program that the
/// download requires is missing, or if the download or writing fails.
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
                "LIBTORCH is set, but the folder {} does not exist: \
                 set LIBTORCH to a libtorch {VERSION}, or unset it to download one",
                libraries.display()
            );
            Ok(())
        }
        Choice::Fetched => point(&link, &LIBTORCH.set_up()?),
    }
}

/// The libtorch that a build uses.
#[derive(Debug, PartialEq)]
enum Choice {
    /// The one in the PyTorch of the user's Python (`LIBTORCH_USE_PYTORCH`).
    Pytorch,
    /// The user's libtorch in this folder (`LIBTORCH`).
    Own(PathBuf),
    /// The one that the set-up downloads and links.
    Fetched,
}

impl Choice {
    /// Determines the choice. Cargo sets `LIBTORCH` to the link if the user has not set it.
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
    fn the_users_libtorch_takes_precedence() {
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
}
