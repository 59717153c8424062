//! `LCS … LEN` without a table.
//!
//! The bit-parallel method of Hyyrö ("Bit-parallel LCS-length computation revisited", 2004): a
//! column of the table is kept as differences, a bit a row, and advanced a word of 64 rows at a
//! time.
#![forbid(unsafe_code)]

use abi::keyspace::value_type;
use engine::base::args::Args;
use engine::base::error::Done;
use engine::command::string;
use engine::exec::context::Ctx;
use engine::keyspace::Intent;
use engine::value;

/// Bytes of masks above which the engine's method decides.
const MASK_BYTES_MAX: usize = 64 << 20;

/// `LCS`: the length alone by the fast method, everything else as the engine does it.
pub fn lcs(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() != 4 || !args.is(3, "LEN") {
        return string::lcs(cx, args);
    }
    let [Some(a), Some(b)] = [1, 2].map(|at| len(cx, args.at(at))) else {
        return string::lcs(cx, args);
    };
    if a.min(b) * 32 > MASK_BYTES_MAX {
        return string::lcs(cx, args);
    }
    let mut text = |at| {
        let value = cx.keys.string(args.at(at))?;
        Ok(value.map_or(Vec::new(), |value| value.as_bytes().to_vec()))
    };
    let (a, b) = (text(1)?, text(2)?);
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    cx.out.count(longest_common(&short, &long));
    Ok(())
}

/// How long a key's string is, none if it holds something else. Nobody is told that it was looked
/// for: whoever reads it then tells.
fn len(cx: &mut Ctx<'_>, key: &[u8]) -> Option<usize> {
    match cx.keys.entry(key, Intent::Peek) {
        Some(entry) if entry.value_type() != value_type::STRING => None,
        entry => Some(entry.map_or(0, |entry| value::string::view(entry).as_bytes().len())),
    }
}

/// The length of the longest common subsequence. Takes 32 bytes for each byte of `rows`.
fn longest_common(rows: &[u8], columns: &[u8]) -> usize {
    let words = rows.len().div_ceil(64);
    let mut masks = vec![0u64; 256 * words];
    for (at, byte) in rows.iter().enumerate() {
        masks[*byte as usize * words + at / 64] |= 1 << (at % 64);
    }
    // A zero bit: the length grows from this row to the next.
    let mut column = vec![!0u64; words];
    for byte in columns {
        let mask = &masks[*byte as usize * words..][..words];
        let mut carry = false;
        for (state, mask) in column.iter_mut().zip(mask) {
            let matched = *state & mask;
            let (sum, over) = state.overflowing_add(matched);
            let (sum, over_carry) = sum.overflowing_add(carry as u64);
            carry = over | over_carry;
            *state = sum | *state & !mask;
        }
    }
    let grown: u32 = column.iter().map(|state| state.count_zeros()).sum();
    grown as usize
}

#[cfg(test)]
mod tests {
    use super::longest_common;

    /// The textbook method.
    fn by_table(a: &[u8], b: &[u8]) -> usize {
        let mut row = vec![0; b.len() + 1];
        for x in a {
            let mut diagonal = 0;
            for (j, y) in b.iter().enumerate() {
                let above = row[j + 1];
                row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
                diagonal = above;
            }
        }
        row[b.len()]
    }

    #[test]
    fn agrees_with_the_table() {
        let mut state = 7u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 24
        };
        for (n, m) in [(0, 5), (1, 1), (63, 64), (64, 63), (65, 200), (128, 128), (300, 77)] {
            let a: Vec<u8> = (0..n).map(|_| (next() % 4) as u8).collect();
            let b: Vec<u8> = (0..m).map(|_| (next() % 4) as u8).collect();
            assert_eq!(longest_common(&a, &b), by_table(&a, &b), "{n} and {m}");
        }
    }
}
