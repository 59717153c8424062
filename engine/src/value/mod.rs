//! Values: what a key can hold. A file a type, with its operations and its choice of encoding.

pub mod list;
pub mod string;

use abi::keyspace::value_type;
use abi::schema::encoding;

use crate::heap::Heap;
use crate::keyspace::entry::Entry;
use crate::lane::Lane;
use crate::store::bytes::{self, Bytes};
use crate::store::list::{Limit, List, ListRef};

/// Allocations above which a value is left to a background thread to free.
const LAZY_MIN: usize = 64;

/// The name `TYPE` gives a type.
pub fn type_name(kind: u8) -> &'static str {
    match kind {
        value_type::STRING => "string",
        value_type::LIST => "list",
        value_type::SET => "set",
        value_type::ZSET => "zset",
        value_type::HASH => "hash",
        value_type::STREAM => "stream",
        _ => "unknown",
    }
}

/// The name `OBJECT ENCODING` gives an entry's encoding.
pub fn encoding_name(entry: Entry<'_>) -> &'static str {
    const EMBSTR_MAX: usize = 44;
    match entry.encoding() {
        encoding::STRING_INT => "int",
        encoding::STRING_EMBEDDED if !entry.is_raw() && entry.embedded().len() <= EMBSTR_MAX => {
            "embstr"
        }
        encoding::STRING_EMBEDDED | encoding::STRING_HEAP => "raw",
        encoding::LIST_NODES => "quicklist",
        _ => "unknown",
    }
}

/// What a key holds, for those who look at values of any type.
pub enum Content<'a> {
    /// A byte string.
    String(string::Str<'a>),
    /// A list.
    List(ListRef<'a>),
}

/// What an entry holds.
pub fn content<'a>(entry: Entry<'a>) -> Content<'a> {
    match entry.encoding() {
        // SAFETY: the body of this encoding is a list, and the entry's shard is locked for 'a.
        encoding::LIST_NODES => Content::List(ListRef::new(unsafe { &*entry.list() })),
        _ => Content::String(string::view(entry)),
    }
}

/// Bytes of memory an entry and its value take, with their places in the tables.
pub fn memory(heap: Heap, entry: Entry<'_>) -> usize {
    let places = size_of::<u64>() * (1 + entry.has_ttl() as usize);
    let body = match entry.encoding() {
        // SAFETY: the body of this encoding is a byte string, and the entry's shard is locked.
        encoding::STRING_HEAP => heap.usable(unsafe { (*entry.heap_string()).capacity } as usize),
        encoding::LIST_NODES => match content(entry) {
            Content::List(list) => list.bytes(),
            Content::String(_) => 0,
        },
        _ => 0,
    };
    places + heap.usable(entry.shape().size()) + body
}

/// Allocations a value is made of, its entry left out.
fn allocations(entry: Entry<'_>) -> usize {
    match entry.encoding() {
        // SAFETY: the body of this encoding is a list, and the entry is this lane's.
        encoding::LIST_NODES => unsafe { (*entry.list()).nodes as usize },
        encoding::STRING_HEAP => 1,
        _ => 0,
    }
}

/// Bytes that an entry with its value gives back, from a look at some of its parts.
pub fn estimate(heap: Heap, entry: Entry<'_>) -> usize {
    let body = match entry.encoding() {
        // SAFETY: the body of this encoding is a byte string, and the entry is this lane's.
        encoding::STRING_HEAP => unsafe { (*entry.heap_string()).capacity as usize },
        // SAFETY: the body of this encoding is a list, and the entry is this lane's.
        encoding::LIST_NODES => ListRef::new(unsafe { &*entry.list() }).estimated_bytes(),
        _ => 0,
    };
    heap.usable(entry.shape().size()) + body
}

/// Frees an entry and its value. `lazily`: one of many allocations on a background thread.
///
/// # Safety
/// The entry is out of all tables, and nothing refers to it.
pub unsafe fn free(lane: &mut Lane, entry: Entry<'_>, lazily: bool) {
    if lazily && allocations(entry) > LAZY_MIN && crate::background::free_later(lane, entry) {
        return;
    }
    // SAFETY: as the caller promises.
    unsafe { free_now(lane.heap, entry) };
}

/// A copy of an entry and its value under another key, with the same time to live.
pub fn duplicate(heap: Heap, entry: Entry<'_>, key: &[u8]) -> Entry<'static> {
    // What the body owns is copied first: should memory run out, nothing is half made.
    match entry.encoding() {
        encoding::STRING_HEAP => {
            let raw = bytes::from_slice(string::view(entry).as_bytes(), heap);
            let copy = entry.with_key(heap, key);
            // SAFETY: the body of a new entry is its maker's to write.
            unsafe { copy.heap_string().write(raw) };
            copy
        }
        encoding::LIST_NODES => {
            // SAFETY: the body of this encoding is a list; the entry's shard is locked.
            let raw = ListRef::new(unsafe { &*entry.list() }).duplicate(heap);
            let copy = entry.with_key(heap, key);
            // SAFETY: the body of a new entry is its maker's to write.
            unsafe { copy.list().write(raw) };
            copy
        }
        _ => entry.with_key(heap, key),
    }
}

/// Frees what an entry's body owns, but not the entry.
///
/// # Safety
/// The body is not used again.
pub unsafe fn free_body(heap: Heap, entry: Entry<'_>) {
    match entry.encoding() {
        encoding::STRING_HEAP => {
            // SAFETY: the body of this encoding is a byte string, not used again.
            unsafe { Bytes::new(&mut *entry.heap_string(), heap) }.free();
        }
        encoding::LIST_NODES => {
            // SAFETY: the body of this encoding is a list, not used again.
            unsafe { List::new(&mut *entry.list(), heap, Limit::from_setting(-2)) }.free();
        }
        _ => {}
    }
}

/// Frees an entry and its value here and now.
///
/// # Safety
/// The entry is out of all tables, and nothing refers to it.
pub unsafe fn free_now(heap: Heap, entry: Entry<'_>) {
    // SAFETY: as the caller promises.
    unsafe {
        free_body(heap, entry);
        entry.free(heap);
    }
}
