//! The table against a model, under friendly and hostile hashes.

use std::cell::Cell;
use std::collections::HashMap;

use abi::container::RawTable;
use proptest::prelude::*;

use super::resize::MOVED_MAX;
use super::*;
use base::heap::testing::{heap, outstanding, with_allocations};
use base::mover;

/// Items are boxes of their hash and a number, so that addresses are real and hashes can collide.
#[repr(C, align(8))]
struct Item {
    hash: u64,
    id: u64,
}

fn item(hash: u64, id: u64) -> u64 {
    Box::into_raw(Box::new(Item { hash, id })) as u64
}

fn read(address: u64) -> (u64, u64) {
    // SAFETY: tests only ask for items that have not been freed.
    let item = unsafe { &*(address as *const Item) };
    (item.hash, item.id)
}

fn free(address: u64) {
    // SAFETY: made by `item`, and each is freed once.
    drop(unsafe { Box::from_raw(address as *mut Item) });
}

fn mix(id: u64) -> u64 {
    let word = (id ^ (id >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

/// How the hash of a number comes about.
#[derive(Clone, Copy, Debug)]
enum Hashing {
    Good,
    /// The same in the top 20 bits.
    SamePlace,
    /// One of four hashes.
    FewHashes,
    /// Good, but those of a full segment have few tags.
    SameTag,
}

impl Hashing {
    fn of(self, id: u64) -> u64 {
        match self {
            Self::Good => mix(id),
            Self::SamePlace => mix(id) >> 20 | 0xa_bcde << 44,
            Self::FewHashes => mix(id % 4),
            Self::SameTag => mix(id) & !(0xffff << 44),
        }
    }
}

/// The bucket that `hash` belongs to.
fn home(table: TableRef<'_>, hash: u64) -> Option<&Bucket> {
    let segment = table.segment(hash)?;
    Some(segment.bucket(segment.index(segment.tag(hash))))
}

/// A table and what must be in it.
struct Pair {
    raw: RawTable,
    model: HashMap<u64, u64>,
    hashing: Hashing,
}

impl Pair {
    fn new(hashing: Hashing) -> Self {
        Self { raw: RawTable::new(), model: HashMap::new(), hashing }
    }

    fn table(&mut self) -> Table<'_> {
        Table::new(&mut self.raw, heap())
    }

    fn find(&mut self, id: u64) -> Option<Slot> {
        let hash = self.hashing.of(id);
        self.table().find(hash, |address| read(address) == (hash, id))
    }

    fn insert(&mut self, id: u64) {
        let hash = self.hashing.of(id);
        let address = item(hash, id);
        if let Some(slot) = self.find(id) {
            // SAFETY: just found.
            unsafe { self.table().replace(slot, address) };
            assert_eq!(self.model.insert(id, address), Some(slot.address()));
            return free(slot.address());
        }
        let moved = Cell::new(0);
        self.table().insert(hash, address, |address| {
            moved.set(moved.get() + 1);
            read(address).0
        });
        assert!(moved.get() <= MOVED_MAX, "moved {}", moved.get());
        assert_eq!(self.model.insert(id, address), None);
    }

    fn remove(&mut self, id: u64) {
        let found = self.find(id);
        assert_eq!(found.map(Slot::address), self.model.remove(&id));
        if let Some(slot) = found {
            let hash = self.hashing.of(id);
            // SAFETY: just found.
            free(unsafe { self.table().remove(slot, hash) });
        }
    }

    /// Moves what is at a position, or begins to; returns where to go on.
    fn relocate(&mut self, position: Option<u64>) -> Option<u64> {
        let mut mover = match position {
            None => mover::testing::begin(u64::MAX),
            Some(_) => mover::testing::go_on(u64::MAX),
        };
        let mut moved = Vec::new();
        let next = self.table().relocate(position.unwrap_or(0), &mut mover, &mut |_, slot| {
            let (old, (hash, id)) = (slot.address(), read(slot.address()));
            slot.set_address(item(hash, id));
            moved.push((id, slot.address()));
            free(old);
        });
        self.model.extend(moved);
        next
    }

    fn check(&mut self) {
        assert_eq!(self.table().len(), self.model.len());
        let mut seen = HashMap::new();
        self.table().for_each(&mut |address| {
            assert_eq!(seen.insert(read(address).1, address), None);
        });
        assert_eq!(seen, self.model);
        for (&id, &address) in &self.model.clone() {
            let hash = self.hashing.of(id);
            assert_eq!(self.table().find_address(hash, address).map(Slot::address), Some(address));
            assert_eq!(self.find(id).map(Slot::address), Some(address));
        }
        let mut walked = 0;
        let mut next = Some(0);
        while let Some(position) = next {
            next = self.table().scan(position, &mut |_| walked += 1);
        }
        assert_eq!(walked, self.model.len());
        self.check_chains();
    }

    /// Only the last bucket of a chain has empty slots, and no overflow bucket is nearly empty.
    fn check_chains(&mut self) {
        let mut overflows = 0;
        for id in self.model.keys() {
            // SAFETY: borrowed, and changed only by who has it exclusively.
            let mut part = home(unsafe { TableRef::new(&self.raw) }, self.hashing.of(*id));
            while let Some(more) = part.and_then(bucket::next) {
                assert_eq!(part.map(bucket::occupied), Some(abi::container::BUCKET_SLOTS - 1));
                assert!(bucket::occupied(more) > 1);
                overflows += 1;
                part = Some(more);
                if overflows > 10_000 {
                    return;
                }
            }
        }
    }

    fn end(mut self, held: i64) {
        self.check();
        assert_eq!(outstanding() - held, bytes(&self.raw) as i64);
        self.table().clear(&mut free);
        assert_eq!(bytes(&self.raw), 0);
        assert_eq!(outstanding(), held);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    Remove(u64),
    /// Inserts a run of numbers.
    Grow(u64, u64),
    /// Removes a run of numbers.
    Shrink(u64, u64),
    Scan,
    /// Goes on moving, so many buckets.
    Relocate(usize),
    Sample(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = 0..4000u64;
    let step = prop_oneof![
        4 => id.clone().prop_map(Step::Insert),
        4 => id.clone().prop_map(Step::Remove),
        2 => (id.clone(), 1..1500u64).prop_map(|(from, n)| Step::Grow(from, n)),
        2 => (id, 1..3000u64).prop_map(|(from, n)| Step::Shrink(from, n)),
        4 => Just(Step::Scan),
        3 => (1..200usize).prop_map(Step::Relocate),
        1 => any::<u64>().prop_map(Step::Sample),
    ];
    prop::collection::vec(step, 1..if cfg!(miri) { 8 } else { 50 })
}

fn hashing() -> impl Strategy<Value = Hashing> {
    prop_oneof![
        Just(Hashing::Good),
        Just(Hashing::SamePlace),
        Just(Hashing::FewHashes),
        Just(Hashing::SameTag)
    ]
}

/// A walk by `scan` that goes on while the table changes.
#[derive(Default)]
struct Walk {
    next: Option<u64>,
    /// Items there since the walk began, and whether they have been visited.
    due: HashMap<u64, bool>,
}

impl Walk {
    fn step(&mut self, pair: &mut Pair) {
        if self.next.is_none() {
            self.due = pair.model.keys().map(|&id| (id, false)).collect();
        }
        let position = self.next.unwrap_or(0);
        self.next = pair.table().scan(position, &mut |address| {
            self.due.entry(read(address).1).and_modify(|seen| *seen = true);
        });
        if let Some(next) = self.next {
            assert!(next > position && next << POSITION_BITS == 0);
        } else {
            let missed: Vec<_> = self.due.iter().filter(|(_, seen)| !**seen).collect();
            assert!(missed.is_empty(), "missed {missed:?}");
        }
    }
}

fn run(hashing: Hashing, steps: &[Step]) {
    let held = outstanding();
    let mut pair = Pair::new(hashing);
    let mut walk = Walk::default();
    let mut relocating = None;
    for step in steps {
        match *step {
            Step::Insert(id) => pair.insert(id),
            Step::Remove(id) => pair.remove(id),
            Step::Grow(from, n) => (from..from + n).for_each(|id| pair.insert(id)),
            Step::Shrink(from, n) => (from..from + n).for_each(|id| pair.remove(id)),
            Step::Scan => walk.step(&mut pair),
            Step::Relocate(buckets) => {
                (0..buckets).for_each(|_| relocating = pair.relocate(relocating));
                pair.check();
            }
            Step::Sample(random) => {
                let found = pair.table().sample(random).map(|address| read(address).1);
                assert_eq!(found.is_none(), pair.model.is_empty());
                assert!(found.is_none_or(|id| pair.model.contains_key(&id)));
            }
        }
        walk.due.retain(|id, _| pair.model.contains_key(id));
    }
    pair.check();
    while walk.next.is_some() {
        walk.step(&mut pair);
    }
    relocate_all(&mut pair);
    pair.end(held);
}

/// Moves everything, and sees that everything has moved.
fn relocate_all(pair: &mut Pair) {
    let mut position = pair.relocate(None);
    while position.is_some() {
        position = pair.relocate(position);
    }
    pair.check();
    let mut again = mover::testing::go_on(u64::MAX);
    let mut next = Some(0);
    while let Some(position) = next {
        next = pair.table().relocate(position, &mut again, &mut |_, _| ());
    }
    assert_eq!(again.moved, 0, "a part of the table has not moved");
}

proptest! {
    #[test]
    fn agrees_with_a_model(hashing in hashing(), steps in steps()) {
        run(hashing, &steps);
    }
}

const MANY: u64 = if cfg!(miri) { 600 } else { 50_000 };

#[test]
fn grows_within_memory_and_shrinks_to_nothing() {
    let held = outstanding();
    let mut pair = Pair::new(Hashing::Good);
    for id in 0..MANY {
        pair.insert(id);
        let (bytes, items) = (bytes(&pair.raw) as u64, id + 1);
        assert!(items < 8 || bytes <= 20 * items, "{bytes} bytes for {items} items");
        assert!(items < 2000 || bytes <= 12 * items, "{bytes} bytes for {items} items");
    }
    pair.check();
    for id in 0..MANY {
        pair.remove(id);
        let left = MANY - id - 1;
        let bytes = bytes(&pair.raw) as u64;
        assert!(bytes <= 80 * left + 256, "{bytes} bytes for {left} items");
    }
    assert_eq!(bytes(&pair.raw), 0);
    assert_eq!(outstanding(), held);
}

#[test]
fn a_table_that_cannot_grow_is_as_it_was() {
    for hashing in [Hashing::Good, Hashing::SamePlace, Hashing::FewHashes] {
        let held = outstanding();
        let mut raw = RawTable::new();
        for id in 0..if cfg!(miri) { 60 } else { 1500 } {
            let address = item(hashing.of(id), id);
            let insert = |raw: &mut RawTable| {
                Table::new(raw, heap()).insert(hashing.of(id), address, |item| read(item).0);
            };
            let mut allowed = 0;
            while !with_allocations(allowed, || insert(&mut raw)) {
                assert_eq!(len(&raw) as u64, id);
                assert_eq!(outstanding() - held, bytes(&raw) as i64, "{hashing:?} {id}");
                allowed += 1;
            }
        }
        let mut found = Vec::new();
        Table::new(&mut raw, heap()).clear(&mut |address| {
            found.push(read(address).1);
            free(address);
        });
        found.sort_unstable();
        assert!(found.iter().copied().eq(0..found.len() as u64) && !found.is_empty());
        assert_eq!(outstanding(), held);
    }
}

#[test]
fn colliding_hashes_cost_chains_and_no_directory() {
    let held = outstanding();
    let mut pair = Pair::new(Hashing::FewHashes);
    for id in 0..MANY / 10 {
        pair.insert(id);
    }
    let bytes = bytes(&pair.raw) as u64;
    assert!(bytes < 12 * MANY / 10 + 64 * 1024, "{bytes} bytes");
    pair.end(held);
}

#[test]
fn every_item_is_sampled_about_as_often() {
    const ITEMS: u64 = if cfg!(miri) { 60 } else { 300 };
    const DRAWS: u64 = if cfg!(miri) { 100 } else { 300_000 };
    let held = outstanding();
    let mut pair = Pair::new(Hashing::Good);
    (0..ITEMS).for_each(|id| pair.insert(id));
    let mut times = HashMap::new();
    for draw in 0..DRAWS {
        let address = pair.table().sample(mix(draw + 1)).expect("the table is not empty");
        *times.entry(read(address).1).or_insert(0) += 1;
    }
    if !cfg!(miri) {
        let mean = DRAWS / ITEMS;
        assert_eq!(times.len() as u64, ITEMS);
        assert!(times.values().all(|&n| n > mean / 3 && n < mean * 2), "{times:?}");
    }
    pair.end(held);
}

#[test]
fn a_lone_item_in_a_large_table_is_sampled() {
    let held = outstanding();
    let mut pair = Pair::new(Hashing::SamePlace);
    (0..MANY / 20).for_each(|id| pair.insert(id));
    (1..MANY / 20).for_each(|id| pair.remove(id));
    for draw in 0..100 {
        let found = pair.table().sample(mix(draw)).map(|address| read(address).1);
        assert_eq!(found, Some(0));
    }
    pair.end(held);
}

#[test]
fn take_leaves_an_empty_table_behind() {
    let held = outstanding();
    let mut pair = Pair::new(Hashing::Good);
    (0..500).for_each(|id| pair.insert(id));
    let mut taken = pair.table().take();
    assert_eq!((pair.table().len(), bytes(&pair.raw)), (0, 0));
    assert_eq!(pair.table().scan(0, &mut |_| panic!("no items")), None);
    let mut freed = 0;
    Table::new(&mut taken, heap()).clear(&mut |address| {
        freed += 1;
        free(address);
    });
    assert_eq!((freed, outstanding()), (500, held));
}

#[test]
fn hints_lead_to_the_item_or_nowhere() {
    let held = outstanding();
    let mut pair = Pair::new(Hashing::Good);
    let everywhere = 0..u64::MAX;
    for id in 0..MANY / 10 {
        pair.insert(id);
        let hash = pair.hashing.of(id);
        let bucket = home(*pair.table(), hash).map(bucket::address_of);
        let hint = prefetch::locate(&pair.raw, hash, &everywhere);
        assert_eq!(hint.map(|place| place.bucket), bucket);
        // Outside of the arena nothing is read.
        assert_eq!(prefetch::locate(&pair.raw, hash, &(0..4096)), None);
        prefetch_bucket(&pair.raw, hash);
        prefetch_item(&pair.raw, hash);
    }
    let mut found = 0;
    for (&id, &address) in &pair.model {
        let hash = pair.hashing.of(id);
        found += u64::from(prefetch::locate_item(&pair.raw, hash, &everywhere) == Some(address));
    }
    assert!(found * 100 > 85 * pair.model.len() as u64, "{found}");
    pair.end(held);
}

/// Memory in which a table was once, and where anything is by now.
#[repr(align(64))]
struct Anything([u64; 512]);

proptest! {
    #[test]
    fn hints_read_nothing_outside_of_the_window_whatever_is_there(
        words in prop::collection::vec(any::<u64>(), 64),
        roots in prop::collection::vec((any::<u64>(), any::<u64>()), 64),
    ) {
        let mut memory = Box::new(Anything([0; 512]));
        let begin = memory.0.as_ptr() as u64;
        let window = begin..begin + 4096;
        for (at, word) in memory.0.iter_mut().enumerate() {
            // Some words lead back into the memory.
            let word_here = words[at % words.len()].rotate_left(at as u32);
            *word = if word_here & 1 == 0 { begin + word_here % 4096 } else { word_here };
        }
        for (root, hash) in roots {
            for root in [root, begin + root % 4096, begin + ((root % 4096) & !63) + (root & 31)] {
                if let Some(found) = prefetch::locate_from(root, hash, &window) {
                    prop_assert!(found.bucket.is_multiple_of(64) && found.bucket >= begin);
                    prop_assert!(found.bucket + 64 <= window.end);
                }
            }
        }
    }
}

#[test]
fn vector_and_scalar_search_agree() {
    let held = outstanding();
    let mut pair = Pair::new(Hashing::SameTag);
    for id in 0..MANY / 20 {
        pair.insert(id);
        for tag in [0, bucket::tag(pair.hashing.of(id)), 7 << 48, 0xffff << 48] {
            let bucket = home(*pair.table(), mix(id)).expect("the table is not empty");
            let word = |i: usize| bucket.slots[i].load(Relaxed);
            assert_eq!(bucket::matching(bucket, tag), bucket::matching_words(word, tag));
        }
    }
    pair.end(held);
}

#[test]
fn room_that_was_reserved_is_enough_and_keeps_what_was_there() {
    for (before, items) in [(0, 300), (0, 1000), (3, 10_000), (600, 10_000), (0, 54_321)] {
        let mut raw = RawTable::new();
        let mut table = Table::new(&mut raw, heap());
        let hash_of = |address: u64| read(address).0;
        (0..before).for_each(|id| table.insert(mix(id), item(mix(id), id), hash_of));
        table.reserve(items, hash_of);
        let buckets = table.raw.buckets.load(Relaxed);
        (before..items as u64).for_each(|id| table.insert(mix(id), item(mix(id), id), hash_of));
        if items > 400 {
            let grown = table.raw.buckets.load(Relaxed) as usize;
            assert!(grown <= buckets as usize * 4 / 3, "{items}: {buckets}, then {grown}");
            assert!(grown * resize::DENSE <= items * 11 / 10, "{items}: {grown} buckets");
        }
        assert_eq!(table.len(), items);
        for id in 0..items as u64 {
            assert!(
                table.find(mix(id), |address| read(address).1 == id).is_some(),
                "{items}: {id}"
            );
        }
        table.clear(&mut free);
    }
    assert_eq!(outstanding(), 0);
}
