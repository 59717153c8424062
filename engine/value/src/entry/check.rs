//! Walking over an entry that is not believed.

use core::mem::MaybeUninit;

use abi::keyspace::entry::{FLAG_LARGE, FLAG_TTL};

use super::layout::Place;
use super::{Entry, Listing};
use crate::body;
use crate::encoding::Seed;
use base::hash::hash;
use base::walk::{About, Walker};

/// What an entry is of whose sizes nothing more is wrong.
#[derive(Clone, Copy)]
pub struct Checked {
    /// The hash of its key.
    pub hash: u64,
    /// What of it ends by itself.
    pub listing: Listing,
}

/// The longest that head, lengths and expiry are.
const HEAD_BYTES: usize = 3 * size_of::<u64>();

/// Claims the entry at an address, a key of a database, with all that it owns. What is wrong is told.
/// None: it cannot be used.
///
/// The walk stands at the key then.
pub fn check(walker: &mut Walker<'_>, address: u64, db: u32, seed: Seed) -> Option<Checked> {
    let Some(size) = walker.block(address).and_then(size) else {
        walker.wrong(format_args!("entry at {address:#x}: there is none"));
        return None;
    };
    if !walker.claim("entry", address, size) {
        return None;
    }
    // SAFETY: an allocation of the size that its head tells was claimed, and any bytes are key and
    // value; nobody changes it during a walk.
    let entry = unsafe { Entry::at(address) };
    let hash = hash(entry.key(), seed);
    walker.turn_to(About::Key { db, hash, key: entry.key() });
    (entry.row().check)(entry, walker, seed);
    Some(Checked { hash, listing: entry.listing() })
}

/// Bytes of the entry that a block begins with, if it has room for it and a release knows it.
fn size(block: &[u8]) -> Option<usize> {
    let head = u64::from_le_bytes(*block.first_chunk()?);
    let words = 1 + usize::from(head & FLAG_LARGE != 0) + usize::from(head & FLAG_TTL != 0);
    let is_known = body::is_known(head as u8) && block.len() >= words * size_of::<u64>();
    if !is_known {
        return None;
    }
    let mut copy = MaybeUninit::<[u64; HEAD_BYTES / size_of::<u64>()]>::zeroed();
    let len = block.len().min(HEAD_BYTES);
    // SAFETY: the copy has room for it, and lives while it is looked at as an entry, of which no more
    // than head, lengths and expiry is asked.
    let shape = unsafe {
        copy.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(block.as_ptr(), len);
        Place::at(copy.as_ptr() as u64).shape()
    };
    Some(shape.size()).filter(|size| *size <= block.len())
}
