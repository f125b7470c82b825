//! Files that only their owner can read.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;

/// Writes a file that only the owner can read, in place of an earlier one. A reader never sees a part of it.
pub(crate) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let unfinished = mirror_files::unfinished(path);
    let write = || {
        if let Err(error) = fs::remove_file(&unfinished)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(text.as_bytes())?;
        mirror_files::publish(&unfinished, path)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
