//! Extended precision: the 80-bit format of the x87, C's `long double` on x86-64.
//!
//! Redis adds such numbers for `INCRBYFLOAT` and writes them with 17 decimals. To reply with the
//! same digits on any machine, reading, adding and writing are done here in integers, each
//! rounded once, to nearest, ties to even.

use core::cmp::Ordering;

use super::big::Big;

/// Bits of a mantissa.
const PRECISION: u32 = 64;
/// Exponent of the last bit of the smallest numbers.
const EXPONENT_MIN: i64 = -16_445;
/// Exponent of the last bit of the largest numbers.
const EXPONENT_MAX: i64 = 16_320;
/// Decimals that are written.
const DECIMALS: u32 = 17;
/// Longest text that is read.
const TEXT_MAX: usize = 5 * 1024 - 1;
/// Decimal exponents beyond which a number of [`TEXT_MAX`] digits is infinite, or zero.
const DECIMAL_EXPONENT_MAX: i64 = 2 * TEXT_MAX as i64;

/// A number of extended precision: `mantissa * 2^exponent`, or infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extended {
    negative: bool,
    /// Its top bit is set, but for the smallest numbers.
    mantissa: u64,
    exponent: i64,
    infinite: bool,
}

impl From<i64> for Extended {
    fn from(value: i64) -> Self {
        Self::round(value < 0, value.unsigned_abs() as u128, 0)
    }
}

impl Extended {
    const ZERO: Self = Self { negative: false, mantissa: 0, exponent: 0, infinite: false };

    /// The number a text stands for, as `strtold` reads it, hexadecimal and `inf` included. None
    /// if there is anything else, it is not a number, or too large or too small for the format.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > TEXT_MAX {
            return None;
        }
        let (negative, rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            rest => (false, rest),
        };
        let magnitude = if let [b'0', b'x' | b'X', digits @ ..] = rest {
            Number::read(digits, 16)?.hexadecimal()
        } else if rest.eq_ignore_ascii_case(b"inf") || rest.eq_ignore_ascii_case(b"infinity") {
            return Some(Self { negative, infinite: true, ..Self::ZERO });
        } else {
            Number::read(rest, 10)?.decimal()?
        };
        (!magnitude.infinite).then_some(Self { negative, ..magnitude })
    }

    /// `magnitude * 2^exponent`, rounded. The magnitude has more than 64 bits, or is exact.
    fn round(negative: bool, magnitude: u128, exponent: i64) -> Self {
        if magnitude == 0 {
            return Self { negative, ..Self::ZERO };
        }
        let bits = u128::BITS - magnitude.leading_zeros();
        // Bits to drop; fewer than none for a number that can be made longer.
        let excess = (bits as i64 - PRECISION as i64).max(EXPONENT_MIN - exponent);
        if excess <= 0 {
            let shift = (-excess) as u32;
            let mantissa = (magnitude << shift) as u64;
            return Self::finite(negative, mantissa, exponent - shift as i64);
        }
        let exponent = exponent + excess;
        let kept = magnitude.checked_shr(excess as u32).unwrap_or(0);
        let dropped = magnitude - kept.checked_shl(excess as u32).unwrap_or(0);
        let half = 1u128.checked_shl(excess as u32 - 1).unwrap_or(0);
        let up = match dropped.cmp(&half) {
            _ if half == 0 => false,
            Ordering::Equal => kept & 1 == 1,
            order => order == Ordering::Greater,
        };
        match (kept as u64).checked_add(up as u64) {
            Some(mantissa) => Self::finite(negative, mantissa, exponent),
            None => Self::finite(negative, 1 << (PRECISION - 1), exponent + 1),
        }
    }

    fn finite(negative: bool, mantissa: u64, exponent: i64) -> Self {
        Self { negative, mantissa, exponent, infinite: exponent > EXPONENT_MAX }
    }

    /// Whether it is one of the two that are not finite.
    pub fn is_infinite(self) -> bool {
        self.infinite
    }

    /// The sum. None if it is infinite or not a number.
    pub fn plus(self, other: Self) -> Option<Self> {
        if self.infinite || other.infinite {
            return None;
        }
        let (high, low) = if self.order() >= other.order() { (self, other) } else { (other, self) };
        if low.mantissa == 0 {
            return Some(high);
        }
        // One bit is left for the carry and one for the sign. A number too far below the other
        // to be aligned counts as a bit below all of its bits: it only says which way to round.
        const ROOM: i64 = 62;
        let distance = high.exponent - low.exponent;
        let shift = distance.min(ROOM);
        let (below, exponent) = (low.aligned(distance - shift), high.exponent - shift);
        let sum = high.signed((high.mantissa as i128) << shift) + low.signed(below);
        let sum = Self::round(sum < 0, sum.unsigned_abs(), exponent);
        (!sum.infinite).then_some(sum)
    }

    /// Zero first, then by exponent.
    fn order(self) -> i64 {
        if self.mantissa == 0 { i64::MIN } else { self.exponent }
    }

    /// The mantissa moved to the right; what falls off is marked in the last bit.
    fn aligned(self, right: i64) -> i128 {
        let moved = self.mantissa.checked_shr(right as u32).unwrap_or(0);
        let lost = right >= PRECISION as i64 || moved << right != self.mantissa;
        moved as i128 | lost as i128
    }

    fn signed(self, magnitude: i128) -> i128 {
        if self.negative { -magnitude } else { magnitude }
    }

    /// A thousand times the number, rounded up. None if it does not fit.
    pub fn thousandfold_ceil(self) -> Option<i64> {
        let product = self.mantissa as u128 * 1000;
        if self.infinite {
            return None;
        }
        let magnitude = if self.exponent >= 0 {
            let bits = (u128::BITS - product.leading_zeros()) as i64 + self.exponent;
            if bits > i64::BITS as i64 {
                return None;
            }
            product << self.exponent
        } else {
            let whole = product.checked_shr(-self.exponent as u32).unwrap_or(0);
            let rest = product != whole.checked_shl(-self.exponent as u32).unwrap_or(0);
            whole + (rest && !self.negative) as u128
        };
        let magnitude = i64::try_from(magnitude).ok()?;
        Some(if self.negative { -magnitude } else { magnitude })
    }

    /// The integer part, and the fraction in units of the last decimal.
    fn parts(self) -> (Big, u64) {
        const UNIT: u128 = 10u128.pow(DECIMALS);
        if self.exponent >= 0 {
            let mut whole = Big::new(self.mantissa);
            whole.shift_left(self.exponent as u64);
            return (whole, 0);
        }
        // Below 2^121, so that a shift by more leaves less than a half.
        let scaled = self.mantissa as u128 * UNIT;
        let shift = self.exponent.unsigned_abs() as u32;
        let mut units = scaled.checked_shr(shift).unwrap_or(0);
        let rest = scaled - units.checked_shl(shift).unwrap_or(0);
        if let Some(half) = 1u128.checked_shl(shift - 1) {
            units += (rest > half || rest == half && units & 1 == 1) as u128;
        }
        // The integer part of a number with a fraction is below 2^64.
        (Big::new((units / UNIT) as u64), (units % UNIT) as u64)
    }
}

/// With 17 decimals, zeros at the end left out.
impl core::fmt::Display for Extended {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let (whole, fraction) = self.parts();
        if self.negative && !(whole.is_zero() && fraction == 0) {
            write!(f, "-")?;
        }
        write!(f, "{whole}")?;
        if fraction > 0 {
            let digits = format!("{fraction:0width$}", width = DECIMALS as usize);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

/// A number as it is written: `digits * base^-places`, then an exponent.
struct Number {
    digits: Big,
    places: i64,
    exponent: i64,
}

impl Number {
    /// Reads digits with at most one point among them, then maybe an exponent: `e`, or `p` behind
    /// hexadecimal digits. None if there is anything else.
    fn read(text: &[u8], base: u32) -> Option<Self> {
        let mark = if base == 16 { b'p' } else { b'e' };
        let cut = text.iter().position(|byte| byte.to_ascii_lowercase() == mark);
        let (number, exponent) = match cut {
            Some(cut) => (&text[..cut], read_exponent(&text[cut + 1..])?),
            None => (text, 0),
        };
        let point = number.iter().position(|byte| *byte == b'.');
        let places = point.map_or(0, |point| number.len() - point - 1);
        if number.len() == point.is_some() as usize {
            return None;
        }
        let mut digits = Big::default();
        for (at, byte) in number.iter().enumerate() {
            if Some(at) != point {
                digits.multiply_add(base, (*byte as char).to_digit(base)?);
            }
        }
        Some(Self { digits, places: places as i64, exponent })
    }

    /// The value of decimal digits. None if it is too small but not zero.
    fn decimal(self) -> Option<Extended> {
        if self.digits.is_zero() {
            return Some(Extended::ZERO);
        }
        let exponent = self.exponent - self.places;
        if exponent > DECIMAL_EXPONENT_MAX {
            return Some(Extended::finite(false, 0, i64::MAX));
        }
        if exponent < -DECIMAL_EXPONENT_MAX {
            return None;
        }
        let power = Big::power_of_ten(exponent.unsigned_abs() as u32);
        let value = match exponent {
            0.. => ratio(self.digits.multiply(&power), Big::new(1), 0),
            _ => ratio(self.digits, power, 0),
        };
        (value.mantissa != 0).then_some(value)
    }

    /// The value of hexadecimal digits.
    fn hexadecimal(self) -> Extended {
        if self.digits.is_zero() {
            return Extended::ZERO;
        }
        ratio(self.digits, Big::new(1), self.exponent - 4 * self.places)
    }
}

/// A sign and digits. One that is absurdly large is cut.
fn read_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0i64, |value, digit| {
        let digit = (*digit as char).to_digit(10)? as i64;
        Some((value * 10 + digit).min(1 << 40))
    })?;
    Some(sign * value)
}

/// `numerator / denominator * 2^exponent`, rounded. The numerator is not zero.
fn ratio(mut numerator: Big, mut denominator: Big, exponent: i64) -> Extended {
    // A quotient of some more bits than are kept, the last of them marking a remainder.
    const QUOTIENT_BITS: i64 = PRECISION as i64 + 4;
    let shift = QUOTIENT_BITS + denominator.bits() as i64 - numerator.bits() as i64;
    match shift {
        0.. => numerator.shift_left(shift as u64),
        _ => denominator.shift_left(shift.unsigned_abs()),
    }
    let quotient = numerator.divide_near(&denominator);
    Extended::round(false, quotient << 1 | !numerator.is_zero() as u128, exponent - shift - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(a: &str, b: &str) -> Option<String> {
        let read = |text: &str| Extended::parse(text.as_bytes()).expect("a number");
        read(a).plus(read(b)).map(|sum| sum.to_string())
    }

    /// What redis-server 7.0 on x86-64 replies.
    #[test]
    fn sums() {
        for (a, b, expect) in [
            ("10.5", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("0", "-0", "0"),
            ("1", "-1", "0"),
            ("-1.5", "0.25", "-1.25"),
            ("0.1", "0.2", "0.3"),
            ("3", "0.00000000000000001", "3.00000000000000001"),
            ("1e17", "0.1", "100000000000000000.1015625"),
            ("1e20", "1", "100000000000000000000"),
            ("0", "1e-17", "0.00000000000000001"),
            ("0", "0x1.8p3", "12"),
            ("0", "1e-4950", "0"),
            ("0", "1e22", "10000000000000000000000"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(expect), "{a} + {b}");
        }
        assert_eq!(sum("1e4932", "1e4932"), None);
        assert_eq!(sum("inf", "-inf"), None);
        assert_eq!(sum("1", "inf"), None);
    }

    #[test]
    fn what_is_no_number() {
        for text in [
            "",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "0x",
            "0x.p1",
            "1.2.3",
            " 1",
            "1 ",
            "nan",
            "1f",
            "1e5000",
            "1e-5000",
            "infinit",
            "--1",
            "1e5.0",
            "0x1p99999",
        ] {
            assert_eq!(Extended::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(Extended::parse(&[b'1'; TEXT_MAX + 1]), None);
    }

    #[test]
    fn halves_round_to_even() {
        let read = |text: &str| Extended::parse(text.as_bytes()).expect("a number").to_string();
        assert_eq!(read("18446744073709551616"), "18446744073709551616");
        assert_eq!(read("18446744073709551617"), "18446744073709551616");
        assert_eq!(read("18446744073709551619"), "18446744073709551620");
        assert_eq!(read("36893488147419103233"), "36893488147419103232");
        // The last decimal of an exact half.
        assert_eq!(read("0.000030517578125"), "0.00003051757812500".trim_end_matches('0'));
        assert_eq!(sum("18446744073709551615", "0.5").as_deref(), Some("18446744073709551616"));
        assert_eq!(sum("18446744073709551614", "0.5").as_deref(), Some("18446744073709551614"));
    }

    #[test]
    fn integers_are_exact() {
        for value in [0, 1, -1, i64::MAX, i64::MIN, 1 << 53 | 1] {
            assert_eq!(Extended::from(value).to_string(), value.to_string());
        }
    }

    #[test]
    fn milliseconds() {
        for (text, expect) in [
            ("1", Some(1000)),
            ("0.0001", Some(1)),
            ("-0.0001", Some(0)),
            ("-1.5", Some(-1500)),
            ("0.001", Some(1)),
            ("2.5e3", Some(2_500_000)),
            ("1e20", None),
            ("inf", None),
            ("9223372036854775", Some(9_223_372_036_854_775_000)),
            ("9223372036854776", None),
        ] {
            let number = Extended::parse(text.as_bytes()).expect("a number");
            assert_eq!(number.thousandfold_ceil(), expect, "{text}");
        }
    }
}
