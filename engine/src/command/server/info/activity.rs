//! Sections about what has been done.

use core::sync::atomic::Ordering::Relaxed;

use abi::acl::reason;

use super::Text;
use crate::exec::release::Release;
use crate::maintenance::defrag;
use crate::maintenance::expire::upkeep;
use crate::session::acl;
use crate::session::pubsub::{self, Kind};
use crate::session::stats::{self, Rate};
use crate::session::tracking;
use base::core::Core;
use base::settings::setting;

pub fn stats(core: &mut Core, release: &Release, text: &mut Text) {
    let roots = core.roots;
    text.field("total_connections_received", stats::sum(roots, |core| &core.connections));
    text.field("total_commands_processed", stats::sum(roots, |core| &core.commands));
    text.field("instantaneous_ops_per_sec", stats::rate(roots, Rate::Commands));
    text.field("total_net_input_bytes", stats::sum(roots, |core| &core.bytes_in));
    text.field("total_net_output_bytes", stats::sum(roots, |core| &core.bytes_out));
    text.field("total_net_repl_input_bytes", 0);
    text.field("total_net_repl_output_bytes", 0);
    text.field("instantaneous_input_kbps", kilobytes(stats::rate(roots, Rate::BytesIn)));
    text.field("instantaneous_output_kbps", kilobytes(stats::rate(roots, Rate::BytesOut)));
    text.field("instantaneous_input_repl_kbps", "0.00");
    text.field("instantaneous_output_repl_kbps", "0.00");
    text.field("rejected_connections", stats::sum(roots, |core| &core.rejected));
    for name in ["sync_full", "sync_partial_ok", "sync_partial_err"] {
        text.field(name, 0);
    }
    keys(core, text);
    subscriptions(core, text);
    NOT_HERE.iter().for_each(|name| text.field(name, 0));
    defragmentation(core, text);
    tracking(core, text);
    text.field("unexpected_error_replies", 0);
    text.field("total_error_replies", stats::sum(roots, |core| &core.errors));
    text.field("dump_payload_sanitizations", 0);
    text.field("total_reads_processed", stats::sum(roots, |core| &core.reads));
    text.field("total_writes_processed", stats::sum(roots, |core| &core.writes));
    for name in IO_NOT_HERE {
        text.field(name, 0);
    }
    text.field("total_batches_processed", stats::sum(roots, |core| &core.batches));
    text.field("total_panics", stats::sum(roots, |core| &core.panics));
    let dropped = stats::sum(roots, |core| &core.output_limit_closed);
    text.field("client_output_buffer_limit_disconnections", dropped);
    effects(core, text);
    scripts(core, text);
    if release.is_since(7, 2) {
        refusals(core, text);
    }
}

/// What access rules have refused.
fn refusals(core: &Core, text: &mut Text) {
    let refused = |reason| acl::refused_times(core, reason);
    text.field("acl_access_denied_auth", refused(reason::AUTH));
    text.field("acl_access_denied_cmd", refused(reason::COMMAND));
    text.field("acl_access_denied_key", refused(reason::KEY));
    text.field("acl_access_denied_channel", refused(reason::CHANNEL));
}

/// Client-side caching.
fn tracking(core: &Core, text: &mut Text) {
    let totals = &core.roots.shared().tracking_totals;
    text.field("tracking_total_keys", totals.keys.load(Relaxed));
    text.field("tracking_total_items", totals.items.load(Relaxed));
    text.field("tracking_total_prefixes", tracking::prefix_count(core));
}

/// The effects stream (docs/effects.md).
fn effects(core: &Core, text: &mut Text) {
    let Some(stream) = core.effects.stream() else { return };
    let counts = stream.counts();
    text.field("effects_position", stream.position());
    text.field("effects_readers", stream.consumers().len());
    text.field("effects_readers_cut_off", counts.cut_offs);
    text.field("effects_spills", counts.spills);
    text.field("effects_waits", counts.waits);
}

/// Counters of what this server does not do.
const NOT_HERE: [&str; 4] =
    ["latest_fork_usec", "total_forks", "migrate_cached_sockets", "slave_expires_tracked_keys"];

/// The same of reading and writing: there are no threads for that alone, and no buffers that stay
/// with a client and are fitted to it from time to time.
const IO_NOT_HERE: [&str; 4] = [
    "io_threaded_reads_processed",
    "io_threaded_writes_processed",
    "reply_buffer_shrinks",
    "reply_buffer_expands",
];

fn kilobytes(bytes: u64) -> String {
    format!("{:.2}", bytes as f64 / 1024.0)
}

/// Scripts that did not lock everything.
fn scripts(core: &Core, text: &mut Text) {
    let roots = core.roots;
    text.field("scripts_beside_others", stats::sum(roots, |core| &core.scripts_beside));
    text.field("scripts_run_again", stats::sum(roots, |core| &core.scripts_again));
}

/// Active defragmentation.
fn defragmentation(core: &Core, text: &mut Text) {
    let roots = core.roots;
    text.field("active_defrag_hits", stats::sum(roots, |core| &core.defrag_hits));
    text.field("active_defrag_misses", stats::sum(roots, |core| &core.defrag_misses));
    text.field("active_defrag_key_hits", stats::sum(roots, |core| &core.defrag_key_hits));
    text.field("active_defrag_key_misses", stats::sum(roots, |core| &core.defrag_key_misses));
    let current_ms = defrag::current_ms(core);
    let total_ms = stats::sum(roots, |core| &core.defrag_us) / 1000 + current_ms;
    text.field("total_active_defrag_time", total_ms);
    text.field("current_active_defrag_time", current_ms);
}

/// For how long memory has been above `maxmemory`, if it is now.
fn over_maxmemory_ms(core: &Core) -> u64 {
    match upkeep(core.roots).over_maxmemory_since_ns.load(Relaxed) {
        0 => 0,
        since_ns => core.host.monotonic_ns()().saturating_sub(since_ns) / 1_000_000,
    }
}

fn keys(core: &Core, text: &mut Text) {
    let roots = core.roots;
    text.field("expired_keys", stats::sum(roots, |core| &core.expired));
    let fields = upkeep(roots).expired_fields.load(Relaxed);
    if fields > 0 {
        text.field("expired_subkeys", fields);
    }
    let stale_percent = upkeep(roots).stale_ppm.load(Relaxed) as f64 / 10_000.0;
    text.field("expired_stale_perc", format_args!("{stale_percent:.2}"));
    text.field("expired_time_cap_reached_count", stats::sum(roots, |core| &core.expire_time_cap));
    let expire_ms = stats::sum(roots, |core| &core.expire_us) / 1000;
    text.field("expire_cycle_cpu_milliseconds", expire_ms);
    text.field("evicted_keys", stats::sum(roots, |core| &core.evicted));
    text.field("evicted_clients", stats::sum(roots, |core| &core.evicted_clients));
    let current_ms = over_maxmemory_ms(core);
    let over_ms = stats::sum(roots, |core| &core.over_maxmemory_us) / 1000;
    text.field("total_eviction_exceeded_time", over_ms + current_ms);
    text.field("current_eviction_exceeded_time", current_ms);
    text.field("keyspace_hits", stats::sum(roots, |core| &core.hits));
    text.field("keyspace_misses", stats::sum(roots, |core| &core.misses));
}

fn subscriptions(core: &Core, text: &mut Text) {
    for (name, kind) in [
        ("pubsub_channels", Kind::Channel),
        ("pubsub_patterns", Kind::Pattern),
        ("pubsubshard_channels", Kind::Shard),
    ] {
        text.field(name, pubsub::name_count(core, kind));
    }
}

pub fn command_stats(core: &mut Core, text: &mut Text) {
    for command in stats::command_totals(core) {
        let us = command.time_ns / 1000;
        let each = if command.calls == 0 { 0.0 } else { us as f64 / command.calls as f64 };
        text.field(
            &format!("cmdstat_{}", command.name),
            format_args!(
                "calls={},usec={us},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                command.calls, command.rejected, command.failed
            ),
        );
    }
}

pub fn error_stats(core: &mut Core, text: &mut Text) {
    for (name, count) in stats::errors(core) {
        text.field(&format!("errorstat_{name}"), format_args!("count={count}"));
    }
}

pub fn latency_stats(core: &mut Core, text: &mut Text) {
    let percentiles = core.text(setting::LATENCY_PERCENTILES);
    let percentiles = String::from_utf8_lossy(&percentiles).into_owned();
    for command in stats::command_totals(core) {
        let durations = command.durations(core.roots);
        if durations.count() == 0 {
            continue;
        }
        let values: Vec<_> = percentiles
            .split_whitespace()
            .map(|percent| {
                let ns = durations.percentile(percent.parse().unwrap_or(0.0));
                format!("p{percent}={}.{:03}", ns / 1000, ns % 1000)
            })
            .collect();
        text.field(&format!("latency_percentiles_usec_{}", command.name), values.join(","));
    }
}
