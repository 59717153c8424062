//! Sections about the process and what it is part of.

use core::sync::atomic::Ordering::Relaxed;

use abi::container::RawBytes;

use super::Text;
use crate::exec::release::Release;
use crate::session::census;
use base::bytes::take_text;
use base::core::Core;
use base::settings::setting;
use base::sha1;

pub fn server(core: &mut Core, release: &Release, text: &mut Text) {
    let process = core.host.process_info()();
    let hz = core.get(setting::HZ);
    let uptime_s = (core.clock.now_ms as u64).saturating_sub(core.roots.shared().started_ms) / 1000;
    text.field("redis_version", release.redis_version);
    text.field("redis_git_sha1", "00000000");
    text.field("redis_git_dirty", 0);
    text.field("redis_build_id", 0);
    text.field("redis_mode", "standalone");
    text.field("shell_version", env!("CARGO_PKG_VERSION"));
    text.field("os", format_args!("{} {}", os(), std::env::consts::ARCH));
    text.field("arch_bits", usize::BITS);
    text.field("monotonic_clock", "POSIX clock_gettime");
    text.field("multiplexing_api", "epoll");
    text.field("atomicvar_api", "rust-core");
    // What Redis says that was built by another compiler.
    text.field("gcc_version", "0.0.0");
    text.field("process_id", process.pid);
    text.field("process_supervised", "no");
    text.field("run_id", core.roots.run_id());
    text.field("tcp_port", process.port);
    text.field("server_time_usec", core.host.unix_us()());
    text.field("uptime_in_seconds", uptime_s);
    text.field("uptime_in_days", uptime_s / 86_400);
    text.field("hz", hz);
    text.field("configured_hz", hz);
    text.field("lru_clock", (core.clock.now_ms / 1000) & 0xff_ffff);
    text.field("executable", executable());
    text.field("config_file", config_file(core));
    text.field("workers", process.workers);
    text.field("io_threads_active", 0);
}

fn os() -> String {
    let line = |path| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    format!("{} {}", line("/proc/sys/kernel/ostype"), line("/proc/sys/kernel/osrelease"))
}

fn executable() -> String {
    std::env::current_exe().map_or(String::new(), |path| path.display().to_string())
}

/// The path of the configuration file; empty without one.
pub fn config_file(core: &Core) -> String {
    let mut path = RawBytes::EMPTY;
    // On failure the path stays empty, which is what is told then.
    let _ = core.host.config_file()(&mut path);
    take_text(&mut path, core.heap)
}

pub fn logic(core: &mut Core, release: &Release, text: &mut Text) {
    let current = core.host.generation_info()();
    text.field("logic_name", release.name);
    text.field("logic_version", release.version);
    text.field("logic_generation", current.generation);
    text.field("logic_upgrades", current.upgrades);
    text.field("logic_rollbacks", current.rollbacks);
    text.field("logic_refused", current.refused);
    text.field("logic_last_commit_usec", current.last_commit_us);
    text.field("logic_loaded", current.loaded);
    text.field("logic_pinned", current.pinned);
    for (index, change) in release.changes.iter().enumerate() {
        text.field(&format!("logic_change_{}", index + 1), change);
    }
}

pub fn clients(core: &mut Core, text: &mut Text) {
    let summary = census::summary(core);
    text.field("connected_clients", summary.connected);
    text.field("cluster_connections", 0);
    text.field("maxclients", core.get(setting::MAXCLIENTS));
    text.field("client_recent_max_input_buffer", summary.input_bytes_max);
    text.field("client_recent_max_output_buffer", summary.output_bytes_max);
    let blocked = core.roots.shared().blocked_clients.load(Relaxed) as u64;
    text.field("blocked_clients", blocked + summary.postponed);
    let tracking = &core.roots.shared().tracking_totals;
    text.field("tracking_clients", tracking.clients.load(Relaxed));
    text.field("clients_in_timeout_table", summary.with_deadline);
}

pub fn replication(core: &mut Core, text: &mut Text) {
    text.field("role", "master");
    text.field("connected_slaves", 0);
    text.field("master_failover_state", "no-failover");
    text.field("master_replid", replication_id(core));
    text.field("master_replid2", "0".repeat(40));
    text.field("master_repl_offset", 0);
    text.field("second_repl_offset", -1);
    text.field("repl_backlog_active", 0);
    text.field("repl_backlog_size", core.get(setting::REPL_BACKLOG_SIZE));
    text.field("repl_backlog_first_byte_offset", 0);
    text.field("repl_backlog_histlen", 0);
}

/// The id of this server's data: that of its run until it is asked for another.
fn replication_id(core: &Core) -> String {
    let run_id = core.roots.run_id();
    match core.roots.shared().replication_id_changes.load(Relaxed) {
        0 => run_id,
        changes => sha1::to_hex(&sha1::digest(format!("{run_id}{changes}").as_bytes())),
    }
}

pub fn cpu(core: &mut Core, text: &mut Text) {
    let process = core.host.process_info()();
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.field("used_cpu_sys", seconds(process.cpu_system_us));
    text.field("used_cpu_user", seconds(process.cpu_user_us));
    text.field("used_cpu_sys_children", seconds(0));
    text.field("used_cpu_user_children", seconds(0));
    text.field("used_cpu_sys_main_thread", seconds(process.thread_system_us));
    text.field("used_cpu_user_main_thread", seconds(process.thread_user_us));
}
