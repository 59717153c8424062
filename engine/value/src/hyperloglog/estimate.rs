//! How many distinct elements registers tell of, by how often each value occurs in them.
//!
//! Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", arXiv:1702.01284,
//! algorithm 6. Steps are taken in the order in which Redis takes them, so that the last bit is the
//! same.

use super::{REGISTERS, Registers, VALUE_MAX};

/// How often each value occurs in the registers.
pub struct Histogram(pub [u32; 64]);

impl Histogram {
    /// That of registers. Of what is above 6 bits nothing counts.
    pub fn of(registers: &Registers) -> Self {
        let mut counts = [0; 64];
        registers.iter().for_each(|value| counts[*value as usize & 63] += 1);
        Self(counts)
    }

    /// The estimate. For registers that no elements can have given their values it means nothing.
    pub fn estimate(&self) -> u64 {
        /// 1 / (2 ln 2)
        const ALPHA: f64 = 0.721_347_520_444_481_7;
        const M: f64 = REGISTERS as f64;
        let count = |value: usize| f64::from(self.0[value]);
        let mut z = M * tau((M - count(VALUE_MAX)) / M);
        for value in (1..VALUE_MAX).rev() {
            z = (z + count(value)) * 0.5;
        }
        z += M * sigma(count(0) / M);
        let estimate = (ALPHA * M * M / z).round();
        // As a 64-bit integer that cannot be told turns out in Redis: all registers are full.
        if estimate < i64::MAX as f64 { estimate as u64 } else { 1 << 63 }
    }
}

fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if before == z {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if before == z {
            return z / 3.0;
        }
    }
}
