//! `ACL`: users, what they may do, and what they were refused.

mod dryrun;
mod genpass;
mod log;
mod show;
mod users;

use super::container::{ADMINISTRATION, HELP, container};
use crate::command::help;
use crate::exec::argument::{integer, string};
use crate::exec::secrets::Secrets;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, RunForClient, Spec};

const ANYBODY: u32 = NOSCRIPT | LOADING | STALE;

const fn row(name: &'static str, arity: i16, flags: u32, run: RunForClient) -> Spec {
    Spec::for_client(name, arity, Group::Server, run).flags(flags)
}

/// `ACL`
pub const ACL: Spec = row("acl", -2, 0, container)
    .doc("6.0.0", "Depends on the subcommand", &[], "Holds the commands about access rules.")
    .subcommands(&[
        row("acl|cat", -2, ANYBODY, show::cat).doc(
            "6.0.0",
            "O(1), as there are ever so many categories and commands",
            &[string("categoryname").optional()],
            "Lists the categories of commands, or the commands of one.",
        ),
        row("acl|deluser", -3, ADMINISTRATION, users::deluser).doc(
            "6.0.0",
            "O(N) where N is the number of users, and of connections",
            &[string("username").multiple()],
            "Removes users, and closes their connections.",
        ),
        row("acl|dryrun", -4, ADMINISTRATION, dryrun::dryrun).doc(
            "7.0.0",
            "O(1)",
            &[string("username"), string("command"), string("arg").optional().multiple()],
            "Tells whether a user may run a command, without running it.",
        ),
        row("acl|genpass", -2, ANYBODY, genpass::genpass).doc(
            "6.0.0",
            "O(1)",
            &[integer("bits").optional()],
            "Makes a password that nobody can guess.",
        ),
        row("acl|getuser", 3, ADMINISTRATION, show::getuser)
            .history(&[
                ("6.2.0", "Tells channels."),
                ("7.0.0", "Tells selectors, and keys and channels as rules."),
            ])
            .doc(
                "6.0.0",
                "O(N) where N is the number of rules of the user",
                &[string("username")],
                "Returns the rules of a user.",
            ),
        row("acl|help", 2, HELP, help::subcommands).doc(
            "6.0.0",
            "O(1)",
            &[],
            "Lists the subcommands.",
        ),
        row("acl|list", 2, ADMINISTRATION, show::list).doc(
            "6.0.0",
            "O(N) where N is the number of users",
            &[],
            "Lists the users with their rules, as in the file of users.",
        ),
        row("acl|load", 2, ADMINISTRATION, users::load).doc(
            "6.0.0",
            "O(N) where N is the number of users, and of connections",
            &[],
            "Reads the users from their file.",
        ),
        row("acl|log", -2, ADMINISTRATION, log::log).history(&[]).doc(
            "6.0.0",
            "O(N) where N is the number of entries",
            log::LOG,
            "Lists what was refused lately, or forgets it.",
        ),
        row("acl|save", 2, ADMINISTRATION, users::save).doc(
            "6.0.0",
            "O(N) where N is the number of users",
            &[],
            "Writes the users to their file.",
        ),
        row("acl|setuser", -3, ADMINISTRATION, users::setuser)
            .history(&[
                ("6.2.0", "Takes patterns for channels."),
                ("7.0.0", "Takes selectors, and patterns for keys that may be read, or changed."),
            ])
            .secrets(Secrets::From(2))
            .doc(
                "6.0.0",
                "O(N) where N is the number of users, and of connections",
                &[string("username"), string("rule").optional().multiple()],
                "Makes or changes a user.",
            ),
        row("acl|users", 2, ADMINISTRATION, show::users).doc(
            "6.0.0",
            "O(N) where N is the number of users",
            &[],
            "Lists the users by their names.",
        ),
        row("acl|whoami", 2, ANYBODY, show::whoami).doc(
            "6.0.0",
            "O(1)",
            &[],
            "Returns the name of the user that the connection is.",
        ),
    ]);
