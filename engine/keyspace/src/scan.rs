//! Looking at keys that no command has named: a walk over all of them, or one at random.

use abi::keyspace::SHARDS;

use crate::{Keys, Part};
use base::core::Core;
use base::lock::ALL_SHARDS;
use store::table::{self, POSITION_BITS, prefetch_line};
use value::entry::Entry;

/// Positions a walk may look at for each key it is asked for: a sparse table makes it stop early
/// instead of making it long.
const POSITIONS_PER_KEY: u64 = 10;

/// Where a walk over the keys of a database goes on: a shard, and a position in its table.
///
/// A position is a prefix of the hashes in the shard and so means the same however the table
/// grows or shrinks, and to every release. As a number it is `shard << 46 | position >> 18`: below
/// 2^52, which also clients that keep cursors in floating-point numbers hold exactly. Zero is both
/// the start and the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    shard: usize,
    position: u64,
}

const SHARD_SHIFT: u32 = 46;
const POSITION_SHIFT: u32 = 64 - SHARD_SHIFT;
const _: () = assert!(POSITION_BITS <= SHARD_SHIFT);

impl Cursor {
    /// Before the first key, or behind the last.
    pub const START: Self = Self { shard: 0, position: 0 };

    /// The cursor of a number. One that no walk has given leads to the end.
    pub fn from_number(number: u64) -> Self {
        let shard = (number >> SHARD_SHIFT) as usize;
        if shard < SHARDS {
            Self { shard, position: number << POSITION_SHIFT }
        } else {
            Self::START
        }
    }

    /// The number of this.
    pub fn to_number(self) -> u64 {
        (self.shard as u64) << SHARD_SHIFT | self.position >> POSITION_SHIFT
    }

    /// The beginning of the next shard.
    fn next_shard(self) -> Self {
        Self { shard: (self.shard + 1) % SHARDS, position: 0 }
    }
}

/// How much of a walk is left to this call.
struct Budget {
    keys: u64,
    positions: u64,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.keys == 0 || self.positions == 0
    }
}

/// Places of a table looked at in a row, some of which may be empty.
const NEIGHBOURHOOD_MAX: usize = 8;

impl Keys<'_> {
    /// Runs `f` with a shard locked: by this, or by what runs the command if that holds it already.
    pub fn with_shard<R>(&mut self, index: usize, f: impl FnOnce(&mut Self) -> R) -> R {
        if self.core.has_locked(index) {
            return f(self);
        }
        self.core.lock(1 << index);
        let result = f(self);
        self.core.unlock();
        result
    }

    /// Runs `f` with every shard locked.
    pub fn with_all_shards<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        if self.core.locked() == ALL_SHARDS {
            return f(self);
        }
        self.core.lock(ALL_SHARDS);
        let result = f(self);
        self.core.unlock();
        result
    }

    /// Keys in a shard. It need not be locked.
    pub(crate) fn shard_len(&self, index: usize) -> usize {
        table::len(&self.core.roots.part(index, self.db).keys)
    }

    /// Keys in the database, those included whose time has come and that nobody has removed yet.
    pub fn count(&mut self) -> usize {
        self.with_all_shards(|keys| (0..SHARDS).map(|index| keys.shard_len(index)).sum())
    }

    /// A key of the database, each as likely as any other.
    pub fn random_key(&mut self) -> Option<Vec<u8>> {
        loop {
            let lens: [usize; SHARDS] = core::array::from_fn(|index| self.shard_len(index));
            let total: usize = lens.iter().sum();
            if total == 0 {
                return None;
            }
            let mut choice = self.core.random.below(total as u64) as usize;
            let index = lens.iter().position(|len| match choice.checked_sub(*len) {
                Some(rest) => {
                    choice = rest;
                    false
                }
                None => true,
            })?;
            // Nothing is found when the shard has lost its keys meanwhile, or when the time of the
            // one chosen had come: it is removed, so this ends.
            if let Some(key) = self.with_shard(index, |keys| keys.random_key_of(index)) {
                return Some(key);
            }
        }
    }

    fn random_key_of(&mut self, index: usize) -> Option<Vec<u8>> {
        let (random, now) = (self.core.random.next_u64(), self.core.expiry_now_ms());
        let address = self.part_at(index).keys().sample(random)?;
        // SAFETY: an item of the table of entries, and the shard is locked.
        let found = unsafe { self.found_at(index, address) }?;
        let key = found.entry().key().to_vec();
        if !found.entry().is_expired(now) {
            return Some(key);
        }
        found.expire();
        // One that stays is as good as any: there may be no other.
        crate::expiry::keeps_expired(self.core).then_some(key)
    }

    /// Visits every key of the database whose time has not come, locking a shard at a time.
    pub fn for_each(&mut self, visit: &mut dyn FnMut(Entry<'_>)) {
        let now = self.core.expiry_now_ms();
        for index in 0..SHARDS {
            self.with_shard(index, |keys| {
                keys.part_at(index).for_each(&mut |entry| {
                    if !entry.is_expired(now) {
                        visit(entry);
                    }
                });
            });
        }
    }

    /// Goes on with a walk: sees at least `count` keys, or fewer if many places in a row have none,
    /// visits those whose names are admitted, and returns where it goes on. Keys whose time has come
    /// are removed instead.
    ///
    /// A walk from [`Cursor::START`] until it comes back there visits every key that is in the
    /// database throughout, however the tables grow and shrink meanwhile; some more than once.
    pub fn scan(
        &mut self,
        from: Cursor,
        count: u64,
        admits: &dyn Fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(Entry<'_>),
    ) -> Cursor {
        let mut budget = Budget { keys: count, positions: count.saturating_mul(POSITIONS_PER_KEY) };
        let mut cursor = from;
        loop {
            cursor = self.with_shard(cursor.shard, |keys| {
                keys.scan_shard(cursor, &mut budget, admits, visit)
            });
            if budget.is_spent() || cursor == Cursor::START {
                return cursor;
            }
        }
    }

    /// The part of a walk that is in one shard, which is locked.
    fn scan_shard(
        &mut self,
        mut cursor: Cursor,
        budget: &mut Budget,
        admits: &dyn Fn(&[u8]) -> bool,
        visit: &mut dyn FnMut(Entry<'_>),
    ) -> Cursor {
        let now = self.core.expiry_now_ms();
        let mut expired = Vec::new();
        while !budget.is_spent() {
            let part = self.part_at(cursor.shard);
            let next = part.keys().scan(cursor.position, &mut |address| {
                // SAFETY: items of the table are entries, and the shard is locked.
                let entry = unsafe { Entry::at(address) };
                match admits(entry.key()) {
                    true if entry.is_expired(now) => expired.push(address),
                    true => visit(entry),
                    // As in Redis, a walk touches no key that it does not tell.
                    false => {}
                }
                budget.keys = budget.keys.saturating_sub(1);
            });
            budget.positions -= 1;
            // SAFETY: items of the table, each once, of a shard that has stayed locked.
            unsafe { self.expire_at_addresses(cursor.shard, &expired) };
            expired.clear();
            match next {
                Some(position) => cursor.position = position,
                None => return cursor.next_shard(),
            }
        }
        cursor
    }
}

impl Keys<'_> {
    /// Visits about `count` keys of a locked shard, of those with a time to live only if `volatile`,
    /// that follow one another from a random place on: where a key is says nothing of how it is
    /// used, and neighbours come with one cache miss. `places` is room for their addresses. Tells
    /// whether there is any.
    pub fn visit_neighbours(
        &mut self,
        shard: usize,
        volatile: bool,
        count: usize,
        places: &mut Vec<u64>,
        visit: &mut dyn FnMut(&Core, Entry<'_>),
    ) -> bool {
        let random = self.core.random.next_u64();
        let part = self.part_at(shard);
        let table = if volatile { part.expires() } else { part.keys() };
        let any = !table.is_empty();
        places.clear();
        let mut next = Some(random);
        for _ in 0..NEIGHBOURHOOD_MAX {
            let Some(position) = next.filter(|_| places.len() < count) else { break };
            next = table.scan(position, &mut |address| {
                prefetch_line(address);
                places.push(address);
            });
        }
        if places.is_empty() {
            places.extend(table.sample(random));
        }
        // SAFETY: items of the table, found just now; the shard is locked, and nothing is changed
        // while `self` is borrowed here.
        places.iter().for_each(|address| visit(self.core, unsafe { Entry::at(*address) }));
        any
    }
}

impl Part<'_> {
    /// Visits every key.
    pub fn for_each(&self, visit: &mut dyn FnMut(Entry<'_>)) {
        // SAFETY: items of the table are entries, and whoever has the part has the shard locked.
        self.keys().for_each(&mut |address| visit(unsafe { Entry::at(address) }));
    }
}
