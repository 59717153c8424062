//! Signatures of values, the same that Redis gives for the same data.
#![forbid(unsafe_code)]

use crate::entry::Entry;
use base::sha1;

/// A signature under way.
#[derive(Clone, Copy, Default)]
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

    /// Adds a value and whether it has a time to live.
    pub fn mix_value(&mut self, entry: Entry<'_>) {
        self.mix(&(entry.value_type() as u32).to_be_bytes());
        (entry.row().digest)(entry, self);
        if entry.has_ttl() {
            self.add(b"!!expire!!");
        }
    }

    /// Adds the elements of a value whose order matters.
    pub fn mix_elements(&mut self, entry: Entry<'_>) {
        (entry.row().visit)(entry, &mut |parts| parts.iter().for_each(|part| self.mix(part)));
    }

    /// As hexadecimal digits.
    pub fn to_hex(&self) -> String {
        sha1::to_hex(&self.0)
    }
}
