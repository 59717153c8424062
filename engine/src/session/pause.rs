//! `CLIENT PAUSE`: commands of some kind wait until a time or until `CLIENT UNPAUSE`.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, flag};
use abi::shared::Pause;

use base::attention;
use base::core::Core;
use base::roots::Roots;

/// The state of the pause.
pub fn state(roots: Roots) -> &'static Pause {
    &roots.shared().pause
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
    attention::set(roots, attention::PAUSED, true);
}

/// Ends the pause: clients that were put off go on.
pub fn end(core: &Core) {
    restore(core, (0, 0));
}

/// Lets the pause be as it was: until when, and whether it concerns writes only. Clients that were put
/// off look again.
pub fn restore(core: &Core, (until_ms, writes_only): (u64, u32)) {
    let pause = state(core.roots);
    pause.writes_only.store(writes_only, Relaxed);
    pause.until_ms.store(until_ms, Relaxed);
    attention::set(core.roots, attention::PAUSED, until_ms != 0);
    core.host.wake_workers()();
}

/// Leaves a command in its client's input until a Unix time in ms; 0: until somebody ends that.
pub fn postpone(client: &mut ClientState, until_ms: i64) {
    client.deadline_ms = until_ms as u64;
    client.flags.fetch_or(flag::POSTPONED, Relaxed);
}
