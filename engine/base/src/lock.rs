//! Shard locks. The order is ascending: whoever wants several takes the lowest first.

use abi::keyspace::SHARDS;
use abi::lock::{Locker, RawLock};

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
    /// Shards that were given back while this lane owed effects of theirs.
    owing: ShardSet,
    roots: Roots,
    locker: FutexLocker,
}

impl LockSet {
    /// None.
    pub fn new(roots: Roots, locker: FutexLocker) -> Self {
        Self { held: 0, owing: 0, roots, locker }
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

    #[inline(always)]
    fn lock_of(&self, shard: usize) -> &'static RawLock {
        &self.roots.shard(shard).lock
    }

    /// Takes the shards of a set. None may be held: taking more while holding some could break
    /// the order.
    #[inline]
    pub fn acquire(&mut self, set: ShardSet) {
        assert_eq!(self.held, 0, "shards are locked all at once");
        let mut rest = set;
        while rest != 0 {
            let shard = rest.trailing_zeros() as usize;
            self.lock_of(shard).lock(self.locker);
            self.held |= 1 << shard;
            rest &= rest - 1;
        }
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
            let shard = rest.trailing_zeros() as usize;
            if !self.lock_of(shard).try_lock(self.locker) {
                return false;
            }
            self.held |= 1 << shard;
            rest &= rest - 1;
        }
        true
    }

    /// The lane owes effects of what it did in the shards held.
    pub fn owe(&mut self) {
        self.owing |= self.held;
    }

    /// Gives back all that is held.
    #[inline]
    pub fn release(&mut self) {
        while self.held != 0 {
            let shard = self.held.trailing_zeros() as usize;
            self.held &= self.held - 1;
            if self.owing >> shard & 1 != 0 && self.release_owing(shard) {
                continue;
            }
            // SAFETY: it was held, by this set alone. What was found in the shard is borrowed from
            // the core, which has this set and is exclusive to whoever gives its locks back.
            unsafe { self.lock_of(shard).unlock(self.locker) };
        }
    }

    /// Gives a shard back for whoever takes it next to pay for. If somebody waits for it already,
    /// pays instead: then it is still to be given back.
    #[cold]
    fn release_owing(&mut self, shard: usize) -> bool {
        // SAFETY: as in `release`.
        let is_released = unsafe { self.lock_of(shard).unlock_owing(self.locker) };
        if !is_released {
            self.locker.pay_for(self.locker.lane());
            self.owing &= !(1 << shard);
        }
        is_released
    }

    /// What the lane owed is in the stream.
    #[inline]
    pub fn quit(&mut self) {
        while self.owing != 0 {
            let shard = self.owing.trailing_zeros() as usize;
            self.owing &= self.owing - 1;
            self.lock_of(shard).quit(self.locker);
        }
    }
}
