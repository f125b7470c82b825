//! The chain's fixed-point numbers: 32 bits before the point, including the sign, and 32 bits after it.
//!
//! The arithmetic is bit for bit that of the type `I32F32` of the crate `substrate-fixed`, which the real chain uses:
//! products are rounded down, quotients are rounded towards zero, and overflows saturate. The type is implemented here
//! because it is small, because the crate would add a codec and two macro crates to the dependencies, and because the
//! crate's exponential performs thirty divisions of 128 bits by 64, which take most of the time of an epoch with liquid
//! alpha. The tests compare each operation with the crate.
//!
//! The real chain also uses `I64F64` and `I96F32`, each in one place where the result is a quotient or a product of
//! integers, rounded down: [`I32F32::ratio`] and [`I32F32::of`].

use std::iter::Sum;
use std::ops::{Add, Sub};

/// Number of bits after the point.
const FRACTION: u32 = 32;

/// A number with 32 bits after the point.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct I32F32(i64);

impl I32F32 {
    /// The number 0.
    pub const ZERO: Self = Self(0);
    /// The number 1.
    pub const ONE: Self = Self(1 << FRACTION);
    /// The number 1/2.
    pub(super) const HALF: Self = Self(1 << (FRACTION - 1));
    /// Euler's number with 23 bits after the point, the result of the chain's exponential for 1.
    const E: Self = Self(22_802_600 << 9);

    /// Creates the number with these bits; 2³² represents 1.
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// Returns the bits.
    pub const fn to_bits(self) -> i64 {
        self.0
    }

    /// Creates a whole number.
    pub const fn whole(number: i32) -> Self {
        Self((number as i64) << FRACTION)
    }

    /// Returns `part / whole`, rounded down. Returns 0 if `whole` is 0. `part` must be at most `whole`.
    pub fn ratio(part: u64, whole: u64) -> Self {
        let quotient = match u32::try_from(part) {
            Ok(part) => (u64::from(part) << FRACTION).checked_div(whole).map(u128::from),
            Err(_) => (u128::from(part) << FRACTION).checked_div(whole.into()),
        };
        Self(i64::try_from(quotient.unwrap_or(0)).unwrap_or(i64::MAX))
    }

    /// Creates a number from a share in 16 bits, of which 65,535 is 1.
    pub fn from_u16_share(share: u16) -> Self {
        Self::ratio(share.into(), u16::MAX.into())
    }

    /// Returns the share in 16 bits as the chain stores it: 65,535 times the number, rounded down.
    pub fn to_u16_share(self) -> u16 {
        let share = (i128::from(self.0) * i128::from(u16::MAX)) >> FRACTION;
        u16::try_from(share.max(0)).unwrap_or(u16::MAX)
    }

    /// Returns this share of an amount, rounded down. Returns 0 for a negative share.
    pub fn of(self, amount: u64) -> u64 {
        let share = u128::try_from(self.0).unwrap_or(0);
        u64::try_from((share * u128::from(amount)) >> FRACTION).unwrap_or(u64::MAX)
    }

    /// Returns the product, rounded down.
    pub fn times(self, other: Self) -> Self {
        saturated((i128::from(self.0) * i128::from(other.0)) >> FRACTION)
    }

    /// Returns the quotient, rounded towards zero. Returns 0 if the divisor is 0.
    pub fn over(self, other: Self) -> Self {
        match (u32::try_from(self.0), u64::try_from(other.0)) {
            // The most frequent case: a share below 1 divided by a positive number.
            (Ok(share), Ok(whole)) => {
                let quotient = (u64::from(share) << FRACTION).checked_div(whole).unwrap_or(0);
                Self(i64::try_from(quotient).unwrap_or(i64::MAX))
            }
            _ => (i128::from(self.0) << FRACTION)
                .checked_div(other.0.into())
                .map_or(Self::ZERO, saturated),
        }
    }

    /// Rounds to the nearest whole number, with halves away from zero, within the range of 16 bits.
    pub fn round_to_u16(self) -> u16 {
        let rounded = self.0.saturating_add(Self::HALF.0) >> FRACTION;
        u16::try_from(rounded.max(0)).unwrap_or(u16::MAX)
    }

    /// Returns the reciprocal, rounded towards zero. Returns 0 for 0.
    pub fn inverse(self) -> Self {
        match u64::try_from(self.0) {
            // 2⁶⁴ does not fit into 64 bits. The quotients of 2⁶⁴ and 2⁶⁴ − 1 differ only for powers of two.
            Ok(whole) if self > Self::ONE => {
                Self((u64::MAX / whole + u64::from(whole.is_power_of_two())).cast_signed())
            }
            _ => Self::ONE.over(self),
        }
    }

    /// Returns the chain's exponentials of numbers within ±20. Numbers outside this range are clamped to it.
    ///
    /// The result is a Taylor series of the number's absolute value up to x³¹/31!, each term rounded down. For a
    /// negative number it is the reciprocal of the sum. For 1 it is a separate constant. Computing several exponentials
    /// together takes little longer than computing one, because a series mostly waits for its previous term.
    pub fn exp_within_20<const N: usize>(numbers: [Self; N]) -> [Self; N] {
        let numbers = numbers.map(|number| number.clamp(Self::whole(-20), Self::whole(20)));
        let sums = exp_series(numbers.map(|number| number.0.unsigned_abs()));
        let mut exponentials = sums.map(|sum| Self(sum.cast_signed()));
        for (exponential, number) in exponentials.iter_mut().zip(numbers) {
            if number == Self::ONE {
                *exponential = Self::E;
            } else if number < Self::ZERO {
                *exponential = exponential.inverse();
            }
        }
        exponentials
    }
}

/// Returns 1 + x + x²/2! + … + x³¹/31! for each x up to 20. Each term is computed from the previous one and rounded
/// down after the product and after the quotient. No product and no sum reaches 2³¹.
fn exp_series<const N: usize>(numbers: [u64; N]) -> [u64; N] {
    static QUOTIENTS: [Quotient; 30] = {
        let mut quotients = [Quotient::by(2); 30];
        let mut i = 0;
        while i < quotients.len() {
            quotients[i] = Quotient::by(i as u32 + 2);
            i += 1;
        }
        quotients
    };
    let mut sums = numbers.map(|number| (1 << FRACTION) + number);
    let mut terms = numbers;
    for quotient in &QUOTIENTS {
        for ((sum, term), number) in sums.iter_mut().zip(&mut terms).zip(numbers) {
            // The operands are shifted so that the upper half of the product has 32 bits after the point.
            *term = quotient.of(upper_half(*term << 5, number << 27));
            *sum += *term;
        }
        // If all terms are 0, all later terms are 0 too.
        if terms == [0; N] {
            break;
        }
    }
    sums
}

/// Division of numbers below 2⁶³ by a constant, computed as a multiplication, which is faster than a division
/// instruction.
#[derive(Clone, Copy)]
struct Quotient {
    /// 2 to the power of 64 + `shift`, divided by the divisor and rounded up.
    factor: u64,
    shift: u32,
}

impl Quotient {
    /// Computes the factor, which just fits into 64 bits. It is rounded up by less than 1, so the quotient is too large
    /// by less than 2⁶³ / 2⁶⁴⁺ˢʰⁱᶠᵗ. This is at most 1 / divisor, too little to reach the next whole number.
    const fn by(divisor: u32) -> Self {
        let shift = (divisor - 1).ilog2();
        Self {
            factor: (1_u128 << (64 + shift)).div_ceil(divisor as u128) as u64,
            shift,
        }
    }

    fn of(self, number: u64) -> u64 {
        upper_half(number, self.factor) >> self.shift
    }
}

/// Returns the upper 64 bits of a product.
fn upper_half(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

fn saturated(bits: i128) -> I32F32 {
    let bound = if bits < 0 { i64::MIN } else { i64::MAX };
    I32F32(i64::try_from(bits).unwrap_or(bound))
}

impl Add for I32F32 {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for I32F32 {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Sum for I32F32 {
    fn sum<I: Iterator<Item = Self>>(numbers: I) -> Self {
        numbers.fold(Self::ZERO, Add::add)
    }
}

impl From<I32F32> for f64 {
    fn from(number: I32F32) -> Self {
        number.0 as Self / I32F32::ONE.0 as Self
    }
}
