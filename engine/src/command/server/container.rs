//! What the commands with subcommands share.

pub use crate::command::help::{HELP, container};
use crate::exec::context::ClientCtx;
use crate::exec::spec::flag::*;
use base::settings::row::{Permission, Setting};

/// Flags of subcommands for administrators.
pub const ADMINISTRATION: u32 = ADMIN | NOSCRIPT | LOADING | STALE;

/// Whether a setting of `no`, `yes` and `local` allows something to this client.
pub fn is_allowed(cx: &ClientCtx<'_>, setting: Setting<Permission>) -> bool {
    match cx.keys.core.get(setting) {
        Permission::No => false,
        Permission::Yes => true,
        Permission::Local => cx.session.has(abi::client::flag::LOCAL),
    }
}
