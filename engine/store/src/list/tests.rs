//! The list against a model.

use std::collections::VecDeque;

use abi::container::RawList;
use proptest::prelude::*;

use super::*;
use base::heap::testing::{heap, outstanding};
use base::mover::testing as mover;

fn text(element: Element<'_>) -> Vec<u8> {
    element.bytes(&mut itoa::Buffer::new()).to_vec()
}

#[derive(Clone, Debug)]
enum Step {
    Push(End, Vec<u8>),
    /// Pushes one element many times.
    Fill(End, Vec<u8>, usize),
    Pop(End),
    PopMany(End, usize),
    Set(usize, Vec<u8>),
    Insert(usize, Vec<u8>),
    /// Beside an element equal to that with this index.
    InsertBeside(usize, End, Vec<u8>),
    RemoveIndex(usize),
    /// Elements equal to that with this index.
    Remove(End, usize, usize),
    Drop(End, usize),
    Trim(usize, usize),
    Get(usize),
    /// Goes on moving nodes, with so many looks.
    Relocate(u64),
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Front), Just(End::Back)]
}

fn element() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        4 => (-200..200i64).prop_map(|value| value.to_string().into_bytes()),
        4 => prop::collection::vec(any::<u8>(), 0..80),
        2 => (60..70usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
        2 => (100..140usize).prop_map(|len| vec![b'm'; len]),
        1 => (3900..4200usize).prop_map(|len| vec![b'n'; len]),
        1 => (1000..9000usize).prop_map(|len| vec![b'l'; len]),
    ]
}

const FILL_MAX: usize = if cfg!(miri) { 12 } else { 200 };

fn step() -> impl Strategy<Value = Step> {
    let index = any::<usize>;
    prop_oneof![
        8 => (end(), element()).prop_map(|(end, e)| Step::Push(end, e)),
        3 => (end(), element(), 1..FILL_MAX).prop_map(|(end, e, n)| Step::Fill(end, e, n)),
        5 => end().prop_map(Step::Pop),
        2 => (end(), 1..150usize).prop_map(|(end, n)| Step::PopMany(end, n)),
        4 => (index(), element()).prop_map(|(at, e)| Step::Set(at, e)),
        6 => (index(), element()).prop_map(|(at, e)| Step::Insert(at, e)),
        3 => (index(), end(), element()).prop_map(|(at, end, e)| Step::InsertBeside(at, end, e)),
        3 => index().prop_map(Step::RemoveIndex),
        2 => (end(), 1..300usize, index()).prop_map(|(end, n, at)| Step::Remove(end, n, at)),
        1 => (end(), 0..200usize).prop_map(|(end, n)| Step::Drop(end, n)),
        1 => (0..40usize, 0..600usize).prop_map(|(first, last)| Step::Trim(first, last)),
        4 => index().prop_map(Step::Get),
        4 => (1..4u64).prop_map(Step::Relocate),
    ]
}

/// A list and what must be in it.
struct Pair {
    raw: RawList,
    model: VecDeque<Vec<u8>>,
    limit: Limit,
    /// Where it goes on moving nodes.
    relocating: u64,
}

impl Pair {
    fn list(&mut self) -> List<'_> {
        List::new(&mut self.raw, heap(), self.limit)
    }

    fn push(&mut self, end: End, element: &[u8]) {
        self.list().push(end, element);
        match end {
            End::Front => self.model.push_front(element.to_vec()),
            End::Back => self.model.push_back(element.to_vec()),
        }
    }

    fn pop(&mut self, end: End) {
        let expected = match end {
            End::Front => self.model.pop_front(),
            End::Back => self.model.pop_back(),
        };
        let mut found = None;
        assert_eq!(self.list().pop(end, |e| found = Some(text(e))), expected.is_some());
        assert_eq!(found, expected);
    }

    fn insert_beside(&mut self, pivot: &[u8], side: End, element: &[u8]) {
        let at = self.model.iter().position(|e| e == pivot);
        assert_eq!(self.list().insert_beside(pivot, side, element), at.is_some());
        if let Some(at) = at {
            self.model.insert(at + usize::from(side == End::Back), element.to_vec());
        }
    }

    fn remove(&mut self, from: End, most: usize, element: &[u8]) {
        let mut equal: Vec<_> =
            (0..self.model.len()).filter(|&i| self.model[i] == element).collect();
        if from == End::Back {
            equal.reverse();
        }
        equal.truncate(most);
        assert_eq!(self.list().remove(from, most, element), equal.len());
        equal.sort_unstable();
        equal.iter().rev().for_each(|&i| drop(self.model.remove(i)));
    }

    fn trim(&mut self, first: usize, last: usize) {
        self.list().trim(first, last);
        self.model.truncate(last.saturating_add(1));
        self.model.drain(..first.min(self.model.len()));
        if first > last {
            self.model.clear();
        }
    }

    fn apply(&mut self, step: Step) {
        let len = self.model.len();
        let equal = |at: usize| self.model.get(at % len.max(1)).cloned().unwrap_or_default();
        match step {
            Step::Push(end, e) => self.push(end, &e),
            Step::Fill(end, e, n) => (0..n).for_each(|_| self.push(end, &e)),
            Step::Pop(end) => self.pop(end),
            Step::PopMany(end, n) => (0..n).for_each(|_| self.pop(end)),
            Step::Set(at, e) => {
                let at = at % (len + 1);
                assert_eq!(self.list().set(at, &e[..]), at < len);
                self.model.get_mut(at).into_iter().for_each(|old| old.clone_from(&e));
            }
            Step::Insert(at, e) => {
                let at = at % (len + 1);
                assert!(self.list().insert(at, &e[..]));
                assert!(!self.list().insert(len + 2, &e[..]));
                self.model.insert(at, e);
            }
            Step::InsertBeside(at, side, e) => self.insert_beside(&equal(at), side, &e),
            Step::RemoveIndex(at) => {
                let at = at % (len + 1);
                assert_eq!(self.list().remove_index(at), self.model.remove(at).is_some());
            }
            Step::Remove(from, most, at) => self.remove(from, most, &equal(at)),
            Step::Drop(end, n) => {
                self.list().drop(end, n);
                let n = n.min(len);
                self.model.drain(if end == End::Front { 0..n } else { len - n..len });
            }
            Step::Trim(first, last) => self.trim(first, last),
            Step::Relocate(looks) => {
                let from = self.relocating;
                let mut mover = if from == 0 { mover::begin(looks) } else { mover::go_on(looks) };
                self.relocating = self.list().relocate(from, &mut mover);
            }
            Step::Get(at) => {
                let at = at % (len + 1);
                assert_eq!(self.list().view().get(at).map(text), self.model.get(at).cloned());
            }
        }
    }

    fn check(&self, held: i64) {
        let view = ListRef::new(&self.raw);
        assert_eq!(view.len(), self.model.len());
        assert!(view.iter().map(text).eq(self.model.iter().cloned()));
        if !self.model.is_empty() {
            let last = self.model.len() - 1;
            assert!(view.iter_back_from(last).map(text).eq(self.model.iter().rev().cloned()));
            let middle = last / 2;
            assert!(view.iter_from(middle).map(text).eq(self.model.range(middle..).cloned()));
            let before = self.model.range(..=middle).rev().cloned();
            assert!(view.iter_back_from(middle).map(text).eq(before));
        }
        assert_eq!(outstanding() - held, view.bytes() as i64);
        self.check_nodes();
    }

    /// Nodes are linked both ways, none is empty, and none is larger than it may be.
    fn check_nodes(&self) {
        let (mut prev, mut nodes) = (None, 0);
        let view = ListRef::new(&self.raw);
        let mut next = view.node(self.raw.head);
        while let Some(node) = next {
            assert_eq!(node.prev().map(Node::id), prev);
            let limited = self.limit.allows(node.used(), node.count());
            assert!(node.count() == 1 || node.count() > 0 && limited);
            assert!(node.count() == 1 || node.bytes() <= self.limit.bytes);
            (prev, next) = (Some(node.id()), node.next());
            nodes += 1;
        }
        assert_eq!((NodeId::of(self.raw.tail), self.raw.nodes), (prev, nodes));
    }
}

/// Moves everything, and sees that everything has moved.
fn relocate_all(pair: &mut Pair) {
    let nodes = pair.list().view().nodes() as u64;
    let (mut mover, mut moved) = (mover::begin(3), 0);
    let mut from = 0;
    loop {
        from = pair.list().relocate(from, &mut mover);
        moved += mover.moved;
        if from == 0 {
            break;
        }
        mover = mover::go_on(3);
    }
    assert_eq!((moved, pair.raw.bookmark), (nodes, 0));
}

fn run(steps: Vec<Step>, setting: i64) {
    let held = outstanding();
    let limit = Limit::from_setting(setting);
    let mut pair = Pair { raw: RawList::EMPTY, model: VecDeque::new(), limit, relocating: 0 };
    for step in steps {
        pair.apply(step);
        pair.check(held);
    }
    relocate_all(&mut pair);
    pair.check(held);
    let mut copy = RawList::EMPTY;
    ListRef::new(&pair.raw).copy_to(&mut List::new(&mut copy, heap(), limit));
    pair.list().free();
    assert!(ListRef::new(&copy).iter().map(text).eq(pair.model.iter().cloned()));
    List::new(&mut copy, heap(), limit).free();
    assert_eq!(outstanding(), held);
}

proptest! {
    #[test]
    fn agrees_with_a_model(
        steps in prop::collection::vec(step(), 1..if cfg!(miri) { 10 } else { 60 }),
        setting in prop_oneof![4 => Just(-2i64), 2 => Just(-1), 1 => Just(0), 1 => Just(3), 1 => Just(128)],
    ) {
        run(steps, setting);
    }
}

#[test]
fn the_room_of_a_large_element_goes_with_it() {
    let large = |len: usize| vec![b'x'; len];
    for smaller in [3900, 8500] {
        let steps = vec![
            Step::Push(End::Back, large(9000)),
            Step::Set(0, large(smaller)),
            Step::Push(End::Back, b"y".to_vec()),
        ];
        run(steps, -2);
    }
}

#[test]
fn a_node_that_is_too_large_takes_no_more() {
    // Smaller than before, and still more than a node may hold.
    let large = |len: usize| vec![b'x'; len];
    let steps = vec![
        Step::Insert(0, large(4195)),
        Step::Insert(0, large(4195)),
        Step::Set(0, large(4060)),
        Step::Push(End::Front, b"y".to_vec()),
    ];
    run(steps, -1);
}

fn list_of(count: usize, element: &[u8]) -> RawList {
    let mut raw = RawList::EMPTY;
    let mut list = List::new(&mut raw, heap(), Limit::from_setting(-2));
    (0..count).for_each(|_| list.push(End::Back, element));
    raw
}

fn free(mut raw: RawList) {
    List::new(&mut raw, heap(), Limit::from_setting(-2)).free();
}

#[test]
fn settings_mean_what_they_mean_in_redis() {
    let bytes = [-1, -2, -3, -4, -5, -9].map(|setting| Limit::from_setting(setting).bytes >> 10);
    assert_eq!(bytes, [4, 8, 16, 32, 64, 64]);
    assert_eq!([0, 1, 128].map(|setting| Limit::from_setting(setting).count), [1, 1, 128]);
}

#[test]
fn a_short_list_is_small_and_a_long_one_is_dense() {
    let short = list_of(1, b"hello");
    assert_eq!(ListRef::new(&short).bytes(), 64);
    let long = list_of(20_000, &[b'x'; 30]);
    let bytes = ListRef::new(&long).bytes();
    assert!(bytes < 20_000 * 33, "{bytes}");
    free(short);
    free(long);
}

#[test]
fn popped_memory_is_given_back() {
    for (end, other) in [(End::Front, End::Back), (End::Back, End::Front)] {
        let mut raw = list_of(2000, &[b'x'; 30]);
        let mut list = List::new(&mut raw, heap(), Limit::from_setting(-2));
        (0..1999).for_each(|_| assert!(list.pop(end, |_| ())));
        assert!(list.view().bytes() <= 256, "{}", list.view().bytes());
        assert!(list.pop(other, |_| ()));
        assert_eq!((list.view().bytes(), list.pop(end, |_| ())), (0, false));
    }
}

#[test]
fn a_queue_stays_as_small_as_what_it_holds() {
    let mut raw = list_of(10, &[b'x'; 30]);
    let mut list = List::new(&mut raw, heap(), Limit::from_setting(-2));
    for _ in 0..5000 {
        list.push(End::Back, &b"a job that waits"[..]);
        list.pop(End::Front, |_| ());
        assert!(list.view().bytes() <= 2048, "{}", list.view().bytes());
    }
    list.free();
}

#[test]
fn removals_join_what_is_left() {
    const ELEMENTS: usize = if cfg!(miri) { 500 } else { 4000 };
    let mut raw = list_of(ELEMENTS, &[b'x'; 30]);
    let mut list = List::new(&mut raw, heap(), Limit::from_setting(-2));
    for i in (0..ELEMENTS).rev().filter(|i| i % 8 != 0) {
        list.remove_index(i);
    }
    let (nodes, bytes) = (list.view().nodes(), list.view().bytes());
    assert!(nodes <= 1 + ELEMENTS / 500 && bytes < 20 * ELEMENTS, "{nodes} nodes, {bytes} bytes");
    list.free();
}

#[test]
fn a_node_that_held_a_large_element_takes_no_more_than_others_once_it_is_short() {
    for (large, short) in [(8000, 1), (5000, 2000)] {
        let mut pair = Pair {
            raw: list_of(1, &vec![b'x'; large]),
            model: VecDeque::new(),
            limit: Limit::from_setting(-1),
            relocating: 0,
        };
        pair.model.push_back(vec![b'x'; large]);
        pair.apply(Step::Set(0, vec![b'y'; short]));
        pair.apply(Step::Push(End::Back, b"next".to_vec()));
        pair.check_nodes();
        pair.list().free();
    }
}
