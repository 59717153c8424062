//! The libraries of this process, in a table that a signal handler may read at any moment.

use std::ffi::{CStr, c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};

/// Words of a build id: 20 bytes, and what is left over.
pub const ID_WORDS: usize = 3;
/// Words of a module's name.
pub const NAME_WORDS: usize = 4;
/// Libraries that the table has room for: those of a process with some generations.
const ENTRIES: usize = 32;
/// Type of the note that is a build id.
const NT_GNU_BUILD_ID: u32 = 3;

/// An entry. Its end is stored last, and first taken away: with none there is nothing.
pub struct Entry {
    /// Where it is loaded.
    pub base: AtomicU64,
    end: AtomicU64,
    /// Its build id, as bytes.
    pub build_id: [AtomicU64; ID_WORDS],
    /// The end of its name, as bytes.
    pub name: [AtomicU64; NAME_WORDS],
}

static TABLE: [Entry; ENTRIES] = [const {
    Entry {
        base: AtomicU64::new(0),
        end: AtomicU64::new(0),
        build_id: [const { AtomicU64::new(0) }; ID_WORDS],
        name: [const { AtomicU64::new(0) }; NAME_WORDS],
    }
}; ENTRIES];
static WRITES: Mutex<()> = Mutex::new(());

/// The library that an address lies in. May be called by a signal handler.
pub fn of(address: u64) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| (entry.base.load(Relaxed)..entry.end.load(SeqCst)).contains(&address))
}

/// Notes which libraries there are now. To be called when one was loaded or closed.
pub fn note() {
    let _one_at_a_time = WRITES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found: Vec<Found> = Vec::new();
    // SAFETY: the function only reads what it is given, and has the vector to itself.
    unsafe { libc::dl_iterate_phdr(Some(look_at), (&raw mut found).cast()) };
    for entry in &TABLE {
        entry.end.store(0, SeqCst);
    }
    for (entry, found) in TABLE.iter().zip(&found) {
        entry.base.store(found.base, Relaxed);
        store(&entry.build_id, &found.build_id);
        let from = found.name.len().saturating_sub(NAME_WORDS * 8);
        store(&entry.name, &found.name[from..]);
        entry.end.store(found.end, SeqCst);
    }
}

fn store(words: &[AtomicU64], bytes: &[u8]) {
    for (index, word) in words.iter().enumerate() {
        let mut part = [0; 8];
        let rest = bytes.get(index * 8..).unwrap_or_default();
        let len = rest.len().min(8);
        part[..len].copy_from_slice(&rest[..len]);
        word.store(u64::from_le_bytes(part), Relaxed);
    }
}

struct Found {
    base: u64,
    end: u64,
    build_id: Vec<u8>,
    name: Vec<u8>,
}

unsafe extern "C" fn look_at(info: *mut libc::dl_phdr_info, _: usize, all: *mut c_void) -> c_int {
    // SAFETY: the linker gives what it knows of a library that is loaded, and the vector of `note`.
    let (info, all) = unsafe { (&*info, &mut *all.cast::<Vec<Found>>()) };
    // SAFETY: so many headers are there.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = info.dlpi_addr;
    let loaded = headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let end = loaded.map(|header| base + header.p_vaddr + header.p_memsz).max().unwrap_or(0);
    let notes = headers.iter().filter(|header| header.p_type == libc::PT_NOTE);
    let build_id = notes.filter_map(|header| {
        let address = (base + header.p_vaddr) as *const u8;
        // SAFETY: a segment that is loaded, and so readable.
        build_id(unsafe { std::slice::from_raw_parts(address, header.p_memsz as usize) })
    });
    let build_id = build_id.map(<[u8]>::to_vec).next().unwrap_or_default();
    let name = match info.dlpi_name.is_null() {
        true => Vec::new(),
        // SAFETY: a text that ends.
        false => unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes().to_vec(),
    };
    all.push(Found { base, end, build_id, name });
    0
}

/// The build id among notes.
fn build_id(mut notes: &[u8]) -> Option<&[u8]> {
    loop {
        let (head, rest) = notes.split_at_checked(12)?;
        let word = |at: usize| u32::from_le_bytes(*head[at..].first_chunk().unwrap_or(&[0; 4]));
        let (name, content) = (word(0) as usize, word(4) as usize);
        let start = name.next_multiple_of(4);
        let found = rest.get(start..start + content)?;
        if word(8) == NT_GNU_BUILD_ID && rest.starts_with(b"GNU\0") {
            return Some(found);
        }
        notes = rest.get(start + content.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_program_is_found_with_a_build_id() {
        note();
        let entry = of(note as fn() as usize as u64).expect("this program is loaded");
        assert_ne!(entry.build_id[0].load(Relaxed), 0);
        assert!(of(7).is_none());
    }
}
