//! `SLOWLOG`: commands that took long.

use super::container::{ADMINISTRATION, HELP, container};
use crate::command::help;
use crate::exec::argument::integer;
use crate::exec::context::ClientCtx;
use crate::exec::spec::flag::NOSCRIPT;
use crate::exec::spec::{Group, Spec};
use crate::session::slow::{self, Log};
use base::args::Args;
use base::error::{self, Done, Error};

const FLAGS: u32 = ADMINISTRATION & !NOSCRIPT;
const COUNT_DEFAULT: usize = 10;
const NEGATIVE: Error = Error::new("ERR count should be greater than or equal to -1");

/// `SLOWLOG`
pub const SLOWLOG: Spec = Spec::for_client("slowlog", -2, Group::Server, container)
    .doc("2.2.12", "Depends on the subcommand", &[], "Holds the commands about slow commands.")
    .subcommands(&[
        Spec::for_client("slowlog|get", -2, Group::Server, get)
            .history(&[("4.0.0", "Tells the client's address and name.")])
            .flags(FLAGS)
            .tips(&["request_policy:all_nodes", "nondeterministic_output"])
            .doc(
                "2.2.12",
                "O(N) where N is the number of entries returned",
                &[integer("count").optional()],
                "Returns the newest slow commands: 10 if no count is given, all for -1.",
            ),
        Spec::for_client("slowlog|help", 2, Group::Server, help::subcommands).flags(HELP).doc(
            "6.2.0",
            "O(1)",
            &[],
            "Lists the subcommands.",
        ),
        Spec::for_client("slowlog|len", 2, Group::Server, len)
            .flags(FLAGS)
            .tips(&[
                "request_policy:all_nodes",
                "response_policy:agg_sum",
                "nondeterministic_output",
            ])
            .doc("2.2.12", "O(1)", &[], "Tells how many slow commands are kept."),
        Spec::for_client("slowlog|reset", 2, Group::Server, reset)
            .flags(FLAGS)
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc(
                "2.2.12",
                "O(N) where N is the number of entries kept",
                &[],
                "Forgets all slow commands.",
            ),
    ]);

fn get(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let count = match args.len() {
        2 => COUNT_DEFAULT,
        3 => match args.integer_in(2, -1..=i64::MAX, NEGATIVE)? {
            -1 => usize::MAX,
            count => count as usize,
        },
        _ => return Err(error::subcommand_syntax("slowlog", args.at(1))),
    };
    tell(cx, Log::Slow, count);
    Ok(())
}

/// Replies with the newest commands of a log, so many at most.
pub fn tell(cx: &mut ClientCtx<'_>, log: Log, count: usize) {
    let reports = slow::newest(cx.keys.core, log, count);
    cx.out.array(reports.len());
    for report in reports {
        cx.out.array(6);
        cx.out.integer(report.id as i64);
        cx.out.integer(report.time_s as i64);
        cx.out.integer(report.amount as i64);
        cx.out.array(report.args.len());
        report.args.iter().for_each(|arg| cx.out.bulk(arg));
        cx.out.bulk(&report.peer);
        cx.out.bulk(&report.name);
    }
}

fn len(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let len = slow::len(cx.keys.core, Log::Slow);
    cx.out.count(len);
    Ok(())
}

fn reset(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    slow::clear(cx.keys.core, Log::Slow);
    cx.out.ok();
    Ok(())
}
