//! The section about what is on disk.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::aof::{Aof, state};

use super::Text;
use crate::maintenance::snapshot::{self, rewrite};
use base::core::Core;
use base::loading;

pub fn persistence(core: &mut Core, text: &mut Text) {
    let loading = loading::state(core.roots);
    text.field("loading", loading.stage.load(Relaxed));
    text.field("async_loading", 0);
    snapshot_under_way(core, text);
    last_snapshot(core, text);
    text.field("rdb_last_load_keys_expired", loading.keys_expired.load(Relaxed));
    text.field("rdb_last_load_keys_loaded", loading.keys_loaded.load(Relaxed));
    append_only_log(core, text);
    text.field("module_fork_in_progress", 0);
    text.field("module_fork_last_cow_size", 0);
    if loading::is_on(core.roots) {
        progress_of_loading(core, text);
    }
}

/// The append-only log.
fn append_only_log(core: &Core, text: &mut Text) {
    let none = Aof::default();
    let aof = core.roots.aof().unwrap_or(&none);
    let is_on = aof.state.load(Relaxed) != state::OFF;
    let is_rewriting = rewrite::is_rewriting(core);
    text.field("aof_enabled", u32::from(is_on));
    // One that is about to begin counts, so that whoever has asked for it can wait for its end.
    let is_begun = is_rewriting || rewrite::is_about_to_begin(core);
    text.field("aof_rewrite_in_progress", u32::from(is_begun));
    text.field("aof_rewrite_scheduled", u32::from(rewrite::is_wanted(core) && !is_begun));
    text.field("aof_last_rewrite_time_sec", i64::from(aof.took_s.load(Relaxed)) - 1);
    let elapsed_s = if is_rewriting { elapsed_s(core) } else { -1 };
    text.field("aof_current_rewrite_time_sec", elapsed_s);
    let status = |is_bad: bool| if is_bad { "err" } else { "ok" };
    let failures = aof.failures.load(Relaxed);
    text.field("aof_last_bgrewrite_status", status(failures != 0));
    text.field("aof_rewrites", aof.rewrites.load(Relaxed));
    text.field("aof_rewrites_consecutive_failures", failures);
    text.field("aof_last_write_status", status(aof.errno.load(Relaxed) != 0));
    text.field("aof_last_cow_size", aof.held_peak.load(Relaxed));
    if is_on {
        text.field("aof_current_size", aof.bytes.load(Relaxed));
        text.field("aof_base_size", aof.base_bytes.load(Relaxed));
        text.field("aof_pending_rewrite", u32::from(rewrite::is_wanted(core)));
        text.field("aof_buffer_length", aof.buffered.load(Relaxed));
        text.field("aof_pending_bio_fsync", aof.syncing.load(Relaxed));
        text.field("aof_delayed_fsync", aof.delayed_syncs.load(Relaxed));
    }
}

/// Seconds since the snapshot under way has begun.
fn elapsed_s(core: &Core) -> i64 {
    let began_ns = snapshot::state(core.roots).began_ns.load(Relaxed);
    (core.host.monotonic_ns()().saturating_sub(began_ns) / 1_000_000_000) as i64
}

/// How far the file is that is being loaded.
fn progress_of_loading(core: &Core, text: &mut Text) {
    let loading = loading::state(core.roots);
    let of = |counter: &AtomicU64| counter.load(Relaxed);
    let (total, loaded) = (of(&loading.total_bytes), of(&loading.loaded_bytes));
    let elapsed_s = (core.clock.now_ms as u64).saturating_sub(of(&loading.started_ms)) / 1000;
    // Redis's guess, too, is 1 second until there is something to guess by.
    let eta_s = match loaded {
        0 => 1,
        _ => {
            (elapsed_s as u128 * u128::from(total.saturating_sub(loaded)) / u128::from(loaded))
                as u64
        }
    };
    text.field("loading_start_time", of(&loading.started_ms) / 1000);
    text.field("loading_total_bytes", total);
    text.field("loading_rdb_used_mem", of(&loading.used_bytes));
    text.field("loading_loaded_bytes", loaded);
    let percent = loaded as f64 * 100.0 / total.max(1) as f64;
    text.field("loading_loaded_perc", format_args!("{percent:.2}"));
    text.field("loading_eta_seconds", eta_s);
}

/// How far the snapshot under way has come. Where Redis tells of memory that is copied on write, this
/// is what is kept of keys that have changed meanwhile.
fn snapshot_under_way(core: &Core, text: &mut Text) {
    let state = snapshot::state(core.roots);
    let is_under_way = snapshot::is_under_way(core.roots);
    let only_then = |number: u64| if is_under_way { number } else { 0 };
    let (keys, written) = (state.keys.load(Relaxed), state.keys_written.load(Relaxed));
    text.field("current_cow_peak", only_then(state.held_peak.load(Relaxed)));
    text.field("current_cow_size", only_then(snapshot::held_bytes(core.roots)));
    text.field("current_cow_size_age", 0);
    let percent = only_then(written) as f64 * 100.0 / keys.max(1) as f64;
    text.field("current_fork_perc", format_args!("{percent:.2}"));
    text.field("current_save_keys_processed", only_then(written));
    text.field("current_save_keys_total", only_then(keys));
}

fn last_snapshot(core: &Core, text: &mut Text) {
    let state = snapshot::state(core.roots);
    let is_under_way = snapshot::is_data_under_way(core.roots);
    text.field("rdb_changes_since_last_save", snapshot::unsaved_changes(core.roots));
    text.field("rdb_bgsave_in_progress", u32::from(is_under_way));
    text.field("rdb_last_save_time", snapshot::saved_s(core.roots));
    let has_failed = snapshot::has_failed(core.roots);
    text.field("rdb_last_bgsave_status", if has_failed { "err" } else { "ok" });
    text.field("rdb_last_bgsave_time_sec", state.took_s.load(Relaxed) as i64 - 1);
    let elapsed_s = if is_under_way { elapsed_s(core) } else { -1 };
    text.field("rdb_current_bgsave_time_sec", elapsed_s);
    text.field("rdb_saves", state.begun.load(Relaxed));
    text.field("rdb_last_cow_size", if is_under_way { 0 } else { state.held_peak.load(Relaxed) });
    text.field("rdb_writers_held_back", state.waits.load(Relaxed));
}
