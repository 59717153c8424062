//! Hashes of which fields end, against a model: what is changed, looked at and dumped.

use std::collections::BTreeMap;

use base::crc64::crc64;
use base::heap::testing::{heap, outstanding};
use proptest::prelude::*;
use store::list::Limit;

use super::*;
use crate::dump::kinds::OF_SUCCESSORS;
use crate::dump::{self, Building};
use crate::limits::Limits;

const SEED: Seed = [3, 5];
const LIMITS: Limits = Limits { entries: 4, value_bytes: 20 };
const NOW: i64 = 1_000;

/// Values, and when the fields end.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<i64>)>;

fn making() -> Making<'static> {
    Making { key: b"key", expires_at: None, access: 7 }
}

fn building() -> Building<'static> {
    Building {
        heap: heap(),
        seed: SEED,
        making: making(),
        list: Limit::from_setting(3),
        hash: LIMITS,
        zset: LIMITS,
        ints_max: 6,
        times: true,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, Vec<u8>, End),
    SetEnd(Vec<u8>, Option<i64>),
    Remove(Vec<u8>),
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof!["[abc]", "[0-9]{1,3}", "[xy]{22}"].prop_map(String::into_bytes)
}

fn at() -> impl Strategy<Value = i64> {
    prop_oneof![NOW - 2..NOW + 2, Just(1), Just(END_MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![Just(End::Keep), Just(End::Never), at().prop_map(End::At)];
    prop_oneof![
        3 => (field(), field(), end).prop_map(|(name, value, end)| Step::Set(name, value, end)),
        2 => (field(), proptest::option::of(at())).prop_map(|(name, at)| Step::SetEnd(name, at)),
        1 => field().prop_map(Step::Remove),
    ]
}

fn apply(buf: &mut TimedBuf, model: &mut Model, step: Step) {
    match step {
        Step::Set(name, value, end) => {
            let old = model.get(&name).and_then(|(_, end)| *end);
            let is_new = !model.contains_key(&name);
            assert_eq!(buf.set(&name, &value, end), is_new);
            let end = match end {
                End::Keep => old,
                End::Never => None,
                End::At(at) => Some(at),
            };
            model.insert(name, (value, end));
        }
        Step::SetEnd(name, at) => {
            if let Some((_, end)) = model.get_mut(&name) {
                buf.set_end(&name, at);
                *end = at;
            }
        }
        Step::Remove(name) => assert_eq!(buf.remove(&name), model.remove(&name).is_some()),
    }
    assert_eq!(buf.len(), model.len());
}

fn digest_of(entry: Entry<'_>) -> String {
    let mut digest = Digest::default();
    entry.mix_into(&mut digest);
    digest.to_hex()
}

/// What there is at a time, each field with when it ends.
fn seen(entry: Entry<'_>, now_ms: i64) -> Model {
    let mut model = Model::new();
    let hash = view(entry, SEED, now_ms);
    hash.for_each(&mut |name, value| {
        let (found, end) = hash.find(name).expect("it is there");
        assert_eq!(found.as_bytes(), value);
        model.insert(name.to_vec(), (value.to_vec(), end));
    });
    assert_eq!(hash.len(), model.len());
    let mut scanned = 0;
    let mut cursor = 0;
    loop {
        cursor = hash.scan(cursor, 2, &mut |_, _| scanned += 1);
        if cursor == 0 {
            break;
        }
    }
    assert!(scanned >= model.len());
    let sampled = hash.sample(17);
    assert_eq!(sampled.is_some(), !model.is_empty());
    assert!(sampled.is_none_or(|(name, _)| model.contains_key(name.as_bytes())));
    model
}

fn check(buf: TimedBuf, model: &Model) {
    let is_timed = model.values().any(|(_, end)| end.is_some());
    let entry = buf.finish(&making());
    assert_eq!(entry.view().listing().timed, is_timed, "nothing is paid where no field ends");
    assert_eq!(&seen(entry.view(), i64::MIN), model);
    let has_not_ended = |end: &Option<i64>| end.is_none_or(|at| at >= NOW);
    let left = model.iter().filter(|(_, (_, end))| has_not_ended(end));
    let left: Model = left.map(|(name, field)| (name.clone(), field.clone())).collect();
    assert_eq!(seen(entry.view(), NOW), left);
    assert_eq!(next_end(entry.view()), model.values().filter_map(|(_, end)| *end).min());
    assert_eq!(timed_fields(entry.view()), model.values().filter(|(_, e)| e.is_some()).count());
    let copy = entry.view().duplicate(heap(), SEED, b"other");
    assert_eq!(&seen(copy.view(), i64::MIN), model);
    // What is written reads back.
    let mut payload = Vec::new();
    dump::payload(entry.view(), None, &mut |piece| payload.extend_from_slice(piece));
    let (version, value) = dump::open(&payload, true).expect("it is sealed");
    assert_eq!(version, if is_timed { 12 } else { 10 });
    let again = dump::load(value, version, &OF_SUCCESSORS, &building()).expect("it is read");
    assert_eq!(&seen(again.view(), i64::MIN), model);
    assert_eq!(digest_of(again.view()), digest_of(entry.view()));
    // Below the level it is not.
    let below = Building { times: false, ..building() };
    let refused = dump::load(value, version, &OF_SUCCESSORS, &below).is_err();
    assert_eq!(refused, is_timed);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]
    #[test]
    fn agree_with_a_model(steps in prop::collection::vec(step(), 1..30)) {
        let before = outstanding();
        {
            let mut buf = TimedBuf::new(heap(), SEED, LIMITS);
            let mut model = Model::new();
            for step in steps {
                apply(&mut buf, &mut model, step);
            }
            if !model.is_empty() {
                let content = buf.content();
                buf.set_end(b"none", Some(5));
                assert!(content == buf.content(), "no field, no time");
                check(buf, &model);
            }
        }
        prop_assert_eq!(outstanding(), before);
    }
}

#[test]
fn a_large_hash_hands_its_fields_over_and_takes_them_back() {
    let before = outstanding();
    {
        let mut buf = HashBuf::new(heap(), SEED, LIMITS);
        for number in 0..50 {
            buf.set(format!("f{number}").as_bytes(), b"v");
        }
        let mut plain = buf.finish(&making());
        let mut timed = hull(&making(), true, heap(), SEED);
        take_fields(&mut plain.view_mut(), &mut timed.view_mut());
        assert_eq!(view(plain.view(), SEED, 0).len(), 0);
        assert_eq!(view(timed.view(), SEED, 0).len(), 50);
        let mut entry = timed.view_mut();
        let (_, mut ends) = tables_mut(entry.body_mut::<RawTimedHash>(), heap());
        ends.set(ending(b"f7", NOW));
        assert_eq!(next_end(timed.view()), Some(NOW));
        take_fields(&mut timed.view_mut(), &mut plain.view_mut());
        assert_eq!(view(plain.view(), SEED, 0).len(), 50);
    }
    assert_eq!(outstanding(), before);
}

#[test]
fn payloads_of_other_servers_are_read() {
    // As Redis 8.0.6 and Valkey 9.1.2 have written them.
    let redis_packed = "1900204aa9d1010000313100000009008162028568656c6c6f06f4ff1f4aa9d101000009\
                        8161020101f400204aa9d10100000981630203010001ff0c002a6652515bb26c5a";
    let redis = "18ff1f4aa9d1010000040201 61c00100016 4c00401016205 68656c6c6f000163c003\
                 0c00d12bc1ead1f7c311";
    let valkey = "16030161c00100204aa9d101000001620568656c6c6fff1f4aa9d10100000163c003\
                  ffffffffffffffff50002f0509bc564616a5";
    let expected = |with_d: bool| {
        let mut model = Model::from([
            (b"a".to_vec(), (b"1".to_vec(), Some(2_000_000_000_000))),
            (b"b".to_vec(), (b"hello".to_vec(), Some(1_999_999_999_999))),
            (b"c".to_vec(), (b"3".to_vec(), None)),
        ]);
        if with_d {
            model.insert(b"d".to_vec(), (b"4".to_vec(), None));
        }
        model
    };
    for (text, with_d) in [(redis_packed, false), (redis, true), (valkey, false)] {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        let digit = |byte: u8| (byte as char).to_digit(16).expect("a digit") as u8;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|two| digit(two[0]) << 4 | digit(two[1])).collect();
        assert_eq!(crc64(&bytes[..bytes.len() - 8]).to_le_bytes(), bytes[bytes.len() - 8..]);
        let (version, value) = dump::open(&bytes, true).expect("the checksum is right");
        let entry = dump::load(value, version, &OF_SUCCESSORS, &building()).expect("it is read");
        assert_eq!(seen(entry.view(), i64::MIN), expected(with_d), "{text}");
    }
}
