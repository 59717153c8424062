//! `OBJECT`: what is known of a key beside its value.

use base::args::Args;
use base::error::{Done, Error};
use crate::exec::context::Ctx;
use keyspace::Keys;
use base::settings::Policy;
use value::{self, string};

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
    let name = cx.keys.examine(args.at(2), |_, entry| value::encoding_name(entry));
    cx.out.bulk_or_null(name.map(str::as_bytes));
    Ok(())
}

pub fn refcount(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let count = cx.keys.examine(args.at(2), |keys, entry| {
        let value = string::stored_integer(entry).filter(|value| SHARED_INTEGERS.contains(value));
        if value.is_some() && shares_integers(keys) { SHARED_COUNT } else { 1 }
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
    let settings = &keys.lane.settings;
    let unclocked = settings.policy.is_random()
        || matches!(settings.policy, Policy::NoEviction | Policy::VolatileTtl);
    settings.maxmemory == 0 || unclocked
}

pub fn idletime(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let seconds = cx.keys.examine(args.at(2), |keys, entry| keys.idle_ms(entry) as i64 / 1000);
    if seconds.is_some() && cx.keys.lane.settings.policy.is_lfu() {
        return Err(IS_LFU);
    }
    reply(cx, seconds);
    Ok(())
}

pub fn freq(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let frequency = cx.keys.examine(args.at(2), |keys, entry| keys.frequency(entry) as i64);
    if frequency.is_some() && !cx.keys.lane.settings.policy.is_lfu() {
        return Err(IS_NOT_LFU);
    }
    reply(cx, frequency);
    Ok(())
}
