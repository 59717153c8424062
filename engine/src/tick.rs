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
}
