//! What is done from time to time, on every worker.

use core::sync::atomic::Ordering::Relaxed;

use abi::shared::debug;

use crate::maintenance::evict::{self, Pool};
use crate::maintenance::{background, clients, defrag, expire, schema, snapshot, tracked};
use crate::session::stats;
use base::core::Core;
use base::counters::total;
use base::loading;

/// One tick.
pub fn run(core: &mut Core, pool: &mut Pool) {
    if core.has_switched(debug::NO_TICKS) {
        return;
    }
    let used = core.host.used_bytes()();
    core.roots.shared().peak_used_bytes.fetch_max(used, Relaxed);
    // Keys that are on their way into the tables are left alone.
    let is_loading = loading::is_on(core.roots);
    if !is_loading {
        expire::tick(core);
        evict::tick(core, pool);
        snapshot::tick(core);
    }
    if core.id == 0 {
        clients::tick(core);
        clients::look_for_warmer(core);
        if !is_loading {
            defrag::tick(core);
        }
        go_on_with_pass(core);
        tracked::trim(core, tracked::IN_TICK);
        remember_startup(core, used);
        stats::sample(core);
    }
}

/// Has a background thread go on with the pass that concerns the schema level, if there is one.
fn go_on_with_pass(core: &Core) {
    let state = core.roots.schema();
    if schema::is_under_way(state)
        && expire::claim_job(&state.job_ms, core.clock.now_ms)
        && !background::schema_later(core)
    {
        state.job_ms.store(0, Relaxed);
    }
}

/// What is in use before the first client comes, or the first key, is what the server needs for
/// itself.
fn remember_startup(core: &Core, used: u64) {
    let has_loaded = loading::state(core.roots).started_ms.load(Relaxed) != 0;
    if total(core.roots, |lane| &lane.connections) == 0 && !has_loaded {
        core.roots.shared().startup_bytes.store(used, Relaxed);
    }
}
