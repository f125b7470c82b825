//! The words that stand in the tables for the contract's enumerations.

use mirror_proto::mirror::v1::{Outcome, Purpose};

/// The column `outcome` of a call that was answered well.
pub const SUCCESS: &str = "success";

/// The column `purpose` of a forward that a client requested from a running validator.
pub const MANUAL: &str = "manual";

/// How a call ended, as the column `outcome` has it; a number that a newer version gave a meaning stays a number.
pub fn outcome_name(outcome: i32) -> String {
    let Ok(known) = Outcome::try_from(outcome) else {
        return format!("outcome {outcome}");
    };
    match known {
        Outcome::Unspecified => "unspecified",
        Outcome::Success => SUCCESS,
        Outcome::Empty => "empty",
        Outcome::TooShort => "too short",
        Outcome::Timeout => "timeout",
        Outcome::Unreachable => "unreachable",
        Outcome::Oversized => "oversized",
        Outcome::Malformed => "malformed",
        Outcome::Refused => "refused",
    }
    .to_owned()
}

/// Why a forward was made, as the column `purpose` has it.
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
