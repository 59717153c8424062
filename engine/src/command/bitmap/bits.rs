//! Counting and finding bits. Ranges are of bits; bit 0 is the most significant one of byte 0.

use core::ops::Range;

/// The mask of the bits of byte `index` that lie in a range.
fn mask(index: usize, range: &Range<u64>) -> u8 {
    let first = index as u64 * 8;
    let skipped = range.start.saturating_sub(first).min(8) as u32;
    let kept = range.end.saturating_sub(first).min(8) as u32;
    let from_start = 0xffu32 >> skipped;
    let to_end = 0xff00u32 >> kept;
    (from_start & to_end) as u8
}

/// Splits a range that is not empty and lies within the bytes: its first byte, masked; the bytes
/// between; its last byte, masked, if it is another one.
fn split<'a>(bytes: &'a [u8], range: &Range<u64>) -> (u8, &'a [u8], Option<u8>) {
    let (first, last) = (range.start as usize / 8, (range.end - 1) as usize / 8);
    let head = bytes[first] & mask(first, range);
    if first == last {
        return (head, &[], None);
    }
    (head, &bytes[first + 1..last], Some(bytes[last] & mask(last, range)))
}

/// How many bits of a range within the bytes are set.
pub fn count(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (head, between, tail) = split(bytes, &range);
    let (words, rest) = between.as_chunks::<8>();
    let words = words.iter().map(|word| u64::from_ne_bytes(*word).count_ones() as u64);
    let rest = rest.iter().map(|byte| byte.count_ones() as u64);
    let ends = head.count_ones() + tail.unwrap_or(0).count_ones();
    words.sum::<u64>() + rest.sum::<u64>() + ends as u64
}

/// The first bit of a range within the bytes that is set, or that is clear.
pub fn find(bytes: &[u8], range: Range<u64>, set: bool) -> Option<u64> {
    let same = if set { 0x00 } else { 0xff };
    let last = range.end.checked_sub(1).filter(|last| *last >= range.start)? as usize / 8;
    let first = range.start as usize / 8;
    let differs = |at: usize| (bytes[at] ^ same) & mask(at, &range);
    let place = |at: usize| at as u64 * 8 + differs(at).leading_zeros() as u64;
    if differs(first) != 0 {
        return Some(place(first));
    }
    // What lies between has all of its bits in the range: whole words of it are passed over.
    let between = &bytes[(first + 1).min(last)..last];
    let (words, _) = between.as_chunks::<8>();
    let passed = words.iter().take_while(|word| **word == [same; 8]).count() * 8;
    (first + 1 + passed..=last).find(|at| differs(*at) != 0).map(place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bit(bytes: &[u8], at: u64) -> bool {
        bytes[at as usize / 8] >> (7 - at % 8) & 1 == 1
    }

    fn check(bytes: &[u8], range: Range<u64>) {
        let ones = range.clone().filter(|at| bit(bytes, *at)).count() as u64;
        assert_eq!(count(bytes, range.clone()), ones, "{range:?}");
        for set in [false, true] {
            let first = range.clone().find(|at| bit(bytes, *at) == set);
            assert_eq!(find(bytes, range.clone(), set), first, "{set} in {range:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_looking_at_every_bit(
            bytes in prop::collection::vec(prop_oneof![3 => Just(0u8), 3 => Just(255), 1 => any::<u8>()], 1..60),
            a: prop::sample::Index,
            b: prop::sample::Index,
        ) {
            let bits = bytes.len() * 8 + 1;
            let (a, b) = (a.index(bits) as u64, b.index(bits) as u64);
            check(&bytes, a.min(b)..a.max(b));
        }
    }

    #[test]
    fn nothing_to_look_at() {
        check(&[], 0..0);
        check(&[0xff], 8..8);
    }
}
