//! `SHELL`: upgrades for operators who have nothing but a Redis client.

use super::container::{container, is_allowed};
use crate::command::help;
use crate::exec::admin;
use crate::exec::argument::{Argument, integer, string, token};
use crate::exec::context::ClientCtx;
use crate::exec::options::{Options, Token};
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec};
use base::args::Args;
use base::error::{self, Done, Error};
use base::settings::setting;

const FLAGS: u32 = ADMIN | NOSCRIPT | LOADING | STALE | NO_MULTI;

const OFF: Error = Error::new(
    "ERR SHELL command not allowed. Start the server with enable-shell-command set to \"local\" \
     to allow it to connections from this machine, or to \"yes\" to allow it to all.",
);

const BACKUP: &[Argument] =
    &[string("path"), integer("count").token("KEEP").optional(), token("COMPRESS").optional()];
const BACKUP_OPTIONS: &Options = &Options::of(BACKUP);
const KEEP: Token = BACKUP_OPTIONS.token("KEEP");

const ROLLBACK: &[Argument] = &[
    integer("generation").token("TO").optional(),
    token("CONVERT").optional(),
    token("YES").optional(),
];
const ROLLBACK_OPTIONS: &Options = &Options::of(ROLLBACK).once();
const TO: Token = ROLLBACK_OPTIONS.token("TO");
const CONVERT: Token = ROLLBACK_OPTIONS.token("CONVERT");
const YES: Token = ROLLBACK_OPTIONS.token("YES");

/// `SHELL`
pub const SHELL: Spec = Spec::for_client("shell", -2, Group::Server, container)
    .doc("7.0.0", "Depends on the subcommand", &[], "Holds the commands about the logic.")
    .subcommands(&[
        Spec::for_client("shell|abort", 2, Group::Server, abort).flags(FLAGS).doc(
            "7.0.0",
            "O(1)",
            &[],
            "Withdraws the logic that serves some clients as a canary.",
        ),
        Spec::for_client("shell|backup", -3, Group::Server, backup).flags(FLAGS).doc(
            "7.0.0",
            "O(N) where N is the number of keys in all databases",
            BACKUP,
            "Makes a backup in a folder while others are served, and returns what became of it, as JSON.",
        ),
        Spec::for_client("shell|finalize", 2, Group::Server, finalize).flags(FLAGS).doc(
            "7.0.0",
            "O(1)",
            &[],
            "Ends the probation of the current logic: it stays.",
        ),
        Spec::for_client("shell|help", 2, Group::Server, help::subcommands)
            .flags(LOADING | STALE)
            .doc("7.0.0", "O(1)", &[], "Lists the subcommands."),
        Spec::for_client("shell|history", 2, Group::Server, history).flags(FLAGS).doc(
            "7.0.0",
            "O(N) where N is the number of upgrades so far",
            &[],
            "Returns what was loaded, when, and how it ended, as JSON.",
        ),
        Spec::for_client("shell|promote", 2, Group::Server, promote).flags(FLAGS).doc(
            "7.0.0",
            "O(1)",
            &[],
            "Makes the canary the current logic.",
        ),
        Spec::for_client("shell|replace", -2, Group::Server, replace).flags(FLAGS).doc(
            "7.0.0",
            "O(N) where N is the number of clients",
            &[string("path").optional(), string("option").optional().multiple()],
            "Has another build of the server itself take over, with all keys and clients. Options are those \
             of the command line.",
        ),
        Spec::for_client("shell|rollback", -2, Group::Server, rollback).flags(FLAGS).doc(
            "7.0.0",
            "O(1)",
            ROLLBACK,
            "Puts the logic back that was current before the last upgrade, or that of a generation.",
        ),
        Spec::for_client("shell|status", 2, Group::Server, status).flags(FLAGS).doc(
            "7.0.0",
            "O(1)",
            &[],
            "Returns which logic is current and what an upgrade is doing, as JSON.",
        ),
        Spec::for_client("shell|upgrade", -3, Group::Server, upgrade).flags(FLAGS).doc(
            "7.0.0",
            "O(1)",
            &[string("path"), string("option").optional().multiple()],
            "Makes a library the current logic. Options are those of the command line.",
        ),
    ]);

fn allowed(cx: &ClientCtx<'_>) -> Done {
    if is_allowed(cx, setting::ENABLE_SHELL_COMMAND) { Ok(()) } else { Err(OFF) }
}

fn backup(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    allowed(cx)?;
    let (mut keep, mut compresses) = (0, false);
    let mut options = BACKUP_OPTIONS.walk(args, 3);
    for option in options.by_ref() {
        match option.token {
            KEEP => keep = option.integer()?,
            _ => compresses = true,
        }
    }
    options.finish()?;
    if keep < 0 {
        return Err(error::NOT_INTEGER);
    }
    if args.at(2).is_empty() {
        return Err(Error::new("ERR the path of the folder is empty"));
    }
    let asked = format!("{keep} {} {}", u8::from(compresses), args.text(2));
    admin::request(cx, "backup", &asked)
}

fn history(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    allowed(cx)?;
    admin::request(cx, "history", "")
}

fn rollback(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    allowed(cx)?;
    let given = ROLLBACK_OPTIONS.read(args, 2)?;
    let mut words = Vec::new();
    if let Some(generation) = given.get(TO) {
        let generation = Some(generation.integer()?).filter(|number| *number > 0);
        words.push(generation.ok_or(error::NOT_INTEGER)?.to_string());
    }
    for (token, word) in [(CONVERT, "--convert"), (YES, "--yes")] {
        words.extend(given.has(token).then(|| word.to_owned()));
    }
    admin::request(cx, "rollback", &words.join("\0"))
}

fn status(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    allowed(cx)?;
    admin::request(cx, "status", "")
}

fn abort(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    allowed(cx)?;
    admin::request(cx, "abort", "")
}

fn promote(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    allowed(cx)?;
    admin::request(cx, "promote", "")
}

fn finalize(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    allowed(cx)?;
    admin::request(cx, "finalize", "")
}

/// Options that stand alone, and those that have a value.
const ALONE: [&str; 3] = ["--force", "--no-wait", "--redact"];
const WITH_VALUE: [&str; 7] =
    ["--shadow", "--shadow-time", "--divergences", "--canary", "--step", "--probation", "--guard"];

/// Options of a replacement, likewise.
const REPLACE_ALONE: [&str; 1] = ["--rollback"];
const REPLACE_WITH_VALUE: [&str; 1] = ["--patience"];

fn upgrade(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    allowed(cx)?;
    if args.at(2).is_empty() {
        return Err(Error::new("ERR the path of the library is empty"));
    }
    let words = words(args, args.text(2).into_owned(), 3, &ALONE, &WITH_VALUE)?;
    admin::request(cx, "upgrade", &words)
}

fn replace(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    allowed(cx)?;
    // An option in the place of the path: the file that the server was started from.
    let has_path = args.len() > 2 && !args.at(2).starts_with(b"--");
    let path = if has_path { args.text(2).into_owned() } else { String::new() };
    let from = 2 + usize::from(has_path);
    let words = words(args, path, from, &REPLACE_ALONE, &REPLACE_WITH_VALUE)?;
    admin::request(cx, "replace", &words)
}

/// A path and the options behind it, with a zero byte between two words: there is none in any.
fn words(
    args: Args<'_>,
    path: String,
    from: usize,
    alone: &[&'static str],
    with_value: &[&'static str],
) -> Result<String, Error> {
    let (mut words, mut at, mut count) = (path, from, 0);
    while at < args.len() {
        let option = |names: &[&'static str]| names.iter().copied().find(|name| args.is(at, name));
        let (name, value) = match (option(alone), option(with_value)) {
            (Some(name), _) => (name, None),
            (None, Some(name)) if at + 1 < args.len() => (name, Some(args.text(at + 1))),
            _ => return Err(error::SYNTAX),
        };
        words.push('\0');
        words.push_str(name);
        if let Some(value) = &value {
            words.push('\0');
            words.push_str(value);
        }
        let taken = 1 + usize::from(value.is_some());
        (at, count) = (at + taken, count + taken);
    }
    if words.matches('\0').count() > count {
        return Err(Error::new("ERR a word of the command has a zero byte in it"));
    }
    Ok(words)
}
