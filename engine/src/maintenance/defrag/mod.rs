//! Active defragmentation: where memory lies free between what is in use, what is in use moves closer
//! together, so that memory goes back to the system.
//!
//! The arena says which parts of it are to be emptied. A *pass* walks over all keys and moves what
//! lies there: entries, what their values are made of, and the tables themselves. A background
//! thread goes on with it, in steps of a few dozen allocations, each under the lock of one shard; a
//! value of many is done in several. Between them it sleeps, so that it takes no more than a share
//! of a processor's time: the larger, the more memory lies free.
//!
//! Where a pass stands is in the arena, and so are the parts that are to be emptied: the next step
//! may be taken by another release.

mod walk;

use core::sync::atomic::Ordering::Relaxed;

use abi::shared::Defrag;

use crate::maintenance::background;
use crate::maintenance::expire::claim_job;
use crate::session::latency;
use base::clock::ticks;
use base::core::Core;
use base::counters::add;
use base::roots::Roots;
use base::settings::setting;
use walk::{Step, Walk};

/// Work between two sleeps: who wants the processor meanwhile waits no longer.
const BURST_US: u64 = 50;
/// Shortest sleep: whoever waits for the shard just left gets it.
const PAUSE_US_MIN: u64 = 50;
/// Rest after a pass that has given back little; it doubles with each, up to the second.
const REST_MS: (u64, u64) = (1_000, 60_000);
/// A pass is in vain that leaves more than this share of what lay scattered.
const LEFT_PERCENT_MAX: u64 = 90;

/// The state of defragmentation.
pub fn state(roots: Roots) -> &'static Defrag {
    &roots.shared().defrag
}

/// Bytes between what is in use, as a percentage of that.
fn fragmentation(used: u64, scattered: u64) -> u64 {
    (u128::from(scattered) * 100 / u128::from(used.max(1))) as u64
}

/// Looks whether there is something to do, and how much it is worth; has a background thread go on.
pub fn tick(core: &Core) {
    let (state, is_on) = (state(core.roots), core.get(setting::ACTIVEDEFRAG));
    let is_pass = state.pass.load(Relaxed) != 0;
    if !is_on && !is_pass && state.since_ns.load(Relaxed) == 0 {
        return;
    }
    let percent = if is_on { effort(core, state) } else { 0 };
    state.percent.store(percent, Relaxed);
    keep_time(core, state, percent != 0);
    if (percent != 0 || is_pass)
        && claim_job(&state.job_ms, core.clock.now_ms)
        && !background::defrag_later(core)
    {
        state.job_ms.store(0, Relaxed);
    }
}

/// Keeps account of how long it is under way.
fn keep_time(core: &Core, state: &Defrag, is_under_way: bool) {
    let since = state.since_ns.load(Relaxed);
    if is_under_way == (since != 0) {
        return;
    }
    let now = core.host.monotonic_ns()();
    state.since_ns.store(if is_under_way { now } else { 0 }, Relaxed);
    if since != 0 {
        add(&core.stats.defrag_us, now.saturating_sub(since) / 1000);
    }
}

/// For how long it has been under way, if it is.
pub fn current_ms(core: &Core) -> u64 {
    match state(core.roots).since_ns.load(Relaxed) {
        0 => 0,
        since => core.host.monotonic_ns()().saturating_sub(since) / 1_000_000,
    }
}

/// Percent of a processor's time that it is worth; 0 if nothing is to be done.
fn effort(core: &Core, state: &Defrag) -> u64 {
    let scattered = core.host.scattered_bytes()();
    let percent = fragmentation(core.host.used_bytes()(), scattered);
    let lower = core.get(setting::ACTIVE_DEFRAG_THRESHOLD_LOWER);
    let is_pass = state.pass.load(Relaxed) != 0;
    if !is_pass {
        let is_resting = (core.clock.now_ms as u64) < state.rest_until_ms.load(Relaxed);
        let is_little = scattered < core.get(setting::ACTIVE_DEFRAG_IGNORE_BYTES);
        if is_little || percent < lower || is_resting {
            return 0;
        }
    }
    let upper = core.get(setting::ACTIVE_DEFRAG_THRESHOLD_UPPER);
    let min = core.get(setting::ACTIVE_DEFRAG_CYCLE_MIN);
    let max = core.get(setting::ACTIVE_DEFRAG_CYCLE_MAX).max(min);
    let now = between(percent, (lower, upper), (min, max));
    // What it was worth at first it is worth to the end.
    let before = if is_pass { state.percent.load(Relaxed) } else { 0 };
    now.max(before).clamp(min, max)
}

/// The number in one range that a number is in another, held to it.
fn between(number: u64, (lower, upper): (u64, u64), (min, max): (u64, u64)) -> u64 {
    if upper <= lower || number >= upper {
        return if number >= upper { max } else { min };
    }
    min + (max - min) * number.saturating_sub(lower) / (upper - lower)
}

/// Goes on for about the time between two ticks.
pub fn job(core: &mut Core) {
    core.refresh();
    let state = state(core.roots);
    let percent = state.percent.load(Relaxed);
    if !core.get(setting::ACTIVEDEFRAG) || percent == 0 {
        end(core, state);
    } else if state.pass.load(Relaxed) == 0 {
        begin(core, state);
    } else {
        go_on(core, state, percent);
    }
    state.job_ms.store(0, Relaxed);
}

/// Begins a pass. It goes on with the next job: until then lanes let go of what they keep.
fn begin(core: &Core, state: &Defrag) {
    state.scattered.store(core.host.scattered_bytes()(), Relaxed);
    core.host.begin_compaction()();
    Walk::new(core).save(state);
    state.pass.store(1, Relaxed);
}

/// Ends a pass, if one is under way.
fn end(core: &Core, state: &Defrag) {
    if state.pass.swap(0, Relaxed) == 0 {
        return;
    }
    core.host.end_compaction()();
    let (before, left) = (state.scattered.load(Relaxed), core.host.scattered_bytes()());
    let is_in_vain = left > before / 100 * LEFT_PERCENT_MAX;
    let rest = match is_in_vain {
        true => (state.rest_ms.load(Relaxed) * 2).clamp(REST_MS.0, REST_MS.1),
        false => 0,
    };
    state.rest_ms.store(rest, Relaxed);
    state.rest_until_ms.store(core.clock.now_ms as u64 + rest, Relaxed);
}

/// Goes on with the pass under way, for a share of a processor's time.
fn go_on(core: &mut Core, state: &Defrag, percent: u64) {
    let period_us = 1_000_000 / core.get(setting::HZ).clamp(1, 500);
    let begin = ticks(core.host);
    let elapsed_us = |core: &Core| core.ticks.to_ns(ticks(core.host).wrapping_sub(begin)) / 1000;
    let (mut walk, mut worked_us) = (Walk::load(state), 0);
    let mut is_done = false;
    while !is_done && elapsed_us(core) < period_us {
        let before_us = elapsed_us(core);
        is_done = burst(core, &mut walk);
        let took_us = elapsed_us(core) - before_us;
        worked_us += took_us;
        let left_us = period_us.saturating_sub(elapsed_us(core));
        let pause_us = (took_us * (100 - percent.min(99)) / percent).min(left_us);
        if !is_done {
            core.host.sleep_us()(pause_us.max(PAUSE_US_MIN));
        }
    }
    walk.save(state);
    latency::record(core, "active-defrag-cycle", worked_us / 1000);
    if is_done {
        end(core, state);
    }
}

/// Takes steps for a moment, as long as each is in another shard than the one before. Tells whether the pass has come to its end.
fn burst(core: &mut Core, walk: &mut Walk) -> bool {
    let begin = ticks(core.host);
    loop {
        match walk.step(core) {
            Step::End => return true,
            Step::SameShard => return false,
            Step::NextShard => {}
        }
        if core.ticks.to_ns(ticks(core.host).wrapping_sub(begin)) / 1000 >= BURST_US {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_lies_between_its_limits_as_fragmentation_between_its_thresholds() {
        let effort = |percent| between(percent, (10, 100), (1, 25));
        assert_eq!(
            [effort(0), effort(10), effort(55), effort(100), effort(900)],
            [1, 1, 13, 25, 25]
        );
        assert_eq!(between(50, (50, 50), (1, 25)), 25, "thresholds may be the same");
        assert_eq!(between(40, (50, 20), (1, 25)), 25, "or the wrong way round");
        assert_eq!(between(10, (50, 20), (1, 25)), 1);
    }

    #[test]
    fn fragmentation_is_what_lies_between_by_what_is_in_use() {
        assert_eq!(fragmentation(100, 900), 900);
        assert_eq!(fragmentation(0, 0), 0);
        assert_eq!(fragmentation(1 << 50, 1 << 60), 102_400);
    }
}
