//! `COMMANDLOG`, of Valkey 8.1: the slow log under another name, and the commands that were large or
//! had large replies.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::{Done, Error};
use engine::command::help;
use engine::command::server::{CONTAINER_HELP, container, tell_log};
use engine::exec::argument::{Argument, integer, one_of, token};
use engine::exec::context::ClientCtx;
use engine::exec::spec::{Group, Spec, flag::*};
use engine::session::slow::{self, Log};

const FLAGS: u32 = ADMIN | LOADING | STALE;
const NEGATIVE: Error = Error::new("ERR count should be greater than or equal to -1");
const UNKNOWN_TYPE: Error =
    Error::new("ERR type should be one of the following: slow, large-request, large-reply");

const TYPE: Argument =
    one_of("type", &[token("SLOW"), token("LARGE-REQUEST"), token("LARGE-REPLY")]);

/// `COMMANDLOG`
pub const COMMANDLOG: Spec = Spec::for_client("commandlog", -2, Group::Server, container)
    .doc(
        "8.1.0",
        "Depends on the subcommand",
        &[],
        "Holds the commands about slow and large commands.",
    )
    .subcommands(&[
        Spec::for_client("commandlog|get", 4, Group::Server, get)
            .flags(FLAGS)
            .tips(&["request_policy:all_nodes", "nondeterministic_output"])
            .doc(
                "8.1.0",
                "O(N) where N is the number of entries returned",
                &[integer("count"), TYPE],
                "Returns the newest commands of a log: all for -1.",
            ),
        Spec::for_client("commandlog|help", 2, Group::Server, help::subcommands)
            .flags(CONTAINER_HELP)
            .doc("8.1.0", "O(1)", &[], "Lists the subcommands."),
        Spec::for_client("commandlog|len", 3, Group::Server, len)
            .flags(FLAGS)
            .tips(&[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ])
            .doc("8.1.0", "O(1)", &[TYPE], "Tells how many commands a log has."),
        Spec::for_client("commandlog|reset", 3, Group::Server, reset)
            .flags(FLAGS)
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc(
                "8.1.0",
                "O(N) where N is the number of entries of the log",
                &[TYPE],
                "Forgets all commands of a log.",
            ),
    ]);

/// The log that an argument names.
fn log(args: Args<'_>, at: usize) -> Result<Log, Error> {
    TYPE.choose(args, at, [Log::Slow, Log::LargeRequest, Log::LargeReply]).ok_or(UNKNOWN_TYPE)
}

fn get(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let count = match args.integer_in(2, -1..=i64::MAX, NEGATIVE)? {
        -1 => usize::MAX,
        count => count as usize,
    };
    tell_log(cx, log(args, 3)?, count);
    Ok(())
}

fn len(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let len = slow::len(cx.keys.core, log(args, 2)?);
    cx.out.count(len);
    Ok(())
}

fn reset(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    slow::clear(cx.keys.core, log(args, 2)?);
    cx.out.ok();
    Ok(())
}
