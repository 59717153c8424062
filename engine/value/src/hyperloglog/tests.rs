//! Sparse ones against dense ones and against a model; strings that hold anything.

use super::*;
use base::bytes::OwnedBytes;
use base::heap::testing::{allow_allocations, heap, outstanding};
use base::random::Random;
use proptest::prelude::*;

/// A string, with what changes it.
struct Stored {
    bytes: OwnedBytes,
    sparse_max: u64,
}

impl Stored {
    fn of(bytes: &[u8], sparse_max: u64) -> Self {
        let mut stored = Self { bytes: OwnedBytes::new(heap()), sparse_max };
        stored.bytes.view().append_exact(bytes);
        stored
    }

    fn empty(sparse_max: u64) -> Self {
        Self::of(&EMPTY, sparse_max)
    }

    fn hll(&mut self) -> HllMut<'_> {
        HllMut::of(self.bytes.view(), self.sparse_max).expect("it is one")
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.bytes.view().as_slice().to_vec()
    }

    fn registers(&mut self) -> Registers {
        let mut registers = [0; REGISTERS];
        self.hll().view().raise(&mut registers).expect("it is whole");
        registers
    }

    fn runs(&mut self) -> Vec<Run> {
        self.hll().view().runs().expect("it is sparse").collect()
    }
}

/// Sets registers one after the other in a sparse one, a dense one, and in a model.
fn check_registers(steps: &[(usize, u8)], sparse_max: u64) {
    let [mut sparse, mut dense] = [(); 2].map(|()| Stored::empty(sparse_max));
    dense.hll().make_dense().unwrap();
    let mut model = [0; REGISTERS];
    for &(index, value) in steps {
        let is_raised = model[index] < value;
        model[index] = value.max(model[index]);
        for stored in [&mut sparse, &mut dense] {
            assert_eq!(stored.hll().raise_one(index, value), Ok(is_raised), "{index} {value}");
        }
        assert!(
            sparse.hll().view().is_dense() || sparse.bytes().len() as u64 <= sparse_max.max(18)
        );
    }
    assert_eq!(sparse.registers(), model);
    assert_eq!(dense.registers(), model);
    let estimates = [&mut sparse, &mut dense].map(|stored| stored.hll().view().estimate().unwrap());
    assert_eq!(estimates, [Histogram::of(&model).estimate(); 2]);
    // All at once is as one after the other.
    let mut merged = Stored::empty(sparse_max);
    merged.hll().raise_to(&model).unwrap();
    assert_eq!(merged.registers(), model);
    sparse.hll().make_dense().unwrap();
    assert_eq!(sparse.registers(), model);
}

fn near(index: impl Strategy<Value = usize>) -> impl Strategy<Value = (usize, u8)> {
    (index, prop_oneof![4 => 1..4u8, 2 => 1..33u8, 1 => 33..64u8])
}

proptest! {
    #[test]
    fn sparse_and_dense_are_alike(
        steps in prop::collection::vec(
            prop_oneof![near(0..20usize), near(100..140usize), near(16_370..REGISTERS), near(0..REGISTERS)],
            0..120,
        ),
        sparse_max in prop_oneof![Just(0u64), 18..100u64, Just(3000)],
    ) {
        check_registers(&steps, sparse_max);
    }

    #[test]
    fn a_string_of_anything_is_read_within_its_bounds(
        tail in prop::collection::vec(prop_oneof![any::<u8>(), 0x40..0x80u8, 0x80..=0xffu8], 0..300),
        elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..12), 1..40),
        sparse_max in 0..400u64,
    ) {
        let mut stored = Stored::of(&[&EMPTY[..HEAD], &tail].concat(), sparse_max);
        let mut hll = stored.hll();
        let is_whole = hll.view().estimate().is_ok();
        assert_eq!(hll.view().raise(&mut [0; REGISTERS]).is_ok(), is_whole);
        let (changes, outcome) = hll.add(elements.iter().map(Vec::as_slice));
        assert!(changes <= elements.len());
        let may_be_cut = tail.last().is_some_and(|byte| byte & 0xc0 == 0x40);
        assert!(outcome.is_ok() || !is_whole || may_be_cut, "all registers are there");
        let is_dense = hll.view().is_dense();
        assert_eq!(hll.make_dense().is_ok(), is_dense || hll.view().estimate().is_ok());
    }

    #[test]
    fn only_a_whole_head_makes_one(bytes in prop::collection::vec(any::<u8>(), 0..40), head in 0..18usize) {
        let mut text = bytes;
        let head = head.min(text.len());
        text[..head].copy_from_slice(&EMPTY[..head]);
        let is_one = text.len() >= HEAD && text.starts_with(MAGIC) && text[REPRESENTATION] == SPARSE;
        assert_eq!(HllRef::of(&text).is_ok(), is_one);
    }
}

#[test]
fn what_runs_cannot_tell_is_dense() {
    let mut stored = Stored::empty(3000);
    assert_eq!(stored.hll().raise_one(7, 32), Ok(true));
    assert!(!stored.hll().view().is_dense());
    assert_eq!(stored.hll().raise_one(7, 33), Ok(true));
    assert!(stored.hll().view().is_dense());
    assert_eq!(stored.registers()[..9], [0, 0, 0, 0, 0, 0, 0, 33, 0]);
}

#[test]
fn equal_neighbours_share_a_run_of_four() {
    let mut stored = Stored::empty(3000);
    for index in [0, 2, 1, 3, 4] {
        stored.hll().raise_one(index, 5).unwrap();
    }
    let expected = [Run::Values(5, 4), Run::Values(5, 1), Run::ManyZeros(REGISTERS - 5)];
    assert_eq!(stored.runs(), expected);
    stored.hll().raise_one(1, 6).unwrap();
    let expected =
        [Run::Values(5, 1), Run::Values(6, 1), Run::Values(5, 3), Run::ManyZeros(16_379)];
    assert_eq!(stored.runs(), expected);
}

#[test]
fn what_does_not_fit_a_run_that_ends_with_its_first_byte_is_left_out() {
    // All registers but one are zero, and so is the last, of whose run the second byte is missing.
    let tail = [0x7f, 0xfe, 0x40];
    let mut stored = Stored::of(&[&EMPTY[..HEAD], &tail].concat(), 3000);
    assert_eq!(stored.runs(), [Run::ManyZeros(REGISTERS - 1), Run::ManyZeros(1)]);
    assert_eq!(stored.hll().view().estimate(), Ok(0));
    assert_eq!(stored.hll().raise_one(REGISTERS - 1, 3), Ok(true));
    assert_eq!(stored.runs(), [Run::ManyZeros(REGISTERS - 1)]);
    assert_eq!(stored.hll().view().estimate(), Err(CORRUPTED));
}

#[test]
fn memory_that_runs_out_changes_nothing() {
    let held = outstanding();
    let elements: Vec<[u8; 4]> = (0..60u32).map(u32::to_le_bytes).collect();
    for (sparse_max, allowed) in
        [80, 3000].into_iter().flat_map(|max| (0..6).map(move |n| (max, n)))
    {
        let mut stored = Stored::empty(sparse_max);
        stored.hll().add([&b"before"[..]].into_iter()).1.unwrap();
        let before = stored.bytes();
        allow_allocations(allowed);
        let added = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            stored.hll().add(elements.iter().map(|element| &element[..]))
        }));
        allow_allocations(u64::MAX);
        if added.is_err() {
            assert_eq!(stored.bytes(), before, "{sparse_max} {allowed}");
        }
        assert_eq!(added.is_err(), allowed == 0 || stored.bytes() == before);
    }
    assert_eq!(outstanding(), held);
}

#[test]
fn elements_choose_registers_as_in_redis() {
    // Of `PFDEBUG DECODE` of one element each.
    let check = |element: &[u8], expected| assert_eq!(element::register(element), expected);
    check(b"", ELEMENTS[0]);
    check(b"a", ELEMENTS[1]);
    check(b"abcdefgh", ELEMENTS[2]);
    check(b"abcdefghijklmnop-", ELEMENTS[3]);
}
const ELEMENTS: [(usize, u8); 4] = [(5938, 2), (12_711, 2), (1383, 1), (14_890, 2)];

#[test]
fn full_registers_are_more_than_can_be_told() {
    assert_eq!(Histogram::of(&[VALUE_MAX as u8; REGISTERS]).estimate(), 1 << 63);
    assert_eq!(Histogram::of(&[63; REGISTERS]).estimate(), 1 << 63);
    assert_eq!(Histogram::of(&[0; REGISTERS]).estimate(), 0);
}

#[test]
fn the_self_test_succeeds() {
    let held = outstanding();
    self_test(heap(), &mut Random::new(7)).unwrap();
    assert_eq!(outstanding(), held);
}
