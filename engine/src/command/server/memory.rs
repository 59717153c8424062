//! `MEMORY`: where memory goes.

use super::container::{HELP, container};
use crate::command::help;
use crate::exec::argument::{Argument, integer, key};
use crate::exec::context::ClientCtx;
use crate::exec::options::Options;
use crate::exec::spec::access::RO;
use crate::exec::spec::flag::{LOCKS_ITSELF, READONLY};
use crate::exec::spec::{Group, KeySpec, Spec};
use crate::session::memory::Usage;
use base::args::Args;
use base::error::{self, Done};
use base::resp::write::Reply;
use keyspace::Intent;

const ALL_SHARDS: &[&str] =
    &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"];

const USAGE: &[Argument] = &[key("key", 0), integer("count").token("SAMPLES").optional()];
const USAGE_OPTIONS: &Options = &Options::of(USAGE);

/// `MEMORY`
pub const MEMORY: Spec = Spec::for_client("memory", -2, Group::Server, container)
    .doc("4.0.0", "Depends on the subcommand", &[], "Holds the commands about memory.")
    .subcommands(&[
        Spec::for_client("memory|doctor", 2, Group::Server, doctor)
            .flags(LOCKS_ITSELF)
            .tips(ALL_SHARDS)
            .doc("4.0.0", "O(1)", &[], "Tells people whether memory is used well."),
        Spec::for_client("memory|help", 2, Group::Server, help::subcommands).flags(HELP).doc(
            "4.0.0",
            "O(1)",
            &[],
            "Lists the subcommands.",
        ),
        Spec::for_client("memory|malloc-stats", 2, Group::Server, allocator)
            .flags(LOCKS_ITSELF)
            .tips(ALL_SHARDS)
            .doc(
                "4.0.0",
                "O(N) where N is the number of databases",
                &[],
                "Tells what the allocator has.",
            ),
        Spec::for_client("memory|purge", 2, Group::Server, purge)
            .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
            .doc(
                "4.0.0",
                "O(N) where N is the number of databases",
                &[],
                "Does nothing: free memory goes back to the system by itself.",
            ),
        Spec::for_client("memory|stats", 2, Group::Server, stats)
            .flags(LOCKS_ITSELF)
            .tips(ALL_SHARDS)
            .doc("4.0.0", "O(1)", &[], "Tells how much memory is used for what."),
        Spec::for_client("memory|usage", -3, Group::Server, usage)
            .flags(READONLY)
            .keys(&[KeySpec::at(2, RO)])
            .doc(
                "4.0.0",
                "O(N) where N is the number of allocations of the value",
                USAGE,
                "Tells how many bytes a key takes with its value.",
            ),
    ]);

fn usage(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let mut options = USAGE_OPTIONS.walk(args, 3);
    for option in options.by_ref() {
        // All allocations are counted whatever the number; it is only checked.
        if option.integer()? < 0 {
            return Err(error::SYNTAX);
        }
    }
    options.finish()?;
    let heap = cx.keys.core.heap;
    let bytes = cx.keys.entry(args.at(2), Intent::Past).map(|entry| entry.memory(heap));
    match bytes {
        Some(bytes) => cx.out.count(bytes),
        None => cx.out.null(),
    }
    Ok(())
}

fn purge(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    cx.out.ok();
    Ok(())
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

/// Fields of a map, written one after the other.
struct Fields<'a, 'b>(&'a mut Reply<'b>);

impl Fields<'_, '_> {
    fn number(&mut self, name: &str, value: u64) {
        self.signed(name, value as i64);
    }

    fn signed(&mut self, name: &str, value: i64) {
        self.0.bulk(name.as_bytes());
        self.0.integer(value);
    }

    fn ratio(&mut self, name: &str, value: f64) {
        self.0.bulk(name.as_bytes());
        self.0.double(value);
    }
}

fn stats(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    const FIELDS: usize = 27;
    let usage = Usage::now(cx.keys.core);
    cx.out.map(FIELDS + usage.tables.len());
    write_uses(&mut Fields(&mut cx.out), &usage);
    write_ratios(&mut Fields(&mut cx.out), &usage);
    Ok(())
}

/// 16 fields and one a database.
fn write_uses(out: &mut Fields<'_, '_>, usage: &Usage) {
    out.number("peak.allocated", usage.peak);
    out.number("total.allocated", usage.used);
    out.number("startup.allocated", usage.startup);
    out.number("replication.backlog", 0);
    out.number("clients.slaves", 0);
    out.number("clients.normal", usage.clients);
    out.number("cluster.links", 0);
    out.number("aof.buffer", usage.aof);
    out.number("lua.caches", usage.scripts.cached_bytes);
    out.number("functions.caches", usage.scripts.library_bytes);
    for table in &usage.tables {
        out.0.bulk(format!("db.{}", table.db).as_bytes());
        out.0.map(3);
        out.number("overhead.hashtable.main", table.keys_bytes);
        out.number("overhead.hashtable.expires", table.expires_bytes);
        out.number("overhead.hashtable.slot-to-keys", 0);
    }
    let keys = usage.keys();
    out.number("overhead.total", usage.overhead());
    out.number("keys.count", keys);
    out.number("keys.bytes-per-key", usage.net().checked_div(keys).unwrap_or(0));
    out.number("dataset.bytes", usage.dataset());
    out.ratio("dataset.percentage", 100.0 * ratio(usage.dataset(), usage.net()));
    out.ratio("peak.percentage", 100.0 * ratio(usage.used, usage.peak));
}

/// 11 fields.
fn write_ratios(out: &mut Fields<'_, '_>, usage: &Usage) {
    let (arena, rss) = (usage.process.resident_arena_bytes, usage.process.rss_bytes);
    out.number("allocator.allocated", usage.used);
    out.number("allocator.active", usage.active());
    out.number("allocator.resident", arena);
    let names = ["allocator-fragmentation", "allocator-rss", "rss-overhead"];
    for (name, (_, part, whole)) in names.into_iter().zip(usage.quotients()) {
        out.ratio(&format!("{name}.ratio"), ratio(part, whole));
        out.signed(&format!("{name}.bytes"), part as i64 - whole as i64);
    }
    out.ratio("fragmentation", ratio(rss, usage.used));
    out.signed("fragmentation.bytes", rss as i64 - usage.used as i64);
}

fn doctor(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let usage = Usage::now(cx.keys.core);
    cx.out.verbatim("txt", advice(&usage).as_bytes());
    Ok(())
}

fn advice(usage: &Usage) -> String {
    const WORTH_LOOKING_AT: u64 = 5 << 20;
    if usage.net() < WORTH_LOOKING_AT {
        return "There is too little data to tell anything from it.\n".into();
    }
    let findings = [
        (
            usage.peak > usage.used + usage.used / 2,
            "At its peak the server used half as much again as now. What it held then may take a \
             while to go back to the system.",
        ),
        (
            usage.scattered > usage.used / 2,
            "Free memory is scattered between what is in use. With activedefrag what is in use moves \
             closer together, and it goes back to the system.",
        ),
        (
            usage.clients > usage.used / 5,
            "Connections take more than a fifth of the memory: look at CLIENT LIST for clients \
             that do not read their replies, and at client-output-buffer-limit.",
        ),
    ];
    let found: Vec<_> = findings.iter().filter(|(holds, _)| *holds).map(|(_, text)| text).collect();
    if found.is_empty() {
        return "Memory is used well.\n".into();
    }
    found.iter().map(|text| format!("- {text}\n")).collect()
}

fn allocator(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    let usage = Usage::now(cx.keys.core);
    let text = format!(
        "arena\nin use: {} bytes\nbacked by memory: {} bytes\nprocess: {} bytes\n",
        usage.used, usage.process.resident_arena_bytes, usage.process.rss_bytes
    );
    cx.out.verbatim("txt", text.as_bytes());
    Ok(())
}
