//! How much memory the arena takes, and that it gives it back.

use shell::arena;
use shell::arena::calls;

use super::{Block, on_lane, turn};

#[test]
fn entries_of_88_bytes_cost_little_more_than_that() {
    const ENTRIES: u64 = 250_000;
    let (arena, _turn) = turn();
    arena.release_free_memory().unwrap();
    let (used, resident) = (arena::used_bytes(), arena.resident_bytes().unwrap());
    let blocks = on_lane(0, || (0..ENTRIES).map(|n| Block::new(88, n)).collect::<Vec<_>>());
    assert_eq!(arena::used_bytes() - used, 88 * ENTRIES);
    let grown = arena.resident_bytes().unwrap() - resident;
    assert!(grown < 885 * ENTRIES / 10, "{grown} bytes for {ENTRIES} entries");
    on_lane(1, || blocks.into_iter().for_each(Block::free));
    assert_eq!(arena::used_bytes(), used);
    arena.release_free_memory().unwrap();
    let kept = arena.resident_bytes().unwrap().saturating_sub(resident);
    assert!(kept < 1 << 20, "{kept} bytes stay when everything is free");
}

fn fill_and_free_at_random() {
    let mut blocks: Vec<_> = (0..60_000u64).map(|n| Block::new(64 + n % 400, n)).collect();
    blocks.sort_by_key(|block| block.address.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    blocks.into_iter().for_each(Block::free);
}

#[test]
fn memory_freed_in_random_order_goes_back_once_its_lane_is_idle() {
    let (arena, _turn) = turn();
    arena.release_free_memory().unwrap();
    let resident = arena.resident_bytes().unwrap();
    on_lane(2, || {
        fill_and_free_at_random();
        (0..8).for_each(|_| arena::trim());
        arena.release_free_memory().unwrap();
        let kept = arena.resident_bytes().unwrap().saturating_sub(resident);
        assert!(kept < 128 << 10, "{kept} bytes stay");
    });
}

#[test]
fn memory_freed_in_random_order_goes_back_when_its_lane_ends() {
    let (arena, _turn) = turn();
    arena.release_free_memory().unwrap();
    let resident = arena.resident_bytes().unwrap();
    on_lane(3, fill_and_free_at_random);
    arena.release_free_memory().unwrap();
    let kept = arena.resident_bytes().unwrap().saturating_sub(resident);
    assert!(kept < 128 << 10, "{kept} bytes stay");
}

#[test]
fn much_free_memory_goes_back_by_itself() {
    const BYTES: u64 = 64 << 20;
    let (arena, _turn) = turn();
    arena.release_free_memory().unwrap();
    let resident = arena.resident_bytes().unwrap();
    let block = arena::alloc(BYTES);
    // SAFETY: the block was allocated with this size.
    unsafe { std::ptr::write_bytes(block as *mut u8, 1, BYTES as usize) };
    assert!(arena.resident_bytes().unwrap() >= resident + BYTES);
    // SAFETY: as above; it is not used again.
    unsafe { arena::free(block, BYTES) };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    // What shares a chunk of 2 MiB with something else may stay, before and after the block.
    while arena.resident_bytes().unwrap() > resident + (4 << 20) {
        assert!(std::time::Instant::now() < deadline, "memory stayed");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn an_untouched_block_costs_nothing() {
    let (arena, _turn) = turn();
    let (used, resident) = (arena::used_bytes(), arena.resident_bytes().unwrap());
    let block = arena::alloc(1 << 30);
    assert_eq!(arena::used_bytes() - used, 1 << 30);
    assert!(arena.resident_bytes().unwrap() - resident < 64 << 10);
    // SAFETY: the block was allocated with this size and is not used again.
    unsafe { arena::free(block, 1 << 30) };
}

#[test]
fn a_large_block_grows_and_shrinks_where_it_is_if_there_is_room() {
    let (arena, _turn) = turn();
    // With nothing to hand back, nobody else takes the room behind the block for a moment.
    arena.release_free_memory().unwrap();
    let used = arena::used_bytes();
    let mut block = Block::new(300_000, 7);
    let address = block.address;
    for size in [100_000, 120_000, 131_072, 50_000, 40_000, 90_000, 300_000] {
        block.resize(size);
        assert_eq!(block.address, address, "moved for {size} bytes");
        assert_eq!(arena::used_bytes() - used, calls::usable(size));
    }
    block.resize(100);
    assert_ne!(block.address, address, "a small block in a large one's place");
    block.free();
    assert_eq!(arena::used_bytes(), used);
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_the_old_block_as_it_was() {
    let (_, _turn) = turn();
    let used = arena::used_bytes();
    assert_eq!(arena::alloc(1 << 41), 0);
    assert_eq!(arena::alloc(u64::MAX), 0);
    let block = Block::new(100, 3);
    // SAFETY: the block is live and has this size.
    assert_eq!(unsafe { arena::realloc(block.address, 100, u64::MAX - 7) }, 0);
    block.free();
    assert_eq!(arena::used_bytes(), used);
}
