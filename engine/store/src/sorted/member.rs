//! One member with its score, to the byte, and the order of members.

use core::cmp::Ordering;

use crate::records::text::{length_len, text, write};

/// Bytes of a score.
const SCORE_BYTES: usize = 8;
/// Bytes of a name that are part of the sort key.
const HEAD_BYTES: usize = 8;

/// A member of a sorted set with its score, which is a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored<'a> {
    /// The score.
    pub score: f64,
    /// The name.
    pub name: &'a [u8],
}

impl<'a> Scored<'a> {
    /// The record at an address.
    ///
    /// # Safety
    /// A record of a sorted set is there, and neither changed nor freed for `'a`.
    #[inline]
    pub unsafe fn at(address: u64) -> Self {
        // SAFETY: a record begins with its score; the name is as its length says.
        unsafe {
            let score = f64::from_bits(*(address as *const u64));
            Self { score, name: text(address + SCORE_BYTES as u64).0 }
        }
    }

    /// Bytes of its allocation.
    #[inline]
    pub fn size(self) -> usize {
        SCORE_BYTES + length_len(self.name.len()) + self.name.len()
    }

    /// Writes it to an allocation of its size.
    ///
    /// # Safety
    /// The allocation is the caller's.
    pub unsafe fn write(self, address: u64) {
        // SAFETY: what is written is as long as `size` says, and allocations are aligned to 8.
        unsafe {
            *(address as *mut u64) = self.score.to_bits();
            write(address + SCORE_BYTES as u64, self.name);
        }
    }

    /// Gives the record at an address another score.
    ///
    /// # Safety
    /// A record is there, and no view of its score is used meanwhile or after.
    #[inline]
    pub unsafe fn rescore(address: u64, score: f64) {
        // SAFETY: a record begins with its score.
        unsafe { *(address as *mut u64) = score.to_bits() };
    }

    /// The order of its score.
    #[inline(always)]
    pub fn order(self) -> u64 {
        order(self.score)
    }

    /// Its sort key. Members that are in order have keys that are in order, or the same.
    #[inline]
    pub fn key(self) -> u128 {
        key(self.order(), self.name)
    }

    /// Compares members: by score, then by name.
    #[inline]
    pub fn compare(self, other: Self) -> Ordering {
        self.order().cmp(&other.order()).then_with(|| self.name.cmp(other.name))
    }
}

/// An integer that compares as scores do. Both zeros have the same.
#[inline(always)]
pub fn order(score: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    // The sum has no negative zero.
    let bits = (score + 0.0).to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

/// The sort key of a name with a score of this order.
#[inline]
pub fn key(order: u64, name: &[u8]) -> u128 {
    let head = match name.first_chunk::<HEAD_BYTES>() {
        Some(head) => u64::from_be_bytes(*head),
        None => {
            let mut head = [0; HEAD_BYTES];
            head[..name.len()].copy_from_slice(name);
            u64::from_be_bytes(head)
        }
    };
    u128::from(order) << u64::BITS | u128::from(head)
}

/// A place between members: before it are those for which [`Cut::is_past`] holds.
#[derive(Clone, Copy, Debug)]
pub enum Cut<'a> {
    /// Before all members of a score.
    Before(f64),
    /// Behind all members of a score.
    Behind(f64),
    /// Before a member, whether it is there or not.
    BeforeMember(Scored<'a>),
    /// Behind a member, whether it is there or not.
    BehindMember(Scored<'a>),
    /// Before a name, whatever the score. It means something where all have the same.
    BeforeName(&'a [u8]),
    /// Behind a name, whatever the score. It means something where all have the same.
    BehindName(&'a [u8]),
}

impl<'a> Cut<'a> {
    /// Whether a member, by its score's order and its name, stands before this place.
    #[inline(always)]
    pub fn is_past(&self, order: u64, name: impl FnOnce() -> &'a [u8]) -> bool {
        match *self {
            Self::Before(score) => order < self::order(score),
            Self::Behind(score) => order <= self::order(score),
            Self::BeforeMember(member) => {
                order < member.order() || order == member.order() && name() < member.name
            }
            Self::BehindMember(member) => {
                order < member.order() || order == member.order() && name() <= member.name
            }
            Self::BeforeName(other) => name() < other,
            Self::BehindName(other) => name() <= other,
        }
    }

    /// Members with a smaller sort key are before this place, those with a larger one behind it. None
    /// if keys say nothing.
    #[inline(always)]
    pub fn key(&self) -> Option<u128> {
        match *self {
            Self::Before(score) => Some(u128::from(order(score)) << u64::BITS),
            Self::Behind(score) => {
                Some(u128::from(order(score)) << u64::BITS | u128::from(u64::MAX))
            }
            Self::BeforeMember(member) | Self::BehindMember(member) => Some(member.key()),
            Self::BeforeName(_) | Self::BehindName(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_compare_as_scores_do() {
        let scores = [
            f64::NEG_INFINITY,
            -1e300,
            -1.5,
            -1.0,
            -f64::MIN_POSITIVE,
            -5e-324,
            0.0,
            5e-324,
            0.5,
            1.0,
            f64::MAX,
            f64::INFINITY,
        ];
        for pair in scores.windows(2) {
            assert!(order(pair[0]) < order(pair[1]), "{pair:?}");
        }
        assert_eq!(order(-0.0), order(0.0));
    }

    #[test]
    fn keys_are_in_the_order_of_members() {
        let names: [&[u8]; 7] = [b"", b"\0", b"a", b"a\0", b"abcdefgh", b"abcdefghi", b"b"];
        for pair in names.windows(2) {
            assert!(key(order(1.0), pair[0]) <= key(order(1.0), pair[1]), "{pair:?}");
            assert!(key(order(1.0), pair[1]) < key(order(1.5), pair[0]), "{pair:?}");
        }
    }
}
