//! What the commands with subcommands share.

use crate::exec::context::ClientCtx;
use crate::exec::spec::flag::*;
use base::args::Args;
use base::error::{Done, Error};
use base::settings::row::{Permission, Setting};

/// Flags of `HELP` of most containers.
pub const HELP: u32 = LOADING | STALE;
/// Flags of subcommands for administrators.
pub const ADMINISTRATION: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

/// The code of a command that has subcommands; dispatch never runs it.
pub fn container(_cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    Err(Error::new("ERR a subcommand is missing"))
}

/// Whether a setting of `no`, `yes` and `local` allows something to this client.
pub fn is_allowed(cx: &ClientCtx<'_>, setting: Setting<Permission>) -> bool {
    match cx.keys.core.get(setting) {
        Permission::No => false,
        Permission::Yes => true,
        Permission::Local => cx.session.has(abi::client::flag::LOCAL),
    }
}
