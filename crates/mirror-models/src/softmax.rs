//! Softmax, and the loss of the gating models that is computed from it.

/// Returns `exp(x_i) / Σ exp(x_j)`, shifted by the largest value so that it cannot overflow. Returns an empty vector
/// for empty input.
pub fn softmax(values: &[f32]) -> Vec<f32> {
    let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut shares: Vec<f32> = values.iter().map(|value| (value - largest).exp()).collect();
    let sum: f32 = shares.iter().sum();
    for share in &mut shares {
        *share /= sum;
    }
    shares
}

/// Returns the mean squared error between softmax(scores) and softmax(rewards), which is the loss of the gating model
/// of Bittensor v4. Returns `None` if there is nothing to compare.
pub fn loss(scores: &[f32], rewards: &[f32]) -> Option<f32> {
    let count = scores.len().min(rewards.len());
    if count == 0 {
        return None;
    }
    let squares = softmax(scores)
        .into_iter()
        .zip(softmax(rewards))
        .map(|(score, reward)| (score - reward).powi(2));
    Some(squares.sum::<f32>() / count as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_values_are_reproduced() {
        // e^0 : e^ln2 : e^ln4 = 1 : 2 : 4
        let shares = softmax(&[0.0, 2f32.ln(), 4f32.ln()]);
        for (share, expected) in shares.iter().zip([1.0 / 7.0, 2.0 / 7.0, 4.0 / 7.0]) {
            assert!((share - expected).abs() < 1e-6);
        }
        // The softmaxes are [1/2, 1/2] and [1/3, 2/3]. Both elements differ by 1/6.
        let found = loss(&[0.0, 0.0], &[0.0, 2f32.ln()]).expect("two of each");
        assert!((found - 1.0 / 36.0).abs() < 1e-6);
        assert_eq!(loss(&[], &[]), None);
    }

    proptest! {
        #[test]
        fn shares_sum_to_one(values in prop::collection::vec(-1e6f32..1e6, 1..50)) {
            let sum: f32 = softmax(&values).iter().sum();
            prop_assert!((sum - 1.0).abs() < 1e-4);
        }
    }
}
