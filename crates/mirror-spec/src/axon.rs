//! The settings of axons: the calls that they answer and those that they refuse.

use std::fmt::{self, Display};
use std::str::FromStr;

use mirror_identity::{Hotkey, Ss58Error};
use serde::{Deserialize, Serialize};

use crate::declare::keys;
use crate::key::{Described, Kind};
use crate::notation::{Notation, as_text};
use crate::ranges::TAO;

keys! {
    /// The calls that each axon of the miners answers.
    pub struct AxonSettings: Default {
        /// Number of calls that an axon answers at a time. Further calls wait, those of callers with more stake in
        /// front.
        workers: u32 [Integer(1..=65_536)] = 400,
        /// Number of calls that may wait. When it is reached, the call whose caller has the least stake is refused with
        /// the return code Backoff.
        queue: u32 [Integer(0..=65_536)] = 1_000,
        /// The calls that are refused with the return code Blacklisted.
        blacklist: Blacklist = {},
    }
}

keys! {
    /// The callers whose calls an axon refuses.
    pub struct Blacklist: Default {
        /// Hotkeys whose calls are refused, as ss58 addresses.
        hotkeys: Vec<HotkeyText> [OneOrMany(&HotkeyText::KIND)] = [],
        /// Stake in TAO below which a caller is refused. A caller that is not registered has none.
        min_stake: f64 [TAO] = 0,
        /// Number of calls that an axon answers for one hotkey in a second. Further calls are refused. If absent: any
        /// number.
        calls_per_second: Option<u32> [Integer(1..=1_000_000)],
    }
}

/// A hotkey as written in a file: its ss58 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HotkeyText(pub Hotkey);

impl Display for HotkeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HotkeyText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse()
            .map(Self)
            .map_err(|error: Ss58Error| error.to_string())
    }
}

as_text!(HotkeyText);

impl Described for HotkeyText {
    const KIND: Kind = Kind::Notation(&Notation {
        what: "a hotkey as an ss58 address of 47 or 48 characters",
        pattern: "^[1-9A-HJ-NP-Za-km-z]{47,48}$",
        check: |text| text.parse::<Self>().map(drop),
        example: "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
    });
}
