//! Dumps against a model: what is written reads back, and what is damaged is refused or a value.

use abi::container::RawList;
use abi::keyspace::value_type;
use base::heap::testing::{heap, outstanding};
use proptest::prelude::*;
use store::list::{End, Limit, List};
use store::sorted::Scored;

use super::kinds::{OF_7_0, OF_SUCCESSORS};
use super::*;
use crate::entry::{Making, OwnedBody};
use crate::hash::HashBuf;
use crate::limits::Limits;
use crate::serialized::fault::Cause;
use crate::set::SetBuf;
use crate::zset::ZsetBuf;

const SEED: [u64; 2] = [3, 5];
const LIMITS: Limits = Limits { entries: 4, value_bytes: 20 };
const INTS_MAX: u64 = 6;

fn building() -> Building<'static> {
    Building {
        heap: heap(),
        seed: SEED,
        making: Making { key: b"key", expires_at: None, access: 7 },
        list: Limit::from_setting(3),
        hash: LIMITS,
        zset: LIMITS,
        ints_max: INTS_MAX,
        times: true,
    }
}

/// A value as it is handed to a command.
#[derive(Clone, Debug)]
enum Model {
    String(Vec<u8>),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    Zset(Vec<(Vec<u8>, f64)>),
    Hash(Vec<(Vec<u8>, Vec<u8>)>),
}

impl Model {
    fn entry(&self) -> OwnedEntry {
        let Building { heap, making, .. } = building();
        match self {
            Model::String(bytes) => making.string(heap, bytes),
            Model::List(elements) => {
                let mut raw = OwnedBody::new(heap, RawList::EMPTY);
                let mut list = List::new(&mut raw, heap, building().list);
                elements.iter().for_each(|element| list.push(End::Back, element.as_slice()));
                making.with_body(raw)
            }
            Model::Set(members) => {
                let mut buf = SetBuf::new(heap, SEED, INTS_MAX);
                assert!(members.iter().filter(|member| buf.add(member)).count() > 0);
                buf.finish(&making)
            }
            Model::Zset(members) => {
                let mut buf = ZsetBuf::new(heap, SEED, LIMITS);
                members.iter().for_each(|(name, score)| buf.set(Scored { score: *score, name }));
                buf.finish(&making)
            }
            Model::Hash(fields) => {
                let mut buf = HashBuf::new(heap, SEED, LIMITS);
                assert!(fields.iter().filter(|(field, value)| buf.set(field, value)).count() > 0);
                buf.finish(&making)
            }
        }
    }
}

/// Texts of few letters, so that they are often the same, and all forms of elements.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[ab]{0,2}".prop_map(String::into_bytes),
        "-?[0-9]{1,5}".prop_map(String::into_bytes),
        any::<i64>().prop_map(|value| value.to_string().into_bytes()),
        any::<i32>().prop_map(|value| value.to_string().into_bytes()),
        (-0x80_0002..-0x7f_fffei32).prop_map(|value| value.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..30),
        (60..70usize).prop_map(|len| vec![b'x'; len]),
        (4090..4100usize).prop_map(|len| vec![b'y'; len]),
        (16_370..16_390usize).prop_map(|len| vec![b'z'; len]),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    let any_number = any::<f64>().prop_filter("a number", |score| !score.is_nan());
    prop_oneof![
        (-5..5i32).prop_map(f64::from),
        any_number,
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let integer = prop_oneof![-5..5i64, any::<i16>().prop_map(i64::from), any::<i64>()];
    let integer = integer.prop_map(|value| value.to_string().into_bytes());
    prop_oneof![
        text().prop_map(Model::String),
        prop::collection::vec(text(), 1..12).prop_map(Model::List),
        prop::collection::vec(text(), 1..12).prop_map(Model::Set),
        prop::collection::vec(integer, 1..9).prop_map(Model::Set),
        prop::collection::vec((text(), score()), 1..9).prop_map(Model::Zset),
        prop::collection::vec((text(), text()), 1..9).prop_map(Model::Hash),
    ]
}

/// What a value is made of, sorted if it has no order.
fn parts(entry: Entry<'_>) -> Vec<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    (entry.row().visit)(entry, &mut |parts| {
        all.push(parts.iter().map(|part| part.to_vec()).collect::<Vec<_>>());
    });
    if matches!(entry.value_type(), value_type::SET | value_type::HASH) {
        all.sort();
    }
    all
}

/// The payload of a value.
fn payload(entry: Entry<'_>, compressor: Option<&mut Compressor>) -> Vec<u8> {
    let mut bytes = Vec::new();
    super::payload(entry, compressor, &mut |piece| bytes.extend_from_slice(piece));
    bytes
}

/// The value of a payload, of which nothing is left when it is dropped.
fn read(payload: &[u8]) -> Result<OwnedEntry, Fault> {
    let (version, value) = open(payload, true).expect("the checksum is right");
    load(value, version, &OF_SUCCESSORS, &building())
}

/// A type and a value, sealed.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(crc64(&bytes).to_le_bytes());
    bytes
}

/// Changes a payload: a place, drawn in thousandths, and what is done there.
fn damage(payload: &[u8], changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = payload[..payload.len() - CHECKSUM_BYTES - size_of_val(&VERSION)].to_vec();
    for &(place, kind, byte) in changes {
        let at = place * bytes.len() / 1000;
        match kind {
            _ if bytes.is_empty() => bytes.push(byte),
            0 => bytes[at] = byte,
            1 => bytes[at] ^= 1 << (byte % 8),
            2 => bytes[at] = bytes[at].wrapping_add(1),
            3 => bytes.insert(at, byte),
            4 => drop(bytes.remove(at)),
            5 => bytes.truncate(at),
            _ => {
                let end = bytes.len().min(at + usize::from(byte));
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    sealed(bytes)
}

/// A value that was read reads the same again from its own dump.
fn is_whole(entry: Entry<'_>) {
    let again = read(&payload(entry, None)).expect("what is dumped is read");
    assert_eq!(parts(again.view()), parts(entry));
}

proptest! {
    #[test]
    fn what_is_dumped_reads_back(model in model()) {
        let before = outstanding();
        for compressor in [None, Some(&mut Compressor::default())] {
            let entry = model.entry();
            let payload = payload(entry.view(), compressor);
            let again = read(&payload).expect("what is dumped is read");
            prop_assert_eq!(parts(again.view()), parts(entry.view()));
            prop_assert_eq!(again.view().encoding(), entry.view().encoding());
            prop_assert_eq!(again.view().access(), 7);
        }
        prop_assert_eq!(outstanding(), before);
    }

    #[test]
    fn a_dump_in_steps_is_the_same(model in model(), step in 1..200usize) {
        let entry = model.entry();
        let (mut whole, mut stepwise, mut place) = (Vec::new(), Vec::new(), 0);
        pieces(entry.view(), None, &mut |piece| whole.extend_from_slice(piece));
        loop {
            let mut writer = Writer::new(&mut stepwise, None, step);
            place = (entry.view().row().dump)(entry.view(), place, &mut writer);
            if place == 0 {
                break;
            }
        }
        prop_assert_eq!(whole, stepwise);
    }

    #[test]
    fn what_is_damaged_is_refused_or_a_value(
        model in model(),
        changes in prop::collection::vec((0..1000usize, 0..7u8, any::<u8>()), 1..4),
    ) {
        let before = outstanding();
        let damaged = damage(&payload(model.entry().view(), None), &changes);
        if let Ok(entry) = read(&damaged) {
            is_whole(entry.view());
        }
        prop_assert_eq!(outstanding(), before);
    }

    #[test]
    fn any_bytes_are_refused_or_a_value(kind in 0..26u8, bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let before = outstanding();
        let all = [&[kind][..], &bytes].concat();
        if let Ok(entry) = read(&sealed(all)) {
            is_whole(entry.view());
        }
        prop_assert_eq!(outstanding(), before);
    }

    #[test]
    fn a_small_payload_takes_little_memory(kind in 0..26u8, len in any::<u64>(), tail in prop::collection::vec(any::<u8>(), 0..8)) {
        // What the allocator gives is bounded by the bytes there are, whatever the length claims.
        let mut bytes = vec![kind, 0x81];
        bytes.extend(len.to_be_bytes());
        bytes.extend(tail);
        prop_assert!(read(&sealed(bytes)).is_err() || len < 16);
    }
}

#[test]
fn a_payload_is_open_only_if_its_checksum_is_right() {
    let entry = Model::String(b"abc".to_vec()).entry();
    let payload = payload(entry.view(), None);
    assert_eq!(payload[..5], [0, 3, b'a', b'b', b'c']);
    assert_eq!(open(&payload, true), Some((VERSION, &payload[..5])));
    for at in 0..payload.len() {
        let mut damaged = payload.clone();
        damaged[at] ^= 1;
        assert_eq!(open(&damaged, true), None, "{at}");
    }
    for is_checked in [true, false] {
        assert_eq!(open(&[], is_checked), None);
    }
    let unsealed = [&payload[..payload.len() - 1], b"?"].concat();
    assert_eq!(open(&unsealed, false), Some((VERSION, &payload[..5])), "if anybody looks");
}

#[test]
fn a_sorted_set_that_is_not_to_be_small_keeps_a_score_of_minus_zero() {
    let score = |name: &[u8]| {
        let mut bytes = vec![crate::serialized::kind::ZSET_2, 2, 1, b'a'];
        bytes.extend((-0.0f64).to_le_bytes());
        bytes.push(name.len() as u8);
        bytes.extend(name);
        bytes.extend(1f64.to_le_bytes());
        let entry = read(&sealed(bytes)).expect("it is read");
        crate::zset::view(entry.view(), SEED).score(b"a").map(f64::is_sign_negative)
    };
    assert_eq!(score(&[b'x'; 20]), Some(false));
    assert_eq!(score(&[b'x'; 21]), Some(true));
}

#[test]
fn integers_stay_as_wide_as_they_were() {
    let expected = sealed(b"\x0b\x0c\x04\0\0\0\x01\0\0\0\x07\0\0\0".to_vec());
    let entry = read(&expected).expect("it is read");
    assert_eq!(payload(entry.view(), None), expected);
}

#[test]
fn releases_read_what_servers_of_their_time_write() {
    let reads =
        |reads: &Reads| (0..100).filter(|version| reads.reads(*version)).collect::<Vec<_>>();
    assert_eq!(reads(&OF_7_0), (0..=10).collect::<Vec<_>>());
    assert_eq!(reads(&OF_SUCCESSORS), (0..=12).chain([80]).collect::<Vec<_>>());
    assert!(OF_7_0.kind(20, 10).is_none() && OF_SUCCESSORS.kind(20, 11).is_some());
    let text = |id, version| {
        let outcome = load(&[id, 0], version, &OF_SUCCESSORS, &building());
        outcome.err().map(|fault| (fault.what, fault.cause == Cause::Unknown))
    };
    for (id, version) in [(22, 80), (24, 12), (25, 12)] {
        assert_ne!(text(id, version), Some(("a value of an unknown type", false)), "{id}");
    }
    for (id, version) in [(22, 12), (24, 80), (25, 80), (6, 10), (8, 10), (255, 10)] {
        assert_eq!(text(id, version), Some(("a value of an unknown type", false)), "{id}");
    }
}
