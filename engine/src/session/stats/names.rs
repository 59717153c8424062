//! Stable slots for the names of commands, so that counters carry over from release to release.

use abi::lock::Guard;
use abi::ptr::Ptr;
use abi::shared::{CommandName, CommandNames};
use abi::stats::{CommandSegment, CommandStat, LaneStats, SEGMENT_COMMANDS};
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Release};

use base::core::{Core, FutexLocker};
use base::vec::{self, Words};
use store::named::behind;

/// The names, locked.
fn locked(core: &Core) -> Guard<'static, CommandNames, FutexLocker> {
    core.roots.shared().names.lock(core.locker())
}

/// The bytes of the name at an address in the list of names.
///
/// # Safety
/// The address stood in the list once.
unsafe fn bytes_at(address: u64) -> &'static [u8] {
    // SAFETY: a name is complete before it enters the list, and stays as it is for the life of the
    // process.
    unsafe {
        let name = &*(address as *const CommandName);
        core::slice::from_raw_parts(behind(name), name.name_len as usize)
    }
}

/// As [`bytes_at`], as a text.
///
/// # Safety
/// As [`bytes_at`].
unsafe fn name_at(address: u64) -> &'static str {
    // SAFETY: as the caller promises.
    core::str::from_utf8(unsafe { bytes_at(address) }).unwrap_or_default()
}

/// The slots of names that are asked for one after another.
pub struct Slots<'a> {
    core: &'a Core,
    names: Guard<'static, CommandNames, FutexLocker>,
    /// Behind the slot found last: releases ask in much the same order.
    next: usize,
}

impl<'a> Slots<'a> {
    /// Nobody else gets slots while this lives.
    pub fn of(core: &'a Core) -> Self {
        Self { core, names: locked(core), next: 0 }
    }

    /// The slot of a command's name, if it has one.
    pub fn find(&mut self, name: &str) -> Option<u32> {
        let known = vec::slice(&self.names.slots);
        let (before, after) = known.split_at(self.next.min(known.len()));
        // SAFETY: addresses of the list.
        let is_it = |at: &u64| unsafe { bytes_at(*at) } == name.as_bytes();
        let found = after.iter().position(is_it).map(|at| before.len() + at);
        let slot = found.or_else(|| before.iter().position(is_it))?;
        self.next = slot + 1;
        Some(slot as u32)
    }

    /// The slot of a command's name, given out on first use. `family`: its number among
    /// [`abi::stats::FAMILIES`].
    pub fn slot(&mut self, name: &str, family: u32) -> u32 {
        self.find(name).unwrap_or_else(|| self.add(name, family) as u32)
    }

    fn add(&mut self, name: &str, family: u32) -> usize {
        let heap = self.core.heap;
        let mut slots = Words::new(&mut self.names.slots, heap);
        slots.reserve(1);
        let place = heap.alloc(size_of::<CommandName>() + name.len()) as *mut CommandName;
        let name_len = u32::try_from(name.len()).expect("a name is below 4 GiB");
        // SAFETY: a new allocation with room for the struct and the name behind it.
        unsafe {
            place.write(CommandName { name_len, family: family + 1 });
            place.add(1).cast::<u8>().copy_from_nonoverlapping(name.as_ptr(), name.len());
        }
        slots.push(Ptr::from_raw(place).address());
        slots.len() - 1
    }
}

/// The name that has a slot.
pub fn slot_name(core: &Core, slot: u32) -> Option<&'static str> {
    let names = locked(core);
    // SAFETY: an address of the list.
    vec::slice(&names.slots).get(slot as usize).map(|address| unsafe { name_at(*address) })
}

/// All names, by their slots.
pub fn all(core: &Core) -> Vec<&'static str> {
    let names = locked(core);
    // SAFETY: addresses of the list.
    vec::slice(&names.slots).iter().map(|address| unsafe { name_at(*address) }).collect()
}

/// The segment that an address of a lane's counters, which was set once, leads to.
fn segment(address: &AtomicU64) -> Option<&CommandSegment> {
    // SAFETY: a segment is complete before its address is set, stays as long as the counters that it
    // belongs to, and is all atomics but for what is reserved.
    unsafe { (address.load(Acquire) as *const CommandSegment).as_ref() }
}

/// What a lane has counted of the command in a slot, if it ever has.
pub fn counted(lane: &LaneStats, slot: u32) -> Option<&CommandStat> {
    let mut segment_of = segment(&lane.segments)?;
    for _ in 0..slot as usize / SEGMENT_COMMANDS {
        segment_of = segment(&segment_of.next)?;
    }
    Some(&segment_of.stats[slot as usize % SEGMENT_COMMANDS])
}

/// The counters of the command in a slot among those of a lane, made on first use. Only one thread
/// may ask for a lane's at a time.
pub fn counters_of<'a>(core: &Core, lane: &'a LaneStats, slot: u32) -> &'a CommandStat {
    let mut segment_of = find_or_add(core, &lane.segments);
    for _ in 0..slot as usize / SEGMENT_COMMANDS {
        segment_of = find_or_add(core, &segment_of.next);
    }
    &segment_of.stats[slot as usize % SEGMENT_COMMANDS]
}

fn find_or_add<'a>(core: &Core, address: &'a AtomicU64) -> &'a CommandSegment {
    if let Some(there) = segment(address) {
        return there;
    }
    let place = core.heap.alloc(size_of::<CommandSegment>()) as *mut CommandSegment;
    // SAFETY: a new allocation of the struct's size, aligned to 64 as that is a multiple of it;
    // all zeros is a segment that has counted nothing.
    let made = unsafe {
        place.write_bytes(0, 1);
        &*place
    };
    address.store(place as u64, Release);
    made
}

const _: () = assert!(size_of::<CommandSegment>().is_multiple_of(64));
