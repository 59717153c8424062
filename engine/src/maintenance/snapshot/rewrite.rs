//! Rewriting the append-only log: a snapshot that is to be its next base. The shell has the log go on
//! from the very moment of which the snapshot is, and puts it in the place of all that was before.

use core::sync::atomic::Ordering::Relaxed;

use abi::aof::{Aof, state};
use abi::snapshot::phase;

use base::core::Core;
use base::error::Error;
use base::roots::Roots;
use base::settings::setting;
use keyspace::snapshot::{self as kept, Purpose};

fn is_under_way(roots: Roots) -> bool {
    kept::state(roots).phase.load(Relaxed) != phase::NONE
}

/// How a rewriting that was asked for comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It begins.
    Begins,
    /// It follows the snapshot under way.
    Follows,
    /// One is under way, or about to begin.
    IsUnderWay,
}

/// Why commands that write are refused, if they are: the log cannot be written.
pub fn refusal(core: &Core) -> Option<Error> {
    let aof = core.roots.aof()?;
    let errno = aof.errno.load(Relaxed);
    let is_refused = errno != 0 && aof.state.load(Relaxed) == state::ON;
    is_refused.then(|| {
        let text = std::io::Error::from_raw_os_error(errno as i32).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        Error::owned(format!("MISCONF Errors writing to the AOF file: {text}"))
    })
}

/// Has the log rewritten as soon as somebody looks whether that is due. None: there can be none here.
pub(super) fn ask(core: &Core) -> Option<Asked> {
    let aof = core.roots.aof()?;
    if is_under_way(core.roots) && kept::purpose(core.roots) == Purpose::Aof {
        return Some(Asked::IsUnderWay);
    }
    let was_wanted = aof.wanted.swap(1, Relaxed) != 0;
    aof.not_before_ms.store(0, Relaxed);
    if is_under_way(core.roots) {
        return Some(Asked::Follows);
    }
    Some(if was_wanted { Asked::IsUnderWay } else { Asked::Begins })
}

/// Whether a rewriting is under way.
pub fn is_rewriting(core: &Core) -> bool {
    is_under_way(core.roots) && kept::purpose(core.roots) == Purpose::Aof
}

/// Whether one is to follow.
pub fn is_wanted(core: &Core) -> bool {
    core.roots.aof().is_some_and(|aof| aof.wanted.load(Relaxed) != 0)
}

/// Whether one is to begin, and nothing stands in its way.
pub fn is_about_to_begin(core: &Core) -> bool {
    let Some(aof) = core.roots.aof() else { return false };
    let is_asked_for = aof.wanted.load(Relaxed) != 0 || aof.state.load(Relaxed) == state::WAITING;
    is_asked_for && !is_under_way(core.roots) && aof.failures.load(Relaxed) == 0
}

/// Whether a rewriting is due, while nothing is under way.
pub(super) fn is_due(core: &Core) -> bool {
    let Some(aof) = core.roots.aof() else { return false };
    let is_time = core.clock.now_ms as u64 >= aof.not_before_ms.load(Relaxed);
    is_time && (aof.wanted.load(Relaxed) != 0 || has_grown(core, aof))
}

/// As [`is_due`]; one that was asked for is due once.
pub(super) fn take_due(core: &Core) -> bool {
    let is_due = is_due(core);
    if let Some(aof) = core.roots.aof().filter(|_| is_due) {
        aof.wanted.store(0, Relaxed);
    }
    is_due
}

/// Whether the log has grown so much since it was rewritten last that it is worth it.
fn has_grown(core: &Core, aof: &Aof) -> bool {
    let percent = core.get(setting::AUTO_AOF_REWRITE_PERCENTAGE);
    let bytes = aof.bytes.load(Relaxed);
    let is_considered = aof.state.load(Relaxed) == state::ON
        && percent != 0
        && bytes > core.get(setting::AUTO_AOF_REWRITE_MIN_SIZE);
    is_considered && {
        let base = u128::from(aof.base_bytes.load(Relaxed).max(1));
        u128::from(bytes) * 100 / base >= u128::from(percent) + 100
    }
}
