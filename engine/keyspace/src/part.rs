//! A database's part of a shard.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::keyspace::{Shard, ShardDb};

use crate::Keys;
use base::heap::Heap;
use base::lock::shard_of;
use store::table::{Table, TableRef};
use value::entry::Listing;

/// A database's part of a shard that this lane has locked, for as long as `'k`, in which it makes
/// no other.
///
/// What it is made of is shared: batches of other lanes look at the tables without the lock, to
/// fetch what they will need, and so does whoever only counts.
pub struct Part<'k>(&'k ShardDb);

impl<'k> Part<'k> {
    /// Of a shard's part.
    ///
    /// # Safety
    /// The calling lane has the shard locked for `'k`, and uses no other view of the part's tables,
    /// nor anything found through one, while it changes one through this.
    #[inline(always)]
    pub(crate) unsafe fn of(part: &'k ShardDb) -> Self {
        Self(part)
    }

    /// All keys, to look something up.
    #[inline(always)]
    pub fn keys(&self) -> TableRef<'_> {
        // SAFETY: whoever made this part has the shard locked; `&self` keeps `keys_mut` away.
        unsafe { TableRef::new(&self.0.keys) }
    }

    /// The keys of which something ends by itself, to look something up.
    #[inline(always)]
    pub fn expires(&self) -> TableRef<'_> {
        // SAFETY: as in `keys`.
        unsafe { TableRef::new(&self.0.expires) }
    }

    /// All keys, to change them.
    #[inline(always)]
    pub(crate) fn keys_mut(&mut self, heap: Heap) -> Table<'_> {
        // SAFETY: whoever made this part has the shard locked and uses no other view of the table;
        // `&mut self` keeps views made through this one away.
        unsafe { Table::shared(&self.0.keys, heap) }
    }

    /// The keys of which something ends by itself, to change them.
    #[inline(always)]
    pub(crate) fn expires_mut(&mut self, heap: Heap) -> Table<'_> {
        // SAFETY: as in `keys_mut`.
        unsafe { Table::shared(&self.0.expires, heap) }
    }

    /// Takes an entry out of the keys of which something ends by itself, if it is there.
    pub(crate) fn unlist(&mut self, hash: u64, address: u64, heap: Heap) {
        let mut expires = self.expires_mut(heap);
        if let Some(slot) = expires.find_address(hash, address) {
            // SAFETY: just found, and the table is changed by nobody else.
            unsafe { expires.remove(slot, hash) };
        }
    }

    /// Counts that a key comes among those of which something ends, goes, or becomes another.
    pub(crate) fn count_listed(&self, old: Listing, new: Listing) {
        let counts =
            |listing: Listing| [u64::from(listing.timed), u64::from(listing.timed && !listing.ttl)];
        let (less, more) = (counts(old), counts(new));
        if less != more {
            for (at, counter) in [&self.0.timed, &self.0.timed_only].into_iter().enumerate() {
                let count = counter.load(Relaxed) + more[at];
                counter.store(count.saturating_sub(less[at]), Relaxed);
            }
        }
    }

    /// Forgets all that [`Part::count_listed`] has counted.
    pub(crate) fn forget_listed(&self) {
        self.0.timed.store(0, Relaxed);
        self.0.timed_only.store(0, Relaxed);
    }

    /// See [`ShardDb::avg_ttl_ms`].
    pub(crate) fn avg_ttl_ms(&self) -> &AtomicU64 {
        &self.0.avg_ttl_ms
    }

    /// See [`ShardDb::expire_cursor`].
    pub(crate) fn expire_cursor(&self) -> &AtomicU64 {
        &self.0.expire_cursor
    }

    /// See [`ShardDb::walk_db`].
    pub(crate) fn walk_db(&self) -> &AtomicU64 {
        &self.0.walk_db
    }

    /// See [`ShardDb::walked`].
    pub(crate) fn walked(&self) -> &AtomicU64 {
        &self.0.walked
    }

    /// Exchanges everything with another part of the same shard.
    pub(crate) fn exchange(&mut self, other: &mut Self, heap: Heap) {
        self.keys_mut(heap).exchange(&mut other.keys_mut(heap));
        self.expires_mut(heap).exchange(&mut other.expires_mut(heap));
        let pairs = [
            (&self.0.timed, &other.0.timed),
            (&self.0.timed_only, &other.0.timed_only),
            (self.avg_ttl_ms(), other.avg_ttl_ms()),
            (self.expire_cursor(), other.expire_cursor()),
            (self.walk_db(), other.walk_db()),
            (self.walked(), other.walked()),
        ];
        for (a, b) in pairs {
            a.store(b.swap(a.load(Relaxed), Relaxed), Relaxed);
        }
    }
}

impl Keys<'_> {
    /// A shard, which is locked.
    #[inline]
    pub(crate) fn shard_at(&self, index: usize) -> &'static Shard {
        assert!(self.core.has_locked(index), "the shard of a key is not locked");
        self.core.roots.shard(index)
    }

    /// This database's part of a shard, which is locked, by the shard's number.
    #[inline]
    pub fn part_at(&mut self, index: usize) -> Part<'_> {
        assert!(self.core.has_locked(index), "the shard of a key is not locked");
        let part = self.core.roots.part(index, self.db);
        // SAFETY: the shard is locked, and stays so while `self` is borrowed, which also keeps this
        // lane from making other views: all are made through `&mut Keys`, or hold one.
        unsafe { Part::of(part) }
    }

    /// Exchanges what two databases, which are not the same, have in a locked shard.
    pub(crate) fn exchange_parts(&mut self, index: usize, a: u32, b: u32) {
        assert!(self.core.has_locked(index) && a != b, "two parts of a locked shard");
        let (heap, roots) = (self.core.heap, self.core.roots);
        // SAFETY: as in `part_at`; the two are of different databases and share nothing.
        let [mut one, mut other] = [a, b].map(|db| unsafe { Part::of(roots.part(index, db)) });
        one.exchange(&mut other, heap);
    }

    /// This database's part of the shard of a hash, which is locked.
    #[inline]
    pub(crate) fn part(&mut self, hash: u64) -> Part<'_> {
        self.part_at(shard_of(hash))
    }
}
