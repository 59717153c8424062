//! Pages with few blocks in use are emptied, and their memory goes back.

use shell::arena::{self, compaction};

use super::{Block, on_lane, turn};

const BLOCKS: u64 = 100_000;

/// Blocks of these sizes, of which all but one in `left` are freed again, here and there.
fn scattered(sizes: &[u64], left: u64) -> Vec<Block> {
    let size = |n: u64| sizes[(n % sizes.len() as u64) as usize];
    let blocks: Vec<_> = (0..BLOCKS).map(|n| Block::new(size(n), n)).collect();
    let is_left = |n: u64| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).is_multiple_of(left);
    let (kept, freed): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|b| is_left(b.seed));
    freed.into_iter().for_each(Block::free);
    arena::flush();
    kept
}

#[test]
fn memory_of_scattered_blocks_comes_back_when_those_move_that_are_asked_to() {
    let (arena, _turn) = turn();
    arena.release_free_memory().unwrap();
    let (used, resident) = (arena::used_bytes(), arena.resident_bytes().unwrap());
    let before = compaction::scattered_bytes();
    on_lane(0, || {
        let mut kept = scattered(&[88, 200, 1000], 10);
        let live = arena::used_bytes() - used;
        let apart = compaction::scattered_bytes() - before;
        assert!(apart > 8 * live && apart < 10 * live, "{apart} bytes between {live}");
        let promised = compaction::begin();
        assert!(promised > apart * 9 / 10, "{promised} bytes of {apart}");
        kept.iter_mut().for_each(Block::make_way);
        assert!(kept.iter().all(|block| !compaction::is_emptying(block.address)));
        compaction::end();
        arena::flush();
        assert_eq!(arena::used_bytes() - used, live);
        let apart = compaction::scattered_bytes() - before;
        assert!(apart < live / 10, "{apart} bytes between {live}");
        arena.release_free_memory().unwrap();
        let grown = arena.resident_bytes().unwrap() - resident;
        assert!(grown < live * 11 / 10, "{grown} bytes for {live}");
        kept.into_iter().for_each(Block::free);
    });
    assert_eq!(arena::used_bytes(), used);
}

#[test]
fn nobody_is_given_a_block_of_a_page_that_is_emptied_not_even_one_just_freed() {
    let (_, _turn) = turn();
    on_lane(1, || {
        let mut kept = scattered(&[320], 8);
        assert!(compaction::begin() > 0);
        for round in 0..3 {
            for block in &mut kept {
                let new = Block::new(320, round);
                assert!(!compaction::is_emptying(new.address));
                std::mem::replace(block, new).free();
            }
        }
        compaction::end();
        kept.into_iter().for_each(Block::free);
    });
}

#[test]
fn pages_that_are_emptied_no_more_are_used_again() {
    let (arena, _turn) = turn();
    on_lane(2, || {
        let kept = scattered(&[640], 10);
        let resident = arena.resident_bytes().unwrap();
        assert!(compaction::begin() > 0);
        compaction::end();
        assert!(kept.iter().all(|block| !compaction::is_emptying(block.address)));
        let more: Vec<_> = (0..BLOCKS / 2).map(|n| Block::new(640, n)).collect();
        let grown = arena.resident_bytes().unwrap().saturating_sub(resident);
        assert!(grown < 640 * BLOCKS / 10, "{grown} bytes more");
        kept.into_iter().chain(more).for_each(Block::free);
    });
}

#[test]
fn large_blocks_stay_where_they_are() {
    let (_, _turn) = turn();
    on_lane(3, || {
        let kept = scattered(&[100], 10);
        let large = Block::new(100_000, 1);
        compaction::begin();
        assert!(!compaction::is_emptying(large.address));
        compaction::end();
        kept.into_iter().chain([large]).for_each(Block::free);
    });
}
