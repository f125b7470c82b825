//! The configured role of each uid of a run, stored next to the tables, which contain what the uids did.

use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;

/// Maximum size of the file in bytes. It is sufficient for 65,536 uids with the longest role names.
const LARGEST: u64 = 16 << 20;

/// The role of a uid in its experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// The uid.
    pub uid: u32,
    /// Name of the role: the behaviour of a miner, or `validator`.
    pub role: String,
}

/// Writes the roles to the run's directory.
pub fn save(roles: &[Role], layout: &Layout) -> Result<(), RunError> {
    let path = layout.roles();
    let text = serde_json::to_vec(roles).map_err(|source| RunError::Json {
        path: path.clone(),
        source,
    })?;
    files::replace(&path, &text)
}

/// Reads the roles of a run. The list is empty if the run has no file of roles.
pub fn load(layout: &Layout) -> Result<Vec<Role>, RunError> {
    let path = layout.roles();
    let Some(text) = files::read_small(&path, LARGEST)? else {
        return Ok(Vec::new());
    };
    serde_json::from_slice(&text).map_err(|source| RunError::Json { path, source })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn roles_are_read_back_and_a_run_without_them_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::new(folder.path());
        assert_eq!(load(&layout).unwrap(), []);
        let roles = [Role {
            uid: 3,
            role: "copycat".to_owned(),
        }];
        save(&roles, &layout).unwrap();
        assert_eq!(load(&layout).unwrap(), roles);
        fs::write(layout.roles(), "{").unwrap();
        let error = load(&layout).unwrap_err().to_string();
        assert!(error.contains("roles.json cannot be read"), "{error}");
    }
}
