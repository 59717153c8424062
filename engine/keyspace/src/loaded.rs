//! Keys that were made of a file, many at a time.
//!
//! While a file is loaded no command sees keys, so nobody is told of them but who watches or tracks one
//! that is replaced.
#![forbid(unsafe_code)]

use abi::keyspace::SHARDS;

use crate::ahead::fetch_bucket;
use crate::{Intent, Keys, entry_hash};
use base::lock::shard_of;
use value::entry::OwnedEntry;

/// A key on its way into the tables.
struct Arrival {
    hash: u64,
    db: u32,
    /// Where it was in the file.
    at: usize,
    entry: OwnedEntry,
}

/// Keys on their way into the tables, by shard, so that each shard is locked once for many.
pub struct Arrivals {
    shards: Box<[Vec<Arrival>; SHARDS]>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { shards: Box::new([const { Vec::new() }; SHARDS]) }
    }
}

impl Arrivals {
    /// Adds a key of a database, with its hash and where it was in the file.
    pub fn add(&mut self, db: u32, hash: u64, at: usize, entry: OwnedEntry) {
        self.shards[shard_of(hash)].push(Arrival { hash, db, at, entry });
    }
}

impl Keys<'_> {
    /// Makes room for so many keys in the database, of which so many have a time to live, where there
    /// are few yet.
    pub fn reserve(&mut self, all: usize, with_ttl: usize) {
        let (heap, hash_of) = (self.core.heap, entry_hash(self.core.roots.seed));
        for shard in 0..SHARDS {
            self.with_shard(shard, |keys| {
                let mut part = keys.part_at(shard);
                part.keys_mut(heap).reserve(all / SHARDS, hash_of);
                part.expires_mut(heap).reserve(with_ttl / SHARDS, hash_of);
            });
        }
    }

    /// Enters all keys. One that is there already is kept unless it `replaces` that: then the error
    /// says where in the file the first such key was.
    pub fn enter_loaded(&mut self, arrivals: &mut Arrivals, replaces: bool) -> Result<(), usize> {
        let mut doubled: Option<usize> = None;
        // Lanes begin at shards of their own, lest they all wait for the same.
        let first = self.core.id as usize * (SHARDS / 4 + 1);
        for index in (0..SHARDS).map(|nth| (first + nth) % SHARDS) {
            let all = &mut arrivals.shards[index];
            if all.is_empty() {
                continue;
            }
            let roots = self.core.roots;
            all.iter().for_each(|arrival| fetch_bucket(roots, arrival.db, arrival.hash));
            self.with_shard(index, |keys| {
                for Arrival { hash, db, at, entry } in all.drain(..) {
                    if !keys.in_db(db, |keys| keys.enter(hash, entry, replaces)) {
                        doubled = Some(doubled.map_or(at, |other| other.min(at)));
                    }
                }
            });
        }
        doubled.map_or(Ok(()), Err)
    }

    /// Enters a key. Tells whether it is in the tables now.
    fn enter(&mut self, hash: u64, entry: OwnedEntry, replaces: bool) -> bool {
        let is_there = self.lookup_hashed(entry.view().key(), hash, Intent::Past).is_some();
        match (is_there, replaces) {
            (false, _) => {
                self.enlist(hash, entry.view());
                entry.into_address();
            }
            (true, true) => {
                let key = entry.view().key().to_vec();
                self.put_anew(entry, Intent::Past);
                self.signal_modified(&key);
            }
            (true, false) => return false,
        }
        true
    }
}
