//! The number that identifies a call of a forward to a uid on the wire.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The number of a call among those of one forward to one uid. Each kind of call sets separate bits, so that every call
/// has independent draws: bit 0 distinguishes a Backward from the Forward that it rewards, bit 1 marks a manual call,
/// and bit 31 marks a call that an axon makes because of a call that it received. An external caller may send any
/// number. All other bits are kept unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallNumber(u32);

impl CallNumber {
    /// A Forward of the experiment's query.
    pub const QUERY: Self = Self(0);

    /// A manual Forward, requested from a running validator.
    pub const MANUAL: Self = Self(Self::MANUAL_BIT);

    const REWARD_BIT: u32 = 1;
    const MANUAL_BIT: u32 = 1 << 1;
    const RELAYED_BIT: u32 = 1 << 31;

    /// Returns the number of the Backward that rewards this Forward.
    #[must_use]
    pub fn reward(self) -> Self {
        Self(self.0 | Self::REWARD_BIT)
    }

    /// Returns the number of the Forward that this Backward rewards. Returns the number of a Forward unchanged.
    #[must_use]
    pub fn forward(self) -> Self {
        Self(self.0 & !Self::REWARD_BIT)
    }

    /// Returns the number of the call that an axon makes to another axon because of this one.
    #[must_use]
    pub fn relayed(self) -> Self {
        Self(self.0 | Self::RELAYED_BIT)
    }

    /// Returns whether an axon makes the call because of a call that it received.
    pub fn is_relayed(self) -> bool {
        self.0 & Self::RELAYED_BIT != 0
    }

    /// Returns whether the call is a Forward of the experiment's query, or one that an axon makes because of such a
    /// Forward.
    pub fn is_of_query(self) -> bool {
        self.0 & !Self::RELAYED_BIT == Self::QUERY.0
    }

    pub(crate) fn bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for CallNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CallNumber {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = CallNumber> {
        let forwards = [CallNumber::QUERY, CallNumber::MANUAL];
        forwards.into_iter().flat_map(|forward| {
            let relayed = forward.relayed();
            [forward, forward.reward(), relayed, relayed.reward()]
        })
    }

    #[test]
    fn no_two_calls_share_a_number() {
        let numbers: std::collections::HashSet<_> = all().collect();
        assert_eq!(numbers.len(), 8);
    }

    #[test]
    fn a_reward_identifies_its_forward() {
        for forward in [
            CallNumber::QUERY,
            CallNumber::MANUAL,
            CallNumber::MANUAL.relayed(),
        ] {
            assert_eq!(forward.reward().forward(), forward);
            assert_eq!(forward.forward(), forward);
        }
    }

    #[test]
    fn a_relayed_call_is_of_the_query_if_its_cause_is() {
        for number in all() {
            assert_eq!(number.relayed().is_of_query(), number.is_of_query(), "{number}");
            assert!(number.relayed().is_relayed());
        }
        assert!(CallNumber::QUERY.is_of_query() && !CallNumber::QUERY.is_relayed());
        assert!(!CallNumber::MANUAL.is_of_query() && !CallNumber::QUERY.reward().is_of_query());
    }

    #[test]
    fn numbers_survive_a_round_trip_as_text() {
        for number in all() {
            assert_eq!(number.to_string().parse(), Ok(number));
        }
    }
}
