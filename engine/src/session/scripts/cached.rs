//! Scripts by their digests.

use core::sync::atomic::{AtomicU64, Ordering::Release};

use abi::container::RawTable;
use abi::script::{CachedScript, Scripts};

use super::{locked, state};
use base::bytes::{self, Bytes};
use base::core::Core;
use store::named::{Name, Named, NamedRef, RecordTable, record_bytes};

/// The table of scripts.
pub(super) struct Cached<'a>(pub &'a RawTable);

// SAFETY: its items are scripts, and `table` is all that changes it.
unsafe impl RecordTable for Cached<'_> {
    type Record = CachedScript;

    fn table(&self) -> &RawTable {
        self.0
    }
}

fn table<'a>(core: &Core, scripts: &'a mut Scripts) -> Named<'a, CachedScript> {
    // SAFETY: who has the scripts exclusively has them locked; the table is only used as this.
    unsafe { Named::new(&scripts.cached, core.heap, core.roots.seed) }
}

/// Bytes of arena memory that a script takes.
fn bytes_of(core: &Core, script: &CachedScript) -> u64 {
    (core.heap.usable(record_bytes(script)) + bytes::usable(&script.source, core.heap)) as u64
}

/// A digest as clients write it, in the form in which scripts are known by it.
pub fn digest_of(text: &[u8]) -> Option<[u8; 40]> {
    let mut digest: [u8; 40] = text.try_into().ok()?;
    digest.make_ascii_lowercase();
    Some(digest)
}

/// The source of a script.
pub fn find(core: &Core, digest: &[u8; 40]) -> Option<Vec<u8>> {
    let scripts = locked(core);
    let name = Name::new(digest, core.roots.seed);
    let cached = Cached(&scripts.cached);
    let script = NamedRef::of(&cached).find(name)?;
    Some(bytes::slice(&script.source).to_vec())
}

/// Whether a script is there.
pub fn has(core: &Core, digest: &[u8; 40]) -> bool {
    let scripts = locked(core);
    let name = Name::new(digest, core.roots.seed);
    NamedRef::of(&Cached(&scripts.cached)).find(name).is_some()
}

/// Keeps a script, if it is not there yet.
pub fn add(core: &Core, digest: &[u8; 40], source: &[u8]) {
    let name = Name::new(digest, core.roots.seed);
    let mut scripts = locked(core);
    let mut table = table(core, &mut scripts);
    if table.find(name).is_some() {
        return;
    }
    // Freed again if there is no memory for the rest.
    let kept = base::bytes::OwnedBytes::of(source, core.heap);
    let script = table.find_or_add(name, || CachedScript {
        source: abi::container::RawBytes::EMPTY,
        name_len: name.bytes(),
        reserved0: 0,
        record: [const { AtomicU64::new(0) }; 4],
    });
    script.source = kept.into_raw();
    let bytes = bytes_of(core, script);
    scripts.cached_bytes += bytes;
}

/// Forgets all scripts.
pub fn flush(core: &Core) {
    let mut scripts = locked(core);
    let mut all = Vec::new();
    table(core, &mut scripts)
        .for_each(&mut |script| all.push(store::named::name_of(script).to_vec()));
    let mut table = table(core, &mut scripts);
    for digest in all {
        let name = Name::new(&digest, core.roots.seed);
        if let Some(script) = table.find_mut(name) {
            Bytes::new(&mut script.source, core.heap).free();
        }
        table.remove_name(name);
    }
    table.clear();
    scripts.cached_bytes = 0;
    state(core.roots).flushes.fetch_add(1, Release);
}
