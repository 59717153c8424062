//! Error replies by their first word.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::container::RawTable;
use abi::lock::Guard;
use abi::shared::ErrorStat;

use base::core::{Core, FutexLocker};
use base::heap::if_room;
use store::named::{Name, Named, name_of};

/// Most words that are told apart: a client can make up as many as it likes.
const WORDS_MAX: usize = 128;

/// The table of errors, locked.
pub(super) fn locked(core: &Core) -> Guard<'static, RawTable, FutexLocker> {
    core.roots.shared().errors.lock(core.locker())
}

fn table<'a>(core: &Core, errors: &'a mut RawTable) -> Named<'a, ErrorStat> {
    // SAFETY: who has the table exclusively has it locked; it is only used as this.
    unsafe { Named::new(errors, core.heap, core.roots.seed) }
}

/// Counts an error reply by its first word, unless there are too many different ones or there is
/// no memory for another.
#[cold]
pub fn count_error(core: &Core, text: &[u8]) {
    let word = text.split(|b| *b == b' ').next().unwrap_or_default();
    let name = Name::new(word, core.roots.seed);
    let fresh = || ErrorStat { count: AtomicU64::new(0), name_len: name.bytes(), reserved: 0 };
    if_room(|| {
        let mut errors = locked(core);
        let mut table = table(core, &mut errors);
        if table.len() < WORDS_MAX || table.find(name).is_some() {
            table.find_or_add(name, fresh).count.fetch_add(1, Relaxed);
        }
    });
}

/// All of them, with how often each was given, in alphabetical order.
pub fn errors(core: &Core) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    table(core, &mut locked(core)).for_each(&mut |stat| {
        let name = String::from_utf8_lossy(name_of(stat)).into_owned();
        all.push((name, stat.count.load(Relaxed)));
    });
    all.sort();
    all
}

/// Forgets all of a locked table.
pub(super) fn forget(core: &Core, errors: &mut RawTable) {
    table(core, errors).clear();
}
