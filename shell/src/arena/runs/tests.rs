use super::*;
use crate::arena::classes::CHUNK_PAGES;
use crate::arena::pages::testing;
use proptest::prelude::*;
use std::collections::BTreeMap;

const FIRST: u32 = 3;
const END: u32 = 403;

struct World {
    state: Box<RunState>,
    pages: PageTable,
    /// Live runs by their start.
    live: BTreeMap<u32, u32>,
}

impl World {
    fn new() -> Self {
        // SAFETY: zero is a valid value of every field.
        let state: Box<RunState> = Box::new(unsafe { std::mem::zeroed() });
        state.init(FIRST, END);
        Self { state, pages: testing::table(END), live: BTreeMap::new() }
    }

    fn runs(&self) -> Runs<'_> {
        Runs::new(&self.state, self.pages, |_, _| true)
    }

    fn alloc(&mut self, pages: u32) -> Option<u32> {
        let start = self.runs().alloc(pages, Kind::Large)?;
        self.live.insert(start, pages);
        Some(start)
    }

    /// Frees a run; returns whether that left an excess.
    fn free(&mut self, start: u32) -> bool {
        let pages = self.live.remove(&start).unwrap();
        self.runs().free(Run { start, pages });
        self.runs().has_excess()
    }

    fn scavenge(&self, keep: u32) {
        while let Some(run) = self.runs().take_dirty(keep) {
            self.runs().give_clean(run);
        }
    }

    fn dirty(&self) -> u32 {
        self.state.dirty_free_pages.get()
    }

    fn nth(&self, n: usize) -> Option<u32> {
        self.live.keys().nth(n % self.live.len().max(1)).copied()
    }

    fn resize(&mut self, start: u32, pages: u32) {
        let run = Run { start, pages: self.live[&start] };
        if pages < run.pages {
            self.runs().shrink(run, pages);
        } else if pages == run.pages || !self.runs().extend(run, pages) {
            return;
        }
        self.live.insert(start, pages);
    }

    /// Free runs, by walking from the first page: everything that is not live must be one, whole
    /// and joined.
    fn check(&self) {
        let (mut page, mut dirty, mut after_free) = (FIRST, 0, false);
        while page < self.state.top.get() {
            if let Some(pages) = self.live.get(&page) {
                assert_eq!(self.pages.get(page).run_pages.get(), *pages);
                assert_eq!(self.pages.get(page).kind(), Kind::Large);
                (page, after_free) = (page + pages, false);
            } else {
                let pages = self.check_free(page);
                assert!(!after_free, "two free runs side by side at {page}");
                dirty += self.pages.get(page).dirty_pages.get();
                (page, after_free) = (page + pages, true);
            }
        }
        assert_eq!(page, self.state.top.get());
        assert!(page <= END);
        assert_eq!(dirty, self.state.dirty_free_pages.get());
        assert_eq!(self.live.values().sum::<u32>(), self.runs().live_pages());
    }

    fn check_free(&self, start: u32) -> u32 {
        let first = self.pages.get(start);
        let last = self.pages.get(start + first.run_pages.get() - 1);
        assert_eq!((first.kind(), last.kind()), (Kind::Free, Kind::Free), "at {start}");
        assert_eq!(first.run_pages, last.run_pages);
        assert!(first.dirty_pages <= first.run_pages);
        first.run_pages.get()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Alloc(u32),
    Free(usize),
    Resize(usize, u32),
    Scavenge(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let pages = prop_oneof![4 => 1..4u32, 2 => 1..40u32, 1 => 30..200u32];
    prop_oneof![
        4 => pages.clone().prop_map(Step::Alloc),
        3 => any::<usize>().prop_map(Step::Free),
        2 => (any::<usize>(), pages).prop_map(|(n, pages)| Step::Resize(n, pages)),
        1 => (0..100u32).prop_map(Step::Scavenge),
    ]
}

fn apply(world: &mut World, step: Step) {
    match step {
        Step::Alloc(pages) => {
            world.alloc(pages);
        }
        Step::Free(n) => {
            world.nth(n).map(|start| world.free(start));
        }
        Step::Resize(n, pages) => {
            world.nth(n).into_iter().for_each(|start| world.resize(start, pages));
        }
        Step::Scavenge(keep) => {
            world.scavenge(keep);
            assert!(keep > 0 || world.dirty() == 0);
        }
    }
}

proptest! {
    #[test]
    fn pages_are_live_or_free_and_never_both(steps in prop::collection::vec(step(), 0..200)) {
        let mut world = World::new();
        for step in steps {
            apply(&mut world, step);
            world.check();
        }
        while let Some(start) = world.nth(0) {
            world.free(start);
        }
        world.check();
        prop_assert!(world.alloc(END - FIRST).is_some(), "free pages did not join to one run");
    }
}

#[test]
fn a_full_arena_refuses_and_serves_again_after_a_free() {
    let mut world = World::new();
    let all = world.alloc(END - FIRST).unwrap();
    assert_eq!(world.alloc(1), None);
    world.free(all);
    assert!(world.alloc(1).is_some());
    assert_eq!(world.alloc(u32::MAX), None);
}

#[test]
fn dirty_pages_are_used_again_before_clean_ones() {
    let mut world = World::new();
    let starts: Vec<u32> = (0..4).map(|_| world.alloc(2).unwrap()).collect();
    world.free(starts[0]);
    let run = world.runs().take_dirty(0).unwrap();
    world.runs().give_clean(run);
    world.free(starts[2]);
    assert_eq!(world.alloc(2), Some(starts[2]));
    assert_eq!(world.alloc(2), Some(starts[0]));
}

#[test]
fn a_run_grows_into_the_free_run_behind_it_and_beyond_the_top() {
    let mut world = World::new();
    let a = world.alloc(2).unwrap();
    let b = world.alloc(4).unwrap();
    assert!(!world.runs().extend(Run { start: a, pages: 2 }, 3), "grew into a live run");
    world.free(b);
    assert!(world.runs().extend(Run { start: a, pages: 2 }, 3));
    assert!(world.runs().extend(Run { start: a, pages: 3 }, 20));
    world.live.insert(a, 20);
    world.check();
}

#[test]
fn much_free_memory_is_worth_handing_back_and_a_little_is_not() {
    let mut world = World::new();
    let much = 4 * CHUNK_PAGES;
    let a = world.alloc(SLACK_PAGES).unwrap();
    let b = world.alloc(much).unwrap();
    let _live = world.alloc(1).unwrap();
    assert!(!world.free(a));
    assert!(world.free(b));
    let run = world.runs().take_dirty(SLACK_PAGES / 2).unwrap();
    assert_eq!(run, Run { start: a, pages: SLACK_PAGES + much }.chunks());
    let rest = [(); 2].map(|()| world.runs().take_dirty(0).unwrap().pages);
    assert_eq!(rest.iter().sum::<u32>(), SLACK_PAGES + much - run.pages);
    assert_eq!(world.runs().take_dirty(0), None, "a run was handed out twice");
}

#[test]
fn what_was_in_use_meanwhile_is_kept_and_what_lay_idle_is_not() {
    let mut world = World::new();
    let starts = [100, 1, 100, 1].map(|pages| world.alloc(pages).unwrap());
    world.free(starts[0]);
    world.free(starts[2]);
    world.runs().dirty_needed();
    let again = world.alloc(100).unwrap();
    world.free(again);
    let keep = world.runs().dirty_needed();
    assert_eq!(keep, 100);
    world.scavenge(keep);
    assert_eq!(world.dirty(), 100);
    let keep = world.runs().dirty_needed();
    assert!(keep < 100, "what is kept lay idle");
    world.scavenge(keep);
    assert!(world.dirty() < 100);
}

#[test]
fn a_large_run_is_not_handed_back_for_a_small_excess() {
    let mut world = World::new();
    let starts = [100, 1, 3, 1].map(|pages| world.alloc(pages).unwrap());
    world.free(starts[0]);
    world.free(starts[2]);
    world.scavenge(98);
    assert_eq!(world.dirty(), 100);
}

#[test]
fn only_chunks_that_lie_wholly_within_a_run_count() {
    let chunks = |start, pages| {
        let chunks = Run { start, pages }.chunks();
        (chunks.start, chunks.pages)
    };
    assert_eq!(chunks(32, 32), (32, 32));
    assert_eq!(chunks(31, 66), (32, 64));
    assert_eq!(chunks(33, 63), (64, 32));
    assert_eq!(chunks(33, 62).1, 0);
    assert_eq!(chunks(1, 5).1, 0);
}

#[test]
fn whole_chunks_are_handed_back_before_parts_of_them() {
    let mut world = World::new();
    // From page 3 to 103: chunks at 32 and 64; then 30 pages that hold none.
    let starts = [100, 1, 30, 1].map(|pages| world.alloc(pages).unwrap());
    world.free(starts[0]);
    world.free(starts[2]);
    let chunks = world.runs().take_dirty(0).unwrap();
    assert_eq!(chunks, Run { start: 32, pages: 64 });
    assert_eq!(world.dirty(), 29 + 7 + 30);
    world.runs().give_clean(chunks);
    world.check();
    assert_eq!(world.dirty(), 29 + 7 + 30);
    world.scavenge(66);
    assert_eq!(world.dirty(), 66, "enough is left: no chunk is broken up");
    world.scavenge(0);
    assert_eq!(world.dirty(), 0);
    world.check();
}

#[test]
fn memory_is_asked_for_before_pages_are_used_that_may_have_none() {
    thread_local! {
        static ASKED: std::cell::RefCell<Vec<(Run, Lack)>> = const { std::cell::RefCell::new(Vec::new()) };
        static LEFT: Cell<u32> = const { Cell::new(u32::MAX) };
    }
    fn reserve(run: Run, lack: Lack) -> bool {
        ASKED.with_borrow_mut(|asked| asked.push((run, lack)));
        run.pages <= LEFT.get()
    }
    let asked = || ASKED.take();
    let world = World::new();
    let runs = Runs::new(&world.state, world.pages, reserve);
    let run = |start, pages| Run { start, pages };

    assert_eq!(runs.alloc(10, Kind::Large), Some(FIRST));
    assert_eq!(asked(), [(run(FIRST, 10), Lack::Fresh)]);
    runs.free(run(FIRST, 10));
    assert_eq!(runs.alloc(10, Kind::Large), Some(FIRST));
    assert_eq!(asked(), [], "it has its memory still");
    runs.free(run(FIRST, 10));
    let taken = runs.take_dirty(0).unwrap();
    runs.give_clean(taken);
    assert_eq!(runs.alloc(4, Kind::Large), Some(FIRST));
    assert_eq!(asked(), [(run(FIRST, 4), Lack::Holes)]);
    assert!(runs.extend(run(FIRST, 4), 12));
    assert_eq!(asked(), [(run(FIRST + 10, 2), Lack::Fresh), (run(FIRST + 4, 6), Lack::Holes)]);

    LEFT.set(3);
    assert_eq!(runs.alloc(4, Kind::Large), None);
    assert!(!runs.extend(run(FIRST, 12), 16));
    assert_eq!(runs.alloc(3, Kind::Large), Some(FIRST + 12), "what was refused has left no trace");
}
