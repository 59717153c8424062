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

#[cfg(test)]
mod tests {
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
