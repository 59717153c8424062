//! The host table: where every function that logic may call comes from.
//!
//! Everything else in the shell lies below this, and nothing but the command line above it: who
//! needs the table is given it.

mod process;
mod server;

use abi::client_ref::ClientRef;
use abi::host::{GenerationInfo, Host, HostRef, level};
use abi::status::Status;
use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::RStr;

use crate::aof;
use crate::arena::calls;
use crate::backup;
use crate::capture;
use crate::exchange;
use crate::logic::ticks;
use crate::mapped;
use crate::saving;
use crate::upgrade::board::COUNTERS;
use crate::upgrade::wire;

static TABLE: WithMetadata<Host> = WithMetadata::new(Host {
    abi_version,
    arena: calls::arena,
    alloc: calls::alloc,
    free: calls::free,
    realloc: calls::realloc,
    usable: calls::usable,
    used_bytes: calls::used_bytes,
    unix_us: calls::unix_us,
    monotonic_ns: calls::monotonic_ns,
    tick_q32_ns: ticks::tick_q32_ns,
    random: calls::random,
    log,
    lock_wait: calls::lock_wait,
    lock_wake: calls::lock_wake,
    sleep_us: calls::sleep_us,
    post: server::post,
    wake_workers: server::wake_workers,
    submit: server::submit,
    config_changed: server::config_changed,
    config_rewrite: server::config_rewrite,
    config_file: server::config_file,
    process_info: process::process_info,
    generation_info,
    admin,
    shutdown: server::shutdown,
    exchange: exchange::begin,
    scattered_bytes: calls::scattered_bytes,
    begin_compaction: calls::begin_compaction,
    end_compaction: calls::end_compaction,
    is_to_move: calls::is_to_move,
    read_file: server::read_file,
    replace_file: server::replace_file,
    save_begin: saving::begin,
    save_append: saving::append,
    save_end: saving::end,
    save_info: saving::info,
    map_file: mapped::map_file,
    unmap_file: mapped::unmap_file,
    serve_others: server::serve_others,
    rewrite_begin: aof::rewrite_begin,
    rewrite_from: aof::rewrite_from,
    backup_begin: backup::backup_begin,
    backup_from: backup::backup_from,
    capturing: capture::capturing,
    captured: capture::captured,
});

/// The table. It lives as long as the process, and works before there is a server: then those
/// functions that need one do nothing.
pub fn table() -> HostRef {
    HostRef(TABLE.static_as_prefix())
}

extern "C" fn abi_version() -> u32 {
    abi::version::ABI_VERSION
}

/// Logic has no `tracing` of its own: its call sites would be statics that vanish with it.
extern "C" fn log(at: u32, text: RStr<'_>) {
    let text = text.as_str();
    match at {
        level::ERROR => tracing::error!(target: "logic", "{text}"),
        level::WARN => tracing::warn!(target: "logic", "{text}"),
        level::INFO => tracing::info!(target: "logic", "{text}"),
        _ => tracing::debug!(target: "logic", "{text}"),
    }
}

extern "C" fn generation_info() -> GenerationInfo {
    COUNTERS.info()
}

extern "C" fn admin(client: ClientRef, verb: RStr<'_>, argument: RStr<'_>, detail: u64) -> Status {
    wire::admin(client, verb.as_str(), argument.as_str(), detail)
}
