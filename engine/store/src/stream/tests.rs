use std::collections::BTreeMap;

use abi::stream::{RawEntries, RawGroups, StreamId};
use base::heap::testing;
use base::mover::testing as mover;
use proptest::prelude::*;

use super::{Entries, EntriesRef, Group, GroupRef, Groups, Keep, Limit, Place, StreamEntry, Trim};

const SEED: [u64; 2] = [3, 4];

type Model = BTreeMap<StreamId, Vec<[Vec<u8>; 2]>>;

fn id(number: u64) -> StreamId {
    StreamId { ms: number / 5, seq: number % 5 * 100 }
}

fn read(entry: StreamEntry<'_>) -> (StreamId, Vec<[Vec<u8>; 2]>) {
    let mut digits = itoa::Buffer::new();
    let mut text = |element: crate::packed::Element<'_>| element.bytes(&mut digits).to_vec();
    let fields = entry.fields().map(|[name, value]| [text(name), text(value)]).collect();
    (entry.id, fields)
}

fn append(entries: &mut Entries<'_>, id: StreamId, fields: &[[Vec<u8>; 2]], limit: Limit) {
    let fields: Vec<_> = fields.iter().map(|[name, value]| [&name[..], &value[..]]).collect();
    entries.append(id, &fields[..], limit);
}

fn check(entries: EntriesRef<'_>, model: &Model) {
    assert_eq!(entries.len(), model.len());
    let all: Vec<_> = entries.range(StreamId::MIN, StreamId::MAX).map(read).collect();
    assert!(all.iter().map(|(id, fields)| (id, fields)).eq(model.iter()));
    let back: Vec<_> = entries.rev_range(StreamId::MIN, StreamId::MAX).map(read).collect();
    assert!(back.into_iter().rev().eq(all));
    let edge = |id: Option<&StreamId>| id.copied().unwrap_or(StreamId::MIN);
    assert_eq!(entries.first_id(), edge(model.keys().next()));
    assert_eq!(entries.top_id(), edge(model.keys().next_back()));
}

fn check_range(entries: EntriesRef<'_>, model: &Model, start: StreamId, end: StreamId) {
    let expected: Vec<_> = match start <= end {
        true => model.range(start..=end).map(|(id, _)| *id).collect(),
        false => Vec::new(),
    };
    let found: Vec<_> = entries.range(start, end).map(|entry| entry.id).collect();
    let mut back: Vec<_> = entries.rev_range(start, end).map(|entry| entry.id).collect();
    back.reverse();
    assert_eq!((&found, &back), (&expected, &expected));
}

fn fields_of(kind: u8, number: u64) -> Vec<[Vec<u8>; 2]> {
    let value = number.to_string().into_bytes();
    match kind % 4 {
        0 => vec![[b"name".to_vec(), value]],
        1 => vec![[b"a".to_vec(), vec![0xff; number as usize % 90]], [b"7".to_vec(), value]],
        2 => vec![[Vec::new(), Vec::new()], [b"-1".to_vec(), b"-1".to_vec()]],
        _ => vec![[b"name".to_vec(), b"01".to_vec()]],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    #[test]
    fn entries_behave_like_a_map(
        steps in prop::collection::vec((0..11u8, 0..4u8, 1..60u64), 1..300),
        limit in (0..600u64, 0..12u64),
    ) {
        let before = testing::outstanding();
        let mut raw = RawEntries::EMPTY;
        let mut entries = Entries::new(&mut raw, testing::heap());
        let (mut model, mut next, mut relocating) = (Model::new(), 0u64, None);
        let limit = Limit::new(limit.0, limit.1);
        for (step, kind, number) in steps {
            let some = id(next.saturating_sub(number));
            match step {
                0..=4 => {
                    next += number % 4 + 1;
                    let fields = fields_of(kind, number);
                    append(&mut entries, id(next), &fields, limit);
                    model.insert(id(next), fields);
                }
                5..=6 => {
                    prop_assert_eq!(entries.remove(some), model.remove(&some).is_some());
                }
                7 => {
                    let keep = if kind % 2 == 0 { Keep::Last(number) } else { Keep::From(some) };
                    let trim = Trim { keep, approximate: kind > 1, limit: 0 };
                    let removed = entries.trim(trim);
                    (0..removed).for_each(|_| drop(model.pop_first()));
                    if kind <= 1 {
                        let is_left = |id: &StreamId| matches!(keep, Keep::From(from) if *id < from);
                        prop_assert!(!model.keys().any(is_left));
                        let too_many = matches!(keep, Keep::Last(left) if model.len() as u64 > left);
                        prop_assert!(!too_many);
                    }
                }
                8 => {
                    let looks = number % 5 + 1;
                    let mut mover = match relocating {
                        None => mover::begin(looks),
                        Some(_) => mover::go_on(looks),
                    };
                    let from = relocating.unwrap_or(StreamId::MIN);
                    relocating = entries.relocate(from, &mut mover);
                }
                9 => check_range(entries.view(), &model, some, id(next.saturating_sub(kind.into()))),
                _ => prop_assert_eq!(
                    entries.view().get(some).map(read).map(|(_, fields)| fields),
                    model.get(&some).cloned()
                ),
            }
        }
        check(entries.view(), &model);
        prop_assert_eq!(entries.relocate(StreamId::MIN, &mut mover::begin(u64::MAX)), None);
        check(entries.view(), &model);
        let mut again = mover::go_on(u64::MAX);
        prop_assert_eq!(entries.relocate(StreamId::MIN, &mut again), None);
        prop_assert_eq!(again.moved, 0);
        let mut raw = RawEntries::EMPTY;
        let mut copy = Entries::new(&mut raw, testing::heap());
        copy.copy_from(entries.view());
        check(copy.view(), &model);
        copy.clear();
        entries.clear();
        prop_assert_eq!(testing::outstanding(), before);
    }
}

#[test]
fn an_entry_of_like_fields_takes_little_more_than_its_values() {
    let mut raw = RawEntries::EMPTY;
    let mut entries = Entries::new(&mut raw, testing::heap());
    let values = [*b"8 bytes!"; 3];
    let fields: &[_] =
        &[[b"field1", &values[0][..]], [b"field2", &values[1]], [b"field3", &values[2]]]
            .map(|[name, value]| [name as &[u8], value]);
    for number in 1..=100_000u64 {
        let id = StreamId { ms: 1_700_000_000_000 + number / 250, seq: number % 250 };
        entries.append(id, fields, Limit::new(4096, 100));
    }
    let bytes = entries.view().bytes(testing::heap());
    assert!(bytes < 100_000 * 31, "{bytes}");
    assert_eq!(entries.view().node_count(), 1000);
    entries.clear();
}

#[test]
fn ids_at_their_limits() {
    let mut raw = RawEntries::EMPTY;
    let mut entries = Entries::new(&mut raw, testing::heap());
    let fields: &[_] = &[[b"a" as &[u8], b"b" as &[u8]]];
    let ids = [(0, 1), (0, u64::MAX), (1, 0), (u64::MAX, 0), (u64::MAX, u64::MAX)];
    let ids = ids.map(|(ms, seq)| StreamId { ms, seq });
    ids.iter().for_each(|id| entries.append(*id, fields, Limit::new(0, 0)));
    let view = entries.view();
    assert!(view.range(StreamId::MIN, StreamId::MAX).map(|entry| entry.id).eq(ids));
    assert!(view.range(StreamId::MAX, StreamId::MAX).map(|entry| entry.id).eq([StreamId::MAX]));
    assert_eq!(view.rev_range(StreamId::MIN, StreamId::MIN).count(), 0);
    entries.clear();
}

#[test]
fn without_memory_no_entry_is_added() {
    let mut raw = RawEntries::EMPTY;
    let mut entries = Entries::new(&mut raw, testing::heap());
    let mut model = Model::new();
    for number in 1..200 {
        let fields = fields_of(number as u8, number);
        let mut allowed = 0;
        let limit = Limit::new(300, 7);
        while !testing::with_allocations(allowed, || {
            append(&mut entries, id(number), &fields, limit)
        }) {
            check(entries.view(), &model);
            allowed += 1;
        }
        model.insert(id(number), fields);
    }
    // Removing needs none.
    for number in (1..200).step_by(3) {
        assert!(testing::with_allocations(0, || assert!(entries.remove(id(number)))));
        model.remove(&id(number));
        check(entries.view(), &model);
    }
    entries.clear();
}

/// Consumer, time and number of deliveries of each pending entry.
type PendingModel = BTreeMap<StreamId, (u8, i64, u64)>;

fn check_group(group: GroupRef<'_>, model: &PendingModel) {
    let found: Vec<_> = group
        .pending_from(StreamId::MIN)
        .map(|it| (it.id, (it.consumer.name()[0], it.delivered_ms, it.deliveries)))
        .collect();
    assert!(found.iter().map(|(id, it)| (id, it)).eq(model.iter()));
    assert_eq!(group.last_pending(), model.keys().next_back().copied());
    for consumer in group.sorted_consumers() {
        let name = consumer.name()[0];
        let ids = consumer.pending_from(StreamId::MIN).map(|it| it.id);
        assert!(ids.eq(model.iter().filter(|(_, it)| it.0 == name).map(|(id, _)| *id)));
    }
}

fn step_group(group: &mut Group<'_>, model: &mut PendingModel, (step, who, number): (u8, u8, u64)) {
    let (name, at) = ([who], id(number));
    match step {
        0 => {
            let is_new = group.view().consumer(&name).is_none();
            assert_eq!(group.add_consumer(&name, 5, -1), is_new);
        }
        1 => {
            let expected = group.view().consumer(&name).map(|found| found.pending_len());
            assert_eq!(group.remove_consumer(&name), expected);
            model.retain(|_, it| it.0 != who);
        }
        2..=3 => assert_eq!(group.acknowledge(at), model.remove(&at).is_some()),
        _ => {
            let Some(mut claims) = group.claims(&name) else { return };
            claims.take(at, number as i64, step.into());
            model.insert(at, (who, number as i64, step.into()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn groups_remember_what_is_pending(
        steps in prop::collection::vec((0..11u8, 0..4u8, 0..80u64), 1..400),
    ) {
        let before = testing::outstanding();
        let mut raw = RawGroups::new();
        let mut groups = Groups::new(&mut raw, testing::heap(), SEED);
        groups.add(b"group", StreamId::MIN, None);
        groups.add(b"another", StreamId::MAX, Some(3));
        let mut model = PendingModel::new();
        let mut relocating = None;
        for step in steps {
            let mut groups = Groups::new(&mut raw, testing::heap(), SEED);
            match step {
                (10, _, number) => {
                    let looks = number % 7 + 1;
                    let mut mover = match relocating {
                        None => mover::begin(looks),
                        Some(_) => mover::go_on(looks),
                    };
                    relocating = groups.relocate(relocating.unwrap_or(Place::START), &mut mover);
                }
                step => {
                    let mut group = groups.get(b"group").expect("it was added");
                    step_group(&mut group, &mut model, step);
                }
            }
        }
        let mut groups = Groups::new(&mut raw, testing::heap(), SEED);
        check_group(groups.view().get(b"group").expect("it was added"), &model);
        prop_assert_eq!(groups.relocate(Place::START, &mut mover::begin(u64::MAX)), None);
        check_group(groups.view().get(b"group").expect("it is there"), &model);
        let mut again = mover::go_on(u64::MAX);
        prop_assert_eq!(groups.relocate(Place::START, &mut again), None);
        prop_assert_eq!(again.moved, 0);
        let mut copy = RawGroups::new();
        let mut copies = Groups::new(&mut copy, testing::heap(), SEED);
        copies.copy_from(groups.view());
        check_group(copies.view().get(b"group").expect("it was copied"), &model);
        prop_assert!(groups.remove(b"group") && !groups.remove(b"group"));
        let names: Vec<_> = copies.view().sorted().iter().map(|group| group.name()).collect();
        prop_assert_eq!(names, [&b"another"[..], b"group"]);
        copies.clear();
        groups.clear();
        prop_assert_eq!(testing::outstanding(), before);
    }
}

#[test]
fn without_memory_nothing_becomes_pending() {
    let before = testing::outstanding();
    let mut raw = RawGroups::new();
    let mut groups = Groups::new(&mut raw, testing::heap(), SEED);
    groups.add(b"group", StreamId::MIN, None);
    let mut group = groups.get(b"group").expect("it was added");
    assert!(group.add_consumer(b"a", 0, -1) && group.add_consumer(b"b", 0, -1));
    let mut model = PendingModel::new();
    for number in (0..60).chain(20..40) {
        let who = if number % 3 == 0 { b'a' } else { b'b' };
        let mut allowed = 0;
        while !testing::with_allocations(allowed, || {
            group.claims(&[who]).expect("it is there").take(id(number), 1, 1);
        }) {
            check_group(group.view(), &model);
            allowed += 1;
        }
        model.insert(id(number), (who, 1, 1));
    }
    check_group(group.view(), &model);
    Groups::new(&mut raw, testing::heap(), SEED).clear();
    assert_eq!(testing::outstanding(), before);
}
