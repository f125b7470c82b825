//! Sets weights by the average rewards, except for a share of the weight that some miners bought.
//!
//! It exploits that a small enough deviation passes the consensus. If the other validators give those miners less, the
//! bought weight is clipped, and the validator's trust falls by the same amount.

use mirror_spec::{BribedArgs, Uids};

use super::{Behaviour, WeightInputs};

pub(super) struct Bribed {
    members: Uids,
    part: f32,
}

impl Bribed {
    pub(super) fn new(args: &BribedArgs) -> Self {
        Self {
            members: args.members.clone(),
            part: args.part,
        }
    }
}

impl Behaviour for Bribed {
    fn weigh(&self, known: WeightInputs<'_>) -> Vec<f32> {
        let earned = known.earned();
        let all: f32 = earned.iter().sum();
        let members = self.members.count() as f32;
        let weigh = |(uid, earned): (u32, f32)| {
            let honest = if all > 0.0 {
                earned / all * (1.0 - self.part)
            } else {
                0.0
            };
            let bought = if self.members.contains(&uid) {
                self.part / members
            } else {
                0.0
            };
            honest + bought
        };
        (0..).zip(earned).map(weigh).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::weighed;
    use super::*;

    #[test]
    fn half_of_the_weight_is_bought_and_half_is_earned() {
        let bribed = Bribed::new(&BribedArgs {
            members: "2-3".parse().expect("it names uids"),
            part: 0.5,
        });
        assert_eq!(
            weighed(&bribed, &[3.0, 1.0, 0.0, 0.0], &[0; 4]),
            [0.375, 0.125, 0.25, 0.25]
        );
        assert_eq!(weighed(&bribed, &[0.0; 4], &[0; 4]), [0.0, 0.0, 0.25, 0.25]);
    }
}
