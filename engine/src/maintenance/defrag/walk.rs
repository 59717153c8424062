//! The walk of a pass over all keys: database by database, in each slice by slice of the hashes, and
//! of each slice shard by shard.

use core::sync::atomic::Ordering::Relaxed;

use abi::keyspace::SHARDS;
use abi::shared::Defrag;

use base::clock::ticks;
use base::core::Core;
use base::mover::Mover;
use base::settings::setting;
use keyspace::{Keys, Standing};
use store::table;

/// Allocations that a step looks at, at most: none that waits for the shard waits long.
const LOOKS_MAX: u64 = 64;
/// Positions of tables that it looks at, whatever there is.
const POSITIONS_MAX: u32 = 64;
/// A step that takes longer goes on another time.
const STEP_US_MAX: u64 = 25;
/// Keys of a slice of a shard, about.
const SLICE_KEYS: usize = 48;
/// Most bits that tell slices apart.
const SLICE_BITS_MAX: u32 = 24;

/// Where a walk stands.
pub struct Walk {
    db: u32,
    /// Bits of hashes that tell slices apart.
    bits: u32,
    slice: u64,
    shard: usize,
    standing: Standing,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next is in another shard.
    NextShard,
    /// The next is in the same shard: somebody holds it, or there is more to do.
    SameShard,
    /// There are no more.
    End,
}

impl Walk {
    /// One that begins.
    pub fn new(core: &Core) -> Self {
        let mut walk = Self { db: 0, bits: 0, slice: 0, shard: 0, standing: Standing::at(0) };
        walk.enter(core, 0);
        walk
    }

    /// Goes on where one stood.
    pub fn load(state: &Defrag) -> Self {
        let place = core::array::from_fn(|at| state.place[at].load(Relaxed));
        let (position, hash) = (state.position.load(Relaxed), state.key_hash.load(Relaxed));
        Self {
            db: state.db.load(Relaxed) as u32,
            bits: (state.slice_bits.load(Relaxed) as u32).min(SLICE_BITS_MAX),
            slice: state.slice.load(Relaxed),
            shard: state.shard.load(Relaxed) as usize % SHARDS,
            standing: Standing { position, hash, nth: state.key_nth.load(Relaxed), place },
        }
    }

    /// Remembers where it stands.
    pub fn save(&self, state: &Defrag) {
        state.db.store(self.db.into(), Relaxed);
        state.slice_bits.store(self.bits.into(), Relaxed);
        state.slice.store(self.slice, Relaxed);
        state.shard.store(self.shard as u64, Relaxed);
        state.position.store(self.standing.position, Relaxed);
        state.key_hash.store(self.standing.hash, Relaxed);
        state.key_nth.store(self.standing.nth, Relaxed);
        for (at, word) in self.standing.place.iter().enumerate() {
            state.place[at].store(*word, Relaxed);
        }
    }

    /// Begins with a database, or with the next that has keys.
    fn enter(&mut self, core: &Core, db: u32) {
        let keys = |db: &u32| {
            let len = |shard| table::len(&core.roots.part(shard, *db).keys);
            (0..SHARDS).map(len).sum::<usize>()
        };
        let databases = core.roots.databases();
        self.db = (db..databases).find(|db| keys(db) > 0).unwrap_or(databases);
        let keys = if self.db < databases { keys(&self.db) } else { 0 };
        // Of tracked keys there may be more: they are moved slice by slice as well.
        let tracked = core.roots.shared().tracking_totals.keys.load(Relaxed) as usize;
        let slices = (keys.max(tracked) / SHARDS / SLICE_KEYS).max(1);
        self.bits = slices.ilog2().min(SLICE_BITS_MAX);
        (self.slice, self.shard) = (0, 0);
        self.standing = Standing::at(0);
    }

    /// Takes a step: moves some of what belongs to a slice of a shard.
    pub fn step(&mut self, core: &mut Core) -> Step {
        if self.db >= core.roots.databases() {
            return Step::End;
        }
        // One that somebody holds for long has its turn another time.
        if !core.lock_soon(1 << self.shard) {
            return Step::SameShard;
        }
        let begin = ticks(core.host);
        let fields = core.get(setting::ACTIVE_DEFRAG_MAX_SCAN_FIELDS);
        let mut mover = Mover::new(core.host, fields.min(LOOKS_MAX));
        let is_done = self.relocate(core, &mut mover, begin);
        Keys::new(core, self.db).count_moved(&mover);
        core.unlock();
        if !is_done {
            return Step::SameShard;
        }
        self.next(core);
        Step::NextShard
    }

    /// Goes on in the slice of the shard, which is locked. Tells whether it is done.
    fn relocate(&mut self, core: &mut Core, mover: &mut Mover, begin: u64) -> bool {
        let end = self.end();
        let mut keys = Keys::new(core, self.db);
        for _ in 0..POSITIONS_MAX {
            let next = keys.relocate(self.shard, self.standing, mover);
            match next.filter(|next| end.is_none_or(|end| next.position < end)) {
                Some(next) => self.standing = next,
                None => {
                    self.relocate_beside(|at| keys.relocate_expires(self.shard, at, mover));
                    self.relocate_beside(|at| keys.relocate_tracked(self.shard, at, mover));
                    return true;
                }
            }
            let elapsed_ns = keys.core.ticks.to_ns(ticks(keys.core.host).wrapping_sub(begin));
            if mover.is_spent() || elapsed_ns / 1000 >= STEP_US_MAX {
                break;
            }
        }
        false
    }

    /// The same of a table beside that of the keys, in one go: `relocate` does a position and returns
    /// the next.
    fn relocate_beside(&self, mut relocate: impl FnMut(u64) -> Option<u64>) {
        let end = self.end();
        let mut next = Some(self.begin());
        while let Some(position) = next
            && end.is_none_or(|end| position < end)
        {
            next = relocate(position);
        }
    }

    /// The first position of the slice.
    fn begin(&self) -> u64 {
        self.slice.checked_shl(u64::BITS - self.bits).unwrap_or(0)
    }

    /// The first position behind the slice; none behind the last.
    fn end(&self) -> Option<u64> {
        let next = self.slice + 1;
        (next >> self.bits == 0).then(|| next << (u64::BITS - self.bits))
    }

    /// Goes on to the next shard, slice or database.
    fn next(&mut self, core: &Core) {
        self.shard += 1;
        if self.shard == SHARDS {
            self.shard = 0;
            self.slice += 1;
            if self.slice >> self.bits != 0 {
                return self.enter(core, self.db + 1);
            }
        }
        self.standing = Standing::at(self.begin());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_one_another_and_come_to_all() {
        for bits in [0, 1, 5, SLICE_BITS_MAX] {
            let at = |slice| Walk { db: 0, bits, slice, shard: 0, standing: Standing::at(0) };
            let last = (1 << bits) - 1;
            assert_eq!((at(0).begin(), at(last).end()), (0, None));
            for slice in [0, last / 2, last.saturating_sub(1)].into_iter().filter(|s| *s < last) {
                assert_eq!(at(slice).end(), Some(at(slice + 1).begin()));
            }
        }
    }
}
