//! Sets of nodes that a fault names.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Uids;
use crate::key::{Described, Kind};
use crate::notation::Notation;

/// A set of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NodeSet {
    /// The neurons with these uids.
    Uids(Uids),
    /// The validators with these indices, from 0.
    Validators(Uids),
    /// The neurons with this label.
    Label(String),
    /// All miners.
    Miners,
    /// All validators.
    AllValidators,
    /// The chain's node.
    Chain,
}

impl Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uids(uids) => write!(f, "uid {uids}"),
            Self::Validators(indices) => write!(f, "validator-{indices}"),
            Self::Label(label) => write!(f, "label {label}"),
            Self::Miners => f.write_str("miners"),
            Self::AllValidators => f.write_str("validators"),
            Self::Chain => f.write_str("chain"),
        }
    }
}

impl FromStr for NodeSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "miners" => return Ok(Self::Miners),
            "validators" => return Ok(Self::AllValidators),
            "chain" | "subtensor" => return Ok(Self::Chain),
            _ => {}
        }
        if let Some(label) = text.strip_prefix("label ") {
            let label = label.trim();
            return if label.is_empty() {
                Err("`label` is followed by no name".to_owned())
            } else {
                Ok(Self::Label(label.to_owned()))
            };
        }
        if let Some(indices) = text.strip_prefix("validator-") {
            return Uids::of_indices(indices).map(Self::Validators);
        }
        text.parse().map(Self::Uids).map_err(|error| {
            let starts = text
                .trim_start_matches("uid")
                .trim_start_matches('s')
                .trim_start();
            if starts.starts_with(|c: char| c.is_ascii_digit()) {
                error
            } else {
                format!("`{}` names no nodes", text.chars().take(64).collect::<String>())
            }
        })
    }
}

impl From<NodeSet> for String {
    fn from(nodes: NodeSet) -> Self {
        nodes.to_string()
    }
}

impl TryFrom<String> for NodeSet {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Described for NodeSet {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "nodes: `uid 3-7`, `validator-0`, `label copycat`, `miners`, `validators` or `chain`",
        pattern: "^((uids? )?[0-9]+(-[0-9]+)?(, ?[0-9]+(-[0-9]+)?)*|validator-[0-9]+(-[0-9]+)?|label .+|miners|validators|chain|subtensor)$",
        check: |text| text.parse::<Self>().map(drop),
        example: "miners",
    });
}

/// Formats sets of nodes for messages: `validator-0, uid 3-7`.
pub fn nodes_text(nodes: &[NodeSet]) -> String {
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_nodes_are_read_and_written() {
        for text in [
            "uid 3-7",
            "uid 0-2,5",
            "validator-0",
            "validator-0-2",
            "label late",
            "miners",
            "validators",
            "chain",
        ] {
            let nodes: NodeSet = text.parse().expect("it names nodes");
            assert_eq!(nodes.to_string(), text);
        }
        assert_eq!("5".parse(), "uid 5".parse::<NodeSet>());
        for text in [
            "",
            "validator-",
            "validator-x",
            "label ",
            "uid",
            "uid 5-3",
            "node 4",
            "uid 99999999",
        ] {
            assert!(text.parse::<NodeSet>().is_err(), "{text}");
        }
    }
}
