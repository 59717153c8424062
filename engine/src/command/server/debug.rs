//! `DEBUG`: what tests and developers need.

use super::is_allowed;
use crate::command::args::{Args, parse_float};
use crate::command::error::{self, Done, Error};
use crate::command::help;
use crate::context::Ctx;
use crate::keyspace::lock::{set_of, shard_of};
use crate::settings::id;
use crate::value::string::Ttl;

const OFF: Error = Error::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you \
     can run it from a local connection, otherwise you need to set this option in the \
     configuration file, and then restart the server.",
);

/// A subcommand. `DEBUG` has no rows for them: `COMMAND` does not tell of them.
struct Subcommand {
    name: &'static str,
    /// Arguments, `DEBUG` and the name included: at least, at most.
    arguments: core::ops::RangeInclusive<usize>,
    run: fn(&mut Ctx<'_>, Args<'_>) -> Done,
    syntax: &'static str,
    summary: &'static str,
}

const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
        name: "POPULATE",
        arguments: 3..=5,
        run: populate,
        syntax: "<count> [<prefix>] [<size>]",
        summary: "Makes count string keys named prefix:<number>; the prefix is 'key' if not given.",
    },
    Subcommand {
        name: "SLEEP",
        arguments: 3..=3,
        run: sleep,
        syntax: "<seconds>",
        summary: "Keeps the worker of this connection busy for so long. Decimals are allowed.",
    },
];

/// `DEBUG`
pub fn debug(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !is_allowed(cx, id::ENABLE_DEBUG_COMMAND) {
        return Err(OFF);
    }
    if args.len() == 2 && args.is(1, "HELP") {
        let usage = |sub: &Subcommand| format!("{} {}", sub.name, sub.syntax).trim_end().to_owned();
        let entries = SUBCOMMANDS.iter().map(|sub| (usage(sub), sub.summary));
        help::write(&mut cx.out, "debug", entries);
        return Ok(());
    }
    let fits = |sub: &&Subcommand| args.is(1, sub.name) && sub.arguments.contains(&args.len());
    match SUBCOMMANDS.iter().find(fits) {
        Some(sub) => (sub.run)(cx, args),
        None => Err(error::subcommand_syntax("debug", args.at(1))),
    }
}

fn sleep(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let seconds = parse_float(args.at(2)).unwrap_or(0.0).max(0.0);
    cx.lane().host.sleep_us()((seconds * 1_000_000.0) as u64);
    cx.out.ok();
    Ok(())
}

fn populate(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let count = args.integer_in(2, 0..=i64::MAX, error::NOT_POSITIVE)?;
    let prefix = args.get(3).unwrap_or(b"key");
    let size = match args.get(4) {
        Some(_) => Some(args.integer_in(4, 0..=i64::MAX, error::NOT_POSITIVE)? as usize),
        None => None,
    };
    for number in 0..count {
        let mut key = prefix.to_vec();
        key.extend_from_slice(format!(":{number}").as_bytes());
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        add(cx, &key, &value);
    }
    cx.out.ok();
    Ok(())
}

/// Adds a key that is not there, with its shard locked.
fn add(cx: &mut Ctx<'_>, key: &[u8], value: &[u8]) {
    let hash = cx.keys.hash(key);
    let locked = cx.keys.lane.locks.holds(shard_of(hash));
    if !locked {
        cx.lane().locks.acquire(set_of(hash));
    }
    if cx.keys.peek(key).is_none() {
        cx.keys.set_string(key, value, Ttl::Clear);
        cx.keys.touched(key);
    }
    if !locked {
        cx.lane().locks.release();
    }
}
