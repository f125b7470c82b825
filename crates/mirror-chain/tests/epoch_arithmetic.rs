//! The epoch's arithmetic equals that of the crate that the real chain uses, bit for bit.

use mirror_chain::epoch::I32F32;
use proptest::prelude::*;
use substrate_fixed::transcendental::exp;
use substrate_fixed::types::{I32F32 as Chain, I64F64, I96F32};

fn chain(number: I32F32) -> Chain {
    Chain::from_bits(number.to_bits())
}

fn exp_of(number: i32) -> I32F32 {
    let [exponential] = I32F32::exp_within_20([I32F32::whole(number)]);
    exponential
}

/// Numbers of all sizes, including those at which a case distinction changes.
fn numbers() -> impl Strategy<Value = I32F32> {
    let edges = prop::sample::select(vec![i64::MIN, -1, 0, 1, 1 << 32, (1 << 32) - 1, i64::MAX]);
    let sizes = (any::<i64>(), 0..64_u32).prop_map(|(bits, smaller)| bits >> smaller);
    prop_oneof![1 => edges, 9 => sizes].prop_map(I32F32::from_bits)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn arithmetic_equals_the_chains(a in numbers(), b in numbers()) {
        let (x, y) = (chain(a), chain(b));
        prop_assert_eq!((a + b).to_bits(), x.saturating_add(y).to_bits());
        prop_assert_eq!((a - b).to_bits(), x.saturating_sub(y).to_bits());
        prop_assert_eq!(a.times(b).to_bits(), x.saturating_mul(y).to_bits());
        let quotient = if b == I32F32::ZERO { Chain::from_bits(0) } else { x.saturating_div(y) };
        prop_assert_eq!(a.over(b).to_bits(), quotient.to_bits());
        prop_assert_eq!(b.inverse(), I32F32::ONE.over(b));
        let share = x.saturating_mul(Chain::from_num(u16::MAX));
        prop_assert_eq!(a.to_u16_share(), share.saturating_to_num::<u16>());
    }

    #[test]
    fn ratios_equal_the_chains_quotients_in_its_widest_format(a in 0..i64::MAX as u64, b in 0..i64::MAX as u64) {
        let (part, whole) = (a.min(b), a.max(b));
        prop_assume!(whole > 0);
        let quotient = I64F64::from_num(part) / I64F64::from_num(whole);
        prop_assert_eq!(I32F32::ratio(part, whole).to_bits(), Chain::from_num(quotient).to_bits());
    }

    #[test]
    fn amounts_equal_the_chains_products_in_its_widest_format(bits in 0..=1_i64 << 32, amount: u64) {
        let share = I32F32::from_bits(bits);
        let product = I96F32::from_num(chain(share)).saturating_mul(I96F32::from_num(amount));
        prop_assert_eq!(share.of(amount), product.saturating_to_num::<u64>());
    }

    #[test]
    fn the_exponential_equals_the_chains(bits in -20_i64 << 32..=20 << 32) {
        let expected: Chain = exp(Chain::from_bits(bits)).expect("exponentials within 20 do not overflow");
        prop_assert_eq!(I32F32::exp_within_20([I32F32::from_bits(bits)])[0].to_bits(), expected.to_bits());
    }

    #[test]
    fn rounding_equals_the_chains(bits in 0..70_000_i64 << 32) {
        let expected: u16 = Chain::from_bits(bits).round().saturating_to_num();
        prop_assert_eq!(I32F32::from_bits(bits).round_to_u16(), expected);
    }
}

#[test]
fn the_exponential_of_whole_numbers_equals_the_chains_and_is_clamped_at_20() {
    for number in -20..=20 {
        let expected: Chain = exp(Chain::from_num(number)).expect("exponentials within 20 do not overflow");
        assert_eq!(exp_of(number).to_bits(), expected.to_bits(), "{number}");
    }
    for (beyond, bound) in [(21, 20), (-4_000, -20)] {
        assert_eq!(exp_of(beyond), exp_of(bound));
    }
}
