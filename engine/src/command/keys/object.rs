//! `OBJECT`: what is known of a key beside its value.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{Done, Error};
use base::settings::row::Policy;
use keyspace::{Intent, Keys};
use value::entry::Entry;
use value::string;

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    How the value of the key is stored.",
    "FREQ <key>",
    "    How often the key is used, on a logarithmic scale. Only with an LFU maxmemory-policy.",
    "IDLETIME <key>",
    "    Seconds since the key was last used. Not with an LFU maxmemory-policy.",
    "REFCOUNT <key>",
    "    How many references there are to the value of the key.",
    "HELP",
    "    Print this help.",
];

const IS_LFU: Error = Error::new(
    "ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when \
     switching between policies at runtime LRU and LFU data will take some time to adjust.",
);
const IS_NOT_LFU: Error = Error::new(
    "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that \
     when switching between policies at runtime LRU and LFU data will take some time to adjust.",
);

/// Integers that Redis keeps one object of for all keys, and what it says is their count.
const SHARED_INTEGERS: core::ops::Range<i64> = 0..10_000;
const SHARED_COUNT: i64 = i32::MAX as i64;

pub fn help(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    cx.out.simple_lines(HELP);
    Ok(())
}

pub fn encoding(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let name = cx.keys.entry(args.at(2), Intent::Examine).map(Entry::encoding_name);
    cx.out.bulk_or_null(name.map(str::as_bytes));
    Ok(())
}

pub fn refcount(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let shares = shares_integers(&cx.keys);
    let count = cx.keys.entry(args.at(2), Intent::Examine).map(|entry| {
        let value = string::stored_integer(entry).filter(|value| SHARED_INTEGERS.contains(value));
        if value.is_some() && shares { SHARED_COUNT } else { 1 }
    });
    reply(cx, count);
    Ok(())
}

fn reply(cx: &mut Ctx<'_>, number: Option<i64>) {
    match number {
        Some(number) => cx.out.integer(number),
        None => cx.out.null(),
    }
}

/// Whether integers need no access clock of their own.
fn shares_integers(keys: &Keys<'_>) -> bool {
    let settings = &keys.core.settings;
    let unclocked = settings.policy.is_random()
        || matches!(settings.policy, Policy::NoEviction | Policy::VolatileTtl);
    settings.maxmemory == 0 || unclocked
}

pub fn idletime(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let found = cx.keys.lookup(args.at(2), Intent::Examine);
    let seconds = found.map(|found| found.idle_ms() as i64 / 1000);
    if seconds.is_some() && cx.keys.core.settings.policy.is_lfu() {
        return Err(IS_LFU);
    }
    reply(cx, seconds);
    Ok(())
}

pub fn freq(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let found = cx.keys.lookup(args.at(2), Intent::Examine);
    let frequency = found.map(|found| found.frequency() as i64);
    if frequency.is_some() && !cx.keys.core.settings.policy.is_lfu() {
        return Err(IS_NOT_LFU);
    }
    reply(cx, frequency);
    Ok(())
}
