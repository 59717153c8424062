//! Random work on several lanes at once, against a model of what is live.

use proptest::prelude::*;
use shell::arena;
use shell::arena::calls;
use std::sync::Mutex;

use super::{Block, on_lane, turn};

/// Threads that are lanes, and all threads: the others share a heap.
const LANES: usize = 3;
const THREADS: usize = 5;

#[derive(Debug, Clone)]
enum Step {
    Alloc(u64),
    Resize(usize, u64),
    Free(usize),
    /// Leaves a block for another thread, and takes one that was left.
    Swap(usize),
    Trim,
    /// Has sparse pages emptied, or emptied no more.
    Compact(bool),
    /// Moves what is to be moved.
    MakeWay,
}

fn size() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => 1..200u64,
        4 => 1..4000u64,
        2 => 1..70_000u64,
        1 => 30_000..600_000u64,
        1 => prop::sample::select(vec![8, 64, 88, 96, 128, 4096, 32_768, 32_769, 65_536, 131_072]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => size().prop_map(Step::Alloc),
        4 => (any::<usize>(), size()).prop_map(|(n, size)| Step::Resize(n, size)),
        6 => any::<usize>().prop_map(Step::Free),
        4 => any::<usize>().prop_map(Step::Swap),
        1 => Just(Step::Trim),
        1 => any::<bool>().prop_map(Step::Compact),
        2 => Just(Step::MakeWay),
    ]
}

/// Runs the steps; returns what is live at the end.
fn run(steps: &[Step], first_seed: u64, market: &Mutex<Vec<Block>>) -> Vec<Block> {
    let mut live: Vec<Block> = Vec::new();
    for (seed, step) in (first_seed..).zip(steps) {
        match *step {
            Step::Alloc(size) => live.push(Block::new(size, seed)),
            Step::Trim => arena::trim(),
            Step::Compact(true) => {
                arena::compaction::begin();
            }
            Step::Compact(false) => arena::compaction::end(),
            Step::MakeWay => live.iter_mut().for_each(Block::make_way),
            _ if live.is_empty() => {}
            Step::Resize(n, size) => {
                let n = n % live.len();
                live[n].resize(size);
            }
            Step::Free(n) => live.swap_remove(n % live.len()).free(),
            Step::Swap(n) => {
                let mut market = market.lock().unwrap();
                let taken = market.pop();
                market.push(live.swap_remove(n % live.len()));
                live.extend(taken);
            }
        }
    }
    live
}

/// Runs each list of steps on its own thread.
fn run_all(lists: &[Vec<Step>]) -> Vec<Block> {
    let market = Mutex::new(Vec::new());
    let mut live: Vec<Block> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0u32..)
            .zip(lists)
            .map(|(lane, steps)| {
                let (market, seed) = (&market, u64::from(lane) << 32);
                scope.spawn(move || {
                    if (lane as usize) < LANES {
                        arena::bind_thread(lane);
                    }
                    run(steps, seed, market)
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    live.append(&mut market.into_inner().unwrap());
    live
}

fn assert_disjoint(live: &mut [Block]) {
    live.sort_by_key(|block| block.address);
    for pair in live.windows(2) {
        assert!(pair[0].address + pair[0].size <= pair[1].address, "blocks overlap");
    }
}

proptest! {
    #[test]
    fn blocks_are_disjoint_keep_their_bytes_and_are_counted(
        lists in prop::collection::vec(prop::collection::vec(step(), 0..400), THREADS)
    ) {
        let (_, _turn) = turn();
        let before = arena::used_bytes();
        let mut live = run_all(&lists);
        assert_disjoint(&mut live);
        let expected: u64 = live.iter().map(|block| calls::usable(block.size)).sum();
        prop_assert_eq!(arena::used_bytes() - before, expected);
        live.into_iter().for_each(Block::free);
        prop_assert_eq!(arena::used_bytes(), before);
    }
}

/// Threads that pass blocks of one size around, in batches large enough to reach the pages behind
/// the lanes each time.
#[test]
fn threads_that_fight_over_one_class_get_disjoint_blocks() {
    const BATCH: usize = 200;
    let (_, _turn) = turn();
    let before = arena::used_bytes();
    let market: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());
    let trade = |lane: u32| {
        if (lane as usize) < LANES {
            arena::bind_thread(lane);
        }
        for pass in 0..100 {
            let batch = (0..BATCH as u64).map(|n| Block::new(72, pass << 8 | n)).collect();
            market.lock().unwrap().push(batch);
            let first = market.lock().unwrap().swap_remove(0);
            first.into_iter().for_each(Block::free);
        }
    };
    std::thread::scope(|scope| {
        (0..THREADS as u32).for_each(|lane| {
            let trade = &trade;
            scope.spawn(move || trade(lane));
        });
    });
    assert_eq!(arena::used_bytes(), before);
}

#[test]
fn a_lane_is_free_for_another_thread_once_its_thread_has_ended() {
    let (_, _turn) = turn();
    let block = on_lane(5, || Block::new(88, 1));
    on_lane(5, || block.free());
}

#[test]
fn two_threads_cannot_be_one_lane() {
    let (_, _turn) = turn();
    let second = on_lane(6, || std::panic::catch_unwind(|| on_lane(6, || ())));
    assert!(second.is_err());
}
