//! Looking a key up.

use crate::{Found, Keys};
use base::bytes::are_same;
use base::counters;
use base::error::{self, Error};
use base::event::Class;
use store::table::Slot;
use value::entry::Entry;

/// What a key is looked up for, which says what is counted and who is told.
///
/// | intent | for | hit or miss | access (LRU, LFU) | tells of a miss | finds expired |
/// | --- | --- | --- | --- | --- | --- |
/// | `Read` | reading a value | yes | yes | yes | |
/// | `Inspect` | telling something about a key (`TTL`, `EXISTS`) | yes | | yes | |
/// | `Examine` | `OBJECT` | yes | | | |
/// | `Write` | changing a value | | yes | | |
/// | `Peek` | a key that is about to go or to be overwritten, and the server's own purposes | | | | |
/// | `Past` | telling expired from absent, or what goes whichever it is | | | | yes |
///
/// A key whose time has come is removed by all that do not find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the table says what each is for")]
pub enum Intent {
    Read,
    Inspect,
    Examine,
    Write,
    Peek,
    Past,
}

impl Intent {
    #[inline(always)]
    fn counts(self) -> bool {
        matches!(self, Intent::Read | Intent::Inspect | Intent::Examine)
    }

    #[inline(always)]
    fn is_access(self) -> bool {
        matches!(self, Intent::Read | Intent::Write)
    }

    #[inline(always)]
    fn tells_of_a_miss(self) -> bool {
        matches!(self, Intent::Read | Intent::Inspect)
    }
}

impl Keys<'_> {
    /// Looks a key up, as is due to what it is looked up for.
    #[inline(always)]
    pub fn lookup(&mut self, key: &[u8], intent: Intent) -> Option<Found<'_>> {
        self.lookup_hashed(key, self.hash(key), intent)
    }

    /// As [`Keys::lookup`]; an error when the key holds a value of another type than `value_type`,
    /// one of `abi::keyspace::value_type`.
    #[inline(always)]
    pub fn lookup_typed(
        &mut self,
        key: &[u8],
        value_type: u8,
        intent: Intent,
    ) -> Result<Option<Found<'_>>, Error> {
        match self.lookup(key, intent) {
            Some(found) if found.entry().value_type() != value_type => Err(error::WRONG_TYPE),
            found => Ok(found),
        }
    }

    /// The entry of a key, to look at it.
    #[inline]
    pub fn entry(&mut self, key: &[u8], intent: Intent) -> Option<Entry<'_>> {
        self.lookup(key, intent).map(Found::into_entry)
    }

    /// The entries of several keys, all at once, to look at them. An error as soon as a key holds a
    /// value of none of these types.
    pub fn entries<'k>(
        &mut self,
        keys: impl Iterator<Item = &'k [u8]>,
        value_types: &[u8],
        intent: Intent,
    ) -> Result<Vec<Option<Entry<'_>>>, Error> {
        let mut addresses = Vec::new();
        for key in keys {
            let entry = self.entry(key, intent);
            if entry.is_some_and(|entry| !value_types.contains(&entry.value_type())) {
                return Err(error::WRONG_TYPE);
            }
            addresses.push(entry.map(Entry::address));
        }
        // SAFETY: entries of locked shards. A lookup removes no entry but one of its own key whose
        // time has come, and by the same time that key is not found in the first place; none moves
        // an entry. While `self` is borrowed nothing is changed.
        let entry = |address: u64| unsafe { Entry::at(address) };
        Ok(addresses.into_iter().map(|address| address.map(entry)).collect())
    }

    /// Whether a key is there.
    #[inline]
    pub fn contains(&mut self, key: &[u8], intent: Intent) -> bool {
        self.lookup(key, intent).is_some()
    }

    /// As [`Keys::lookup`], of a key whose hash is known.
    #[inline(always)]
    pub fn lookup_hashed(&mut self, key: &[u8], hash: u64, intent: Intent) -> Option<Found<'_>> {
        let now = self.core.expiry_now_ms();
        let mut slot = self.find(key, hash);
        if let Some(there) = slot
            && intent != Intent::Past
            // SAFETY: items of the table are entries, and the shard is locked.
            && unsafe { Entry::at(there.address()) }.is_expired(now)
        {
            // SAFETY: just found, and the table has not been changed since.
            unsafe { self.found(there, hash) }.expire();
            slot = None;
        }
        if intent.counts() {
            let stats = self.core.stats;
            counters::add(if slot.is_some() { &stats.hits } else { &stats.misses }, 1);
        }
        let Some(slot) = slot else {
            if intent.tells_of_a_miss() {
                self.notify(Class::KEY_MISS, "keymiss", key);
            }
            return None;
        };
        let records_access = self.records_access && intent.is_access();
        // SAFETY: found above; the table was not changed, as the key had not expired.
        let mut found = unsafe { self.found(slot, hash) };
        if records_access {
            found.record_access();
        }
        Some(found)
    }

    /// The place of a key in the table of its shard.
    #[inline(always)]
    fn find(&mut self, key: &[u8], hash: u64) -> Option<Slot> {
        self.part(hash).keys().find(hash, |address| {
            // SAFETY: items of the table are entries, and the shard is locked.
            are_same(unsafe { Entry::at(address) }.key(), key)
        })
    }

    /// An entry of a locked shard as what a lookup would find.
    ///
    /// # Safety
    /// An entry of this database's table in that shard is at the address.
    pub(crate) unsafe fn found_at(&mut self, shard: usize, address: u64) -> Option<Found<'_>> {
        // SAFETY: as the caller promises, and the shard is locked.
        let hash = self.hash(unsafe { Entry::at(address) }.key());
        let slot = self.part_at(shard).keys().find_address(hash, address)?;
        // SAFETY: just found, and the table has not been changed since.
        Some(unsafe { self.found(slot, hash) })
    }
}
