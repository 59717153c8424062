//! Random work on several lanes at once, against a model of what is live.

use proptest::prelude::*;
use shell::arena::{self, host};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Block, on_lane, turn};

const THREADS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    Alloc(u64),
    Resize(usize, u64),
    Free(usize),
    /// Leaves a block for another thread, and takes one that was left.
    Swap(usize),
    Trim,
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
    ]
}

/// Runs the steps; returns what is live at the end.
fn run(steps: &[Step], first_seed: u64, market: &Mutex<Vec<Block>>) -> Vec<Block> {
    let mut live: Vec<Block> = Vec::new();
    for (seed, step) in (first_seed..).zip(steps) {
        match *step {
            Step::Alloc(size) => live.push(Block::new(size, seed)),
            Step::Trim => arena::trim(),
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

/// Runs each list of steps on its own thread: three are lanes, the last is none.
fn run_all(lists: &[Vec<Step>]) -> Vec<Block> {
    let market = Mutex::new(Vec::new());
    let mut live: Vec<Block> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0u32..)
            .zip(lists)
            .map(|(lane, steps)| {
                let (market, seed) = (&market, u64::from(lane) << 32);
                scope.spawn(move || {
                    if lane as usize + 1 < THREADS {
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
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn blocks_are_disjoint_keep_their_bytes_and_are_counted(
        lists in prop::collection::vec(prop::collection::vec(step(), 0..400), THREADS)
    ) {
        let (_, _turn) = turn();
        let before = arena::used_bytes();
        let mut live = run_all(&lists);
        assert_disjoint(&mut live);
        let expected: u64 = live.iter().map(|block| host::usable(block.size)).sum();
        prop_assert_eq!(arena::used_bytes() - before, expected);
        live.into_iter().for_each(Block::free);
        prop_assert_eq!(arena::used_bytes(), before);
    }
}

#[test]
fn bytes_in_use_never_count_a_block_that_does_not_exist() {
    const SIZE: u64 = 96;
    const PASSES: u64 = 30_000;
    let (_, _turn) = turn();
    let before = arena::used_bytes();
    let ended = AtomicBool::new(false);
    let (sender, receiver) = std::sync::mpsc::sync_channel::<u64>(4);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            arena::bind_thread(0);
            (0..PASSES).for_each(|_| sender.send(arena::alloc(SIZE)).unwrap());
        });
        let ended = &ended;
        scope.spawn(move || {
            arena::bind_thread(1);
            // SAFETY: the other thread has just allocated it and handed it over.
            receiver.iter().for_each(|block| unsafe { arena::free(block, SIZE) });
            ended.store(true, Ordering::Release);
        });
        while !ended.load(Ordering::Acquire) {
            let used = arena::used_bytes();
            // At most: four in the channel, one on either side of it.
            assert!((before..=before + 6 * SIZE).contains(&used), "{used} from {before}");
        }
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
