use super::*;
use base::heap::testing::{heap, outstanding};

fn shape(key: &[u8], value: &[u8], expires_at: Option<i64>) -> Shape {
    Shape {
        encoding: id::STRING_EMBEDDED,
        raw: false,
        expires_at,
        access: 0xabcdef,
        key_len: key.len(),
        value_len: value.len(),
    }
}

fn entry(key: &[u8], value: &[u8], expires_at: Option<i64>) -> OwnedEntry {
    OwnedEntry::embedded(heap(), &shape(key, value, expires_at), key, &[value])
}

/// The entry with another expiry, or another key.
fn moved(old: OwnedEntry, key: &[u8], expires_at: Option<i64>) -> OwnedEntry {
    let shape = Shape { expires_at, key_len: key.len(), ..old.view().shape() };
    // SAFETY: the old entry is only freed from here on, without its value.
    let new = unsafe { old.view().moved(heap(), &shape, key).complete() };
    old.free_hull();
    new
}

#[test]
fn sixteen_and_sixty_four_take_eighty_eight() {
    assert_eq!(shape(&[0; 16], &[0; 64], None).size(), 88);
}

#[test]
fn every_form_reads_back() {
    for key_len in [0, 1, 16, 255, 256, 70_000] {
        for value_len in [0, 1, 64, 65_535, 65_536] {
            for ttl in [None, Some(-1), Some(1_700_000_000_000)] {
                round_trip(&vec![b'k'; key_len], &vec![b'v'; value_len], ttl);
            }
        }
    }
    assert_eq!(outstanding(), 0);
}

fn round_trip(key: &[u8], value: &[u8], ttl: Option<i64>) {
    let check = |owned: &OwnedEntry, key: &[u8], ttl| {
        let entry = owned.view();
        assert_eq!((entry.key(), entry.embedded(), entry.expires_at()), (key, value, ttl));
        assert_eq!((entry.value_type(), entry.access()), (0, 0xabcdef));
    };
    let first = entry(key, value, ttl);
    check(&first, key, ttl);
    let second = moved(first, key, Some(77));
    check(&second, key, Some(77));
    let third = moved(second, key, None);
    check(&third, key, None);
    check(&moved(third, b"another key", Some(5)), b"another key", Some(5));
}

#[test]
fn overwrites_in_place_only_within_the_same_size() {
    let mut owned = entry(b"key", b"value", None);
    let mut entry = owned.view_mut();
    assert!(entry.overwrite_embedded(heap(), b"other"));
    assert_eq!(entry.view().embedded(), b"other");
    assert!(!entry.overwrite_embedded(heap(), b"longer"));
    assert_eq!((entry.view().embedded(), entry.view().key()), (&b"other"[..], &b"key"[..]));
}

#[test]
fn marks_and_access_stay_apart_and_outlive_an_overwrite() {
    let mut owned = entry(b"key", b"value", None);
    let mut entry = owned.view_mut();
    entry.set_mark(abi::keyspace::mark::NOT_PART);
    entry.set_access(0x123456);
    assert!(entry.overwrite_embedded(heap(), b"valuf"));
    let seen = entry.view();
    assert_eq!((seen.mark(), seen.access()), (abi::keyspace::mark::NOT_PART, 0x123456));
    assert_eq!((seen.key(), seen.embedded(), seen.has_ttl()), (&b"key"[..], &b"valuf"[..], false));
}

#[test]
fn a_value_that_was_not_moved_after_all_stays_with_its_entry() {
    let long = vec![b'x'; 10_000];
    let making = Making { key: b"key", expires_at: None, access: 0 };
    let owned = making.text(heap(), &long, false);
    drop(owned.view().moved(heap(), &owned.view().shape(), b"key"));
    assert_eq!(crate::string::view(owned.view()).as_bytes(), long);
    drop(owned);
    assert_eq!(outstanding(), 0);
}

#[test]
fn an_embedded_value_changes_in_place_or_in_a_copy() {
    for len in [0, 3, 30, 300, 65_530] {
        for (removed, added) in [(0, 0), (0, 1), (3, 0), (2, 3), (3, 2), (0, 40), (3, 200)] {
            let value: Vec<u8> = (0..len + 8).map(|at| at as u8).collect();
            let start = 2 + len / 2;
            let added = vec![0xee; added];
            let change = Change { head: b"ab", removed: start..start + removed, added: &added };
            let mut expected = value.clone();
            expected.splice(change.removed.clone(), added.iter().copied());
            expected[..2].copy_from_slice(b"ab");
            let mut owned = entry(b"key", &value, Some(7));
            let copy = owned.view().changed(heap(), &change);
            let check = |entry: Entry<'_>| {
                assert_eq!((entry.key(), entry.embedded()), (&b"key"[..], &expected[..]));
                assert_eq!((entry.expires_at(), entry.access()), (Some(7), 0xabcdef));
            };
            check(copy.view());
            if owned.view_mut().change(heap(), &change) {
                assert_eq!(removed, added.len(), "the sizes of the tests' heap are exact");
                check(owned.view());
            } else {
                assert_eq!(owned.view().embedded(), value);
            }
        }
    }
    assert_eq!(outstanding(), 0);
}
