//! The Docker client of this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::VERSION;
use crate::prerequisites::all_on_path;

/// A client that builds with `BuildKit`, which builds only the stages that an image needs.
pub(super) struct Docker(PathBuf);

impl Docker {
    /// Finds the first client on the search path that builds with `BuildKit`.
    ///
    /// # Errors
    ///
    /// Returns an error if there is no such client.
    pub(super) fn find() -> Result<Self> {
        let clients = all_on_path("docker");
        ensure!(
            !clients.is_empty(),
            "there is no `docker` on the PATH: install Docker, for example with `apt install docker.io`"
        );
        let found = clients.iter().find(|client| builds(client));
        let listed: Vec<String> = clients.iter().map(|file| file.display().to_string()).collect();
        let client = found.with_context(|| {
            format!(
                "{} cannot build with BuildKit: install the plugin buildx, for example with \
                 `apt install docker-buildx`",
                listed.join(" and ")
            )
        })?;
        Ok(Self(client.clone()))
    }

    /// Builds the stage `target` of a Dockerfile from the files in `context`, and names the image.
    pub(super) fn build(
        &self,
        dockerfile: &Path,
        target: &str,
        name: &str,
        arguments: &[&OsStr],
        context: &Path,
    ) -> Result<()> {
        let mut build = self.command();
        // The network of the host also exists if the engine has no bridge. Only a build from the source uses it.
        build.args(["build", "--network", "host", "--target", target, "--tag", name]);
        // The settings of a cluster name images by their version.
        build.arg("--tag").arg(format!("{name}:{VERSION}"));
        for argument in arguments {
            build.arg("--build-arg").arg(argument);
        }
        crate::succeed(build.arg("--file").arg(dockerfile).arg(context))
    }

    /// Returns the size of an image in bytes.
    pub(super) fn size(&self, name: &str) -> Result<u64> {
        let mut inspect = self.command();
        let printed = crate::output(inspect.args(["image", "inspect", "--format", "{{.Size}}", name]))?;
        let size = printed.trim_end();
        size.parse()
            .with_context(|| format!("`docker image inspect` printed `{size}`, not the size of {name}"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.env("DOCKER_BUILDKIT", "1");
        command
    }
}

/// Returns whether a client can build with `BuildKit`. Newer clients need a plugin for it.
fn builds(client: &Path) -> bool {
    Command::new(client)
        .args(["build", "--help"])
        .env("DOCKER_BUILDKIT", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
