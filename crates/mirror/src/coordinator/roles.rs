//! What each uid of a run is, kept with the run: its tables tell what uids did, not what they were told to be.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use mirror_analysis::Role;
use mirror_runs::Layout;

/// Keeps the roles with the run.
pub(super) fn save(roles: &[Role], layout: &Layout) -> anyhow::Result<()> {
    let path = path(layout);
    let text = serde_json::to_vec(roles)?;
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The roles of a run; none where it did not begin.
pub fn load(layout: &Layout) -> anyhow::Result<Vec<Role>> {
    let path = path(layout);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).with_context(|| format!("{} is damaged", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn path(layout: &Layout) -> PathBuf {
    layout.root().join("roles.json")
}
