//! `COMMAND`: what commands there are, all of it taken from their rows.

mod arguments;
mod docs;
mod getkeys;
mod list;
mod row;

use super::container::HELP;
use crate::command::help;
use crate::exec::argument::string;
use crate::exec::context::ClientCtx;
use crate::exec::spec::category::CONNECTION;
use crate::exec::spec::{Group, Spec};
use base::args::Args;
use base::error::Done;

const FLAGS: u32 = HELP;

/// `COMMAND`
pub const COMMAND: Spec = Spec::for_client("command", -1, Group::Server, all)
    .flags(FLAGS)
    .categories(CONNECTION)
    .tips(&["nondeterministic_output_order"])
    .doc(
        "2.8.13",
        "O(N) where N is the number of all commands",
        &[],
        "Returns what is known of all commands.",
    )
    .subcommands(&[
        Spec::for_client("command|count", 2, Group::Server, count)
            .flags(FLAGS)
            .categories(CONNECTION)
            .doc("2.8.13", "O(1)", &[], "Returns the number of commands."),
        Spec::for_client("command|docs", -2, Group::Server, docs::docs)
            .flags(FLAGS)
            .categories(CONNECTION)
            .tips(&["nondeterministic_output_order"])
            .doc(
                "7.0.0",
                "O(N) where N is the number of commands told of",
                &[string("command-name").multiple().optional()],
                "Returns the documentation of commands, of all if none is named.",
            ),
        Spec::for_client("command|getkeys", -4, Group::Server, getkeys::get_keys)
            .flags(FLAGS)
            .categories(CONNECTION)
            .doc(
                "2.8.13",
                "O(N) where N is the number of its arguments",
                &[],
                "Returns the arguments of a whole command that are keys.",
            ),
        Spec::for_client("command|getkeysandflags", -4, Group::Server, getkeys::get_keys_and_flags)
            .flags(FLAGS)
            .categories(CONNECTION)
            .doc(
                "7.0.0",
                "O(N) where N is the number of its arguments",
                &[],
                "Returns the keys of a whole command and what it does with each.",
            ),
        Spec::for_client("command|help", 2, Group::Server, help::subcommands)
            .flags(FLAGS)
            .categories(CONNECTION)
            .doc("5.0.0", "O(1)", &[], "Lists the subcommands."),
        Spec::for_client("command|info", -2, Group::Server, info)
            .history(&[("7.0.0", "Tells of all commands if none is named.")])
            .flags(FLAGS)
            .categories(CONNECTION)
            .tips(&["nondeterministic_output_order"])
            .doc(
                "2.8.13",
                "O(N) where N is the number of commands told of",
                &[string("command-name").multiple().optional()],
                "Returns what is known of commands, of all if none is named.",
            ),
        Spec::for_client("command|list", -2, Group::Server, list::list)
            .flags(FLAGS)
            .categories(CONNECTION)
            .tips(&["nondeterministic_output_order"])
            .doc(
                "7.0.0",
                "O(N) where N is the number of all commands",
                list::LIST,
                "Returns the names of commands, of all or of those that a filter lets pass.",
            ),
    ]);

/// The rows of all commands, without subcommands.
fn rows(cx: &ClientCtx<'_>) -> Vec<&'static Spec> {
    cx.exec.index.top_level().iter().map(|command| command.spec).collect()
}

fn all(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let rows = rows(cx);
    cx.out.array(rows.len());
    rows.into_iter().for_each(|spec| row::write(&mut cx.out, spec));
    Ok(())
}

fn count(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let count = cx.exec.index.top_level().len();
    cx.out.count(count);
    Ok(())
}

fn info(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if args.len() == 2 {
        return all(cx, args);
    }
    cx.out.array(args.len() - 2);
    for name in args.from(2) {
        match cx.exec.spec(name) {
            Some(spec) => row::write(&mut cx.out, spec),
            None => cx.out.null(),
        }
    }
    Ok(())
}
