//! When a snapshot is due: the setting `save`, and `BGSAVE SCHEDULE`.

use core::sync::atomic::Ordering::Relaxed;

use super::{
    begin, go_on_later, is_backup_due, is_under_way, rewrite, saved_s, state, step, unsaved_changes,
};
use crate::maintenance::background;
use crate::maintenance::expire::claim_job;
use base::args::parse_integer;
use base::core::Core;
use base::settings::setting;
use keyspace::snapshot::has_failed;

/// Seconds after a failure before the next is tried.
const RETRY_S: u64 = 5;

/// So many seconds after the last snapshot one is due, if there have been so many changes since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Point {
    seconds: u64,
    changes: u64,
}

/// The points of a text as the setting has it.
fn points(text: &[u8]) -> Vec<Point> {
    let numbers: Vec<u64> = text
        .split(|byte| *byte == b' ')
        .filter_map(|word| parse_integer(word).and_then(|number| number.try_into().ok()))
        .collect();
    numbers.chunks_exact(2).map(|pair| Point { seconds: pair[0], changes: pair[1] }).collect()
}

/// Whether snapshots are to be made by themselves.
pub fn are_any(core: &Core) -> bool {
    !core.text(setting::SAVE).is_empty()
}

/// Begins a snapshot that is due, and sees to it that somebody goes on with one that is under way.
pub fn tick(core: &mut Core) {
    step::recover(core);
    if core.id != 0 {
        return;
    }
    let state = state(core.roots);
    if is_under_way(core.roots) {
        if claim_job(&state.job_ms, core.clock.now_ms) {
            go_on_later(core);
        }
        return;
    }
    if rewrite::is_due(core) || is_backup_due(core) {
        // Not here: files are made for it.
        background::snapshot_later(core);
        return;
    }
    let is_scheduled = state.scheduled.load(Relaxed) != 0;
    if is_scheduled || is_due(core) {
        state.scheduled.store(0, Relaxed);
        // One that cannot begin has said so, and is tried again.
        let _ = begin(core);
    }
}

/// Whether one of the points has come.
fn is_due(core: &Core) -> bool {
    let points = points(&core.text(setting::SAVE));
    if points.is_empty() {
        return false;
    }
    let changes = unsaved_changes(core.roots);
    let (state, now_s) = (state(core.roots), core.clock.now_ms as u64 / 1000);
    if has_failed(core.roots) && now_s.saturating_sub(state.tried_s.load(Relaxed)) <= RETRY_S {
        return false;
    }
    let since_s = now_s.saturating_sub(saved_s(core.roots));
    let has_come = |point: &Point| changes >= point.changes && since_s > point.seconds;
    points.iter().any(has_come)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_pairs() {
        let point = |seconds, changes| Point { seconds, changes };
        assert_eq!(points(b""), []);
        assert_eq!(points(b"3600 1 60 10000"), [point(3600, 1), point(60, 10_000)]);
    }
}
