//! What is done from time to time, on every worker.

use core::sync::atomic::Ordering::Relaxed;

use crate::maintenance::{evict, expire};
use base::core::Core;

/// One tick.
pub fn run(core: &mut Core) {
    let used = core.host.used_bytes()();
    // SAFETY: the root lives as long as the process; the counter is atomic.
    unsafe { (*core.roots.shared()).peak_used_bytes.fetch_max(used, Relaxed) };
    expire::tick(core);
    evict::tick(core);
    if core.id == 0 {
        remember_startup(core, used);
        crate::session::stats::sample(core);
    }
}

/// What is in use before the first client comes is what the server needs for itself.
fn remember_startup(core: &Core, used: u64) {
    if crate::session::stats::total(core.roots, |core| &core.connections) == 0 {
        // SAFETY: the root lives as long as the process; the counter is atomic.
        unsafe { (*core.roots.shared()).startup_bytes.store(used, Relaxed) };
    }
}
