//! Shard locks. The order is ascending: whoever wants several takes the lowest first.

use abi::keyspace::{SHARDS, Shard};
use abi::stats::LANES_MAX;

use crate::core::FutexLocker;
use crate::roots::Roots;

/// A set of shards, a bit each.
pub type ShardSet = u64;

/// Every shard.
pub const ALL_SHARDS: ShardSet = !0;

/// The shard of a key, from its hash.
#[inline(always)]
pub fn shard_of(hash: u64) -> usize {
    hash as usize % SHARDS
}

/// The set that holds the shard of a hash.
#[inline(always)]
pub fn set_of(hash: u64) -> ShardSet {
    1 << shard_of(hash)
}

/// The shards a lane holds locked.
pub struct LockSet {
    held: ShardSet,
    /// How much the lane has put by of what it did in the shards held; 0: nothing.
    put: u64,
    /// What is known of how far each lane has paid.
    paid: [u64; LANES_MAX],
    roots: Roots,
    locker: FutexLocker,
}

impl LockSet {
    /// None.
    pub fn new(roots: Roots, locker: FutexLocker) -> Self {
        Self { held: 0, put: 0, paid: [0; LANES_MAX], roots, locker }
    }

    /// The shards held.
    #[inline(always)]
    pub fn held(&self) -> ShardSet {
        self.held
    }

    /// Whether a shard is held.
    #[inline(always)]
    pub fn holds(&self, shard: usize) -> bool {
        self.held >> shard & 1 != 0
    }

    /// Takes the shards of a set. None may be held: taking more while holding some could break
    /// the order. Returns whether it had to wait.
    #[inline]
    pub fn acquire(&mut self, set: ShardSet) -> bool {
        assert_eq!(self.held, 0, "shards are locked all at once");
        let (mut rest, mut has_waited) = (set, false);
        while rest != 0 {
            let shard = self.roots.shard(rest.trailing_zeros() as usize);
            has_waited |= shard.lock.lock(self.locker);
            self.take(shard, rest);
            rest &= rest - 1;
        }
        has_waited
    }

    /// As [`LockSet::acquire`], if nobody holds any of them; else none is taken. Returns whether they
    /// are.
    #[inline]
    pub fn try_acquire(&mut self, set: ShardSet) -> bool {
        assert_eq!(self.held, 0, "shards are locked all at once");
        let all = self.try_extend(set);
        if !all {
            self.release();
        }
        all
    }

    /// Takes also the shards of a set, as far as nobody else holds them. Never waits, so the order
    /// does not matter. Returns whether all of the set are held now.
    pub fn try_extend(&mut self, set: ShardSet) -> bool {
        let mut rest = set & !self.held;
        while rest != 0 {
            let shard = self.roots.shard(rest.trailing_zeros() as usize);
            if !shard.lock.try_lock(self.locker) {
                return false;
            }
            self.take(shard, rest);
            rest &= rest - 1;
        }
        true
    }

    /// The shard, the first of `rest`, has just been locked.
    #[inline(always)]
    fn take(&mut self, shard: &Shard, rest: ShardSet) {
        self.held |= rest & rest.wrapping_neg();
        if shard.debt.is_of_others(self.locker.lane()) {
            self.settle(shard);
        }
    }

    /// Has what others owe for the shard appended.
    #[inline(never)]
    fn settle(&mut self, shard: &Shard) {
        if let Some(stream) = self.locker.effects() {
            shard.debt.settle(stream, self.locker.lane(), &mut self.paid);
        }
    }

    /// Effects of what the lane did in the shards held are put by, and so are all of the lane's
    /// before: `put` bytes in its life.
    pub fn owe(&mut self, put: u64) {
        self.put = put;
    }

    /// Gives back all that is held.
    #[inline]
    pub fn release(&mut self) {
        let put = core::mem::take(&mut self.put);
        while self.held != 0 {
            let shard = self.roots.shard(self.held.trailing_zeros() as usize);
            self.held &= self.held - 1;
            if put != 0 {
                shard.debt.owe(self.locker.lane(), put);
            }
            // SAFETY: it was held, by this set alone. What was found in the shard is borrowed from
            // the core, which has this set and is exclusive to whoever gives its locks back.
            unsafe { shard.lock.unlock(self.locker) };
        }
    }
}
