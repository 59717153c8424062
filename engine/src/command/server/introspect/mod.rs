//! `COMMAND`: what commands there are, all of it taken from their rows.

mod arguments;
mod docs;
mod getkeys;
mod list;
mod row;

use super::HELP;
use crate::command::args::Args;
use crate::command::argument::string;
use crate::command::error::Done;
use crate::command::help;
use crate::command::spec::{Group, Spec, category::CONNECTION};
use crate::context::Ctx;

const FLAGS: u32 = HELP;

/// `COMMAND`
pub const COMMAND: Spec = Spec::new("command", -1, Group::Server, all)
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
        Spec::new("command|count", 2, Group::Server, count)
            .flags(FLAGS)
            .categories(CONNECTION)
            .doc("2.8.13", "O(1)", &[], "Returns the number of commands."),
        Spec::new("command|docs", -2, Group::Server, docs::docs)
            .flags(FLAGS)
            .categories(CONNECTION)
            .tips(&["nondeterministic_output_order"])
            .doc(
                "7.0.0",
                "O(N) where N is the number of commands told of",
                &[string("command-name").multiple().optional()],
                "Returns the documentation of commands, of all if none is named.",
            ),
        Spec::new("command|getkeys", -4, Group::Server, getkeys::get_keys)
            .flags(FLAGS)
            .categories(CONNECTION)
            .doc(
                "2.8.13",
                "O(N) where N is the number of its arguments",
                &[],
                "Returns the arguments of a whole command that are keys.",
            ),
        Spec::new("command|getkeysandflags", -4, Group::Server, getkeys::get_keys_and_flags)
            .flags(FLAGS)
            .categories(CONNECTION)
            .doc(
                "7.0.0",
                "O(N) where N is the number of its arguments",
                &[],
                "Returns the keys of a whole command and what it does with each.",
            ),
        Spec::new("command|help", 2, Group::Server, help::subcommands)
            .flags(FLAGS)
            .categories(CONNECTION)
            .doc("5.0.0", "O(1)", &[], "Lists the subcommands."),
        Spec::new("command|info", -2, Group::Server, info)
            .flags(FLAGS)
            .categories(CONNECTION)
            .tips(&["nondeterministic_output_order"])
            .doc(
                "2.8.13",
                "O(N) where N is the number of commands told of",
                &[string("command-name").multiple().optional()],
                "Returns what is known of commands, of all if none is named.",
            ),
        Spec::new("command|list", -2, Group::Server, list::list)
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
fn rows(cx: &Ctx<'_>) -> Vec<&'static Spec> {
    cx.keys.lane.index.top_level().iter().map(|command| command.spec).collect()
}

fn all(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    let rows = rows(cx);
    cx.out.array(rows.len());
    rows.into_iter().for_each(|spec| row::write(&mut cx.out, spec));
    Ok(())
}

fn count(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    let count = cx.keys.lane.index.top_level().len();
    cx.out.count(count);
    Ok(())
}

fn info(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() == 2 {
        return all(cx, args);
    }
    cx.out.array(args.len() - 2);
    for name in args.from(2) {
        match cx.keys.lane.spec(name) {
            Some(spec) => row::write(&mut cx.out, spec),
            None => cx.out.null(),
        }
    }
    Ok(())
}
