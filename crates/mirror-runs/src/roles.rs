//! What each uid of a run was told to be, kept beside the tables, which tell what uids did.

use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::files;
use crate::layout::Layout;

/// Roles of 65,536 uids in the longest names take less.
const LARGEST: u64 = 16 << 20;

/// What a uid is in its experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// whose
    pub uid: u32,
    /// in the experiment's word: a miner's behaviour, or `validator`
    pub role: String,
}

/// Keeps the roles with the run.
pub fn save(roles: &[Role], layout: &Layout) -> Result<(), RunError> {
    let path = layout.roles();
    let text = serde_json::to_vec(roles).map_err(|source| RunError::Json {
        path: path.clone(),
        source,
    })?;
    files::replace(&path, &text)
}

/// The roles of a run; none where it did not begin.
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
    fn roles_come_back_and_a_run_without_them_has_none() {
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
