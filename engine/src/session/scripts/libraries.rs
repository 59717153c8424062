//! Libraries of functions.

use core::sync::atomic::Ordering::Release;

use abi::container::{RawBytes, RawTable};
use abi::script::{FunctionLibrary, Scripts};

use super::{locked, state};
use base::bytes::{self, Bytes, OwnedBytes};
use base::core::Core;
use store::named::{Name, Named, NamedRef, RecordTable, name_of, record_bytes};

/// The table of libraries.
pub(super) struct Libraries<'a>(pub &'a RawTable);

// SAFETY: its items are libraries, and `table` is all that changes it.
unsafe impl RecordTable for Libraries<'_> {
    type Record = FunctionLibrary;

    fn table(&self) -> &RawTable {
        self.0
    }
}

fn table<'a>(core: &Core, scripts: &'a mut Scripts) -> Named<'a, FunctionLibrary> {
    // SAFETY: who has the scripts exclusively has them locked; the table is only used as this.
    unsafe { Named::new(&scripts.libraries, core.heap, core.roots.seed) }
}

/// A function, as its library has registered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionText {
    /// What it is called by.
    pub name: Vec<u8>,
    /// What it says of itself.
    pub description: Option<Vec<u8>>,
    /// Bits of [`abi::script::function_flag`].
    pub flags: u32,
}

/// A library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LibraryText {
    /// Its name.
    pub name: Vec<u8>,
    /// Its source.
    pub source: Vec<u8>,
    /// Its functions.
    pub functions: Vec<FunctionText>,
    /// Which of all libraries there ever were it is.
    pub number: u64,
}

/// No description.
const NONE: u32 = u32::MAX;

fn encode(functions: &[FunctionText]) -> Vec<u8> {
    let mut out = Vec::new();
    for function in functions {
        out.extend_from_slice(&function.flags.to_le_bytes());
        out.extend_from_slice(&(function.name.len() as u32).to_le_bytes());
        out.extend_from_slice(&function.name);
        let description = function.description.as_ref();
        let len = description.map_or(NONE, |text| text.len() as u32);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(description.map_or(&[], |text| &text[..]));
    }
    out
}

fn decode(mut rest: &[u8]) -> Vec<FunctionText> {
    let mut functions = Vec::new();
    fn take<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (taken, behind) = rest.split_at(len);
        *rest = behind;
        taken
    }
    fn word(rest: &mut &[u8]) -> u32 {
        u32::from_le_bytes(take(rest, 4).try_into().expect("four bytes"))
    }
    while !rest.is_empty() {
        let flags = word(&mut rest);
        let len = word(&mut rest) as usize;
        let name = take(&mut rest, len).to_vec();
        let description = match word(&mut rest) {
            NONE => None,
            len => Some(take(&mut rest, len as usize).to_vec()),
        };
        functions.push(FunctionText { name, description, flags });
    }
    functions
}

fn text_of(library: &FunctionLibrary) -> LibraryText {
    LibraryText {
        name: name_of(library).to_vec(),
        source: bytes::slice(&library.source).to_vec(),
        functions: decode(bytes::slice(&library.functions)),
        number: library.number,
    }
}

/// All libraries, in alphabetical order.
pub fn libraries(core: &Core) -> Vec<LibraryText> {
    let scripts = locked(core);
    let mut all = Vec::new();
    NamedRef::of(&Libraries(&scripts.libraries))
        .for_each(&mut |library| all.push(text_of(library)));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// The names of all libraries.
pub fn library_names(core: &Core) -> Vec<Vec<u8>> {
    let scripts = locked(core);
    let mut all = Vec::new();
    let libraries = Libraries(&scripts.libraries);
    NamedRef::of(&libraries).for_each(&mut |library| all.push(name_of(library).to_vec()));
    all
}

/// The library that has a function of this name, in any case, if one has.
pub fn owner_of(libraries: &[LibraryText], function: &[u8]) -> Option<usize> {
    let has = |library: &LibraryText| {
        library.functions.iter().any(|of| of.name.eq_ignore_ascii_case(function))
    };
    libraries.iter().position(has)
}

/// Removes some libraries and adds others, all at once. Where memory runs out, nothing has changed
/// but that those are removed whose place others were to take. The numbers of those added are told
/// in their order.
pub fn change(core: &Core, removed: &[Vec<u8>], added: &[LibraryText]) -> Vec<u64> {
    let mut kept: Vec<_> = added.iter().map(|library| Kept::new(core, library)).collect();
    let mut scripts = locked(core);
    for name in removed {
        remove(core, &mut scripts, name);
    }
    let mut numbers = Vec::new();
    for (library, kept) in added.iter().zip(kept.drain(..)) {
        scripts.last_number += 1;
        let number = scripts.last_number;
        add(core, &mut scripts, library, kept, number);
        numbers.push(number);
    }
    state(core.roots).changes.fetch_add(1, Release);
    numbers
}

/// Removes a library. Tells whether it was there.
pub fn remove_library(core: &Core, name: &[u8]) -> bool {
    let mut scripts = locked(core);
    let was_there = remove(core, &mut scripts, name);
    state(core.roots).changes.fetch_add(1, Release);
    was_there
}

/// What a library keeps in the arena.
struct Kept {
    source: OwnedBytes,
    functions: OwnedBytes,
}

impl Kept {
    fn new(core: &Core, library: &LibraryText) -> Self {
        let copy = |bytes: &[u8]| OwnedBytes::of(bytes, core.heap);
        Self { source: copy(&library.source), functions: copy(&encode(&library.functions)) }
    }
}

fn add(core: &Core, scripts: &mut Scripts, library: &LibraryText, kept: Kept, number: u64) {
    let name = Name::new(&library.name, core.roots.seed);
    let count = library.functions.len() as u32;
    let mut table = table(core, scripts);
    let record = table.find_or_add(name, || FunctionLibrary {
        source: RawBytes::EMPTY,
        functions: RawBytes::EMPTY,
        count,
        name_len: name.bytes(),
        number,
    });
    (record.source, record.functions) = (kept.source.into_raw(), kept.functions.into_raw());
    let bytes = bytes_of(core, record);
    scripts.library_bytes += bytes;
    scripts.functions += u64::from(count);
}

/// Takes a library out and frees it. Tells whether there was one.
fn remove(core: &Core, scripts: &mut Scripts, name: &[u8]) -> bool {
    let name = Name::new(name, core.roots.seed);
    let mut table = table(core, scripts);
    let Some(record) = table.find_mut(name) else { return false };
    let (bytes, count) = (bytes_of(core, record), u64::from(record.count));
    Bytes::new(&mut record.source, core.heap).free();
    Bytes::new(&mut record.functions, core.heap).free();
    table.remove_name(name);
    scripts.library_bytes -= bytes;
    scripts.functions -= count;
    true
}

/// Bytes of arena memory that a library takes.
fn bytes_of(core: &Core, library: &FunctionLibrary) -> u64 {
    let of = |owned: &RawBytes| bytes::usable(owned, core.heap);
    let record = core.heap.usable(record_bytes(library));
    (record + of(&library.source) + of(&library.functions)) as u64
}

#[cfg(test)]
mod tests {
    use super::{FunctionText, decode, encode};

    #[test]
    fn functions_are_read_as_they_were_written() {
        let function = |name: &str, description: Option<&str>, flags| FunctionText {
            name: name.into(),
            description: description.map(Into::into),
            flags,
        };
        let functions =
            [function("f", None, 0), function("g", Some(""), 3), function("h", Some("does it"), 1)];
        assert_eq!(decode(&encode(&functions)), functions);
    }
}
