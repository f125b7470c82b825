//! Turns raw weights into weights that the chain accepts: drops the smallest, clips the largest, converts to u16.
//!
//! The algorithm is that of `process_weights_for_netuid`, `normalize_max_weight` and
//! `convert_weights_and_uids_for_emit` in bittensor 5.0.0, also in f32.

use mirror_subtensor_client::Hyperparameters;

/// The chain's limits on weights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Minimum number of weights in a call.
    pub min_allowed_weights: usize,
    /// Maximum share of one weight, 0..=1.
    pub max_weight_limit: f32,
    /// Share of the smallest weights that are left out, 0..=1.
    pub exclude_quantile: f32,
}

impl From<&Hyperparameters> for Limits {
    fn from(hyperparameters: &Hyperparameters) -> Self {
        let share = |share: u16| f32::from(share) / 65_535.0;
        Self {
            min_allowed_weights: hyperparameters.min_allowed_weights.into(),
            max_weight_limit: share(hyperparameters.max_weight_limit),
            exclude_quantile: share(hyperparameters.validator_exclude_quantile),
        }
    }
}

/// Weights within the limits: ascending uids and their weights, which sum to 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProcessedWeights {
    /// The uids, ascending.
    pub uids: Vec<u32>,
    /// The weights, parallel to `uids`.
    pub weights: Vec<f32>,
}

/// Averages that cannot be converted to weights.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum InvalidAverages {
    /// An average is infinite or NaN.
    #[error("the average of uid {uid} is {average}, which is not a finite number")]
    NotFinite {
        /// The uid of the average.
        uid: usize,
        /// The value of the average.
        average: f32,
    },
    /// The averages are finite, but their sum is not.
    #[error("the sum of the averages exceeds the range of f32")]
    Overflow,
}

/// The number that v4 adds to avoid division by zero.
const EPSILON: f32 = 1e-7;

/// The weight that v4 adds to every uid if too few have one.
const MAKEWEIGHT: f32 = 1e-5;

/// Applies the chain's limits to the moving averages of the uids `0..n`. A uid with a negative average gets no weight,
/// as in v4.
///
/// # Errors
/// Returns [`InvalidAverages`] if an average or the sum of their absolute values is not finite. (v4 divides by the sum
/// nevertheless, and gives all uids equal weight.)
pub fn process(averages: &[f32], limits: &Limits) -> Result<ProcessedWeights, InvalidAverages> {
    let mut by_uid = averages.iter().copied().enumerate();
    if let Some((uid, average)) = by_uid.find(|(_, average)| !average.is_finite()) {
        return Err(InvalidAverages::NotFinite { uid, average });
    }
    let norm: f32 = averages.iter().map(|average| average.abs()).sum();
    if norm.is_infinite() {
        return Err(InvalidAverages::Overflow);
    }
    Ok(limited(averages, norm, limits))
}

/// Applies the limits to averages whose absolute values sum to `norm`.
fn limited(averages: &[f32], norm: f32, limits: &Limits) -> ProcessedWeights {
    let n = averages.len();
    let raw: Vec<f32> = averages.iter().map(|average| average / norm.max(1e-12)).collect();
    let all_uids = || (0..n as u32).collect();
    let positive: Vec<u32> = (0..n as u32).filter(|uid| raw[*uid as usize] > 0.0).collect();
    if positive.is_empty() || n < limits.min_allowed_weights {
        return ProcessedWeights {
            uids: all_uids(),
            weights: vec![1.0 / n as f32; n],
        };
    }
    if positive.len() < limits.min_allowed_weights {
        let filled: Vec<f32> = raw.iter().map(|weight| weight.max(0.0) + MAKEWEIGHT).collect();
        return ProcessedWeights {
            uids: all_uids(),
            weights: limit_largest(&filled, limits.max_weight_limit),
        };
    }
    let spare = (positive.len() - limits.min_allowed_weights) as f32 / positive.len() as f32;
    let positive_weights: Vec<f32> = positive.iter().map(|uid| raw[*uid as usize]).collect();
    let least = quantile(&positive_weights, limits.exclude_quantile.min(spare));
    let kept: Vec<u32> = positive
        .into_iter()
        .filter(|uid| raw[*uid as usize] >= least)
        .collect();
    let weights: Vec<f32> = kept.iter().map(|uid| raw[*uid as usize]).collect();
    ProcessedWeights {
        uids: kept,
        weights: limit_largest(&weights, limits.max_weight_limit),
    }
}

/// Converts weights to u16 so that the largest becomes 65535. Halves round to even, as in Python. Uids whose weight
/// rounds to zero are dropped.
pub fn to_u16(processed: &ProcessedWeights) -> (Vec<u32>, Vec<u32>) {
    let largest = processed.weights.iter().copied().fold(0.0, f32::max);
    if largest <= 0.0 {
        return (Vec::new(), Vec::new());
    }
    let scaled = processed.weights.iter().map(|weight| {
        let scaled = f64::from(*weight) / f64::from(largest) * 65_535.0;
        scaled.round_ties_even().clamp(0.0, 65_535.0) as u32
    });
    processed
        .uids
        .iter()
        .copied()
        .zip(scaled)
        .filter(|(_, weight)| *weight > 0)
        .unzip()
}

/// Returns a quantile with linear interpolation between neighbours, as in torch. `values` must not be empty, and `q`
/// must be in 0..=1.
fn quantile(values: &[f32], q: f32) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    let position = q * (sorted.len() - 1) as f32;
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (position - position.floor())
}

/// Normalises weights to the sum 1 with no weight above `limit`, by clipping the largest. Returns equal weights if that
/// is impossible.
fn limit_largest(weights: &[f32], limit: f32) -> Vec<f32> {
    let count = weights.len();
    let sum: f32 = weights.iter().sum();
    if sum == 0.0 || count as f32 * limit <= 1.0 {
        return vec![1.0 / count as f32; count];
    }
    let mut estimation: Vec<f32> = weights.iter().map(|weight| weight / sum).collect();
    estimation.sort_by(f32::total_cmp);
    if estimation.last().is_none_or(|largest| *largest <= limit) {
        return weights.iter().map(|weight| weight / sum).collect();
    }
    let mut below = 0.0;
    let cumulated: Vec<f32> = estimation
        .iter()
        .map(|weight| {
            below += weight;
            below
        })
        .collect();
    let within = estimation
        .iter()
        .zip(&cumulated)
        .enumerate()
        .filter(|(index, (weight, cumulated))| {
            let clipped_there = (count - index - 1) as f32 * **weight;
            **weight / (clipped_there + **cumulated + EPSILON) < limit
        });
    let within = within.count();
    // If no index is within the limit, Python's index -1 reads the last of the sums.
    let kept_sum = cumulated[within.checked_sub(1).unwrap_or(count - 1)];
    let cutoff_scale = (limit * kept_sum - EPSILON) / (1.0 - limit * (count - within) as f32);
    let cutoff = cutoff_scale * sum;
    let clipped: Vec<f32> = weights.iter().map(|weight| weight.min(cutoff)).collect();
    let clipped_sum: f32 = clipped.iter().sum();
    clipped.iter().map(|weight| weight / clipped_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FREE: Limits = Limits {
        min_allowed_weights: 1,
        max_weight_limit: 1.0,
        exclude_quantile: 0.0,
    };

    #[track_caller]
    fn check(averages: &[f32], limits: Limits, uids: &[u32], weights: &[f32]) {
        let found = process(averages, &limits).expect("the averages are finite");
        assert_eq!(found.uids, uids);
        for (found, expected) in found.weights.iter().zip(weights) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
        assert_eq!(found.weights.len(), weights.len());
    }

    #[test]
    fn without_limits_weights_are_normalised() {
        check(&[0.2, 0.0, 0.6], FREE, &[0, 2], &[0.25, 0.75]);
    }

    #[test]
    fn a_negative_average_gives_no_weight() {
        check(&[0.5, -0.5, 1.5], FREE, &[0, 2], &[0.25, 0.75]);
    }

    #[test]
    fn an_average_that_is_not_finite_is_rejected_with_its_uid() {
        for (bad, message) in [
            (f32::NAN, "the average of uid 1 is NaN"),
            (f32::INFINITY, "the average of uid 1 is inf"),
            (f32::NEG_INFINITY, "the average of uid 1 is -inf"),
        ] {
            let refused = process(&[0.2, bad, 0.6], &FREE).expect_err("the average is not finite");
            assert!(refused.to_string().starts_with(message), "{refused}");
        }
        assert_eq!(
            process(&[f32::MAX, f32::MAX], &FREE),
            Err(InvalidAverages::Overflow)
        );
    }

    #[test]
    fn without_averages_all_weights_are_equal() {
        check(&[0.0, 0.0], FREE, &[0, 1], &[0.5, 0.5]);
        check(
            &[0.5, 0.0],
            Limits {
                min_allowed_weights: 3,
                ..FREE
            },
            &[0, 1],
            &[0.5, 0.5],
        );
    }

    #[test]
    fn too_few_weights_are_filled_up_with_makeweights() {
        let limits = Limits {
            min_allowed_weights: 2,
            ..FREE
        };
        check(&[1.0, 0.0, 0.0], limits, &[0, 1, 2], &[1.0 - 2e-5, 1e-5, 1e-5]);
    }

    #[test]
    fn the_smallest_weights_are_left_out() {
        // the median of [1, 2, 3, 4]/10 is 0.25
        let limits = Limits {
            exclude_quantile: 0.5,
            ..FREE
        };
        check(&[1.0, 2.0, 3.0, 4.0], limits, &[2, 3], &[3.0 / 7.0, 4.0 / 7.0]);
        // min_allowed_weights must remain: the quantile is at most 1/4, and its value 0.175 keeps three
        let limits = Limits {
            min_allowed_weights: 3,
            ..limits
        };
        check(
            &[1.0, 2.0, 3.0, 4.0],
            limits,
            &[1, 2, 3],
            &[2.0 / 9.0, 3.0 / 9.0, 4.0 / 9.0],
        );
    }

    #[test]
    fn the_largest_weight_is_clipped_to_the_limit() {
        // 0.6 is clipped to c with c / (c + 0.4) = 0.5, so c = 0.4
        let limits = Limits {
            max_weight_limit: 0.5,
            ..FREE
        };
        check(&[0.6, 0.2, 0.2], limits, &[0, 1, 2], &[0.5, 0.25, 0.25]);
        // three weights of at most a quarter cannot sum to one
        check(
            &[0.6, 0.2, 0.2],
            Limits {
                max_weight_limit: 0.25,
                ..FREE
            },
            &[0, 1, 2],
            &[1.0 / 3.0; 3],
        );
    }

    #[test]
    fn u16_weights_are_scaled_to_the_largest() {
        let processed = ProcessedWeights {
            uids: vec![3, 5, 9],
            weights: vec![0.5, 0.25, 1e-9],
        };
        assert_eq!(to_u16(&processed), (vec![3, 5], vec![65_535, 32_768]));
        assert_eq!(to_u16(&ProcessedWeights::default()), (vec![], vec![]));
    }

    proptest! {
        #[test]
        fn weights_sum_to_one_and_keep_the_limit(
            averages in prop::collection::vec(0f32..1.0, 1..40),
            min in 1usize..8,
            limit in 0.05f32..=1.0,
            q in 0f32..=1.0,
        ) {
            let limits = Limits { min_allowed_weights: min, max_weight_limit: limit, exclude_quantile: q };
            let found = process(&averages, &limits).expect("the averages are finite");
            prop_assert!((found.weights.iter().sum::<f32>() - 1.0).abs() < 1e-3);
            prop_assert!(found.uids.is_sorted() && found.uids.len() == found.weights.len());
            if found.weights.len() as f32 * limit > 1.0 && averages.len() >= min {
                prop_assert!(found.weights.iter().all(|weight| *weight <= limit + 1e-3));
            }
        }
    }
}
