//! The sizes and offsets of everything stored, compared with the ones written down in
//! `layout.txt` beside this file.
//!
//! A difference means that a running server's memory would be misread. If that is intended (a new
//! `ABI_VERSION`, or reserved space given a meaning that keeps every offset), write the new table
//! with `BLESS=1 cargo test -p abi` and review it.

use abi::logic::StoredTypes;
use abi_stable::StableAbi;
use abi_stable::type_layout::TypeLayout;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The stored types by name.
type Types = BTreeMap<String, &'static TypeLayout>;

/// A field's place in its struct.
struct Place {
    name: &'static str,
    type_name: String,
    offset: usize,
    size: usize,
}

#[test]
fn stored_layouts_are_those_written_down() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/layout.txt");
    let tables =
        stored_types().iter().map(|(name, layout)| table(name, layout)).collect::<String>();
    let actual = format!("ABI version {}\n\n{tables}", abi::version::ABI_VERSION);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &actual).expect("layout.txt is writable");
    }
    let expected = std::fs::read_to_string(path).expect("layout.txt is there");
    for (actual, expected) in actual.lines().zip(expected.lines()) {
        assert_eq!(actual, expected, "see the head of this file");
    }
    assert_eq!(actual.lines().count(), expected.lines().count(), "see the head of this file");
}

#[test]
fn every_byte_of_a_stored_struct_belongs_to_a_field() {
    let mut gaps = Vec::new();
    for (name, layout) in stored_types() {
        let mut end = 0;
        for place in places(layout) {
            if place.offset != end {
                gaps.push(format!("{} bytes before {name}.{}", place.offset - end, place.name));
            }
            end = place.offset + place.size;
        }
        if end != layout.size() {
            gaps.push(format!("{} bytes at the end of {name}", layout.size() - end));
        }
    }
    assert!(gaps.is_empty(), "hidden padding, give it a name: {gaps:#?}");
}

#[test]
fn the_walk_reaches_nested_types() {
    let types = stored_types();
    for name in ["arena::ArenaHeader", "keyspace::Shard", "lane::Running", "lock::RawLock"] {
        assert!(types.contains_key(name), "{name} is missing");
    }
}

fn stored_types() -> Types {
    let mut types = Types::new();
    collect(<StoredTypes as StableAbi>::LAYOUT, &mut types);
    types.remove("logic::StoredTypes");
    types
}

/// Adds the types of this crate that a type is made of or points to.
fn collect(layout: &'static TypeLayout, types: &mut Types) {
    if layout.package() == "abi" {
        let path = layout.mod_path().to_string();
        let module = path.strip_prefix("abi::").unwrap_or(&path);
        // A pointer is the same whatever it points to; a lock is as large as what it guards.
        let known = layout.name() == "Ptr"
            || types.insert(format!("{module}::{}", name_of(layout)), layout).is_some();
        if known {
            return;
        }
    }
    let fields = layout.get_fields().into_iter().flat_map(|fields| fields.to_vec());
    for field in fields.chain(layout.phantom_fields().to_vec()) {
        collect(field.layout(), types);
    }
}

/// A type's name; a lock's with what it guards.
fn name_of(layout: &'static TypeLayout) -> String {
    let guarded = layout.get_fields().and_then(|fields| fields.to_vec().pop());
    match guarded {
        Some(field) if layout.name() == "Locked" => format!("Locked<{}>", field.full_type()),
        _ => layout.name().to_owned(),
    }
}

fn places(layout: &'static TypeLayout) -> Vec<Place> {
    let mut end: usize = 0;
    let mut places = Vec::new();
    for field in layout.get_fields().into_iter().flat_map(|fields| fields.to_vec()) {
        let (size, offset) =
            (field.layout().size(), end.next_multiple_of(field.layout().alignment()));
        places.push(Place {
            name: field.name(),
            type_name: field.full_type().to_string(),
            offset,
            size,
        });
        end = offset + size;
    }
    places
}

fn table(name: &str, layout: &'static TypeLayout) -> String {
    let mut text = format!("{name}: {} bytes, aligned to {}\n", layout.size(), layout.alignment());
    for Place { name, type_name, offset, size } in places(layout) {
        writeln!(text, "{offset:>8} {size:>8}  {name}: {type_name}").expect("a string takes all");
    }
    text.push('\n');
    text
}
