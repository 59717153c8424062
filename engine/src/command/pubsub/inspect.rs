//! `PUBSUB`: which channels there are, and how many listen.

use crate::exec::context::ClientCtx;
use crate::session::pubsub::{self, Kind};
use base::args::Args;
use base::error::{Done, subcommand_syntax};
use base::glob;

const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Channels with subscribers whose names match the pattern; all without one.",
    "NUMPAT",
    "    How many patterns have subscribers.",
    "NUMSUB [<channel> ...]",
    "    How many subscribers the channels have, patterns left out.",
    "SHARDCHANNELS [<pattern>]",
    "    Shard channels with subscribers whose names match the pattern; all without one.",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    How many subscribers the shard channels have.",
    "HELP",
    "    Print this help.",
];

pub fn help(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.simple_lines(HELP);
    Ok(())
}

pub fn channels(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    list(cx, args, Kind::Channel)
}

pub fn shardchannels(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    list(cx, args, Kind::Shard)
}

pub fn numsub(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    count(cx, args, Kind::Channel)
}

pub fn shardnumsub(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    count(cx, args, Kind::Shard)
}

pub fn numpat(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let patterns = pubsub::names(cx.keys.core, Kind::Pattern).len();
    cx.out.count(patterns);
    Ok(())
}

fn list(cx: &mut ClientCtx<'_>, args: Args<'_>, kind: Kind) -> Done {
    if args.len() > 3 {
        return Err(subcommand_syntax("pubsub", args.at(1)));
    }
    let mut names = pubsub::names(cx.keys.core, kind);
    if let Some(pattern) = args.get(2) {
        names.retain(|(name, _)| glob::matches(pattern, name, false));
    }
    cx.out.array(names.len());
    names.iter().for_each(|(name, _)| cx.out.bulk(name));
    Ok(())
}

fn count(cx: &mut ClientCtx<'_>, args: Args<'_>, kind: Kind) -> Done {
    // Pairs, but never a map: so Redis replies in both protocols.
    cx.out.array(2 * (args.len() - 2));
    for name in args.from(2) {
        let subscribers = pubsub::subscriber_count(cx.keys.core, kind, name);
        cx.out.bulk(name);
        cx.out.count(subscribers);
    }
    Ok(())
}
