//! The table of clients in the arena: where other threads find them.

use std::sync::Mutex;
use std::sync::atomic::Ordering;

use abi::client::{ClientShared, ClientTable};
use abi::container::RawVec;
use abi::ptr::Ptr;

use crate::arena::futex::ThisThread;
use crate::arena::{NoMemory, alloc, realloc};

const FIRST_SLOTS: u32 = 64;

/// The shell's handle on the table: the root in the arena, and which of its slots are free.
pub struct Table {
    root: Ptr<ClientTable>,
    free: Mutex<Vec<u32>>,
}

// SAFETY: the root is only changed under its own lock.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// A handle on an initialised table that outlives the process's threads. It counts the clients
    /// that are in it.
    ///
    /// # Safety
    /// `root` points to a `ClientTable` which is never freed, and no other `Table` adds to it.
    pub unsafe fn new(root: Ptr<ClientTable>) -> Self {
        let table = Self { root, free: Mutex::new(Vec::new()) };
        let slots = table.root().slots.lock(ThisThread);
        // SAFETY: so many words are there, and they are locked.
        let word = |slot: u32| unsafe { *slots.data.as_ptr().add(slot as usize) };
        let free: Vec<u32> = (0..slots.len).filter(|slot| word(*slot) == 0).collect();
        table.root().count.store(slots.len - free.len() as u32, Ordering::Relaxed);
        drop(slots);
        *table.free_slots() = free;
        table
    }

    /// The root.
    pub fn root(&self) -> &ClientTable {
        // SAFETY: promised to `new`.
        unsafe { &*self.root.as_ptr() }
    }

    /// Takes a place among at most `max` clients; gives it back with [`Table::leave`].
    pub fn enter(&self, max: u32) -> bool {
        let admit = |count| (count < max).then_some(count + 1);
        self.root().count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, admit).is_ok()
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.root().count.fetch_sub(1, Ordering::Relaxed);
    }

    /// The id of a new client.
    pub fn next_id(&self) -> u64 {
        self.root().next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes a client findable, by what others may look at of it. Returns its slot.
    pub fn add(&self, client: Ptr<ClientShared>) -> Result<u32, NoMemory> {
        let mut slots = self.root().slots.lock(ThisThread);
        let slot = match self.free_slots().pop() {
            Some(slot) => slot,
            None => grow_by_one(&mut slots)?,
        };
        put(&mut slots, slot, client.address());
        Ok(slot)
    }

    /// Makes a client unfindable: after this, nobody else looks at it.
    pub fn remove(&self, slot: u32) {
        let mut slots = self.root().slots.lock(ThisThread);
        put(&mut slots, slot, 0);
        self.free_slots().push(slot);
    }

    fn free_slots(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.free.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Writes a slot, which must exist.
fn put(slots: &mut RawVec, slot: u32, address: u64) {
    assert!(slot < slots.len, "slot {slot} of {}", slots.len);
    // SAFETY: `len` words are allocated, and whoever has the vector exclusively may write them.
    unsafe { *slots.data.as_ptr().add(slot as usize) = address };
}

/// Adds a slot. Returns its number.
fn grow_by_one(slots: &mut RawVec) -> Result<u32, NoMemory> {
    if slots.len == slots.capacity {
        let capacity = (slots.capacity * 2).max(FIRST_SLOTS);
        let (old, new) = (u64::from(slots.capacity) * 8, u64::from(capacity) * 8);
        let data = match old {
            0 => alloc(new),
            // SAFETY: the allocation is the vector's own.
            old => unsafe { realloc(slots.data.address(), old, new) },
        };
        if data == 0 {
            return Err(NoMemory);
        }
        slots.data = Ptr::new(data);
        slots.capacity = capacity;
    }
    slots.len += 1;
    Ok(slots.len - 1)
}
