//! Outcomes of an axon call, as named in the column `outcome` of `responses`.

/// An outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Name, as in the column `outcome`.
    pub name: &'static str,
    /// Description.
    pub about: &'static str,
    /// Colour in plots, in light and dark mode.
    pub(crate) color: &'static str,
}

impl Outcome {
    const fn new(name: &'static str, about: &'static str, color: &'static str) -> Self {
        Self { name, about, color }
    }
}

/// All outcomes, success first. Unknown names in the column are counted as the last, `other`.
pub const OUTCOMES: [Outcome; 9] = [
    Outcome::new("success", "a completion longer than 10 characters", "#2a9d6f"),
    Outcome::new("empty", "an answer with no completion", "#b8b4a7"),
    Outcome::new("too short", "a completion of 10 characters or fewer", "#56a8dd"),
    Outcome::new("timeout", "the deadline was exceeded", "#e69f00"),
    Outcome::new("unreachable", "the connection was refused or lost", "#d1495b"),
    Outcome::new(
        "oversized",
        "a reply larger than the limit of the caller",
        "#9a6fb0",
    ),
    Outcome::new("malformed", "a reply that is not a valid message", "#8c564b"),
    Outcome::new("refused", "the axon refused", "#e377a2"),
    Outcome::new("other", "an outcome unknown to this version", "#7f7f7f"),
];

const OTHER: usize = OUTCOMES.len() - 1;

/// Number of calls by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    counts: [u64; OUTCOMES.len()],
}

impl OutcomeCounts {
    /// Counts one call with the outcome named `outcome`.
    pub fn add(&mut self, outcome: &str) {
        let known = OUTCOMES.iter().position(|known| known.name == outcome);
        self.counts[known.unwrap_or(OTHER)] += 1;
    }

    /// Adds the counts of `others`.
    pub fn add_all(&mut self, others: &Self) {
        for (count, other) in self.counts.iter_mut().zip(others.counts) {
            *count += other;
        }
    }

    /// Returns every outcome with its count, in the order of [`OUTCOMES`].
    pub fn iter(&self) -> impl Iterator<Item = (Outcome, u64)> {
        OUTCOMES.into_iter().zip(self.counts)
    }

    /// Returns the number of calls with the outcome at index `kind` of [`OUTCOMES`].
    pub(crate) fn of(&self, kind: usize) -> u64 {
        self.counts.get(kind).copied().unwrap_or(0)
    }

    /// Returns the outcomes with a count above 0, except success.
    pub fn failures(&self) -> impl Iterator<Item = (Outcome, u64)> {
        self.iter().skip(1).filter(|(_, count)| *count > 0)
    }

    /// Returns the number of all calls.
    pub fn calls(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Returns the number of successful calls.
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
    fn every_outcome_of_the_protocol_is_known() {
        let all = (Contract::Success as i32..).map_while(|number| Contract::try_from(number).ok());
        let names: Vec<String> = all.map(|outcome| outcome_name(outcome as i32)).collect();
        let known: Vec<&str> = OUTCOMES[..OTHER].iter().map(|outcome| outcome.name).collect();
        assert_eq!(names, known);
    }

    #[test]
    fn an_outcome_of_a_later_version_is_counted() {
        let mut counts = OutcomeCounts::default();
        counts.add(&outcome_name(77));
        assert_eq!((counts.calls(), counts.successes()), (1, 0));
    }
}
