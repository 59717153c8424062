//! What is done from time to time, on every worker.

use core::sync::atomic::Ordering::Relaxed;

use crate::keyspace::{evict, expire};
use crate::lane::Lane;

/// One tick.
pub fn run(lane: &mut Lane) {
    let used = lane.host.used_bytes()();
    // SAFETY: the root lives as long as the process; the counter is atomic.
    unsafe { (*lane.roots.shared()).peak_used_bytes.fetch_max(used, Relaxed) };
    expire::tick(lane);
    evict::tick(lane);
    if lane.id == 0 {
        remember_startup(lane, used);
        crate::stats::sample(lane);
    }
}

/// What is in use before the first client comes is what the server needs for itself.
fn remember_startup(lane: &Lane, used: u64) {
    if crate::stats::total(lane.roots, |lane| &lane.connections) == 0 {
        // SAFETY: the root lives as long as the process; the counter is atomic.
        unsafe { (*lane.roots.shared()).startup_bytes.store(used, Relaxed) };
    }
}
