//! What an encoding can do: the form of a row of the table in `encodings.rs`.

use crate::body::{Body, Place, START};
use crate::digest::Digest;
use crate::entry::{Entry, EntryMut, OwnedEntry};
use crate::serialized::writer::Writer;
use base::heap::Heap;
use base::mover::Mover;
use base::walk::Walker;

/// All that one encoding can do.
pub struct Encoding {
    /// Its id: one of `abi::schema::encoding`.
    pub id: u8,
    /// The schema level that has it first.
    pub level: u32,
    /// What `OBJECT ENCODING` calls it.
    pub name: fn(Entry<'_>) -> &'static str,
    /// Bytes that the value takes outside the entry.
    pub bytes: fn(Heap, Entry<'_>) -> usize,
    /// As `bytes`, from a look at some parts.
    pub estimated_bytes: fn(Entry<'_>) -> usize,
    /// Allocations that the value is made of, the entry left out: what freeing it costs.
    pub allocations: fn(Entry<'_>) -> usize,
    /// A copy of the entry with its value under a key. What the body owns is copied first: should
    /// memory run out, nothing is half made. Hashes are made with the seed.
    pub copy: fn(Heap, Seed, Entry<'_>, &[u8]) -> OwnedEntry,
    /// What can be done with all that the value owns outside of the entry.
    pub owned: Owned,
    /// Claims all that the value owns, of an entry that is not believed but for its sizes. What is
    /// wrong is told.
    pub check: Check,
    /// Adds the value to a digest, as Redis does.
    pub digest: fn(Entry<'_>, &mut Digest),
    /// What makes the value where there is none.
    pub made_by: MadeBy,
    /// Calls the visitor with each element, in order: the parts it is made of (a string or an
    /// element of a list is one, a member of a sorted set its score and its name).
    pub visit: Visit,
    /// The type of a dump of it: one of `serialized::kind`.
    pub dump_type: u8,
    /// Writes the value as dumps of that type have it.
    pub dump: Dump,
}

/// See [`Encoding::check`]. Names are hashed with the seed.
pub type Check = fn(Entry<'_>, &mut Walker<'_>, Seed);

/// [`Encoding::check`] of the encodings whose body is a `T`.
pub fn check_body<T: Body>(entry: Entry<'_>, walker: &mut Walker<'_>, seed: Seed) {
    entry.body::<T>().check(walker, seed);
}

/// What makes a value.
pub enum MadeBy {
    /// A command of this name with the parts behind the key, in the order in which they are visited; or
    /// several, each with some of them.
    Parts(&'static str),
    /// The commands that this says for a key.
    Commands(fn(Entry<'_>, &[u8], Say<'_>)),
}

/// What commands are said to, each as its words.
pub type Say<'s> = &'s mut dyn FnMut(&[&[u8]]);

/// What hashes are made with.
pub type Seed = [u64; 2];

/// For a view through which nothing is looked up by its hash.
pub const NO_SEED: Seed = [0; 2];

/// See [`Encoding::dump`]. Goes on from a place, 0 being the start, until the writer is full; returns
/// where to go on, or 0 at the end. The value is the same until then.
pub type Dump = fn(Entry<'_>, u64, &mut Writer<'_>) -> u64;

/// Records of a table that are dumped before the writer is asked whether it is full.
pub(crate) const DUMPED_AT_ONCE: u64 = 16;

/// See [`Encoding::visit`].
pub type Visit = fn(Entry<'_>, &mut dyn FnMut(&[&[u8]]));

/// [`Encoding::copy`] of the encodings whose value lies behind the key in the entry.
pub fn copy_embedded(heap: Heap, _: Seed, entry: Entry<'_>, key: &[u8]) -> OwnedEntry {
    OwnedEntry::embedded(heap, &entry.shape_for(key), key, &[entry.embedded()])
}

/// What can be done with all that a value owns outside of its entry. Where there is nothing, nothing.
pub struct Owned {
    /// Frees it; the body is not used again.
    pub free: fn(Heap, &mut EntryMut<'_>),
    /// See [`Body::relocate`].
    pub relocate: fn(&mut Mover, Seed, &mut EntryMut<'_>, Place) -> Place,
}

impl Owned {
    /// Of encodings whose value is all in the entry.
    pub const NOTHING: Self = Self { free: |_, _| {}, relocate: |_, _, _, _| START };

    /// Of the encodings whose body is a `T`.
    pub const fn by<T: Body>() -> Self {
        Self {
            free: |heap, entry| entry.body_mut::<T>().free(heap),
            relocate: |mover, seed, entry, from| entry.body_mut::<T>().relocate(mover, seed, from),
        }
    }
}
