//! `DEBUG`: what tests and developers need.

mod digest;
mod inspect;
mod protocol;
mod reload;
mod switches;

use super::container::is_allowed;
use crate::command::help;
use crate::exec::context::ClientCtx;
use crate::exec::spec::RunForClient;
use abi::effects::Credit;
use base::args::{Args, parse_float};
use base::core::Core;
use base::effects;
use base::error::{self, Done, Error};
use base::lock::shard_of;
use base::settings::setting;
use keyspace::Intent;
use value::string::Ttl;

const OFF: Error = Error::new(
    "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you \
     can run it from a local connection, otherwise you need to set this option in the \
     configuration file, and then restart the server.",
);

/// A subcommand. `DEBUG` has no rows for them: `COMMAND` does not tell of them.
struct Subcommand {
    name: &'static str,
    /// Arguments, `DEBUG` and the name included: at least, and at most.
    arguments: [usize; 2],
    run: RunForClient,
    syntax: &'static str,
    summary: &'static str,
}

const fn sub(
    name: &'static str,
    arguments: [usize; 2],
    run: RunForClient,
    syntax: &'static str,
    summary: &'static str,
) -> Subcommand {
    Subcommand { name, arguments, run, syntax, summary }
}

const ANY: usize = usize::MAX;
/// Pause before another look whether there is room for an effect.
const ROOM_RETRY_US: u64 = 500;

const SUBCOMMANDS: &[Subcommand] = &[
    sub(
        "APPLY-EFFECTS",
        [3, 3],
        switches::apply_effects,
        "<0|1>",
        "With 1, this connection applies effects of another server: for it keys end only by DEL.",
    ),
    sub("ASSERT", [2, 2], panic, "", "Fails an assertion inside the command."),
    sub(
        "CHANGE-REPL-ID",
        [2, 2],
        switches::change_replication_id,
        "",
        "Gives the server another replication id.",
    ),
    sub(
        "CONFIG-REWRITE-FORCE-ALL",
        [2, 2],
        super::config::rewrite_all,
        "",
        "As CONFIG REWRITE, with the settings that have their defaults.",
    ),
    sub("DIGEST", [2, 2], digest::all, "", "Returns a signature of all databases."),
    sub(
        "DIGEST-VALUE",
        [2, ANY],
        digest::values,
        "<key> [<key> ...]",
        "Returns a signature of each key's value.",
    ),
    sub("ERROR", [3, 3], error_reply, "<text>", "Replies with an error of this text."),
    sub(
        "HTSTATS",
        [3, 4],
        inspect::tables,
        "<dbid> [full]",
        "Describes the hash tables of a database.",
    ),
    sub(
        "HTSTATS-KEY",
        [3, 4],
        inspect::table_of_key,
        "<key> [full]",
        "Describes the hash table of a value.",
    ),
    sub("LISTPACK", [3, 3], inspect::listpack, "<key>", "Describes a value that is a listpack."),
    sub("LOG", [3, 3], log, "<text>", "Writes a text to the log."),
    sub("OBJECT", [3, 3], inspect::object, "<key>", "Describes a key's value."),
    sub(
        "PAUSE-CRON",
        [3, 3],
        switches::pause_ticks,
        "<0|1>",
        "With 1, nothing is done from time to time: no key is removed because its time has come.",
    ),
    sub("PANIC", [2, 2], panic, "", "Panics inside the command."),
    sub(
        "POPULATE",
        [3, 5],
        populate,
        "<count> [<prefix>] [<size>]",
        "Makes string keys named prefix:number; the prefix is 'key' if not given.",
    ),
    sub("PROTOCOL", [3, 3], protocol::reply, "<type>", "Replies with a value of a protocol type."),
    sub(
        "QUICKLIST",
        [3, 4],
        inspect::quicklist,
        "<key> [<0|1>]",
        "Describes a value that is a list of several nodes.",
    ),
    sub(
        "QUICKLIST-PACKED-THRESHOLD",
        [3, 3],
        switches::packed_threshold,
        "<size>",
        "Checks a size from which elements would have nodes of their own.",
    ),
    sub(
        "RELOAD",
        [2, ANY],
        reload::reload,
        "[MERGE] [NOFLUSH] [NOSAVE]",
        "Writes every value as DUMP does, and makes it anew from that. NOSAVE: reads the file instead.",
    ),
    sub(
        "REPLYBUFFER",
        [4, 4],
        switches::reply_buffer,
        "<PEAK-RESET-TIME|RESIZING> <NEVER|RESET|time|0|1>",
        "Checks its arguments. A client that waits has no buffer for replies here.",
    ),
    sub(
        "SET-ACTIVE-EXPIRE",
        [3, 3],
        switches::active_expire,
        "<0|1>",
        "With 0, keys whose time has come are removed only when somebody asks for them.",
    ),
    sub(
        "SET-DISABLE-DENY-SCRIPTS",
        [3, 3],
        switches::allow_all_for_scripts,
        "<0|1>",
        "With 1, scripts may call commands that are not for scripts.",
    ),
    sub(
        "SET-SKIP-CHECKSUM-VALIDATION",
        [3, 3],
        switches::skip_checksums,
        "<0|1>",
        "With 1, RESTORE does not look at the checksum of a payload.",
    ),
    sub(
        "SLEEP",
        [3, 3],
        sleep,
        "<seconds>",
        "Keeps the worker of this connection busy for so long. Decimals are allowed.",
    ),
    sub(
        "STRINGMATCH-TEST",
        [2, 2],
        switches::match_patterns,
        "",
        "Matches random patterns against random texts.",
    ),
];

/// `DEBUG`
pub fn debug(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if !is_allowed(cx, setting::ENABLE_DEBUG_COMMAND) {
        return Err(OFF);
    }
    if args.len() == 2 && args.is(1, "HELP") {
        let usage = |sub: &Subcommand| format!("{} {}", sub.name, sub.syntax).trim_end().to_owned();
        let entries = SUBCOMMANDS.iter().map(|sub| (usage(sub), sub.summary));
        help::write(&mut cx.out, "debug", entries);
        return Ok(());
    }
    let fits = |sub: &&Subcommand| {
        args.is(1, sub.name) && (sub.arguments[0]..=sub.arguments[1]).contains(&args.len())
    };
    match SUBCOMMANDS.iter().find(fits) {
        Some(sub) => (sub.run)(cx, args),
        None => Err(error::subcommand_syntax("debug", args.at(1))),
    }
}

fn sleep(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let seconds = parse_float(args.at(2)).unwrap_or(0.0).max(0.0);
    cx.core().host.sleep_us()((seconds * 1_000_000.0) as u64);
    cx.out.ok();
    Ok(())
}

fn panic(_cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    panic!("asked for by DEBUG {}", args.text(1).to_uppercase());
}

fn error_reply(_cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    Err(Error::owned(args.at(2)))
}

fn log(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let text = format!("DEBUG LOG: {}", args.text(2));
    cx.core().host.log()(abi::host::level::WARN, text.as_str().into());
    cx.out.ok();
    Ok(())
}

fn populate(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let count = args.integer_in(2, 0..=i64::MAX, error::NOT_POSITIVE)?;
    let prefix = args.get(3).unwrap_or(b"key");
    let size = match args.get(4) {
        Some(_) => Some(args.integer_in(4, 0..=i64::MAX, error::NOT_POSITIVE)? as usize),
        None => None,
    };
    for number in 0..count {
        let key = [prefix, format!(":{number}").as_bytes()].concat();
        let mut value = format!("value:{number}").into_bytes();
        if let Some(size) = size {
            value.resize(size, 0);
        }
        add(cx, &key, &value);
    }
    cx.out.ok();
    Ok(())
}

/// Adds a key unless it is there.
fn add(cx: &mut ClientCtx<'_>, key: &[u8], value: &[u8]) {
    let (hash, db) = (cx.keys.hash(key), cx.keys.db);
    let effect: [&[u8]; 3] = [b"SET", key, value];
    wait_for_room(cx.core(), effects::takes_at_most(effect.concat().len(), effect.len()));
    cx.keys.with_shard(shard_of(hash), |keys| {
        if !keys.contains(key, Intent::Peek) {
            keys.set_string(key, value, Ttl::Clear);
            keys.signal_modified(key);
            keys.core.effects.command(db, &effect);
        }
    });
}

/// Waits until there is room to tell something, unless that would be with shards held.
fn wait_for_room(core: &mut Core, bytes: u64) {
    while core.locked() == 0 && core.effects.ask(bytes) == Credit::Wait {
        core.host.sleep_us()(ROOM_RETRY_US);
    }
}
