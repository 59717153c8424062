//! `FUNCTION`: this release has no functions, and says so as a server without any would.

use super::container::{HELP, container};
use crate::command::help;
use crate::exec::argument::{Argument, one_of, string, token};
use crate::exec::context::ClientCtx;
use crate::exec::options::{Options, Token};
use crate::exec::spec::category::SCRIPTING;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec};
use base::args::Args;
use base::error::{self, Done, Error};

const EVERYWHERE: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

const FLUSH: Argument = one_of("async", &[token("ASYNC"), token("SYNC")]);
const LIST: &[Argument] =
    &[string("library-name-pattern").token("LIBRARYNAME").optional(), token("WITHCODE").optional()];
const LIST_OPTIONS: &Options = &Options::of(LIST).once();
const LIBRARYNAME: Token = LIST_OPTIONS.token("LIBRARYNAME");
const NAME_MISSING: Error = Error::new("ERR library name argument was not given");

/// `FUNCTION`
pub const FUNCTION: Spec = Spec::for_client("function", -2, Group::Scripting, container)
    .doc("7.0.0", "Depends on the subcommand", &[], "Holds the commands about functions.")
    .subcommands(&[
        Spec::for_client("function|delete", 3, Group::Scripting, delete)
            .flags(WRITE | NOSCRIPT)
            .categories(SCRIPTING)
            .tips(EVERYWHERE)
            .doc("7.0.0", "O(1)", &[string("library-name")], "Removes a library of functions."),
        Spec::for_client("function|flush", -2, Group::Scripting, flush)
            .flags(WRITE | NOSCRIPT)
            .categories(SCRIPTING)
            .tips(EVERYWHERE)
            .doc(
                "7.0.0",
                "O(N) where N is the number of functions removed",
                &[FLUSH.optional()],
                "Removes all functions.",
            ),
        Spec::for_client("function|help", 2, Group::Scripting, help::subcommands)
            .flags(HELP)
            .categories(SCRIPTING)
            .doc("7.0.0", "O(1)", &[], "Lists the subcommands."),
        Spec::for_client("function|kill", 2, Group::Scripting, kill)
            .flags(NOSCRIPT | ALLOW_BUSY)
            .categories(SCRIPTING)
            .tips(&["request_policy:all_shards", "response_policy:one_succeeded"])
            .doc("7.0.0", "O(1)", &[], "Stops the function that runs."),
        Spec::for_client("function|list", -2, Group::Scripting, list)
            .flags(NOSCRIPT)
            .categories(SCRIPTING)
            .tips(&["nondeterministic_output_order"])
            .doc(
                "7.0.0",
                "O(N) where N is the number of functions",
                LIST,
                "Describes all functions.",
            ),
        Spec::for_client("function|stats", 2, Group::Scripting, stats)
            .flags(NOSCRIPT | ALLOW_BUSY)
            .categories(SCRIPTING)
            .tips(&[
                "nondeterministic_output",
                "request_policy:all_shards",
                "response_policy:special",
            ])
            .doc("7.0.0", "O(1)", &[], "Tells which function runs, and what engines there are."),
    ]);

fn delete(_cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    Err(Error::new("ERR Library not found"))
}

fn flush(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    match args.len() {
        2 => {}
        3 if FLUSH.choose(args, 2, [(); 2]).is_some() => {}
        3 => return Err(Error::new("ERR FUNCTION FLUSH only supports SYNC|ASYNC option")),
        _ => return Err(error::subcommand_syntax("function", args.at(1))),
    }
    cx.out.ok();
    Ok(())
}

fn kill(_cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    Err(Error::new("NOTBUSY No scripts in execution right now."))
}

fn list(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let mut options = LIST_OPTIONS.walk(args, 2);
    let is_named = options.by_ref().filter(|option| option.token == LIBRARYNAME).count() > 0;
    match options.rest() {
        Some(index) if !is_named && args.is(index, "LIBRARYNAME") => Err(NAME_MISSING),
        Some(index) => Err(error::with_bytes("ERR Unknown argument ", args.at(index))),
        // There is nothing that could fit.
        None => {
            cx.out.array(0);
            Ok(())
        }
    }
}

fn stats(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.map(2);
    cx.out.bulk(b"running_script");
    cx.out.null();
    cx.out.bulk(b"engines");
    cx.out.map(0);
    Ok(())
}
