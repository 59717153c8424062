//! `ACL LIST` and `ACL GETUSER` with the rules about commands as they were given, which Redis tells
//! since 7.2.
#![forbid(unsafe_code)]

use engine::command::server::{getuser_told, list_told};
use engine::command::subcommand;
use engine::exec::release;
use engine::exec::spec::Spec;

/// The engine's `ACL`, with what is told otherwise.
pub const ACL: Spec = {
    const ENGINES: Spec = engine::command::row("acl");
    const SUBCOMMANDS: &[Spec] = &release::changed::<{ ENGINES.subcommands.len() }>(
        ENGINES.subcommands,
        &[
            subcommand("acl", "acl|getuser").run_for_client(getuser_told),
            subcommand("acl", "acl|list").run_for_client(list_told),
        ],
    );
    ENGINES.subcommands(SUBCOMMANDS)
};
