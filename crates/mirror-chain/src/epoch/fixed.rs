//! The chain's fixed point: 32 bits before the point, one of them the sign, and 32 after it.
//!
//! Bit for bit the `I32F32` of the crate `substrate-fixed`, which the real chain computes with: products round down,
//! quotients towards zero, and what is too large stays at the bound. The type is small enough to be our own; the crate
//! would bring a codec and two macro crates along, and its exponential divides 128 bits by 64 thirty times, where most
//! of an epoch with liquid alpha goes. The tests hold each operation here
//! against that crate.
//!
//! The real chain also uses `I64F64` and `I96F32`, each at one place where its result is a quotient or a product of
//! integers, rounded down: [`I32F32::ratio`] and [`I32F32::of`].

use std::iter::Sum;
use std::ops::{Add, Sub};

/// Bits after the point.
const FRACTION: u32 = 32;

/// A number with 32 bits after the point.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct I32F32(i64);

impl I32F32 {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// All.
    pub const ONE: Self = Self(1 << FRACTION);
    /// A half.
    pub(super) const HALF: Self = Self(1 << (FRACTION - 1));
    /// Euler's number with 23 bits after the point, as the chain's exponential gives it for 1.
    const E: Self = Self(22_802_600 << 9);

    /// The number with these bits; 2³² of them are 1.
    pub const fn from_bits(bits: i64) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn to_bits(self) -> i64 {
        self.0
    }

    /// A whole number.
    pub const fn whole(number: i32) -> Self {
        Self((number as i64) << FRACTION)
    }

    /// `part / whole`, rounded down; of nothing, 0. A `part` is at most its `whole`.
    pub fn ratio(part: u64, whole: u64) -> Self {
        let quotient = match u32::try_from(part) {
            Ok(part) => (u64::from(part) << FRACTION).checked_div(whole).map(u128::from),
            Err(_) => (u128::from(part) << FRACTION).checked_div(whole.into()),
        };
        Self(i64::try_from(quotient.unwrap_or(0)).unwrap_or(i64::MAX))
    }

    /// A share stored in 16 bits, 65,535 of them being 1.
    pub fn from_u16_share(share: u16) -> Self {
        Self::ratio(share.into(), u16::MAX.into())
    }

    /// The share in 16 bits as the chain stores it: 65,535 times it, rounded down.
    pub fn to_u16_share(self) -> u16 {
        let share = (i128::from(self.0) * i128::from(u16::MAX)) >> FRACTION;
        u16::try_from(share.max(0)).unwrap_or(u16::MAX)
    }

    /// This share of an amount, rounded down; of a negative share, nothing.
    pub fn of(self, amount: u64) -> u64 {
        let share = u128::try_from(self.0).unwrap_or(0);
        u64::try_from((share * u128::from(amount)) >> FRACTION).unwrap_or(u64::MAX)
    }

    /// The product, rounded down.
    pub fn times(self, other: Self) -> Self {
        saturated((i128::from(self.0) * i128::from(other.0)) >> FRACTION)
    }

    /// The quotient, rounded towards zero; by nothing, 0.
    pub fn over(self, other: Self) -> Self {
        match (u32::try_from(self.0), u64::try_from(other.0)) {
            // Almost all: a share below 1 by something positive.
            (Ok(share), Ok(whole)) => {
                let quotient = (u64::from(share) << FRACTION).checked_div(whole).unwrap_or(0);
                Self(i64::try_from(quotient).unwrap_or(i64::MAX))
            }
            _ => (i128::from(self.0) << FRACTION)
                .checked_div(other.0.into())
                .map_or(Self::ZERO, saturated),
        }
    }

    /// Rounded to the nearest whole number, half away from zero, within 16 bits.
    pub fn round_to_u16(self) -> u16 {
        let rounded = self.0.saturating_add(Self::HALF.0) >> FRACTION;
        u16::try_from(rounded.max(0)).unwrap_or(u16::MAX)
    }

    /// One by this, rounded towards zero; by nothing, 0.
    pub fn inverse(self) -> Self {
        match u64::try_from(self.0) {
            // 2⁶⁴ itself does not fit; all others that go into it as often as into 2⁶⁴ − 1 are no powers of two.
            Ok(whole) if self > Self::ONE => {
                Self((u64::MAX / whole + u64::from(whole.is_power_of_two())).cast_signed())
            }
            _ => Self::ONE.over(self),
        }
    }

    /// The chain's exponentials of numbers within ±20; one outside counts as the nearest inside.
    ///
    /// A Taylor series of 31 terms, each rounded down, of the number's size; the inverse of the sum for a negative
    /// number. 0 and 1 have values of their own. Several at once take little longer than one: a series waits for its
    /// own last term most of the time.
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

/// 1 + x + x²/2! + … + x³¹/31! for each x up to 20, each term made from the one before, rounded down after its product
/// and after its quotient. No product and no sum reaches 2³¹.
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
            // Shifted so that the upper half of the product has 32 bits after the point.
            *term = quotient.of(upper_half(*term << 5, number << 27));
            *sum += *term;
        }
        // Nothing follows from nothing.
        if terms == [0; N] {
            break;
        }
    }
    sums
}

/// Division of numbers below 2⁶³ by one that is known before, as a multiplication: faster than the processor's own.
#[derive(Clone, Copy)]
struct Quotient {
    /// 2 to the power of 64 + `shift` by the divisor, rounded up.
    factor: u64,
    shift: u32,
}

impl Quotient {
    /// The factor just fits into 64 bits. Rounded up by less than 1, it makes the quotient too large by less than
    /// 2⁶³ / 2⁶⁴⁺ˢʰⁱᶠᵗ, which is at most 1 / divisor: too little to reach the next whole number.
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

/// The upper 64 bits of a product.
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
