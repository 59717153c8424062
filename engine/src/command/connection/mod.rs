//! Connections: who a client is, in which protocol it is spoken to, and what may be done with it.

mod basic;
mod client;
mod hello;
mod list;
mod pause;
mod tracking;
mod unblock;

pub use client::{ENABLED, HELP, kill, kill_those, switch};
pub use list::{tell_all, tell_own};

use crate::exec::argument::{integer, string};
use crate::exec::secrets::Secrets;
use crate::exec::spec::category::CONNECTION;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec};

/// Flags of commands that concern nothing but their connection.
pub const OWN: u32 = NOSCRIPT | LOADING | STALE;
/// Flags of commands by which a connection comes into the state it can be used in, or leaves it.
const ENTRY: u32 = OWN | FAST | NO_AUTH | ALLOW_BUSY;
/// Flags of commands about other connections.
const OTHERS: u32 = OWN | ADMIN;

/// A row about the connection.
pub const fn row(name: &'static str, arity: i16, run: crate::exec::spec::RunForClient) -> Spec {
    Spec::for_client(name, arity, Group::Connection, run).categories(CONNECTION)
}

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    row("auth", -2, hello::auth)
        .history(&[("6.0.0", "Takes the name of a user.")])
        .flags(ENTRY)
        .secrets(Secrets::From(1))
        .doc(
            "1.0.0",
            "O(N) where N is the number of passwords of the user",
            &[string("username").optional().since("6.0.0"), string("password")],
            "Proves who the client is.",
        ),
    Spec::for_client("client", -2, Group::Connection, client::help).subcommands(CLIENT).doc(
        "2.4.0",
        "Depends on the subcommand",
        &[],
        "Holds the commands about connections.",
    ),
    row("echo", 2, basic::echo).flags(LOADING | STALE | FAST).doc(
        "1.0.0",
        "O(1)",
        &[string("message")],
        "Returns the message.",
    ),
    row("hello", -1, hello::hello)
        .history(&[("6.2.0", "Without a version it tells of the connection as it is.")])
        .flags(ENTRY)
        .secrets(hello::SECRETS)
        .doc(
            "6.0.0",
            "O(1)",
            hello::HELLO,
            "Tells about the server, after it has changed protocol, user and name as asked.",
        ),
    row("ping", -1, basic::ping)
        .flags(FAST | SUBSCRIBER)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .doc("1.0.0", "O(1)", &[string("message").optional()], "Returns the message, or PONG."),
    row("quit", -1, basic::quit).flags(ENTRY | SUBSCRIBER | NOT_QUEUED | UNWATCHES).doc(
        "1.0.0",
        "O(1)",
        &[],
        "Closes the connection once all replies have been sent.",
    ),
    row("reset", 1, basic::reset).flags(ENTRY | SUBSCRIBER | NOT_QUEUED).doc(
        "6.2.0",
        "O(1)",
        &[],
        "Puts the connection into the state it was in when it was opened.",
    ),
    row("select", 2, basic::select).flags(LOADING | STALE | FAST).doc(
        "1.0.0",
        "O(1)",
        &[integer("index")],
        "Selects the database of the connection.",
    ),
];

const CLIENT: &[Spec] = &[
    row("client|caching", 3, tracking::caching).flags(OWN).doc(
        "6.0.0",
        "O(1)",
        &[tracking::CACHING],
        "Says whether keys that the next command or transaction reads are tracked.",
    ),
    row("client|getname", 2, client::getname).flags(OWN).doc(
        "2.6.9",
        "O(1)",
        &[],
        "Returns the name of the connection.",
    ),
    row("client|getredir", 2, tracking::getredir).flags(OWN).doc(
        "6.0.0",
        "O(1)",
        &[],
        "Returns the connection that gets this one's invalidation messages.",
    ),
    row("client|help", 2, client::help).flags(LOADING | STALE).doc(
        "5.0.0",
        "O(1)",
        &[],
        "Explains the subcommands.",
    ),
    row("client|id", 2, client::id).flags(OWN).doc(
        "5.0.0",
        "O(1)",
        &[],
        "Returns the number of the connection.",
    ),
    row("client|info", 2, list::info)
        .flags(OWN | LOCKS_ITSELF)
        .tips(&["nondeterministic_output"])
        .doc("6.2.0", "O(1)", &[], "Describes the connection in a line."),
    row("client|kill", -3, client::kill)
        .history(&[
            ("2.8.12", "Takes filters."),
            ("2.8.12", "One of them is ID."),
            ("3.2.0", "TYPE may be master."),
            ("5.0.0", "TYPE may be replica, which slave means too."),
            ("6.2.0", "Takes LADDR."),
        ])
        .flags(OTHERS)
        .doc(
            "2.4.0",
            "O(N) where N is the number of connections",
            client::KILL,
            "Closes connections.",
        ),
    row("client|list", -2, list::list)
        .history(&[
            ("2.8.12", "Tells ids."),
            ("5.0.0", "Takes TYPE."),
            ("6.0.0", "Tells users."),
            ("6.2.0", "Takes ID, and tells argv-mem, tot-mem, laddr and redir."),
            ("7.0.0", "Tells resp, multi-mem, rbs and rbp."),
            ("7.0.3", "Tells ssub."),
        ])
        .flags(OTHERS | LOCKS_ITSELF)
        .tips(&["nondeterministic_output"])
        .doc(
            "2.4.0",
            "O(N) where N is the number of connections",
            list::LIST,
            "Describes connections, a line each.",
        ),
    row("client|no-evict", 3, client::no_evict).flags(OTHERS).doc(
        "7.0.0",
        "O(1)",
        &[client::ENABLED],
        "Says whether the connection may be closed to save memory.",
    ),
    row("client|pause", -3, pause::pause)
        .history(&[("6.2.0", "Takes a mode, of which WRITE is new.")])
        .flags(OTHERS)
        .doc("2.9.50", "O(1)", pause::PAUSE, "Puts off the commands of all clients for a time."),
    // Within a transaction it would leave the array of EXEC's replies short.
    row("client|reply", 3, client::reply).flags(OWN | REFUSED_IN_MULTI).doc(
        "3.2.0",
        "O(1)",
        &[client::REPLY],
        "Says whether the connection wants replies.",
    ),
    row("client|setname", 3, client::setname).flags(OWN).doc(
        "2.6.9",
        "O(1)",
        &[string("connection-name")],
        "Names the connection.",
    ),
    row("client|tracking", -3, tracking::tracking).flags(OWN | LOCKS_ITSELF).doc(
        "6.0.0",
        "O(1). Some options may introduce additional complexity.",
        tracking::TRACKING,
        "Says whether the connection hears of changes to keys that it may have in a cache.",
    ),
    row("client|trackinginfo", 2, tracking::trackinginfo).flags(OWN).doc(
        "6.2.0",
        "O(1)",
        &[],
        "Tells how keys are tracked for the connection.",
    ),
    row("client|unblock", -3, unblock::unblock).flags(OTHERS).doc(
        "5.0.0",
        "O(log N) where N is the number of connections",
        unblock::UNBLOCK,
        "Ends the wait of a client that a command has blocked.",
    ),
    row("client|unpause", 2, pause::unpause).flags(OTHERS).doc(
        "6.2.0",
        "O(N) where N is the number of paused connections",
        &[],
        "Ends the pause of all clients.",
    ),
];
