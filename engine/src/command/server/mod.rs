//! The server itself: what it tells of itself, its settings, and how it is looked after.

mod config;
mod debug;
mod function;
mod info;
mod introspect;
mod latency;
mod lolwut;
mod memory;
mod shell;
mod shutdown;
mod slowlog;

use crate::command::args::Args;
use crate::command::argument::{integer, string};
use crate::command::error::{Done, Error};
use crate::command::spec::{Group, Spec, category, flag::*};
use crate::context::Ctx;

/// The version of Redis whose behaviour this is; clients choose their features by it.
pub const REDIS_VERSION: &str = "7.0.15";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    introspect::COMMAND,
    config::CONFIG,
    Spec::new("debug", -2, Group::Server, debug::debug)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | LOCKS_ITSELF | SYSTEM)
        .doc("1.0.0", "Depends on the subcommand", &[], "Holds the commands for debugging."),
    Spec::new("info", -1, Group::Server, info::info)
        .flags(LOADING | STALE | LOCKS_ITSELF)
        .categories(category::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .doc(
            "1.0.0",
            "O(1)",
            &[string("section").multiple().optional()],
            "Tells what the server does and has done.",
        ),
    function::FUNCTION,
    latency::LATENCY,
    Spec::new("lolwut", -1, Group::Server, lolwut::lolwut).flags(READONLY | FAST).doc(
        "5.0.0",
        "",
        &[integer("version").token("VERSION").optional()],
        "Draws something, and tells the version.",
    ),
    memory::MEMORY,
    shell::SHELL,
    Spec::new("shutdown", -1, Group::Server, shutdown::shutdown)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY)
        .doc(
            "1.0.0",
            "O(1), or O(N) for N keys that are saved first",
            shutdown::SHUTDOWN,
            "Stops the server.",
        ),
    slowlog::SLOWLOG,
    Spec::new("time", 1, Group::Server, time)
        .flags(LOADING | STALE | FAST)
        .tips(&["nondeterministic_output"])
        .doc("2.6.0", "O(1)", &[], "Tells the time: Unix seconds, and microseconds."),
];

fn time(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    let now_us = cx.lane().host.unix_us()() as i64;
    cx.out.array(2);
    cx.out.bulk_integer(now_us / 1_000_000);
    cx.out.bulk_integer(now_us % 1_000_000);
    Ok(())
}

/// Flags of `HELP` of most containers.
const HELP: u32 = LOADING | STALE;
/// Flags of subcommands for administrators.
const ADMINISTRATION: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

/// The code of a command that has subcommands; dispatch never runs it.
fn container(_cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    Err(Error::new("ERR a subcommand is missing"))
}

/// Whether a setting of `no`, `yes` and `local` allows something to this client.
fn is_allowed(cx: &Ctx<'_>, setting: u32) -> bool {
    match cx.keys.lane.number(setting) {
        0 => false,
        1 => true,
        _ => cx.session.has(abi::client::flag::LOCAL),
    }
}
