//! Which call of a forward to a uid it is, in one number that travels on the wire.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

/// The number of a call among those of one forward to one uid. Each of its bits means something of its own, so that
/// every call has draws of its own: bit 0 tells a Backward from the Forward that it rewards, bit 1 a manual call from
/// one of the experiment's query, and bit 31 a call that one axon makes because of another's. A caller from outside may
/// send any number, and the rest of its bits are kept as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallNumber(u32);

impl CallNumber {
    /// A Forward of the experiment's query.
    pub const QUERY: Self = Self(0);

    /// A Forward that a person asked a running validator for.
    pub const MANUAL: Self = Self(Self::MANUAL_BIT);

    const REWARD_BIT: u32 = 1;
    const MANUAL_BIT: u32 = 1 << 1;
    const RELAYED_BIT: u32 = 1 << 31;

    /// The number of the Backward that rewards this Forward.
    #[must_use]
    pub fn reward(self) -> Self {
        Self(self.0 | Self::REWARD_BIT)
    }

    /// The number of the Forward that this Backward rewards; a Forward's own number.
    #[must_use]
    pub fn forward(self) -> Self {
        Self(self.0 & !Self::REWARD_BIT)
    }

    /// The number of the call that an axon makes of another because of this one.
    #[must_use]
    pub fn relayed(self) -> Self {
        Self(self.0 | Self::RELAYED_BIT)
    }

    /// Whether an axon makes the call because of another's.
    pub fn is_relayed(self) -> bool {
        self.0 & Self::RELAYED_BIT != 0
    }

    /// Whether the call is a Forward of the experiment's query, or one that an axon makes because of such.
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
    fn a_reward_leads_back_to_its_forward() {
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
    fn what_is_relayed_is_of_the_query_as_its_cause_is() {
        for number in all() {
            assert_eq!(number.relayed().is_of_query(), number.is_of_query(), "{number}");
            assert!(number.relayed().is_relayed());
        }
        assert!(CallNumber::QUERY.is_of_query() && !CallNumber::QUERY.is_relayed());
        assert!(!CallNumber::MANUAL.is_of_query() && !CallNumber::QUERY.reward().is_of_query());
    }

    #[test]
    fn a_number_is_read_as_it_is_written() {
        for number in all() {
            assert_eq!(number.to_string().parse(), Ok(number));
        }
    }
}
