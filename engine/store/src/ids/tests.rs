use std::collections::BTreeMap;

use abi::stream::{RawIds, StreamId};
use base::heap::testing;
use base::mover::testing as mover;
use proptest::prelude::*;

use super::Ids;

fn id(number: u64) -> StreamId {
    StreamId { ms: number / 7, seq: number % 7 }
}

fn check(ids: &Ids<'_>, model: &BTreeMap<StreamId, u64>) {
    let view = ids.view();
    assert_eq!(view.len(), model.len());
    let all: Vec<_> = view.iter_from(StreamId::MIN).map(|slot| (slot.id, slot.word)).collect();
    let expected: Vec<_> = model.iter().map(|(id, word)| (*id, *word)).collect();
    assert_eq!(all, expected);
    let back: Vec<_> =
        view.iter_back_from(StreamId::MAX).map(|slot| (slot.id, slot.word)).collect();
    assert!(back.iter().rev().eq(&expected));
}

/// Moves everything, and sees that all ids come by once and everything has moved.
fn relocate_all(ids: &mut Ids<'_>) {
    let (mut from, mut seen) = (Some(StreamId::MIN), 0);
    let mut mover = mover::begin(2);
    while let Some(id) = from {
        from = ids.relocate(id, &mut mover, &mut |_, _, _| seen += 1);
        mover = mover::go_on(2);
    }
    assert_eq!(seen, ids.view().len());
    let mut again = mover::go_on(u64::MAX);
    ids.relocate(StreamId::MIN, &mut again, &mut |_, _, _| ());
    assert_eq!(again.moved, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_map(steps in prop::collection::vec((0..7u8, 0..400u64), 1..600)) {
        let before = testing::outstanding();
        let mut raw = RawIds::EMPTY;
        let mut ids = Ids::new(&mut raw, testing::heap());
        let (mut model, mut relocating) = (BTreeMap::new(), None);
        for (step, number) in steps {
            let at = id(number);
            match step {
                0..=2 if !model.contains_key(&at) => {
                    ids.insert(at, number);
                    model.insert(at, number);
                }
                3 => assert_eq!(ids.remove(at), model.remove(&at)),
                4 => {
                    let first = model.first_key_value().map(|(id, word)| (*id, *word));
                    assert_eq!(ids.view().first().map(|slot| (slot.id, slot.word)), first);
                    if let Some((id, word)) = first {
                        assert_eq!(ids.remove(id), Some(word));
                        model.remove(&id);
                    }
                }
                5 => {
                    let looks = number % 9 + 1;
                    let mut mover = match relocating {
                        None => mover::begin(looks),
                        Some(_) => mover::go_on(looks),
                    };
                    let from = relocating.unwrap_or(StreamId::MIN);
                    relocating = ids.relocate(from, &mut mover, &mut |_, id, word| {
                        *word += 1;
                        *model.get_mut(&id).expect("as in the map") += 1;
                    });
                }
                _ => {
                    assert_eq!(ids.view().get(at), model.get(&at).copied());
                    let below = model.range(..=at).next_back().map(|(id, _)| *id);
                    assert_eq!(ids.view().at_or_before(at).map(|slot| slot.id), below);
                    let above = model.range(at..).next().map(|(id, _)| *id);
                    assert_eq!(ids.view().iter_from(at).next().map(|slot| slot.id), above);
                    if let Some(word) = ids.get_mut(at) {
                        *word += 1000;
                        *model.get_mut(&at).expect("as in the map") += 1000;
                    }
                }
            }
        }
        check(&ids, &model);
        relocate_all(&mut ids);
        check(&ids, &model);
        let mut words = Vec::new();
        ids.clear(&mut |word| words.push(word));
        assert!(model.values().eq(&words));
        prop_assert_eq!(testing::outstanding(), before);
    }
}

#[test]
fn ids_in_order_fill_their_nodes_and_leave_from_the_front() {
    let before = testing::outstanding();
    let mut raw = RawIds::EMPTY;
    let mut ids = Ids::new(&mut raw, testing::heap());
    (0..1000).for_each(|number| ids.insert(id(number), number));
    let bytes = ids.view().bytes(&|bytes| bytes);
    assert!(bytes < 1000 * 24 * 3 / 2, "{bytes}");
    for number in 0..1000 {
        assert_eq!(ids.view().first().map(|slot| slot.word), Some(number));
        assert_eq!(ids.remove(id(number)), Some(number));
    }
    assert_eq!((ids.view().len(), ids.view().last().is_none()), (0, true));
    assert_eq!(testing::outstanding(), before);
}

#[test]
fn without_memory_nothing_is_added() {
    let mut raw = RawIds::EMPTY;
    let mut ids = Ids::new(&mut raw, testing::heap());
    let mut model = BTreeMap::new();
    for number in (0..300).rev().chain(300..600) {
        let mut allowed = 0;
        while !testing::with_allocations(allowed, || ids.insert(id(number), number)) {
            check(&ids, &model);
            allowed += 1;
        }
        model.insert(id(number), number);
    }
    check(&ids, &model);
    ids.clear(&mut |_| ());
}
