//! `LATENCY`: events that took long, and how long commands take.

mod graph;
mod report;

use super::container::{ADMINISTRATION, HELP, container};
use crate::command::help;
use crate::exec::argument::string;
use crate::exec::context::ClientCtx;
use crate::exec::spec::{Group, Spec};
use crate::session::latency::{self, History};
use crate::session::stats::{self, CommandTotals, Durations};
use base::args::Args;
use base::error::{Done, Error};

const TIPS: &[&str] =
    &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// `LATENCY`
pub const LATENCY: Spec = Spec::for_client("latency", -2, Group::Server, container)
    .doc("2.8.13", "Depends on the subcommand", &[], "Holds the commands about latency.")
    .subcommands(&[
        Spec::for_client("latency|doctor", 2, Group::Server, report::doctor)
            .flags(ADMINISTRATION)
            .tips(TIPS)
            .doc("2.8.13", "O(1)", &[], "Tells people what the events so far suggest."),
        Spec::for_client("latency|graph", 3, Group::Server, graph)
            .flags(ADMINISTRATION)
            .tips(TIPS)
            .doc("2.8.13", "O(1)", &[string("event")], "Draws the history of an event."),
        Spec::for_client("latency|help", 2, Group::Server, help::subcommands).flags(HELP).doc(
            "2.8.13",
            "O(1)",
            &[],
            "Lists the subcommands.",
        ),
        Spec::for_client("latency|histogram", -2, Group::Server, histogram)
            .flags(ADMINISTRATION)
            .tips(TIPS)
            .doc(
                "7.0.0",
                "O(N) where N is the number of commands told of",
                &[string("command").multiple().optional()],
                "Tells how many calls of commands were no longer than so many microseconds.",
            ),
        Spec::for_client("latency|history", 3, Group::Server, history)
            .flags(ADMINISTRATION)
            .tips(TIPS)
            .doc("2.8.13", "O(1)", &[string("event")], "Returns when an event took how long."),
        Spec::for_client("latency|latest", 2, Group::Server, latest)
            .flags(ADMINISTRATION)
            .tips(TIPS)
            .doc("2.8.13", "O(1)", &[], "Returns the latest sample of each event."),
        Spec::for_client("latency|reset", -2, Group::Server, reset)
            .flags(ADMINISTRATION)
            .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"])
            .doc(
                "2.8.13",
                "O(1)",
                &[string("event").multiple().optional()],
                "Forgets events, all if none is named, and tells how many there were.",
            ),
    ]);

fn latest(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let events = latency::all(cx.keys.core);
    cx.out.array(events.len());
    for event in events {
        let [at_s, ms] = event.samples.last().copied().unwrap_or_default();
        cx.out.array(4);
        cx.out.bulk(event.name.as_bytes());
        cx.out.integer(at_s as i64);
        cx.out.integer(ms as i64);
        cx.out.integer(event.max_ms as i64);
    }
    Ok(())
}

fn history(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let samples = find(cx, args.at(2)).map_or(Vec::new(), |event| event.samples);
    cx.out.array(samples.len());
    for [at_s, ms] in samples {
        cx.out.array(2);
        cx.out.integer(at_s as i64);
        cx.out.integer(ms as i64);
    }
    Ok(())
}

fn find(cx: &ClientCtx<'_>, name: &[u8]) -> Option<History> {
    latency::one(cx.keys.core, std::str::from_utf8(name).ok()?)
}

fn reset(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let core = &*cx.keys.core;
    let names: Vec<String> = match args.len() {
        2 => latency::all(core).into_iter().map(|event| event.name).collect(),
        _ => args.from(2).map(|name| String::from_utf8_lossy(name).into_owned()).collect(),
    };
    let count = names.iter().filter(|name| latency::forget(core, name)).count();
    cx.out.count(count);
    Ok(())
}

fn graph(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let Some(event) = find(cx, args.at(2)).filter(|event| !event.samples.is_empty()) else {
        let name = args.text(2);
        return Err(Error::owned(format!("ERR No samples available for event '{name}'")));
    };
    let now_s = (cx.keys.core.clock.now_ms / 1000) as u32;
    cx.out.verbatim("txt", graph::draw(&event, now_s).as_bytes());
    Ok(())
}

fn histogram(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let roots = cx.keys.core.roots;
    let totals = stats::command_totals(cx.keys.core);
    let all: Vec<(&CommandTotals, Durations)> = totals
        .iter()
        .map(|command| (command, command.durations(roots)))
        .filter(|(_, durations)| durations.count() > 0)
        .collect();
    let mut wanted: Vec<usize> = Vec::new();
    if args.len() == 2 {
        wanted.extend(0..all.len());
    }
    for name in args.from(2) {
        wanted.extend((0..all.len()).filter(|index| is_part_of(all[*index].0.name, name)));
    }
    cx.out.map(wanted.len());
    for index in wanted {
        let (command, durations) = &all[index];
        cx.out.bulk(command.name.as_bytes());
        write_histogram(cx, durations);
    }
    Ok(())
}

/// Whether a command is the one named, or a subcommand of it.
fn is_part_of(command: &str, name: &[u8]) -> bool {
    let container = command.split('|').next().unwrap_or(command);
    [command, container].iter().any(|known| known.as_bytes().eq_ignore_ascii_case(name))
}

/// For durations that double: how many were no longer, wherever that makes a difference.
fn write_histogram(cx: &mut ClientCtx<'_>, durations: &Durations) {
    const EXPONENTS: core::ops::RangeInclusive<u32> = 10..=30;
    let mut steps = Vec::new();
    let mut before = 0;
    for exponent in EXPONENTS {
        let last = exponent == *EXPONENTS.end();
        let count = if last { durations.count() } else { durations.up_to(1 << exponent) };
        if count > before {
            // Rounded up by less than a percent, as those who compare with Redis expect.
            let ns = (1u64 << exponent) + (1 << (exponent - 7)) - 1;
            steps.push((ns / 1000, count));
            before = count;
        }
    }
    cx.out.map(2);
    cx.out.bulk(b"calls");
    cx.out.integer(durations.count() as i64);
    cx.out.bulk(b"histogram_usec");
    cx.out.map(steps.len());
    for (us, count) in steps {
        cx.out.integer(us as i64);
        cx.out.integer(count as i64);
    }
}
