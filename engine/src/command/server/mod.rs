//! The server itself: what it tells of itself, its settings, and how it is looked after.

mod config;
mod debug;
mod info;
mod introspect;
mod shell;

use crate::command::error::{Done, Error};
use crate::command::spec::{Group, Spec, category, flag::*};
use crate::context::Ctx;

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    introspect::COMMAND,
    config::CONFIG,
    Spec::new("debug", -2, Group::Server, debug::debug)
        .flags(ADMIN | NOSCRIPT | LOADING | STALE | LOCKS_ITSELF)
        .doc("1.0.0", "Depends on subcommand.", "", "A container for debugging commands."),
    Spec::new("info", -1, Group::Server, info::info)
        .flags(LOADING | STALE)
        .categories(category::DANGEROUS)
        .tips(&["nondeterministic_output", "request_policy:all_shards", "response_policy:special"])
        .doc(
            "1.0.0",
            "O(1)",
            "[section [section ...]]",
            "Tells what the server does and has done.",
        ),
    shell::SHELL,
];

/// Flags of `HELP` of most containers.
const HELP: u32 = LOADING | STALE;
/// Flags of subcommands for administrators.
const ADMINISTRATION: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

/// The code of a command that has subcommands; dispatch never runs it.
fn container(_cx: &mut Ctx<'_>, _args: crate::command::args::Args<'_>) -> Done {
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
