//! What of the upkeep was under way when a process ended, in the process that goes on.

use core::sync::atomic::Ordering::{Relaxed, Release};

use abi::script::running;
use abi::snapshot::phase;

use base::attention;
use base::core::Core;

/// Forgets all of it: what still has to be done is begun again. A snapshot is given up.
pub fn forget(core: &Core) {
    let (roots, shared) = (core.roots, core.roots.shared());
    let upkeep = &shared.upkeep;
    let counts = [&upkeep.lazy_pending, &upkeep.lazy_bytes, &upkeep.over_maxmemory_since_ns];
    let jobs = [&upkeep.expire_job_ms, &upkeep.room_job_ms];
    counts.into_iter().chain(jobs).for_each(|word| word.store(0, Relaxed));
    let defrag = &shared.defrag;
    let begun = [&defrag.job_ms, &defrag.percent, &defrag.since_ns, &defrag.pass];
    begun.into_iter().chain(&defrag.place).for_each(|word| word.store(0, Relaxed));
    give_up_snapshot(core);
    let script = &shared.script_state;
    script.running.store(running::NONE, Relaxed);
    script.slow.store(running::NONE, Relaxed);
    script.is_to_end.store(0, Relaxed);
    script.has_written.store(0, Relaxed);
    attention::set(roots, attention::BUSY, false);
    shared.blocked_clients.store(0, Relaxed);
}

fn give_up_snapshot(core: &Core) {
    let snapshot = &core.roots.shared().snapshot;
    snapshot.job_ms.store(0, Relaxed);
    snapshot.in_step.store(0, Relaxed);
    // Who has asked for it is gone.
    snapshot.backup_wanted.store(0, Relaxed);
    let next = match snapshot.phase.load(Relaxed) {
        phase::NONE | phase::BEGINNING => phase::NONE,
        // The marks it has left are taken away.
        _ => phase::GIVEN_UP,
    };
    snapshot.phase.store(next, Release);
    if next != phase::NONE {
        attention::set(core.roots, attention::FAILED, true);
    }
}
