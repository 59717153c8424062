//! The key hash. Part of the stored layout: every release must place keys alike.
//!
//! A multiply-and-fold hash: each 16 bytes are mixed with a seed, multiplied to 128 bits and
//! folded. The seed is random for each arena, so that nobody outside can choose colliding keys.

const K0: u64 = 0x9e37_79b9_7f4a_7c15;
const K1: u64 = 0xd6e8_feb8_6659_fd93;

#[inline(always)]
fn fold(a: u64, b: u64) -> u64 {
    let product = (a as u128).wrapping_mul(b as u128);
    (product as u64) ^ (product >> 64) as u64
}

#[inline(always)]
fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[inline(always)]
fn half(bytes: &[u8], at: usize) -> u64 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as u64
}

/// The hash of a key under the arena's seed.
#[inline]
pub fn hash(bytes: &[u8], seed: [u64; 2]) -> u64 {
    let n = bytes.len();
    let mut state = seed[0] ^ (n as u64).wrapping_mul(K0);
    let (a, b) = if n > 16 {
        let mut at = 0;
        while n - at > 16 {
            state = fold(word(bytes, at) ^ state, word(bytes, at + 8) ^ seed[1]);
            at += 16;
        }
        (word(bytes, n - 16), word(bytes, n - 8))
    } else if n >= 8 {
        (word(bytes, 0), word(bytes, n - 8))
    } else if n >= 4 {
        (half(bytes, 0), half(bytes, n - 4))
    } else if n > 0 {
        ((bytes[0] as u64) << 16 | (bytes[n / 2] as u64) << 8 | bytes[n - 1] as u64, 0)
    } else {
        (0, 0)
    };
    fold(fold(a ^ state, b ^ seed[1]) ^ K1, state ^ K0)
}

#[cfg(test)]
mod tests {
    use super::hash;

    #[test]
    fn placement_is_fixed() {
        // A change here moves keys in existing arenas: it needs a new schema level.
        let seed = [1, 2];
        let hashes = ["", "a", "abcd", "key:000000000001", "a longer key than sixteen bytes"]
            .map(|key| hash(key.as_bytes(), seed));
        assert_eq!(hashes, GOLDEN);
    }
    const GOLDEN: [u64; 5] = [
        13646020011958921740,
        16899209815540090744,
        17248339827853276391,
        5683594158481480855,
        1992583436682755800,
    ];

    #[test]
    fn every_byte_counts() {
        for len in 1..80 {
            let key = vec![7u8; len];
            let base = hash(&key, [3, 4]);
            for at in 0..len {
                let mut other = key.clone();
                other[at] ^= 1;
                assert_ne!(hash(&other, [3, 4]), base, "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn top_and_low_bits_are_even() {
        let mut top = [0u32; 64];
        let mut low = [0u32; 64];
        for i in 0..64_000 {
            let h = hash(format!("key:{i:012}").as_bytes(), [5, 6]);
            top[(h >> 58) as usize] += 1;
            low[(h & 63) as usize] += 1;
        }
        for count in top.iter().chain(&low) {
            assert!((800..1200).contains(count), "{count} of about 1000");
        }
    }
}
