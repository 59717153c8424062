//! Natural numbers of any size: as much as reading and writing floating-point numbers needs.

use core::cmp::Ordering;

/// A natural number: 32-bit limbs, the least significant first, none of them zero at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Big {
    limbs: Vec<u32>,
}

impl Big {
    /// A small number.
    pub fn new(value: u64) -> Self {
        let mut big = Self { limbs: vec![value as u32, (value >> 32) as u32] };
        big.trim();
        big
    }

    /// A power of ten.
    pub fn power_of_ten(exponent: u32) -> Self {
        let mut big = Self::new(1);
        for _ in 0..exponent / 9 {
            big.multiply_add(1_000_000_000, 0);
        }
        big.multiply_add(10u32.pow(exponent % 9), 0);
        big
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Bits up to the highest that is set.
    pub fn bits(&self) -> u64 {
        let top = self.limbs.last().map_or(0, |limb| limb.ilog2() as u64 + 1);
        (self.limbs.len() as u64).saturating_sub(1) * 32 + top
    }

    /// Multiplies by one number and adds another.
    pub fn multiply_add(&mut self, factor: u32, summand: u32) {
        let mut carry = summand as u64;
        for limb in &mut self.limbs {
            carry += *limb as u64 * factor as u64;
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.limbs.push(carry as u32);
        }
        self.trim();
    }

    /// Multiplies by another number.
    pub fn multiply(&self, other: &Self) -> Self {
        let mut limbs = vec![0u32; self.limbs.len() + other.limbs.len()];
        for (at, a) in self.limbs.iter().enumerate() {
            let mut carry = 0u64;
            for (place, b) in limbs[at..].iter_mut().zip(&other.limbs) {
                carry += *place as u64 + *a as u64 * *b as u64;
                *place = carry as u32;
                carry >>= 32;
            }
            limbs[at + other.limbs.len()] = carry as u32;
        }
        let mut product = Self { limbs };
        product.trim();
        product
    }

    /// Multiplies by a power of two.
    pub fn shift_left(&mut self, bits: u64) {
        if self.is_zero() {
            return;
        }
        self.multiply_add(1 << (bits % 32), 0);
        self.limbs.splice(0..0, core::iter::repeat_n(0, (bits / 32) as usize));
    }

    /// Divides by a small number and returns the remainder.
    pub fn divide(&mut self, divisor: u32) -> u32 {
        let mut rest = 0u64;
        for limb in self.limbs.iter_mut().rev() {
            rest = rest << 32 | *limb as u64;
            *limb = (rest / divisor as u64) as u32;
            rest %= divisor as u64;
        }
        self.trim();
        rest as u32
    }

    /// Subtracts a number that is not larger.
    fn subtract(&mut self, other: &Self) {
        let mut borrow = false;
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let (less, first) = limb.overflowing_sub(other.limbs.get(at).copied().unwrap_or(0));
            let (less, second) = less.overflowing_sub(borrow as u32);
            *limb = less;
            borrow = first || second;
        }
        debug_assert!(!borrow, "the number subtracted is larger");
        self.trim();
    }

    /// Divides by a number so near that the quotient fits. Returns the quotient; the remainder is
    /// left.
    pub fn divide_near(&mut self, divisor: &Self) -> u128 {
        let mut quotient = 0u128;
        let steps = (self.bits() + 1).saturating_sub(divisor.bits());
        debug_assert!(steps <= 128, "the quotient does not fit");
        let mut part = divisor.clone();
        part.shift_left(steps.saturating_sub(1));
        for _ in 0..steps {
            quotient <<= 1;
            if *self >= part {
                self.subtract(&part);
                quotient |= 1;
            }
            part.halve();
        }
        quotient
    }

    fn halve(&mut self) {
        let mut carry = 0;
        for limb in self.limbs.iter_mut().rev() {
            let low = *limb & 1;
            *limb = *limb >> 1 | carry << 31;
            carry = low;
        }
        self.trim();
    }
}

impl PartialOrd for Big {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Big {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_len = self.limbs.len().cmp(&other.limbs.len());
        by_len.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }
}

/// Decimal digits.
impl core::fmt::Display for Big {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut rest = self.clone();
        let mut groups = Vec::new();
        while !rest.is_zero() {
            groups.push(rest.divide(1_000_000_000));
        }
        write!(f, "{}", groups.pop().unwrap_or(0))?;
        groups.iter().rev().try_for_each(|group| write!(f, "{group:09}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn big(value: u128) -> Big {
        let mut big = Big::new((value >> 64) as u64);
        big.shift_left(64);
        let low = Big::new(value as u64);
        let mut limbs = low.limbs.clone();
        limbs.resize(2, 0);
        if big.is_zero() {
            return low;
        }
        big.limbs[..2].copy_from_slice(&limbs);
        big
    }

    proptest! {
        #[test]
        fn agrees_with_machine_integers(a: u64, b: u64, c: u128, shift in 0u32..64) {
            prop_assert_eq!(big(a as u128).multiply(&big(b as u128)), big(a as u128 * b as u128));
            let mut shifted = big(a as u128);
            shifted.shift_left(shift as u64);
            prop_assert_eq!(&shifted, &big((a as u128) << shift));
            prop_assert_eq!(shifted.bits(), 128 - ((a as u128) << shift).leading_zeros() as u64);
            prop_assert_eq!(big(c).to_string(), c.to_string());
            prop_assert_eq!(big(c).cmp(&big(b as u128)), c.cmp(&(b as u128)));
            if b > 0 {
                let mut rest = big(c);
                prop_assert_eq!(rest.divide_near(&big(b as u128)), c / b as u128);
                prop_assert_eq!(rest, big(c % b as u128));
            }
        }
    }

    #[test]
    fn powers_of_ten() {
        for exponent in [0, 1, 8, 9, 10, 27, 100] {
            let text = format!("1{}", "0".repeat(exponent as usize));
            assert_eq!(Big::power_of_ten(exponent).to_string(), text);
        }
    }
}
