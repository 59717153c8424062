//! `CLIENT PAUSE`: commands of some kind wait until a time or until `CLIENT UNPAUSE`.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, flag as client_flag};
use abi::shared::Pause;

use base::clock::Clock;
use crate::exec::spec::{Spec, flag};
use base::core::Core;
use base::roots::Roots;
use crate::exec::transaction;

/// The state of the pause.
pub fn state(roots: Roots) -> &'static Pause {
    // SAFETY: the root lives as long as the process; all of the struct is atomics.
    unsafe { &(*roots.shared()).pause }
}

/// Whether a pause has begun and nobody has found it over.
#[inline]
pub fn is_on(roots: Roots) -> bool {
    state(roots).until_ms.load(Relaxed) != 0
}

/// Begins a pause, or makes the one that is on longer and stricter; never shorter or laxer.
pub fn begin(roots: Roots, until_ms: u64, writes_only: bool) {
    let pause = state(roots);
    let was_on = pause.until_ms.fetch_max(until_ms, Relaxed) != 0;
    if !(was_on && writes_only) {
        pause.writes_only.store(writes_only as u32, Relaxed);
    }
}

/// Ends the pause: clients that were put off go on.
pub fn end(core: &Core) {
    state(core.roots).until_ms.store(0, Relaxed);
    core.host.wake_workers()();
}

/// Puts a command off if the pause concerns it: the client's input stays as it is until then.
#[cold]
pub fn holds_back(core: &mut Core, client: &mut ClientState, spec: &Spec) -> bool {
    core.clock = Clock::read(core.host);
    let pause = state(core.roots);
    let until = pause.until_ms.load(Relaxed);
    if until as i64 <= core.clock.now_ms {
        // Over. Whoever finds it so first says so; a newer pause is left alone.
        let _ = pause.until_ms.compare_exchange(until, 0, Relaxed, Relaxed);
        return false;
    }
    if !concerns(core, client, spec, pause.writes_only.load(Relaxed) != 0) {
        return false;
    }
    client.deadline_ms = until;
    client.flags.fetch_or(client_flag::POSTPONED, Relaxed);
    true
}

/// Whether a pause of a kind concerns a command. One of everything concerns `CLIENT UNPAUSE` too.
fn concerns(core: &Core, client: &ClientState, spec: &Spec, writes_only: bool) -> bool {
    const CHANGES: u32 = flag::WRITE | flag::MAY_REPLICATE;
    if !writes_only {
        return true;
    }
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    if spec.has(flag::TRANSACTION) && in_multi {
        return multi::any_queued(core, client, |queued| queued.has(CHANGES));
    }
    spec.has(CHANGES)
}
