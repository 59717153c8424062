//! The table of records against a model.

use super::*;
use base::heap::testing::{heap, outstanding, with_allocations};
use base::mover::testing as mover;
use proptest::prelude::*;
use std::collections::HashMap;

const SEED: [u64; 2] = [1, 2];

type Model = HashMap<Vec<u8>, Vec<u8>>;

fn raw() -> RawHash {
    RawHash { fields: RawTable::new() }
}

fn fields(raw: &mut RawHash) -> Records<'_, true> {
    Records::<true>::of(raw, heap(), SEED)
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[ab]{0,3}".prop_map(String::into_bytes),
        2 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (120..136usize).prop_map(|len| vec![b'x'; len]),
        1 => (16_380..16_388usize).prop_map(|len| vec![b'y'; len]),
    ]
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    /// Sets, or removes, names of a run of numbers.
    Run(u16, bool),
    /// Goes on moving, with so many looks.
    Relocate(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (text(), text()).prop_map(|(name, value)| Step::Set(name, value)),
        4 => text().prop_map(Step::Remove),
        1 => (0..300u16, any::<bool>()).prop_map(|(count, sets)| Step::Run(count, sets)),
        3 => (1..60u64).prop_map(Step::Relocate),
    ]
}

fn apply(raw: &mut RawHash, model: &mut Model, step: Step) {
    match step {
        Step::Set(name, value) => {
            assert_eq!(fields(raw).set(&name, &value), model.insert(name, value).is_none());
        }
        Step::Remove(name) => {
            assert_eq!(fields(raw).remove(&name), model.remove(&name).is_some());
        }
        Step::Relocate(_) => {}
        Step::Run(count, sets) => {
            for name in (0..count).map(|number| number.to_string().into_bytes()) {
                let value = name.repeat(3);
                apply(raw, model, if sets { Step::Set(name, value) } else { Step::Remove(name) });
            }
        }
    }
}

/// Goes on moving from a cursor on.
fn relocate(raw: &mut RawHash, from: u64, looks: u64) -> u64 {
    let mut mover = if from == 0 { mover::begin(looks) } else { mover::go_on(looks) };
    fields(raw).relocate(from, &mut mover)
}

/// Moves everything, and sees that everything has moved.
fn relocate_all(raw: &mut RawHash) {
    let len = RecordsRef::<true>::of(raw, SEED).len() as u64;
    let (mut cursor, mut moved, mut mover) = (0, 0, mover::begin(5));
    loop {
        cursor = fields(raw).relocate(cursor, &mut mover);
        moved += mover.moved;
        assert_eq!(mover.stayed, 0);
        if cursor == 0 {
            break;
        }
        mover = mover::go_on(5);
    }
    assert!(moved >= len + u64::from(len > 0), "{moved} of {len} and the table");
}

fn check(raw: &RawHash, model: &Model, held: i64) {
    let view = RecordsRef::<true>::of(raw, SEED);
    let mut seen = Model::new();
    view.for_each(&mut |record| {
        assert!(seen.insert(record.name.to_vec(), record.value.to_vec()).is_none());
    });
    assert_eq!((&seen, view.len()), (model, model.len()));
    for (name, value) in model {
        assert_eq!(view.find(name).map(|record| record.value), Some(&value[..]));
    }
    let mut walked = 0;
    let mut cursor = 0;
    loop {
        cursor = view.scan(cursor, 3, &mut |_| walked += 1);
        if cursor == 0 {
            break;
        }
        assert!(cursor < 1 << 46);
    }
    assert_eq!(walked, model.len());
    if model.len() < MEASURED_MAX {
        assert_eq!(view.bytes(heap()) as i64, outstanding() - held);
    }
    assert_eq!(view.sample(7).is_some(), !model.is_empty());
}

proptest! {
    #[test]
    fn agree_with_a_model(steps in prop::collection::vec(step(), 0..if cfg!(miri) { 6 } else { 30 })) {
        let held = outstanding();
        let (mut raw, mut model, mut cursor) = (raw(), Model::new(), 0);
        for step in steps {
            if let Step::Relocate(looks) = step {
                cursor = relocate(&mut raw, cursor, looks);
            }
            apply(&mut raw, &mut model, step);
            check(&raw, &model, held);
        }
        relocate_all(&mut raw);
        check(&raw, &model, held);
        let mut copy = self::raw();
        fields(&mut copy).copy_from(RecordsRef::<true>::of(&raw, SEED));
        fields(&mut raw).clear();
        check(&copy, &model, held);
        fields(&mut copy).clear();
        assert_eq!(outstanding(), held);
    }
}

#[test]
fn where_memory_runs_out_nothing_has_changed() {
    let held = outstanding();
    let (mut raw, mut model) = (raw(), Model::new());
    for number in 0..300 {
        let name = (number % 200).to_string().into_bytes();
        let value = vec![b'v'; number];
        let mut allowed = 0;
        while !with_allocations(allowed, || {
            fields(&mut raw).set(&name, &value);
        }) {
            check(&raw, &model, held);
            allowed += 1;
        }
        model.insert(name, value);
    }
    check(&raw, &model, held);
    fields(&mut raw).clear();
    assert_eq!(outstanding(), held);
}

#[test]
fn several_are_set_all_or_none() {
    let held = outstanding();
    let (mut raw, mut model) = (raw(), Model::new());
    for round in 0..8 {
        let names = (0..30 * round).map(|number| (number % (20 * round)).to_string());
        let pairs: Vec<(String, String)> =
            names.map(|name| (name.clone(), name.repeat(round))).collect();
        let record = |(name, value): &'_ (String, String)| -> (Vec<u8>, Vec<u8>) {
            (name.clone().into_bytes(), value.clone().into_bytes())
        };
        let mut allowed = 0;
        let mut added = 0;
        while !with_allocations(allowed, || {
            let records = pairs
                .iter()
                .map(|(name, value)| Record { name: name.as_bytes(), value: value.as_bytes() });
            added = fields(&mut raw).set_all(records);
        }) {
            check(&raw, &model, held);
            allowed += 1;
        }
        let before = model.len();
        model.extend(pairs.iter().map(record));
        assert_eq!(added, model.len() - before);
        check(&raw, &model, held);
    }
    fields(&mut raw).clear();
    assert_eq!(outstanding(), held);
}

#[test]
fn a_short_member_takes_one_byte_more_than_its_text() {
    let mut raw = RawSet { members: RawTable::new() };
    let mut members = Records::<false>::of(&mut raw, heap(), SEED);
    let before = outstanding();
    members.set(&[b'm'; 16], b"");
    members.set(&[b'm'; 16], b"");
    assert_eq!(outstanding() - before, 17 + 64);
    members.clear();
}
