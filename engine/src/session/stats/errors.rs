//! Error replies by their first word.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::shared::ErrorStat;

use base::heap::if_room;
use base::lock::with_lock;
use base::core::Core;
use store::named::{Name, Named, name_of};

/// Most different words that are counted: a client can make words up (`DEBUG ERROR`), and must not
/// fill the memory with them.
const WORDS_MAX: usize = 128;

/// Counts an error reply by its first word, unless there are too many different ones or there is
/// no memory for another.
#[cold]
pub fn count_error(core: &Core, text: &[u8]) {
    let word = text.split(|b| *b == b' ').next().unwrap_or_default();
    let name = Name::new(word, core.roots.seed);
    let fresh = || ErrorStat { count: AtomicU64::new(0), name_len: name.bytes(), reserved: 0 };
    if_room(|| {
        with_table(core, |table| {
            if table.len() < WORDS_MAX || table.find(name).is_some() {
                table.find_or_add(name, fresh).count.fetch_add(1, Relaxed);
            }
        })
    });
}

/// All of them, with how often each was given, in alphabetical order.
pub fn errors(core: &Core) -> Vec<(String, u64)> {
    with_table(core, |table| {
        let mut all = Vec::new();
        table.for_each(&mut |stat| {
            let name = String::from_utf8_lossy(name_of(stat)).into_owned();
            all.push((name, stat.count.load(Relaxed)));
        });
        all.sort();
        all
    })
}

/// Forgets all of them.
pub(super) fn forget(core: &Core) {
    with_table(core, |table| table.clear());
}

/// Runs `f` with the table of errors, under its lock.
fn with_table<R>(core: &Core, f: impl FnOnce(&mut Named<'_, ErrorStat>) -> R) -> R {
    let shared = core.roots.shared();
    // SAFETY: the root lives as long as the process; the table is only touched here, with its lock
    // held.
    unsafe {
        with_lock(&(*shared).names.lock, core.host, || {
            f(&mut Named::new(&mut (*shared).errors, core.heap, core.roots.seed))
        })
    }
}
