//! Visiting items: in order of hashes, all of them, or one at random.
#![forbid(unsafe_code)]

use abi::container::BUCKET_SLOTS;

use super::bucket::ADDRESS;
use super::segment::{Root, Segment};
use super::{POSITION_BITS, TableRef};

/// Random places looked at before an item is taken from wherever there is one.
const DRAWS_MAX: usize = 24;

/// Most items of a pair of buckets that take part in a draw.
const PAIR_MAX: usize = 64;

/// Places that [`TableRef::scan_some`] looks at for each item it is asked for.
const POSITIONS_PER_ITEM: u64 = 10;

/// The low bits of a position that are always zero.
pub(super) const CURSOR_SHIFT: u32 = u64::BITS - POSITION_BITS;

impl<'a> TableRef<'a> {
    /// Visits the items of the pair of buckets at `position` and returns the next position, if any.
    ///
    /// A position is a prefix of hashes, aligned to the top of the word; 0 is the first. Walking
    /// on from each position returned visits every item that is in the table throughout, however
    /// it grows or shrinks between the calls; an item comes again only after it has done so. The
    /// low 18 bits of a position are zero.
    pub fn scan(&self, position: u64, visit: &mut dyn FnMut(u64)) -> Option<u64> {
        let segment = self.segment(position)?;
        segment.for_each_in_pair(position, |word| visit(word & ADDRESS));
        segment.position_after(position)
    }

    /// Goes on with a walk that is handed out piece by piece: visits at least `count` items, or fewer
    /// if many places in a row have none. Returns the cursor to go on with; 0 is both the start and
    /// the end. A cursor is the part of a position that is not always zero: below 2^46.
    pub fn scan_some(&self, cursor: u64, count: u64, visit: &mut dyn FnMut(u64)) -> u64 {
        let mut position = cursor << CURSOR_SHIFT;
        let mut seen = 0;
        for _ in 0..count.saturating_mul(POSITIONS_PER_ITEM) {
            let next = self.scan(position, &mut |item| {
                seen += 1;
                visit(item);
            });
            let Some(next) = next else { return 0 };
            position = next;
            if seen >= count {
                break;
            }
        }
        position >> CURSOR_SHIFT
    }

    /// What all items come to by `measure`: of more than `most`, as far as those seen first tell.
    pub fn sum(&self, most: usize, measure: impl Fn(u64) -> usize) -> usize {
        let (mut seen, mut sum, mut next) = (0, 0, Some(0));
        while let (Some(position), true) = (next, seen < most) {
            next = self.scan(position, &mut |item| {
                seen += 1;
                sum += measure(item);
            });
        }
        (sum as u128 * super::len(self.raw) as u128 / seen.max(1) as u128) as usize
    }

    /// Visits every item.
    pub fn for_each(&self, visit: &mut dyn FnMut(u64)) {
        let mut all = |segment: Segment<'_>| segment.for_each(|word| visit(word & ADDRESS));
        match self.root() {
            Root::Empty => {}
            Root::Single(segment) => all(segment),
            Root::Directory(directory) => directory.segments().for_each(all),
        }
    }

    /// An item chosen by `random`, 64 random bits; none if the table is empty. All items are about
    /// equally likely unless the table is nearly empty for its size.
    pub fn sample(&self, random: u64) -> Option<u64> {
        let mut random = random;
        for _ in 0..DRAWS_MAX {
            let (segment, hash) = (self.segment(random)?, random);
            random = scramble(random);
            if let Some(found) = draw(segment, hash, random) {
                return Some(found);
            }
            random = scramble(random);
        }
        self.first_from(random).or_else(|| self.first_from(0))
    }

    /// The first item at or after a position.
    fn first_from(&self, position: u64) -> Option<u64> {
        let mut next = Some(position);
        let mut found = None;
        while let (Some(position), None) = (next, found) {
            next = self.scan(position, &mut |address| found = Some(address));
        }
        found
    }
}

/// An item of the pair of buckets of `hash`, or nothing as often as they are empty, so that full and
/// half-empty pairs give their items the same chance.
fn draw(segment: Segment<'_>, hash: u64, random: u64) -> Option<u64> {
    let mut words = [0; PAIR_MAX];
    let mut len = 0;
    segment.for_each_in_pair(hash, |word| {
        if len < PAIR_MAX {
            words[len] = word;
            len += 1;
        }
    });
    let choice = (random >> 32) as usize % len.max(2 * BUCKET_SLOTS);
    (choice < len).then(|| words[choice] & ADDRESS)
}

/// A step of SplitMix64's output function: spreads any change over all bits.
const fn scramble(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
