//! The server itself: what it tells of itself, its settings, and how it is looked after.

mod acl;
mod config;
mod container;
mod debug;
mod info;
mod introspect;
mod latency;
mod lolwut;
mod memory;
mod module;
mod replica;
mod save;
mod shell;
mod shutdown;
mod slowlog;

pub use container::{HELP as CONTAINER_HELP, container};
pub use slowlog::tell as tell_log;

use crate::exec::argument::{integer, string};
use crate::exec::context::ClientCtx;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec, category};
use base::args::Args;
use base::error::Done;

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    acl::ACL,
    save::BGREWRITEAOF,
    save::BGSAVE,
    introspect::COMMAND,
    config::CONFIG,
    Spec::for_client("debug", -2, Group::Server, debug::debug)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | LOCKS_ITSELF | SYSTEM)
        .doc("1.0.0", "Depends on the subcommand", &[], "Holds the commands for debugging."),
    Spec::for_client("info", -1, Group::Server, info::info)
        .history(&[("7.0.0", "Takes several sections.")])
        .flags(LOADING | STALE | LOCKS_ITSELF)
        .categories(category::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .doc(
            "1.0.0",
            "O(1)",
            &[string("section").multiple().optional()],
            "Tells what the server does and has done.",
        ),
    save::LASTSAVE,
    latency::LATENCY,
    Spec::for_client("lolwut", -1, Group::Server, lolwut::lolwut).flags(READONLY | FAST).doc(
        "5.0.0",
        "",
        &[integer("version").token("VERSION").optional()],
        "Draws something, and tells the version.",
    ),
    memory::MEMORY,
    module::MODULE,
    replica::REPLICAOF,
    replica::SLAVEOF,
    Spec::for_client("role", 1, Group::Server, role)
        .flags(NOSCRIPT | LOADING | STALE | FAST)
        .categories(category::ADMIN | category::DANGEROUS)
        .doc("2.8.12", "O(1)", &[], "Tells what the server is to others that have the same data."),
    save::SAVE,
    shell::SHELL,
    Spec::for_client("shutdown", -1, Group::Server, shutdown::shutdown)
        .history(&[("7.0.0", "Takes NOW, FORCE and ABORT.")])
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI | ALLOW_BUSY)
        .doc(
            "1.0.0",
            "O(1), or O(N) for N keys that are saved first",
            shutdown::SHUTDOWN,
            "Stops the server.",
        ),
    slowlog::SLOWLOG,
    Spec::for_client("time", 1, Group::Server, time)
        .flags(LOADING | STALE | FAST)
        .tips(&["nondeterministic_output"])
        .doc("2.6.0", "O(1)", &[], "Tells the time: Unix seconds, and microseconds."),
];

/// A master without replicas, as `INFO replication` tells it.
fn role(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.array(3);
    cx.out.bulk(b"master");
    cx.out.integer(0);
    cx.out.array(0);
    Ok(())
}

fn time(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let now_us = cx.core().host.unix_us()() as i64;
    cx.out.array(2);
    cx.out.bulk_integer(now_us / 1_000_000);
    cx.out.bulk_integer(now_us % 1_000_000);
    Ok(())
}
