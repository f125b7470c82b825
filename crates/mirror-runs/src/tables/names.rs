//! Names of the protocol's enumeration values in the tables.

use mirror_proto::mirror::v1::{Outcome, Purpose};

/// Value of the column `outcome` for a successful call.
pub const SUCCESS: &str = "success";

/// Value of the column `purpose` for a forward that a client requested from a running validator.
pub const MANUAL: &str = "manual";

/// Returns the outcome of a call as in the column `outcome`. Values of a newer version are returned as numbers.
pub fn outcome_name(outcome: i32) -> String {
    let Ok(known) = Outcome::try_from(outcome) else {
        return format!("outcome {outcome}");
    };
    known.name().to_owned()
}

/// Returns the purpose of a forward as in the column `purpose`.
pub fn purpose_name(purpose: i32) -> String {
    let Ok(known) = Purpose::try_from(purpose) else {
        return format!("purpose {purpose}");
    };
    match known {
        Purpose::Unspecified => "unspecified",
        Purpose::Query => "query",
        Purpose::Manual => MANUAL,
    }
    .to_owned()
}
