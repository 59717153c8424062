//! Values of encodings above level 1: how many there are, and how they are made values of level 1.

use abi::container::RawTimedHash;

use crate::{Found, Keys};
use base::event::Class;
use value::hash::{self, TimedBuf, timed_fields};

/// Fields of a large hash whose times are taken away at a time.
const AT_ONCE: usize = 128;

/// Takes from a small hash what no encoding of level 1 can tell: a release's own conversion.
pub type Revert = fn(&mut TimedBuf);

/// What a look at some values has come to.
#[derive(Default)]
pub struct Seen {
    /// Values of encodings above level 1.
    pub values: u64,
    /// Their parts that no encoding of level 1 can tell.
    pub parts: u64,
    /// Whether one of them is still to be converted.
    pub is_left: bool,
    /// The key of one that its conversion has made another, and that is as it was.
    pub broken: Option<Vec<u8>>,
}

impl Keys<'_> {
    /// Looks at what is at a position of a locked shard's table of keys of which something ends; converts
    /// it if there is something to do that with. Returns the next position, if any.
    pub fn look_at_levels(
        &mut self,
        shard: usize,
        position: u64,
        revert: Option<Revert>,
        seen: &mut Seen,
    ) -> Option<u64> {
        let mut addresses = Vec::new();
        let next = self.part_at(shard).expires().scan(position, &mut |address| {
            addresses.push(address);
        });
        addresses.sort_unstable();
        addresses.dedup();
        for address in addresses {
            // SAFETY: an item of the table, once, of a shard that has stayed locked: to convert one takes
            // no other out or makes it move.
            if let Some(found) = unsafe { self.found_at(shard, address) } {
                found.look_at_level(revert, seen);
            }
        }
        next
    }
}

impl Found<'_> {
    fn look_at_level(self, revert: Option<Revert>, seen: &mut Seen) {
        let found = self;
        if !found.entry().listing().timed {
            return;
        }
        let Some(revert) = revert else {
            seen.values += 1;
            seen.parts += timed_fields(found.entry()) as u64;
            return;
        };
        let Some(mut found) = found.without_ended() else { return };
        let Some(hash) = found.timed() else { return };
        let is_small = hash.rows().is_some();
        let outcome = if is_small { found.revert_small(revert) } else { found.revert_some() };
        match outcome {
            Ok(is_done) => {
                seen.values += u64::from(is_done);
                seen.is_left |= !is_done;
            }
            Err(key) => seen.broken = Some(key),
        }
    }

    /// Converts a small hash, unless that makes another one of it: then the key.
    fn revert_small(&mut self, revert: Revert) -> Result<bool, Vec<u8>> {
        let names = self.names_of_timed(usize::MAX);
        let is_same = self.rewrite_small_if(|buf| {
            let before = (buf.len(), buf.content());
            revert(buf);
            before == (buf.len(), buf.content()) && !buf.any_ends()
        });
        if !is_same {
            return Err(self.entry().key().to_vec());
        }
        self.tell_endless(&names);
        Ok(true)
    }

    /// Takes some of the times of a large hash away. Tells whether none is left.
    fn revert_some(&mut self) -> Result<bool, Vec<u8>> {
        let names = self.names_of_timed(AT_ONCE);
        let heap = self.core().heap;
        let mut entry = self.entry_mut();
        let (_, mut ends) = hash::tables_mut(entry.body_mut::<RawTimedHash>(), heap);
        ends.remove_range(0..names.len());
        self.has_changed();
        if timed_fields(self.entry()) == 0 {
            self.change_form(false);
        }
        self.tell_endless(&names);
        Ok(!self.entry().listing().timed)
    }

    /// Names of fields that end, at most so many; of a large hash those that end first.
    fn names_of_timed(&self, most: usize) -> Vec<Vec<u8>> {
        match hash::view(self.entry(), self.seed(), i64::MAX) {
            hash::HashRef::Timed(hash) => hash.names_of_ended(most),
            _ => Vec::new(),
        }
    }

    /// Says that fields do not end any more.
    fn tell_endless(&mut self, names: &[Vec<u8>]) {
        if names.is_empty() {
            return;
        }
        let (db, key) = (self.db(), self.entry().key().to_vec());
        let core = self.core();
        core.effects.fields_persisted(db, &key, names);
        let mut keys = Keys::new(core, db);
        keys.signal_watchers_unasked(&key);
        keys.notify(Class::HASH, "hpersist", &key);
    }
}
