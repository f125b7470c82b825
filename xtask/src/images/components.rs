//! The list of the components of an image, in the format `CycloneDX` 1.5 (JSON).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::VERSION;
use crate::cargo;
use crate::duckdb::DUCKDB;
use crate::libtorch::LIBTORCH;

/// The checksums of the crates that `Cargo.lock` takes from a registry, by name and version.
pub(super) struct CrateList(BTreeMap<(String, String), String>);

impl CrateList {
    /// Reads `Cargo.lock` of the checkout in `root`.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let file = root.join("Cargo.lock");
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self(checksums(&text).collect()))
    }
}

/// Returns the packages of a `Cargo.lock` that have a checksum.
fn checksums(lock: &str) -> impl Iterator<Item = ((String, String), String)> {
    lock.split("[[package]]").filter_map(|package| {
        let value = |key: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        let name = value("name")?.to_owned();
        Some((
            (name, value("version")?.to_owned()),
            value("checksum")?.to_owned(),
        ))
    })
}

/// The components of an image, by their identity as package URL, or by name if they have none.
pub(super) struct Components(BTreeMap<String, Component>);

/// One component. An absent property is unknown.
struct Component {
    name: String,
    version: Option<String>,
    license: Option<String>,
    sha256: Option<String>,
    package_url: Option<String>,
}

impl Components {
    /// Lists the crates that are linked into programs, which have the names of their packages.
    pub(super) fn of_crates(root: &Path, programs: &[&str], crates: &CrateList) -> Result<Self> {
        let mut tree = cargo("tree --locked --edges normal,no-proc-macro --prefix none --format {p}|{l}|");
        for program in programs {
            tree.args(["--package", program]);
        }
        let printed = crate::output(tree.current_dir(root))?;
        let mut all = Self(BTreeMap::new());
        for (name, version, license) in packages(&printed) {
            let checksum = crates.0.get(&(name.to_owned(), version.to_owned()));
            all.add(Component {
                name: name.to_owned(),
                version: Some(version.to_owned()),
                license: Some(license).filter(|text| !text.is_empty()),
                sha256: checksum.cloned(),
                package_url: Some(format!("pkg:cargo/{name}@{}", encoded(version))),
            });
        }
        Ok(all)
    }

    /// Adds the package that a file of this machine is from: a wheel that the set-up downloaded or a package of Debian.
    /// A file of another origin is itself the component.
    pub(super) fn add_file(&mut self, file: &Path) -> Result<()> {
        let real = file
            .canonicalize()
            .with_context(|| format!("cannot find {}", file.display()))?;
        if let Some(wheel) = LIBTORCH.wheel_of(&real).or_else(|| DUCKDB.wheel_of(&real)) {
            self.add(Component {
                name: wheel.name.to_owned(),
                version: Some(wheel.version.to_owned()),
                license: None,
                sha256: Some(wheel.sha256.to_owned()),
                package_url: Some(format!("pkg:pypi/{}@{}", wheel.name, encoded(wheel.version))),
            });
            return Ok(());
        }
        if let Some(package) = [file, &real].into_iter().find_map(debian_package) {
            return self.add_package(&package);
        }
        let sums = crate::output(Command::new("sha256sum").arg(&real))?;
        self.add(Component {
            name: file.file_name().unwrap_or_default().display().to_string(),
            version: None,
            license: None,
            sha256: sums.split_whitespace().next().map(str::to_owned),
            package_url: None,
        });
        Ok(())
    }

    /// Adds a package of Debian that is installed on this machine.
    pub(super) fn add_package(&mut self, package: &str) -> Result<()> {
        let mut query = Command::new("dpkg-query");
        query.args([
            "--show",
            "--showformat",
            "${Package} ${Version} ${Architecture}",
            package,
        ]);
        let printed = crate::output(&mut query)?;
        let mut words = printed.split(' ');
        let mut next = || {
            let word = words.next();
            word.with_context(|| format!("dpkg-query printed `{printed}` about {package}"))
        };
        let (name, version, architecture) = (next()?, next()?, next()?);
        self.add(Component {
            name: name.to_owned(),
            version: Some(version.to_owned()),
            license: None,
            sha256: None,
            package_url: Some(format!(
                "pkg:deb/debian/{}@{}?arch={architecture}",
                encoded(name),
                encoded(version)
            )),
        });
        Ok(())
    }

    fn add(&mut self, component: Component) {
        let identity = component.package_url.as_ref().unwrap_or(&component.name);
        self.0.insert(identity.clone(), component);
    }

    /// Returns the list as a document about `image`.
    pub(super) fn to_json(&self, image: &str) -> String {
        let components: Vec<String> = self.0.values().map(Component::to_json).collect();
        format!(
            "{{\n  \"bomFormat\": \"CycloneDX\",\n  \"specVersion\": \"1.5\",\n  \"version\": 1,\n  \
             \"metadata\": {{\"component\": {{\"type\": \"container\", \"name\": {}, \"version\": {}}}}},\n  \
             \"components\": [\n    {}\n  ]\n}}\n",
            quoted(image),
            quoted(VERSION),
            components.join(",\n    ")
        )
    }
}

impl Component {
    fn to_json(&self) -> String {
        let kind = if self.package_url.is_some() {
            "library"
        } else {
            "file"
        };
        let mut json = format!("{{\"type\": \"{kind}\", \"name\": {}", quoted(&self.name));
        let mut add = |key: &str, value: String| {
            // Writing to a string does not fail.
            let _ = write!(json, ", \"{key}\": {value}");
        };
        if let Some(version) = &self.version {
            add("version", quoted(version));
        }
        if let Some(sha256) = &self.sha256 {
            let sha256 = quoted(sha256);
            add(
                "hashes",
                format!("[{{\"alg\": \"SHA-256\", \"content\": {sha256}}}]"),
            );
        }
        if let Some(license) = &self.license {
            add("licenses", format!("[{{\"expression\": {}}}]", quoted(license)));
        }
        if let Some(url) = &self.package_url {
            add("purl", quoted(url));
        }
        json.push('}');
        json
    }
}

/// Returns name, version and licence of each package in the output of cargo's `tree`. The slash in a licence is an
/// older notation of `OR`.
fn packages(printed: &str) -> impl Iterator<Item = (&str, &str, String)> {
    printed.lines().filter_map(|line| {
        let mut fields = line.split('|');
        let mut words = fields.next()?.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let license = fields.next()?.split('/').map(str::trim).collect::<Vec<_>>();
        Some((name, version, license.join(" OR ")))
    })
}

/// Returns the package of Debian that a file is from. Returns `None` if there is none or this is no Debian.
fn debian_package(file: &Path) -> Option<String> {
    let mut query = Command::new("dpkg-query");
    let output = query.arg("--search").arg(file).output().ok()?;
    let printed = String::from_utf8(output.stdout).ok()?;
    let (package, _) = printed.split_once(": ")?;
    output.status.success().then(|| package.to_owned())
}

/// Returns a part of a package URL with each character that has a meaning in it encoded.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_~:".contains(&byte) {
            encoded.push(byte.into());
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Returns a string of JSON.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(control));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_taken_from_the_tree_of_cargo() {
        let printed = "mirror-agent v0.1.0 (/w/crates/mirror-agent)|MIT|\n\
            aho-corasick v1.1.5|Unlicense OR MIT| (*)\nbitflags v1.3.2|MIT/Apache-2.0|\n\nring v0.17.14||\n";
        let found: Vec<_> = packages(printed).collect();
        let expected = [
            ("mirror-agent", "0.1.0", "MIT"),
            ("aho-corasick", "1.1.5", "Unlicense OR MIT"),
            ("bitflags", "1.3.2", "MIT OR Apache-2.0"),
            ("ring", "0.17.14", ""),
        ];
        assert_eq!(
            found,
            expected.map(|(name, version, license)| (name, version, license.to_owned()))
        );
    }

    #[test]
    fn packages_of_a_registry_have_checksums() {
        let lock = "version = 4\n\n[[package]]\nname = \"aes\"\nversion = \"0.8.4\"\nchecksum = \"b169\"\n\
            dependencies = [\n \"cfg-if\",\n]\n\n[[package]]\nname = \"mirror\"\nversion = \"0.1.0\"\n";
        let found: Vec<_> = checksums(lock).collect();
        assert_eq!(
            found,
            [(("aes".to_owned(), "0.8.4".to_owned()), "b169".to_owned())]
        );
    }

    #[test]
    fn names_and_versions_are_encoded() {
        assert_eq!(encoded("libstdc++6"), "libstdc%2B%2B6");
        assert_eq!(encoded("1:2.36-9+deb12u14"), "1:2.36-9%2Bdeb12u14");
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
    }
}
