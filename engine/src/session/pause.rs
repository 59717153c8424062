//! `CLIENT PAUSE`: commands of some kind wait until a time or until `CLIENT UNPAUSE`.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, flag};
use abi::shared::Pause;

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

/// Whether commands have something to look at before they run: a pause, or a snapshot.
#[inline]
pub fn is_any_concern(roots: Roots) -> bool {
    let pause = state(roots);
    pause.until_ms.load(Relaxed) | u64::from(pause.snapshot.load(Relaxed)) != 0
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

/// Leaves a command in its client's input until a Unix time in ms; 0: until somebody ends that.
pub fn postpone(client: &mut ClientState, until_ms: i64) {
    client.deadline_ms = until_ms as u64;
    client.flags.fetch_or(flag::POSTPONED, Relaxed);
}
