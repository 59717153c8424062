//! What can be told about a library from its bytes alone. Follows the ELF-64 object file format.
//!
//! Every offset is checked before it is used, so any bytes may be given.
#![forbid(unsafe_code)]

use crate::refusal::{Code, Refusal};

/// Bytes of the ELF header.
pub const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const TYPE_SHARED: u16 = 3;
const SEGMENT_LOAD: u32 = 1;
const SEGMENT_NOTE: u32 = 4;
const NOTE_BUILD_ID: u32 = 3;

#[cfg(target_arch = "x86_64")]
const MACHINE: u16 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u16 = 183;

/// Bytes from the start of an image that [`segments`] needs at most, for linkers put the program
/// headers first.
pub const HEADERS_BYTES_MAX: usize = 4096;

/// One program header.
#[derive(Debug, Clone, Copy)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    file_bytes: u64,
}

/// Checks that `bytes` are a whole shared library for this machine; returns its build id.
///
/// # Errors
/// `empty`, `not_elf`, `truncated_elf`, `wrong_machine`, `not_a_library`, `build_id_missing`.
pub fn check(bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    check_header(bytes)?;
    check_sections(bytes)?;
    let segments = segments(bytes).ok_or_else(truncated)?;
    let whole = |s: &Segment| end(s.offset, s.file_bytes).is_some_and(|e| e <= bytes.len());
    if !segments.iter().all(whole) {
        return Err(truncated());
    }
    if !segments.iter().any(|s| s.kind == SEGMENT_LOAD) {
        return Err(Refusal::new(Code::NotALibrary, "the ELF image has nothing to load"));
    }
    let notes = |s: &Segment| &bytes[s.offset as usize..(s.offset + s.file_bytes) as usize];
    let mut found = segments.iter().filter(|s| s.kind == SEGMENT_NOTE).map(notes);
    found
        .find_map(build_id)
        .ok_or_else(|| Refusal::new(Code::BuildIdMissing, "the library carries no build id"))
}

/// Where the build id's notes lie once the image is mapped: offsets from its base and lengths.
/// `None` if `headers`, the start of the image, does not hold its program headers.
pub fn note_ranges(headers: &[u8]) -> Option<Vec<(u64, u64)>> {
    let segments = segments(headers)?;
    let base = segments.iter().find(|s| s.kind == SEGMENT_LOAD)?.address;
    let notes = segments.iter().filter(|s| s.kind == SEGMENT_NOTE);
    notes.map(|s| Some((s.address.checked_sub(base)?, s.file_bytes))).collect()
}

/// The build id among `notes`, the contents of a note segment.
pub fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    while notes.len() >= 12 {
        let name_bytes = u32_at(notes, 0)? as usize;
        let value_bytes = u32_at(notes, 4)? as usize;
        let value_at = 12usize.checked_add(name_bytes)?.checked_next_multiple_of(4)?;
        let value = notes.get(value_at..value_at.checked_add(value_bytes)?)?;
        if u32_at(notes, 8)? == NOTE_BUILD_ID && notes.get(12..16)? == b"GNU\0" {
            return (!value.is_empty()).then(|| value.to_vec());
        }
        let next = value_at.checked_add(value_bytes)?.checked_next_multiple_of(4)?;
        notes = notes.get(next..)?;
    }
    None
}

/// Checks what the header says: that this is a shared library for this machine.
///
/// # Errors
/// `empty`, `not_elf`, `truncated_elf`, `wrong_machine`, `not_a_library`.
pub fn check_header(bytes: &[u8]) -> Result<(), Refusal> {
    if bytes.is_empty() {
        return Err(Refusal::new(Code::Empty, "the file is empty"));
    }
    if !bytes.starts_with(b"\x7fELF") {
        return Err(Refusal::new(Code::NotElf, "the file is not an ELF image"));
    }
    if bytes.len() < HEADER_BYTES {
        return Err(truncated());
    }
    let machine = u16_at(bytes, 18).unwrap_or(0);
    if bytes[4] != CLASS_64 || bytes[5] != LITTLE_ENDIAN || machine != MACHINE {
        let message = format!(
            "the ELF image is for machine {machine} (class {}, byte order {}), this one is {MACHINE}",
            bytes[4], bytes[5]
        );
        return Err(Refusal::new(Code::WrongMachine, message));
    }
    let kind = u16_at(bytes, 16).unwrap_or(0);
    if kind != TYPE_SHARED {
        let message = format!("the ELF image is of type {kind}, not a shared library");
        return Err(Refusal::new(Code::NotALibrary, message));
    }
    Ok(())
}

/// The section table comes last in the file: if it is there, nothing was cut off.
fn check_sections(bytes: &[u8]) -> Result<(), Refusal> {
    let table = u64_at(bytes, 40).unwrap_or(0);
    let entry = u16_at(bytes, 58).unwrap_or(0);
    let count = u16_at(bytes, 60).unwrap_or(0);
    match end(table, u64::from(entry) * u64::from(count)) {
        Some(end) if end <= bytes.len() => Ok(()),
        _ => Err(truncated()),
    }
}

fn segments(bytes: &[u8]) -> Option<Vec<Segment>> {
    let table = usize::try_from(u64_at(bytes, 32)?).ok()?;
    let entry = usize::from(u16_at(bytes, 54)?);
    let count = usize::from(u16_at(bytes, 56)?);
    if entry < SEGMENT_BYTES {
        return None;
    }
    let at = |i: usize| table.checked_add(i * entry);
    (0..count).map(|i| segment(bytes.get(at(i)?..)?)).collect()
}

fn segment(bytes: &[u8]) -> Option<Segment> {
    Some(Segment {
        kind: u32_at(bytes, 0)?,
        offset: u64_at(bytes, 8)?,
        address: u64_at(bytes, 16)?,
        file_bytes: u64_at(bytes, 32)?,
    })
}

fn truncated() -> Refusal {
    Refusal::new(Code::TruncatedElf, "the ELF image refers to bytes beyond its end")
}

fn end(offset: u64, len: u64) -> Option<usize> {
    usize::try_from(offset.checked_add(len)?).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A shared library of one loadable segment and one note with the build id `abcd`.
    fn minimal() -> Vec<u8> {
        let mut bytes = vec![0; 64 + 2 * 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16..18].copy_from_slice(&TYPE_SHARED.to_le_bytes());
        bytes[18..20].copy_from_slice(&MACHINE.to_le_bytes());
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
        bytes[56..58].copy_from_slice(&2u16.to_le_bytes());
        let note_at = bytes.len() as u64;
        bytes.extend_from_slice(b"\x04\0\0\0\x04\0\0\0\x03\0\0\0GNU\0abcd");
        let total = bytes.len() as u64;
        put_segment(&mut bytes[64..], SEGMENT_LOAD, 0, total);
        put_segment(&mut bytes[120..], SEGMENT_NOTE, note_at, 20);
        bytes
    }

    fn put_segment(at: &mut [u8], kind: u32, offset: u64, len: u64) {
        at[..4].copy_from_slice(&kind.to_le_bytes());
        at[8..16].copy_from_slice(&offset.to_le_bytes());
        at[16..24].copy_from_slice(&offset.to_le_bytes());
        at[32..40].copy_from_slice(&len.to_le_bytes());
    }

    fn code(bytes: &[u8]) -> Code {
        check(bytes).unwrap_err().code
    }

    #[test]
    fn a_whole_library_is_accepted_with_its_build_id() {
        assert_eq!(check(&minimal()).unwrap(), b"abcd");
        assert_eq!(note_ranges(&minimal()).unwrap(), [(176, 20)]);
    }

    #[test]
    fn each_defect_has_its_code() {
        assert_eq!(code(b""), Code::Empty);
        assert_eq!(code(b"#!/bin/sh\n"), Code::NotElf);
        assert_eq!(code(&minimal()[..40]), Code::TruncatedElf);
        assert_eq!(code(&minimal()[..130]), Code::TruncatedElf);
        let changed = |at: usize, byte: u8| {
            let mut bytes = minimal();
            bytes[at] = byte;
            code(&bytes)
        };
        assert_eq!(changed(4, 1), Code::WrongMachine);
        assert_eq!(changed(18, 8), Code::WrongMachine);
        assert_eq!(changed(16, 2), Code::NotALibrary);
        assert_eq!(changed(64, 0), Code::NotALibrary);
        assert_eq!(changed(120, 0), Code::BuildIdMissing);
        assert_eq!(changed(45, 1), Code::TruncatedElf);
    }

    proptest! {
        #[test]
        fn no_bytes_can_make_it_panic(
            cut in 0usize..200,
            edits in prop::collection::vec((0usize..196, any::<u8>()), 0..12),
        ) {
            let mut bytes = minimal();
            for (at, byte) in edits {
                bytes[at] = byte;
            }
            bytes.truncate(cut);
            let _ = check(&bytes);
            let _ = note_ranges(&bytes);
            let _ = build_id(&bytes);
        }

        #[test]
        fn every_shorter_file_is_truncated(cut in 4usize..196) {
            prop_assert_eq!(code(&minimal()[..cut]), Code::TruncatedElf);
        }
    }
}
