//! Subcommands of `CLIENT` that Redis has had since 7.2: `SETINFO` and `NO-TOUCH`; and the rows of
//! those that later releases changed.
#![forbid(unsafe_code)]

use abi::client::flag;
use engine::base::args::Args;
use engine::base::error::{self, Done, Error};
use engine::command::connection::{ENABLED, HELP, OWN, row, switch};
use engine::command::subcommand;
use engine::exec::argument::{Argument, one_of, string};
use engine::exec::context::ClientCtx;
use engine::exec::release;
use engine::exec::spec::{Spec, flag::*};
use engine::session::clients::{self, Text};

use crate::clients::{KILL, LIST, info, kill, list};

/// The engine's `CLIENT`, with what came later.
pub const CLIENT: Spec = {
    const ENGINES: Spec = engine::command::row("client");
    const SUBCOMMANDS: &[Spec] =
        &release::changed::<{ ENGINES.subcommands.len() + 2 }>(ENGINES.subcommands, CHANGED);
    ENGINES.subcommands(SUBCOMMANDS)
};

const TO_ALL: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const CHANGED: &[Spec] = &[
    subcommand("client", "client|help").run_for_client(help),
    subcommand("client", "client|info").run_for_client(info),
    subcommand("client", "client|kill")
        .run_for_client(kill)
        .arguments(KILL)
        .flags(LOCKS_ITSELF)
        .history(&with_more::<6>(
            subcommand("client", "client|kill").history,
            &[("7.4.0", "Takes MAXAGE.")],
        )),
    subcommand("client", "client|list").run_for_client(list).arguments(LIST).history(
        &with_more::<9>(
            subcommand("client", "client|list").history,
            &[
                ("7.2.0", "Tells lib-name and lib-ver."),
                ("7.4.0", "Tells watch."),
                ("8.0.0", "Tells io-thread."),
            ],
        ),
    ),
    subcommand("client", "client|setname").tips(TO_ALL),
    row("client|no-touch", 3, no_touch).flags(OWN).doc(
        "7.2.0",
        "O(1)",
        &[ENABLED],
        "Says whether the connection's reads count as use of the keys.",
    ),
    row("client|setinfo", 4, setinfo).flags(OWN).tips(TO_ALL).doc(
        "7.2.0",
        "O(1)",
        &[LIBRARY],
        "Tells which client library the connection is used by.",
    ),
];

/// What has changed, and what has changed since.
const fn with_more<const N: usize>(
    history: &[(&'static str, &'static str)],
    more: &[(&'static str, &'static str)],
) -> [(&'static str, &'static str); N] {
    assert!(history.len() + more.len() == N, "there are as many");
    let mut all = [more[0]; N];
    let mut at = 0;
    while at < N {
        all[at] = if at < history.len() { history[at] } else { more[at - history.len()] };
        at += 1;
    }
    all
}

const ADDED_HELP: &[&str] = &[
    "KILL and LIST with <option> <value> [<option> <value> [...]]",
    "    Also: MAXAGE <seconds>, IDLE <seconds>, NAME <name>, FLAGS <letters>, DB <index>, IP <ip>,",
    "    LIB-NAME <name>, LIB-VER <version>, ID <id> [<id> ...]; and NOT- before any of them but",
    "    MAXAGE, IDLE and SKIPME, for connections to which it does not apply.",
    "NO-TOUCH (ON|OFF)",
    "    Whether reads of this connection leave the keys' access time as it is.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Tell which client library uses this connection.",
];

fn help(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let (commands, itself) = HELP.split_at(HELP.len() - 2);
    cx.out.simple_lines(&[commands, ADDED_HELP, itself].concat());
    Ok(())
}

/// What `CLIENT SETINFO` is told.
const LIBRARY: Argument =
    one_of("attr", &[string("libname").token("LIB-NAME"), string("libver").token("LIB-VER")]);

fn setinfo(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let option = args.text(2);
    let Some(text) = LIBRARY.choose(args, 2, [Text::LibName, Text::LibVersion]) else {
        return Err(error::with_quoted("ERR Unrecognized option ", args.at(2)));
    };
    if !clients::is_plain(args.at(3)) {
        let rule = "cannot contain spaces, newlines or special characters.";
        return Err(Error::owned(format!("ERR {option} {rule}")));
    }
    clients::set_text(cx.data.keys.core, cx.session.state(), text, args.at(3));
    cx.out.ok();
    Ok(())
}

fn no_touch(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    switch(cx, args, flag::NO_TOUCH)
}
