//! The checksum of Redis's dumps and files: CRC-64 with the polynomial of Jones, reflected.
#![forbid(unsafe_code)]

use crc::{CRC_64_REDIS, Crc, Digest, Table};

static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_REDIS);

/// The checksum of bytes that come piece by piece.
pub struct Checksum(Digest<'static, u64, Table<16>>);

impl Default for Checksum {
    /// Of no bytes so far.
    fn default() -> Self {
        Self(CRC.digest())
    }
}

impl Checksum {
    /// One that goes on from the value that another has come to.
    pub fn resume(value: u64) -> Self {
        // The register holds its bits in the reverse order.
        Self(CRC.digest_with_initial(value.reverse_bits()))
    }

    /// Adds what follows.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all.
    pub fn value(self) -> u64 {
        self.0.finalize()
    }
}

/// The checksum of some bytes.
pub fn crc64(bytes: &[u8]) -> u64 {
    CRC.checksum(bytes)
}

/// The checksum's polynomial, its highest power left out, as the reflected form has it.
const POLYNOMIAL: u64 = 0x95ac_9329_ac4b_c9b5;
/// Of the polynomials as which checksums are seen, the one that is 1.
const ONE: u64 = 1 << 63;

/// What the checksum of some bytes becomes if so many zeros follow them. As checksums begin with 0,
/// the checksum of two texts in a row is that of the first, followed by as many zeros as the second
/// has bytes, XOR that of the second.
pub fn followed_by_zeros(checksum: u64, zeros: u64) -> u64 {
    // A zero byte multiplies by x to the 8th, modulo the polynomial.
    let (mut power, mut product, mut rest) = (ONE >> 8, checksum, zeros);
    while rest > 0 {
        if rest & 1 == 1 {
            product = multiply(power, product);
        }
        power = multiply(power, power);
        rest >>= 1;
    }
    product
}

/// The product of two polynomials, modulo that of the checksum.
fn multiply(a: u64, mut b: u64) -> u64 {
    let mut product = 0;
    for power in 0..u64::BITS {
        if a & ONE >> power != 0 {
            product ^= b;
        }
        b = b >> 1 ^ if b & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksums_of_parts_make_that_of_the_whole() {
        let bytes: Vec<u8> = (0..1000u32).map(|at| ((at * at) >> 3) as u8).collect();
        for split in [0, 1, 2, 7, 8, 255, 256, 999, 1000] {
            let (one, other) = bytes.split_at(split);
            let first = super::followed_by_zeros(super::crc64(one), other.len() as u64);
            assert_eq!(first ^ super::crc64(other), super::crc64(&bytes), "{split}");
        }
        assert_eq!(super::followed_by_zeros(7, 0), 7);
    }

    #[test]
    fn the_check_value_is_that_of_redis() {
        const CHECK: u64 = 0xe9c6_d914_c4b8_d9ca;
        assert_eq!(super::crc64(b"123456789"), CHECK);
        let mut checksum = super::Checksum::default();
        [&b"1234"[..], b"", b"56789"].iter().for_each(|piece| checksum.add(piece));
        assert_eq!(checksum.value(), CHECK);
        let mut resumed = super::Checksum::resume(super::crc64(b"1234"));
        resumed.add(b"56789");
        assert_eq!(resumed.value(), CHECK);
    }
}
