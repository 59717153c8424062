//! What commands that have subcommands share: their own code, and `HELP`, which is made of their rows.

use crate::exec::argument::{Argument, Usage};
use crate::exec::context::ClientCtx;
use crate::exec::spec::flag;
use base::args::Args;
use base::error::{Done, Error};
use base::resp::write::Reply;

/// Flags of `HELP` of most containers.
pub const HELP: u32 = flag::LOADING | flag::STALE;

/// The code of a command that has subcommands; dispatch never runs it.
pub fn container(_cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    Err(Error::new("ERR a subcommand is missing"))
}

/// Lists the subcommands of the command that this is the `HELP` of.
pub fn subcommands(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let container = cx.spec.first_word();
    let Some(at) = cx.exec.index.find(container.as_bytes()) else { return Ok(()) };
    let rows = cx.exec.index[at].spec.subcommands;
    let others = rows.iter().filter(|row| row.short_name() != "help");
    write(
        &mut cx.out,
        container,
        others.map(|row| (usage(row.short_name(), row.arguments), row.summary)),
    );
    Ok(())
}

fn usage(name: &str, arguments: &'static [Argument]) -> String {
    format!("{} {}", name.to_uppercase(), Usage(arguments)).trim_end().to_string()
}

/// Writes usages with what they do, as every `HELP` looks.
pub fn write(
    out: &mut Reply<'_>,
    container: &str,
    entries: impl Iterator<Item = (String, &'static str)>,
) {
    let mut lines =
        vec![format!("{} <subcommand> [<arg> ...]. Subcommands are:", container.to_uppercase())];
    for (usage, summary) in entries.chain([("HELP".into(), "Prints this help.")]) {
        lines.push(usage);
        lines.push(format!("    {summary}"));
    }
    out.array(lines.len());
    lines.iter().for_each(|line| out.simple(line));
}
