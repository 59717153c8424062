//! What the table and the list cost, beside the standard library's containers.
//!
//! `cargo bench -p engine --bench store [-- KEYS]` prints nanoseconds of CPU time per operation, the
//! best of several rounds. The memory is a shared mapping where the arena would be, so that pages,
//! addresses and prefetch are as in the server.

use abi::arena::{ARENA_BASE, ArenaHeader};
use abi::container::{RawBuffer, RawList, RawTable};
use base::buffer::Buffer;
use base::heap::Heap;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::hint::black_box;
use store::list::{End, Limit, List};
use store::table::{self, Table, TableRef, prefetch_bucket, prefetch_item};

/// A heap for one thread: size classes of 16 bytes with a free list each, never given back.
mod memory {
    use super::{ARENA_BASE, ArenaHeader, Heap};
    use std::cell::RefCell;

    const CAPACITY: u64 = 2 << 30;
    const CLASSES: usize = 1024;

    struct Space {
        next: u64,
        free: Vec<Vec<u64>>,
    }

    thread_local! {
        static SPACE: RefCell<Space> =
            RefCell::new(Space { next: 0, free: vec![Vec::new(); CLASSES] });
    }

    unsafe extern "C" {
        fn mmap(address: u64, len: u64, protection: i32, flags: i32, fd: i32, offset: i64) -> u64;
    }

    /// Maps the arena. To be called once.
    pub fn map() {
        const READ_WRITE: i32 = 3;
        const SHARED_ANONYMOUS_FIXED_NORESERVE: i32 = 0x01 | 0x20 | 0x10_0000 | 0x4000;
        // SAFETY: asks for fresh memory at an address that nothing else uses.
        let at = unsafe {
            mmap(ARENA_BASE, CAPACITY, READ_WRITE, SHARED_ANONYMOUS_FIXED_NORESERVE, -1, 0)
        };
        assert_eq!(at, ARENA_BASE, "the arena's address is taken");
        let header = ARENA_BASE as *mut ArenaHeader;
        // SAFETY: the header is the first thing in the mapping.
        unsafe { (*header).capacity_bytes = CAPACITY };
        SPACE.with_borrow_mut(|space| space.next = ARENA_BASE + 4096);
    }

    extern "C" fn usable(size: u64) -> u64 {
        size.next_multiple_of(16)
    }

    extern "C" fn alloc(size: u64) -> u64 {
        let size = usable(size);
        SPACE.with_borrow_mut(|space| {
            let free = space.free.get_mut(size as usize / 16).and_then(Vec::pop);
            free.unwrap_or_else(|| {
                let align = if size.is_multiple_of(64) { 64 } else { 16 };
                let address = space.next.next_multiple_of(align);
                space.next = address + size;
                assert!(space.next <= ARENA_BASE + CAPACITY, "ask for fewer keys");
                address
            })
        })
    }

    extern "C" fn free(address: u64, size: u64) {
        SPACE.with_borrow_mut(|space| {
            if let Some(list) = space.free.get_mut(usable(size) as usize / 16) {
                list.push(address);
            }
        });
    }

    extern "C" fn realloc(address: u64, old: u64, new: u64) -> u64 {
        let moved = alloc(new);
        // SAFETY: both are allocations of at least these sizes.
        unsafe {
            std::ptr::copy_nonoverlapping(
                address as *const u8,
                moved as *mut u8,
                old.min(new) as usize,
            )
        };
        free(address, old);
        moved
    }

    pub const HEAP: Heap = Heap::new(alloc, free, realloc, usable);
}

use memory::HEAP;

const SHARDS: usize = 64;
const ROUNDS: usize = 5;
const CHUNK: usize = 4096;
const BATCH: usize = 32;

/// What a key's item holds; the rest of it is only there to take its place in memory.
#[repr(C)]
struct Item {
    key: u64,
    rest: [u64; 11],
}

fn item(key: u64) -> u64 {
    let address = HEAP.alloc(size_of::<Item>());
    // SAFETY: a fresh allocation of that size.
    unsafe { (address as *mut Item).write(Item { key, rest: [0; 11] }) };
    address
}

fn key_of(address: u64) -> u64 {
    // SAFETY: the tables here hold items only.
    unsafe { (*(address as *const Item)).key }
}

fn mix(key: u64) -> u64 {
    let word = (key ^ (key >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word ^ (word >> 32)
}

/// Takes a hash for what it is.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only words are hashed");
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

type Map = HashMap<u64, u64, BuildHasherDefault<Identity>>;

/// CPU time of this thread: unlike the time of day, it is not stretched by what else runs.
fn cpu_ns() -> u64 {
    const CLOCK_THREAD_CPUTIME_ID: i32 = 3;
    unsafe extern "C" {
        fn clock_gettime(clock: i32, time: *mut [u64; 2]) -> i32;
    }
    let mut time = [0; 2];
    // SAFETY: `time` has the layout of a timespec.
    unsafe { clock_gettime(CLOCK_THREAD_CPUTIME_ID, &mut time) };
    time[0] * 1_000_000_000 + time[1]
}

/// Runs `work` a few times and prints its best time per operation.
fn whole(name: &str, operations: u64, mut work: impl FnMut()) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let begin = cpu_ns();
        work();
        best = best.min((cpu_ns() - begin) as f64 / operations as f64);
    }
    println!("{name:<44} {best:>8.1} ns");
}

/// Runs `work` on all the keys, some thousand at a time, and prints the first decile of the times
/// per key: what it takes when nothing else disturbs.
fn steady(name: &str, keys: &[u64], mut work: impl FnMut(&[u64])) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        for part in keys.chunks_exact(CHUNK) {
            let begin = cpu_ns();
            work(part);
            times.push((cpu_ns() - begin) as f64 / CHUNK as f64);
        }
    }
    times.sort_by(f64::total_cmp);
    println!("{name:<44} {:>8.1} ns", times[times.len() / 10]);
}

struct Tables(&'static mut [RawTable]);

impl Tables {
    fn new() -> Self {
        // In the arena, as the hints want it.
        let address = HEAP.alloc(SHARDS * size_of::<RawTable>());
        // SAFETY: fresh memory of that size, never freed; zero is an empty table.
        unsafe {
            std::ptr::write_bytes(address as *mut u8, 0, SHARDS * size_of::<RawTable>());
            Self(std::slice::from_raw_parts_mut(address as *mut RawTable, SHARDS))
        }
    }

    fn at(&self, hash: u64) -> &RawTable {
        &self.0[hash as usize % SHARDS]
    }

    fn view(&self, hash: u64) -> TableRef<'_> {
        // SAFETY: it is borrowed, and changed only by who has it exclusively.
        unsafe { TableRef::new(self.at(hash)) }
    }

    fn table(&mut self, hash: u64) -> Table<'_> {
        Table::new(&mut self.0[hash as usize % SHARDS], HEAP)
    }

    fn find(&self, key: u64, hash: u64) -> Option<u64> {
        let found = self.view(hash).find(hash, |address| key_of(address) == key);
        found.map(|slot| slot.address())
    }

    fn insert(&mut self, key: u64) {
        let hash = mix(key);
        self.table(hash).insert(hash, item(key), |address| mix(key_of(address)));
    }

    fn clear(&mut self) {
        for hash in 0..SHARDS as u64 {
            let free = &mut |address| {
                // SAFETY: allocated by `item`, and the table lets go of it.
                unsafe { HEAP.free(address, size_of::<Item>()) };
            };
            self.table(hash).clear(free);
        }
    }
}

/// Keys below `keys`, as random as a client's.
fn random(keys: u64) -> Vec<u64> {
    (0..keys).map(|n| mix(n ^ 0x5555) % keys).collect()
}

fn tables(keys: u64) {
    let mut tables = Tables::new();
    whole("table insert, item included", keys, || {
        tables.clear();
        (0..keys).for_each(|key| tables.insert(key));
    });
    let bytes: usize = (0..SHARDS as u64).map(|hash| table::bytes(tables.at(hash))).sum();
    println!("{:<44} {:>8.2} bytes", "table structure per key", bytes as f64 / keys as f64);
    lookups(&tables, &random(keys));
    steady("table remove and insert", &random(keys), |part| {
        for &key in part {
            let hash = mix(key);
            let table = &mut tables.table(hash);
            if let Some(slot) = table.find(hash, |address| key_of(address) == key) {
                // SAFETY: just found.
                let address = unsafe { table.remove(slot, hash) };
                table.insert(hash, address, |address| mix(key_of(address)));
            }
        }
    });
    tables.clear();
}

fn lookups(tables: &Tables, keys: &[u64]) {
    let find_all = |part: &[u64]| {
        for &key in part {
            black_box(tables.find(key, mix(key)));
        }
    };
    steady("table hit, item read", keys, find_all);
    steady("table hit, item read, batch prefetched", keys, |part| {
        for batch in part.chunks(BATCH) {
            batch.iter().for_each(|&key| prefetch_bucket(tables.at(mix(key)), mix(key)));
            batch.iter().for_each(|&key| prefetch_item(tables.at(mix(key)), mix(key)));
            find_all(batch);
        }
    });
    let absent: Vec<u64> = keys.iter().map(|key| key + (1 << 40)).collect();
    steady("table miss", &absent, find_all);
    let hot: Vec<u64> = (0..1 << 16).map(|n| n % 64).collect();
    steady("table hit, 64 hot keys", &hot, find_all);
    steady("prefetch hints alone, 64 hot keys", &hot, |part| {
        part.iter().for_each(|&key| prefetch_bucket(tables.at(mix(key)), mix(key)));
        part.iter().for_each(|&key| prefetch_item(tables.at(mix(key)), mix(key)));
    });
    steady("table sample", keys, |part| {
        for &key in part {
            let hash = mix(key);
            black_box(tables.view(hash).sample(hash));
        }
    });
}

fn maps(keys: u64) {
    let mut map = Map::default();
    whole("HashMap<u64, item> insert, item included", keys, || {
        map.drain().for_each(|(_, address)| {
            // SAFETY: allocated by `item`, and the map lets go of it.
            unsafe { HEAP.free(address, size_of::<Item>()) };
        });
        map = Map::default();
        for key in 0..keys {
            map.insert(mix(key), item(key));
        }
    });
    let get_all = |part: &[u64]| {
        for &key in part {
            black_box(map.get(&mix(key)).map(|&address| key_of(address)));
        }
    };
    let hot: Vec<u64> = (0..1 << 16).map(|n| n % 64).collect();
    steady("HashMap<u64, item> hit, item read", &random(keys), get_all);
    steady("HashMap<u64, item> hit, 64 hot keys", &hot, get_all);
}

fn view(raw: &mut RawList) -> List<'_> {
    List::new(raw, HEAP, Limit::from_setting(-2))
}

fn lists(keys: &[u64]) {
    let mut raw = RawList::EMPTY;
    let long = [b'x'; 64];
    for (name, element) in
        [("3 bytes", &b"xxx"[..]), ("64 bytes", &long[..]), ("7 digits", b"1234567")]
    {
        steady(&format!("list push front and pop front of {name}"), keys, |part| {
            part.iter().for_each(|_| view(&mut raw).push(End::Front, black_box(element)));
            for _ in part {
                view(&mut raw).pop(End::Front, |element| _ = black_box(element));
            }
        });
        steady(&format!("list push front and pop back of {name}"), keys, |part| {
            for group in part.chunks(64) {
                group.iter().for_each(|_| view(&mut raw).push(End::Front, black_box(element)));
                for _ in group {
                    view(&mut raw).pop(End::Back, |element| _ = black_box(element));
                }
            }
        });
    }
    (0..CHUNK).for_each(|_| view(&mut raw).push(End::Back, &b"xxx"[..]));
    steady("list walk, per element", keys, |_| {
        view(&mut raw).view().iter().for_each(|element| _ = black_box(element));
    });
    view(&mut raw).free();
}

fn buffers(keys: &[u64]) {
    let mut raw = RawBuffer::EMPTY;
    for len in [5, 64] {
        let bytes = vec![b'x'; len];
        steady(&format!("buffer append of {len} bytes"), keys, |part| {
            for group in part.chunks(64) {
                group.iter().for_each(|_| Buffer::new(&mut raw, HEAP).append(black_box(&bytes)));
                Buffer::new(&mut raw, HEAP).consume(usize::MAX);
            }
        });
    }
    Buffer::new(&mut raw, HEAP).free();
}

fn main() {
    let keys = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1_000_000);
    println!("{keys} keys");
    memory::map();
    tables(keys);
    maps(keys);
    let some = random(100_000);
    lists(&some);
    buffers(&some);
}
