//! What Redis tells of the radix tree that it finds nodes by: it is not built, only counted.
#![forbid(unsafe_code)]

use super::StreamId;

/// Bytes of a key: an id, big-endian.
const KEY_BYTES: u32 = 16;

/// Nodes of a radix tree of these ids, which are in order. A run of bytes with a single way on is one
/// node, as is a byte with several, and the end of a key.
pub fn nodes(ids: impl Iterator<Item = StreamId>) -> usize {
    // How many bytes each branching node on the way to the last key has before it.
    let mut branches: Vec<u32> = Vec::new();
    let (mut count, mut last) = (0, None);
    for id in ids {
        let key = u128::from(id.ms) << 64 | u128::from(id.seq);
        let Some(before) = last.replace(key) else {
            count = 2;
            continue;
        };
        let shared = (before ^ key).leading_zeros() / 8;
        let mut below = KEY_BYTES;
        while branches.last().is_some_and(|at| *at > shared) {
            below = branches.pop().unwrap_or(below);
        }
        // The end of the new key, and the run that leads to it from where it branches off.
        count += 1 + run(shared + 1, KEY_BYTES);
        if branches.last() != Some(&shared) {
            // A run is divided: what is before the new branch, the branch, what is behind it.
            let above = branches.last().map_or(0, |at| at + 1);
            count += 1 + run(above, shared) + run(shared + 1, below) - run(above, below);
            branches.push(shared);
        }
    }
    usize::max(count, 1)
}

/// Nodes of the bytes from one to another, none of which has more than one way on.
fn run(from: u32, to: u32) -> usize {
    usize::from(from < to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(ids: &[(u64, u64)]) -> usize {
        nodes(ids.iter().map(|&(ms, seq)| StreamId { ms, seq }))
    }

    #[test]
    fn nodes_of_some_trees() {
        assert_eq!(count(&[]), 1);
        assert_eq!(count(&[(1, 1)]), 2);
        // One run, a branch at the last byte, two ends.
        assert_eq!(count(&[(1, 1), (1, 2)]), 4);
        assert_eq!(count(&[(1, 1), (1, 2), (1, 3)]), 5);
        // The branch is in the middle: a run behind each way.
        assert_eq!(count(&[(1, 1), (2, 1)]), 6);
        // A branch at the first byte.
        assert_eq!(count(&[(0, 0), (1 << 56, 0)]), 5);
    }
}
