use std::collections::BTreeMap;

use abi::container::RawSortedSet;
use proptest::prelude::*;

use super::inner::{self, Inner};
use super::leaf::Leaf;
use super::member::{Cut, Scored, order};
use super::{Place, Sorted, SortedRef};
use base::heap::testing::{heap, outstanding, with_allocations};
use base::mover::testing as mover;

const SEED: [u64; 2] = [1, 2];

/// Members by name.
type Model = BTreeMap<Vec<u8>, f64>;

/// What is to be seen of a model: members in order.
fn in_order(model: &Model) -> Vec<(f64, Vec<u8>)> {
    let mut all: Vec<_> = model.iter().map(|(name, score)| (*score, name.clone())).collect();
    all.sort_by(|a, b| order(a.0).cmp(&order(b.0)).then_with(|| a.1.cmp(&b.1)));
    all
}

fn owned(member: Scored<'_>) -> (f64, Vec<u8>) {
    (member.score, member.name.to_vec())
}

fn members(set: SortedRef<'_>, reverse: bool) -> Vec<(f64, Vec<u8>)> {
    let mut seen = Vec::new();
    set.walk(0..set.len(), reverse, &mut |member| {
        seen.push(owned(member));
        true
    });
    seen
}

/// Checks what is true of every tree, from a node downwards; returns its members and the first.
fn check_node(node: u64, height: u32) -> (u64, u64) {
    if height == 0 {
        // SAFETY: a leaf of a tree that nobody changes meanwhile.
        let leaf = unsafe { Leaf::at(node) };
        assert!(leaf.len() > 0);
        return (leaf.len() as u64, leaf.address(0));
    }
    // SAFETY: as above, another node.
    let inner = unsafe { inner::at(node) };
    assert!(inner.len() > 0);
    for index in 0..inner.len() {
        let child = inner.child(index);
        let (members, first) = check_node(child.node, height - 1);
        assert_eq!((child.members, child.first), (members, first));
        // SAFETY: the record of a member.
        assert_eq!(inner.scores[index], unsafe { Scored::at(first) }.order());
    }
    (inner.total(), inner.firsts[0])
}

fn check(set: SortedRef<'_>, model: &Model) {
    let all = in_order(model);
    assert_eq!(set.len(), all.len());
    assert_eq!(members(set, false), all);
    let (root, height) = set.tree().root();
    assert_eq!(root == 0, all.is_empty());
    if root != 0 {
        check_node(root, height);
    }
    for (rank, (score, name)) in all.iter().enumerate() {
        let member = set.find(name).expect("it is there");
        assert_eq!(owned(member), (*score, name.clone()));
        assert_eq!(set.rank(&Cut::BeforeMember(member)), rank);
        assert_eq!(set.rank(&Cut::BehindMember(member)), rank + 1);
        assert_eq!(set.get(rank).map(owned), Some((*score, name.clone())));
    }
}

/// Compares the places before and behind a score with the model.
fn check_cuts(set: SortedRef<'_>, model: &Model, score: f64) {
    let before = model.values().filter(|other| order(**other) < order(score)).count();
    let behind = model.values().filter(|other| order(**other) <= order(score)).count();
    assert_eq!(set.rank(&Cut::Before(score)), before);
    assert_eq!(set.rank(&Cut::Behind(score)), behind);
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, f64),
    /// Names from a number on, with scores so far apart.
    Run(u16, u16, f64),
    Remove(Vec<u8>),
    RemoveRange(usize, usize),
    SetAll(Vec<(Vec<u8>, f64)>),
    /// Goes on moving, with so many looks.
    Relocate(u64),
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..60u16).prop_map(|number| format!("member:{number}").into_bytes()),
        "[ab]{0,9}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..3),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        (-4..4i8).prop_map(f64::from),
        prop::sample::select(&[0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1e300, 5e-324][..]),
        any::<f64>().prop_filter("a number", |score| !score.is_nan()),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let relocate = (1..60u64).prop_map(Step::Relocate);
    let run = (0..500u16, 1..80u16, prop::sample::select(&[0.0, 1.0, -1.0, 1e-9, 1e15][..]));
    prop_oneof![
        4 => (name(), score()).prop_map(|(name, score)| Step::Set(name, score)),
        2 => run.prop_map(|(from, count, apart)| Step::Run(from, count, apart)),
        3 => name().prop_map(Step::Remove),
        3 => relocate,
        1 => (0..100usize, 0..100usize).prop_map(|(at, count)| Step::RemoveRange(at, count)),
        1 => prop::collection::btree_map(name(), score(), 0..9)
            .prop_map(|all| Step::SetAll(all.into_iter().collect())),
    ]
}

/// A score as it is kept: one that is equal to the one before does not replace it.
fn put(model: &mut Model, name: &[u8], score: f64) {
    if model.get(name).is_none_or(|old| *old != score) {
        model.insert(name.to_vec(), score);
    }
}

/// Goes on moving from a place on, or begins to.
fn relocate(set: &mut Sorted<'_>, from: Option<Place>, looks: u64) -> Option<Place> {
    let mut mover = match from {
        None => mover::begin(looks),
        Some(_) => mover::go_on(looks),
    };
    set.relocate(from.unwrap_or(Place::Table(0)), &mut mover)
}

/// Moves everything, and sees that everything has moved: a second time there is nothing to do.
fn relocate_all(set: &mut Sorted<'_>) {
    let mut mover = mover::begin(5);
    let mut place = set.relocate(Place::Table(0), &mut mover);
    while let Some(from) = place {
        mover = mover::go_on(5);
        place = set.relocate(from, &mut mover);
    }
    let mut again = mover::go_on(u64::MAX);
    assert_eq!(set.relocate(Place::Table(0), &mut again), None);
    assert_eq!((again.moved, again.stayed), (0, set.view().len() as u64));
}

fn take(step: &Step, set: &mut Sorted<'_>, model: &mut Model) {
    match step {
        Step::Set(name, score) => {
            set.set(Scored { score: *score, name });
            put(model, name, *score);
        }
        Step::Run(from, count, apart) => {
            for number in *from..from + count {
                let (name, score) = (format!("run:{number:05}"), f64::from(number) * apart);
                set.set(Scored { score, name: name.as_bytes() });
                put(model, name.as_bytes(), score);
            }
        }
        Step::Relocate(_) => {}
        Step::Remove(name) => assert_eq!(set.remove(name), model.remove(name).is_some()),
        Step::RemoveRange(at, count) => {
            let all = in_order(model);
            let range = (*at).min(all.len())..(at + count).min(all.len());
            all[range.clone()].iter().for_each(|(_, name)| {
                model.remove(name);
            });
            set.remove_range(range);
        }
        Step::SetAll(all) => {
            set.set_all(all.iter().map(|(name, score)| Scored { score: *score, name }));
            all.iter().for_each(|(name, score)| put(model, name, *score));
        }
    }
}

proptest! {
    #[test]
    fn agree_with_a_model(
        steps in prop::collection::vec(step(), 1..if cfg!(miri) { 6 } else { 40 }),
        at in score(),
    ) {
        let before = outstanding();
        let (mut raw, mut model) = (RawSortedSet::new(), Model::new());
        let mut set = Sorted::of(&mut raw, heap(), SEED);
        let mut place = None;
        for step in &steps {
            if let Step::Relocate(looks) = step {
                place = relocate(&mut set, place, *looks);
            }
            take(step, &mut set, &mut model);
            check_cuts(set.view(), &model, at);
        }
        check(set.view(), &model);
        relocate_all(&mut set);
        check(set.view(), &model);
        let mut reversed = in_order(&model);
        reversed.reverse();
        prop_assert_eq!(members(set.view(), true), reversed);
        set.clear();
        prop_assert_eq!(outstanding(), before);
    }

    #[test]
    fn nothing_has_changed_where_memory_runs_out(
        steps in prop::collection::vec(step(), 0..8),
        last in step(),
        allowed in 0..12u64,
    ) {
        let before = outstanding();
        let (mut raw, mut model) = (RawSortedSet::new(), Model::new());
        let mut set = Sorted::of(&mut raw, heap(), SEED);
        steps.iter().for_each(|step| take(step, &mut set, &mut model));
        // A run is many changes, of which some may be done.
        if !matches!(last, Step::Run(..)) {
            let mut after = model.clone();
            let is_done = with_allocations(allowed, || take(&last, &mut set, &mut after));
            check(set.view(), if is_done { &after } else { &model });
        }
        set.clear();
        prop_assert_eq!(outstanding(), before);
    }
}

#[test]
fn members_added_in_order_fill_leaves() {
    const MEMBERS: u32 = 5000;
    for reverse in [false, true] {
        let mut raw = RawSortedSet::new();
        let mut set = Sorted::of(&mut raw, heap(), SEED);
        for step in 0..MEMBERS {
            let number = if reverse { MEMBERS - step } else { step };
            let name = format!("{number:08}");
            set.set(Scored { score: number.into(), name: name.as_bytes() });
        }
        let nodes = set.view().tree().bytes(&|size| usize::from(size != inner::BYTES));
        // One is taken along to the next leaf.
        let least = MEMBERS as usize / (super::leaf::MEMBERS_MAX - 1);
        assert!(nodes <= least + least / 8, "{nodes} leaves where {least} would do");
        set.clear();
    }
}
