//! Signatures of values, the same that Redis gives for the same data.
#![forbid(unsafe_code)]

use base::sha1;

/// A signature under way.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Digest([u8; sha1::LEN]);

impl Digest {
    /// Adds bytes whose place among others does not matter.
    pub fn add(&mut self, bytes: &[u8]) {
        for (sum, byte) in self.0.iter_mut().zip(sha1::digest(bytes)) {
            *sum ^= byte;
        }
    }

    /// Adds bytes whose place among others matters.
    pub fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = sha1::digest(&self.0);
    }

    /// Adds another signature.
    pub fn add_digest(&mut self, other: &Self) {
        self.add(&other.0);
    }

    /// As hexadecimal digits.
    pub fn to_hex(&self) -> String {
        sha1::to_hex(&self.0)
    }
}
