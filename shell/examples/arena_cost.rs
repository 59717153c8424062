//! Prints what the arena's allocator costs beside the system's: CPU time in nanoseconds per
//! operation, and bytes of memory per entry. Run it with `--release`.
//!
//! Both are called through function pointers, as logic calls its host.

use rustix::time::{ClockId, clock_gettime};
use shell::arena::calls as memory;
use shell::arena::{self, Arena, Options};
use std::alloc::{Layout, alloc as system_alloc, dealloc};
use std::hint::black_box;
use std::time::Duration;

const ENTRIES: usize = 1_000_000;
const PAIRS: usize = 20_000_000;

#[derive(Clone, Copy)]
struct Allocator {
    name: &'static str,
    alloc: extern "C" fn(u64) -> u64,
    free: extern "C" fn(u64, u64),
}

extern "C" fn malloc(size: u64) -> u64 {
    // SAFETY: the size is above 0 and far below what a layout may have.
    unsafe { system_alloc(Layout::from_size_align_unchecked(size as usize, 8)) as u64 }
}

extern "C" fn malloc_free(address: u64, size: u64) {
    // SAFETY: the address came from `malloc` with this size.
    unsafe { dealloc(address as *mut u8, Layout::from_size_align_unchecked(size as usize, 8)) }
}

fn main() {
    let arena = arena::create(&Options::default()).expect("an arena");
    arena::bind_thread(0);
    let both = [
        Allocator { name: "arena", alloc: memory::alloc, free: memory::free },
        Allocator { name: "malloc", alloc: malloc, free: malloc_free },
    ];
    for allocator in both.map(black_box) {
        pair(allocator, 88);
        pair(allocator, 1000);
        window(allocator);
        fill_and_replace(allocator, arena);
        hand_over(allocator);
    }
}

fn report(allocator: Allocator, what: &str, since: Duration, operations: usize) {
    let ns = (cpu_time() - since).as_nanos() as f64 / operations as f64;
    println!("{:<8}{what:<46}{ns:>8.1} ns", allocator.name);
}

fn pair(allocator: Allocator, size: u64) {
    let since = cpu_time();
    for _ in 0..PAIRS {
        (allocator.free)(black_box((allocator.alloc)(black_box(size))), size);
    }
    report(allocator, &format!("alloc + free of {size} bytes, hot"), since, PAIRS);
}

/// A thousand live blocks of mixed size, replaced in turn: free lists stay short, caches warm.
fn window(allocator: Allocator) {
    let size = |n: usize| 40 + (n as u64 * 24) % 480;
    let mut blocks: Vec<_> = (0..1000).map(|n| (allocator.alloc)(size(n))).collect();
    let since = cpu_time();
    for n in 0..PAIRS {
        let slot = n % 1000;
        (allocator.free)(blocks[slot], size(slot));
        blocks[slot] = (allocator.alloc)(size(slot));
    }
    report(allocator, "replace one of 1000 blocks, 40..520 bytes", since, PAIRS);
    (0..1000).for_each(|n| (allocator.free)(blocks[n], size(n)));
}

/// A keyspace's life: filled with new entries, each replaced at random, all dropped at random.
fn fill_and_replace(allocator: Allocator, arena: &Arena) {
    const SIZE: u64 = 88;
    let before = arena.resident_bytes().unwrap();
    let since = cpu_time();
    let mut blocks: Vec<_> = (0..ENTRIES).map(|_| touched(allocator, SIZE)).collect();
    report(allocator, "alloc and write of 1 M new entries", since, ENTRIES);
    if allocator.name == "arena" {
        let grown = arena.resident_bytes().unwrap() - before;
        println!("        {:.2} bytes of memory an entry", grown as f64 / ENTRIES as f64);
    }
    let order = shuffled(ENTRIES);
    let since = cpu_time();
    for &n in &order {
        let new = touched(allocator, SIZE);
        (allocator.free)(std::mem::replace(&mut blocks[n], new), SIZE);
    }
    report(allocator, "alloc, write and free at random in 1 M", since, ENTRIES);
    let since = cpu_time();
    order.iter().for_each(|&n| (allocator.free)(blocks[n], SIZE));
    report(allocator, "free of 1 M entries in random order", since, ENTRIES);
}

/// One thread allocates, another frees.
fn hand_over(allocator: Allocator) {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<Vec<u64>>(8);
    let freeing = std::thread::spawn(move || {
        arena::bind_thread(1);
        let mut busy = Duration::ZERO;
        for blocks in receiver {
            let since = cpu_time();
            blocks.iter().for_each(|&block| (allocator.free)(block, 96));
            busy += cpu_time() - since;
        }
        busy
    });
    let mut busy = Duration::ZERO;
    for _ in 0..PAIRS / 20_000 {
        let since = cpu_time();
        let blocks = (0..1000).map(|_| touched(allocator, 96)).collect();
        busy += cpu_time() - since;
        sender.send(blocks).unwrap();
    }
    drop(sender);
    busy += freeing.join().unwrap();
    let ns = busy.as_nanos() as f64 / (PAIRS / 20) as f64;
    let what = "alloc and write here, free on another thread";
    println!("{:<8}{what:<46}{ns:>8.1} ns", allocator.name);
}

/// CPU time of this thread: other load on the machine does not count.
fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn touched(allocator: Allocator, size: u64) -> u64 {
    let block = (allocator.alloc)(size);
    // SAFETY: the block is live and at least a word long.
    unsafe { *(block as *mut u64) = size };
    block
}

fn shuffled(count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for n in (1..count).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        order.swap(n, (state >> 33) as usize % (n + 1));
    }
    order
}
