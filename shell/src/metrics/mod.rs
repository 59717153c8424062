//! Counters and gauges in Prometheus's text format.
#![forbid(unsafe_code)]

mod by_generation;
pub mod serve;

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::config::id;
use abi::host::HostRef;
use abi::shared::attention;
use abi::stats::LaneStats;

use crate::arena::look;
use crate::backup::shown::Shown;
use crate::upgrade::board::Status;
use crate::worker::clock;
use by_generation::label;

/// Media type of [`text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

type OfLane = fn(&LaneStats) -> &AtomicU64;

/// Counters that every lane keeps for itself: name, help, field.
const OF_LANES: &[(&str, &str, OfLane)] = &[
    ("commands_total", "Commands executed.", |lane| &lane.commands),
    ("keyspace_hits_total", "Lookups that found their key.", |lane| &lane.hits),
    ("keyspace_misses_total", "Lookups that did not.", |lane| &lane.misses),
    ("expired_keys_total", "Keys removed because their time had come.", |lane| &lane.expired),
    ("evicted_keys_total", "Keys removed to make room.", |lane| &lane.evicted),
    ("received_bytes_total", "Bytes received from clients.", |lane| &lane.bytes_in),
    ("sent_bytes_total", "Bytes sent to clients.", |lane| &lane.bytes_out),
    ("connections_total", "Connections accepted.", |lane| &lane.connections),
    ("rejected_connections_total", "Connections refused.", |lane| &lane.rejected),
    ("error_replies_total", "Error replies.", |lane| &lane.errors),
    ("batches_total", "Batches of commands run.", |lane| &lane.batches),
    ("defrag_moved_total", "Allocations moved to lie closer together.", |lane| &lane.defrag_hits),
    ("panics_total", "Panics in logic, each of which was caught.", |lane| &lane.panics),
];

/// All metrics.
pub fn text(status: &Status, host: HostRef) -> String {
    let mut out = Text(String::with_capacity(32 * 1024));
    write_upgrades(&mut out, status);
    by_generation::write_generations(&mut out, status);
    write_process(&mut out, status, host);
    write_held_up(&mut out, status);
    by_generation::write_families(&mut out, host);
    write_backups(&mut out, &status.backups);
    for (name, help, field) in OF_LANES {
        let values = look::counters(host).map(|lane| field(lane).load(Ordering::Relaxed));
        write(&mut out, name, "counter", help, values.sum::<u64>() as f64);
    }
    out.0
}

fn write_upgrades(out: &mut Text, status: &Status) {
    let Status { generation, upgrades, rollbacks, refused, pinned, leaked_bytes, .. } = *status;
    let retiring = status.retiring.len() as f64;
    write(out, "generation", "gauge", "Number of the logic that serves.", generation as f64);
    write(out, "upgrades_total", "counter", "Upgrades carried out.", upgrades as f64);
    write(out, "rollbacks_total", "counter", "Rollbacks carried out.", rollbacks as f64);
    write(out, "upgrades_refused_total", "counter", "Requests refused or failed.", refused as f64);
    write(out, "generations_retiring", "gauge", "Replaced logics still loaded.", retiring);
    let replaced_ms = status.retiring.iter().filter_map(|shown| shown.replaced_ms).min();
    let help = "For how long the oldest of them has been replaced.";
    write(
        out,
        "generations_retiring_seconds",
        "gauge",
        help,
        replaced_ms.map_or(0.0, seconds_since),
    );
    write(out, "libraries_pinned", "gauge", "Closed libraries still mapped.", pinned as f64);
    let help = "Bytes that detached libraries still had outstanding.";
    write(out, "logic_leaked_bytes_total", "counter", help, leaked_bytes as f64);
    let help = "Duration of the last commit.";
    write(out, "last_commit_seconds", "gauge", help, status.last_commit_us / 1e6);
    if let Some(current) = &status.current {
        let (name, version) = (&current.identity.name, &current.identity.version);
        let labels = [label("name", name), label("version", version)].join(",");
        let help = "The logic that serves.";
        out.family("logic_info", "gauge", help, [(labels, 1.0)]);
        let help = "Calls into the logic that serves which ended in a panic.";
        write(out, "logic_panics", "gauge", help, current.panics as f64);
    }
}

fn write_process(out: &mut Text, status: &Status, host: HostRef) {
    let process = host.process_info()();
    let cpu_s = (process.cpu_user_us + process.cpu_system_us) as f64 / 1e6;
    let state = look::shared(host);
    let help = "For how long the server has run.";
    write(out, "uptime_seconds", "gauge", help, seconds_since(state.started_ms));
    write(out, "clients", "gauge", "Connections.", status.clients as f64);
    let blocked = state.blocked_clients.load(Ordering::Relaxed) as f64;
    write(out, "blocked_clients", "gauge", "Clients that a command has blocked.", blocked);
    let failed = state.attention.load(Ordering::Relaxed) & attention::FAILED != 0;
    let help = "1 if the last snapshot has failed.";
    write(out, "last_snapshot_failed", "gauge", help, f64::from(failed));
    let pending = state.upkeep.lazy_pending.load(Ordering::Relaxed) as f64;
    let help = "Values that background threads have yet to free.";
    write(out, "lazyfree_pending", "gauge", help, pending);
    let help = "Bytes above which keys are evicted, or writes refused; 0 for no limit.";
    let maxmemory = state.config.numbers[id::MAXMEMORY as usize].load(Ordering::Relaxed) as u64;
    write(out, "maxmemory_bytes", "gauge", help, maxmemory as f64);
    write(out, "keys", "gauge", "Keys of all databases.", status.keys as f64);
    write(out, "used_bytes", "gauge", "Bytes in use in the arena.", process.used_bytes as f64);
    let help = "Bytes of the arena in huge pages.";
    write(out, "huge_page_bytes", "gauge", help, process.huge_arena_bytes as f64);
    let help = "Bytes of the file of data that are still to be loaded; 0 once clients are served.";
    let left = status.loading.map_or(0, |of| of.total_bytes.saturating_sub(of.loaded_bytes).max(1));
    write(out, "loading_left_bytes", "gauge", help, left as f64);
    let effects = status.effects;
    let help = "Position of the effects stream's end.";
    write(out, "effects_position_bytes_total", "counter", help, effects.position as f64);
    write(
        out,
        "effects_readers",
        "gauge",
        "Readers of the effects stream.",
        effects.readers as f64,
    );
    let help = "Memory of the effects stream.";
    write(out, "effects_stream_bytes", "gauge", help, effects.bytes as f64);
    write(out, "resident_bytes", "gauge", "Memory of the process.", process.rss_bytes as f64);
    write(out, "cpu_seconds_total", "counter", "CPU time of the process.", cpu_s);
}

/// Workers that do not come back from what they run.
fn write_held_up(out: &mut Text, status: &Status) {
    let help = "Workers at one turn for more than a second: their clients wait.";
    write(out, "workers_held_up", "gauge", help, status.held_up.len() as f64);
    let longest_ms = status.held_up.iter().map(|held_up| held_up.for_ms).max().unwrap_or_default();
    let help = "For how long that has been so for the one that is longest at it.";
    write(out, "workers_held_up_seconds", "gauge", help, longest_ms as f64 / 1000.0);
}

/// Backups: how many, of when the last is, and when the next is due.
fn write_backups(out: &mut Text, backups: &Shown) {
    write(out, "backups_total", "counter", "Backups made.", backups.made as f64);
    let help = "Backups that have failed, or were due and could not be made.";
    write(out, "backups_failed_total", "counter", help, backups.failed as f64);
    let is_under_way = f64::from(u8::from(backups.under_way.is_some()));
    write(out, "backup_under_way", "gauge", "1 while a backup is made.", is_under_way);
    let last = backups.records.iter().find_map(|record| record.description.as_ref());
    let (made_ms, bytes) = last.map_or((0, 0), |of| (of.origin.made_ms, of.file_bytes));
    let help = "The moment of which the last backup is, in Unix time; 0 for none.";
    write(out, "backup_last_timestamp_seconds", "gauge", help, made_ms as f64 / 1000.0);
    write(out, "backup_last_bytes", "gauge", "Bytes of the last backup's file.", bytes as f64);
    let next_ms = backups.schedule.as_ref().and_then(|of| of.next_ms).unwrap_or(0);
    let help = "When the next backup is due, in Unix time; 0 for never.";
    write(out, "backup_next_timestamp_seconds", "gauge", help, next_ms as f64 / 1000.0);
}

/// Seconds since a Unix time in ms.
fn seconds_since(at_ms: u64) -> f64 {
    clock::unix_ms().saturating_sub(at_ms) as f64 / 1000.0
}

fn write(out: &mut Text, name: &str, kind: &str, help: &str, value: f64) {
    out.value(name, kind, help, value);
}

/// The text as it is written.
pub struct Text(String);

impl Text {
    /// What a metric is.
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP shell_{name} {help}");
        let _ = writeln!(self.0, "# TYPE shell_{name} {kind}");
    }

    /// One value of a metric, with labels unless those are empty.
    fn row(&mut self, name: &str, labels: &str, value: f64) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let _ = writeln!(self.0, "shell_{name}{labels} {value}");
    }

    /// A metric with one value.
    fn value(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help, [(String::new(), value)]);
    }

    /// A metric with a value for each of several labels.
    fn family(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        rows: impl IntoIterator<Item = (String, f64)>,
    ) {
        self.head(name, kind, help);
        for (labels, value) in rows {
            self.row(name, &labels, value);
        }
    }
}
