//! The ways in which an axon call can end, as the column `outcome` of `responses` names them.

/// One way in which a call can end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// as in the column `outcome`
    pub name: &'static str,
    /// what it means
    pub about: &'static str,
    /// its colour in plots, light or dark
    pub(crate) color: &'static str,
}

impl Outcome {
    const fn new(name: &'static str, about: &'static str, color: &'static str) -> Self {
        Self { name, about, color }
    }
}

/// Every outcome, success first. What the column names besides is counted as the last, `other`.
pub const OUTCOMES: [Outcome; 9] = [
    Outcome::new("success", "a completion longer than 10 characters", "#2a9d6f"),
    Outcome::new("empty", "an answer with no completion", "#b8b4a7"),
    Outcome::new("too short", "a completion of 10 characters or fewer", "#56a8dd"),
    Outcome::new("timeout", "the deadline came first", "#e69f00"),
    Outcome::new(
        "unreachable",
        "nobody took the connection, or it broke",
        "#d1495b",
    ),
    Outcome::new("oversized", "a reply larger than the caller takes", "#9a6fb0"),
    Outcome::new("malformed", "a reply that was no valid message", "#8c564b"),
    Outcome::new("refused", "the axon refused", "#e377a2"),
    Outcome::new("other", "an outcome that this version does not know", "#7f7f7f"),
];

const OTHER: usize = OUTCOMES.len() - 1;

/// How often each outcome was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    counts: [u64; OUTCOMES.len()],
}

impl OutcomeCounts {
    /// Counts one call whose outcome has the name `outcome`.
    pub fn add(&mut self, outcome: &str) {
        let known = OUTCOMES.iter().position(|known| known.name == outcome);
        self.counts[known.unwrap_or(OTHER)] += 1;
    }

    /// Adds those of somebody else.
    pub fn add_all(&mut self, others: &Self) {
        for (count, other) in self.counts.iter_mut().zip(others.counts) {
            *count += other;
        }
    }

    /// Every outcome with its count, in the order of [`OUTCOMES`].
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> {
        OUTCOMES.into_iter().zip(self.counts)
    }

    /// Number of calls that ended in outcome number `kind` of [`OUTCOMES`].
    pub(crate) fn of(&self, kind: usize) -> u64 {
        self.counts.get(kind).copied().unwrap_or(0)
    }

    /// The outcomes that were met, but success.
    pub fn failures(&self) -> impl Iterator<Item = (Outcome, u64)> {
        self.iter().skip(1).filter(|(_, count)| *count > 0)
    }

    /// Number of all calls.
    pub fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Number of calls that succeeded.
    pub fn successes(&self) -> u64 {
        self.counts[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mirror_proto::mirror::v1::Outcome as Contract;
    use mirror_runs::tables::outcome_name;

    #[test]
    fn every_outcome_of_the_contract_is_known() {
        let all = (Contract::Success as i32..).map_while(|number| Contract::try_from(number).ok());
        let names: Vec<String> = all.map(|outcome| outcome_name(outcome as i32)).collect();
        let known: Vec<&str> = OUTCOMES[..OTHER].iter().map(|outcome| outcome.name).collect();
        assert_eq!(names, known);
    }

    #[test]
    fn an_outcome_of_a_later_version_is_not_lost() {
        let mut counts = OutcomeCounts::default();
        counts.add(&outcome_name(77));
        assert_eq!((counts.calls(), counts.successes()), (1, 0));
    }
}
