//! A second process maps the same memory and walks a keyspace that the first one built.

use abi::container::{BUCKET_SLOTS, Bucket};
use abi::keyspace::{Keyspace, SHARDS, ShardDb, entry};
use abi::ptr::Ptr;
use abi::root::{RootHead, kind};
use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use shell::arena;
use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::Ordering;

use super::turn;

/// Set for the second process: the descriptor of the arena.
const FD_VARIABLE: &str = "ARENA_TEST_FD";
/// What the second process prints once it has found everything.
const WALKED: &str = "walked the keyspace";
const KEYS: u32 = 2_000;
const BUCKET_BITS: u32 = 3;
const ADDRESS_MASK: u64 = (1 << abi::ptr::ADDRESS_BITS) - 1;

#[test]
fn a_second_process_maps_the_arena_and_walks_the_keyspace() {
    if let Some(fd) = std::env::var_os(FD_VARIABLE) {
        return be_the_second(fd.to_str().unwrap().parse().unwrap());
    }
    let (arena, _turn) = turn();
    let keyspace = build_keyspace();
    // SAFETY: only tests whose turn it is look at the header.
    unsafe { (*arena.header()).keyspace = keyspace };
    let inherited = rustix::io::dup(arena.fd()).unwrap();
    // This very test again, in a process that knows the descriptor.
    let name = "process::a_second_process_maps_the_arena_and_walks_the_keyspace";
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(FD_VARIABLE, inherited.as_raw_fd().to_string())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "the second process found something else: {printed}");
    assert!(printed.contains(WALKED), "the second process walked nothing: {printed}");
}

fn be_the_second(fd: i32) {
    // SAFETY: the parent left this descriptor open for this process alone.
    let arena = arena::attach(unsafe { OwnedFd::from_raw_fd(fd) }).unwrap();
    // SAFETY: the arena is mapped, and the parent waits meanwhile.
    let found = unsafe { walk((*arena.header()).keyspace) };
    let expected: BTreeSet<_> = (0..KEYS).map(|n| key(n).into_bytes()).collect();
    assert_eq!(found, expected);
    assert!(arena::used_bytes() > u64::from(KEYS) * 8);
    println!("{WALKED}");
}

fn key(n: u32) -> String {
    format!("key:{n:08}")
}

fn build_keyspace() -> Ptr<Keyspace> {
    let keyspace = arena::alloc_zeroed::<Keyspace>().unwrap();
    // SAFETY: zero is a valid keyspace, and nobody else knows it.
    let root = unsafe { &mut *keyspace.as_ptr() };
    root.head = RootHead::of::<Keyspace>(kind::KEYSPACE, 1);
    root.databases = 1;
    for shard in &mut root.shards {
        shard.dbs = arena::alloc_zeroed().unwrap();
        // SAFETY: as above.
        let keys = unsafe { &(*shard.dbs.as_ptr()).keys };
        let segment = arena::alloc_zeroed::<[Bucket; 1 << BUCKET_BITS]>().unwrap();
        keys.root.store(segment.address(), Ordering::Relaxed);
    }
    (0..KEYS).for_each(|n| insert(root, n));
    keyspace
}

fn insert(root: &Keyspace, n: u32) {
    let key = key(n);
    let address = arena::alloc(8 + key.len() as u64);
    let head = (key.len() as u64) << entry::KEY_LEN_SHIFT;
    // SAFETY: the allocation has room for the head word and the key.
    unsafe {
        *(address as *mut u64) = head;
        std::ptr::copy_nonoverlapping(key.as_ptr(), (address + 8) as *mut u8, key.len());
    }
    let shard = &root.shards[n as usize % SHARDS];
    // SAFETY: `build_keyspace` has made the table.
    let slots = unsafe { slots_of(shard.dbs) };
    let free = slots.iter().find(|slot| slot.load(Ordering::Relaxed) == 0).expect("room");
    free.store(u64::from(n) << 48 | address, Ordering::Relaxed);
}

/// All slots of a table of one segment.
unsafe fn slots_of<'a>(db: Ptr<ShardDb>) -> &'a [std::sync::atomic::AtomicU64] {
    // SAFETY: the caller has a table with a segment of this size; buckets are slots only.
    unsafe {
        let segment = (*db.as_ptr()).keys.root.load(Ordering::Relaxed);
        std::slice::from_raw_parts(segment as *const _, BUCKET_SLOTS << BUCKET_BITS)
    }
}

/// The keys of every entry.
unsafe fn walk(keyspace: Ptr<Keyspace>) -> BTreeSet<Vec<u8>> {
    // SAFETY: the caller has a keyspace; each slot that is not zero leads to an entry.
    unsafe {
        let root = &*keyspace.as_ptr();
        assert_eq!(root.head, RootHead::of::<Keyspace>(kind::KEYSPACE, 1));
        let slots = root.shards.iter().flat_map(|shard| slots_of(shard.dbs));
        let entries = slots.map(|slot| slot.load(Ordering::Relaxed) & ADDRESS_MASK);
        entries.filter(|&address| address != 0).map(|address| key_at(address)).collect()
    }
}

unsafe fn key_at(address: u64) -> Vec<u8> {
    // SAFETY: the caller has an entry's address.
    unsafe {
        let head = *(address as *const u64);
        let len = (head >> entry::KEY_LEN_SHIFT) as usize & entry::SMALL_KEY_MAX;
        std::slice::from_raw_parts((address + 8) as *const u8, len).to_vec()
    }
}
