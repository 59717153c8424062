//! The end of the server, before which the data may have to be saved.

use core::sync::atomic::Ordering::Relaxed;

use abi::aof::state;
use abi::host::level;
use abi::job::kind::SIGINT;

use super::{Refused, drop_under_way, has_save_points, is_under_way, save, step};
use crate::session::pause;
use base::core::Core;
use base::loading;
use base::lock::ALL_SHARDS;
use base::settings::row::Stop;
use base::settings::setting;

/// How long commands that have been let through before have to end, or to be put off.
const LET_THROUGH_US: u64 = 2_000;

/// Stops the server. If the data is to be saved before and cannot be, the server goes on, unless the
/// stop is forced. Tells whether it stops.
pub fn stop(core: &mut Core, how: Stop) -> bool {
    // What is only being loaded is on disk already.
    let saves = how.saves.unwrap_or_else(|| has_save_points(core)) && !loading::is_on(core.roots);
    if is_log_beginning(core) && !how.is_forced {
        let text = "not stopping: the first base of the append-only log is being written";
        core.host.log()(level::WARN, text.into());
        return false;
    }
    drop_under_way(core);
    if saves && save_last(core).is_err() {
        if !how.is_forced {
            core.host.log()(level::WARN, "not stopping: the data cannot be saved".into());
            return false;
        }
        core.host.log()(level::WARN, "stopping although the data cannot be saved".into());
    }
    core.host.shutdown()(how.is_now.into());
    true
}

/// Whether there is to be a log, and there is none before its first base.
fn is_log_beginning(core: &Core) -> bool {
    core.roots.aof().is_some_and(|aof| aof.state.load(Relaxed) == state::WAITING)
}

/// A signal asks for a stop: with the setting that is for it.
pub fn asked_by_signal(core: &mut Core, signal: u64) {
    core.refresh();
    let setting = match signal {
        SIGINT => setting::SHUTDOWN_ON_SIGINT,
        _ => setting::SHUTDOWN_ON_SIGTERM,
    };
    let how = core.get(setting);
    stop(core, how);
}

/// Saves all that clients have been told is done: nothing is written any more when it begins, nor
/// after it, unless it fails.
fn save_last(core: &mut Core) -> Result<(), Refused> {
    let paused = pause::state(core.roots);
    let before = (paused.until_ms.load(Relaxed), paused.writes_only.load(Relaxed));
    pause::begin(core.roots, i64::MAX as u64, true);
    core.lock(ALL_SHARDS);
    core.host.sleep_us()(LET_THROUGH_US);
    if is_under_way(core.roots) {
        // However that ends: there is to be another.
        let _ = step::to_the_end(core);
    }
    let outcome = save(core);
    core.unlock();
    if outcome.is_err() {
        pause::restore(core, before);
    }
    outcome
}
