//! Keys of any type, and the keyspace as a whole.

mod dump;
mod expire;
mod flush;
mod migrate;
mod object;
mod presence;
mod scan;
mod sort;
mod transfer;
mod wait;

pub use dump::restore_reading;

use crate::command::keys::expire::WHEN;
use crate::exec::argument::{Argument, KEY, integer, key, pattern, unix_time};
use crate::exec::spec::access::*;
use crate::exec::spec::category::{CONNECTION, DANGEROUS, KEYSPACE, LIST, SET, SORTED_SET};
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Run, Spec, rule};

const LOOK: &[KeySpec] = &[KeySpec::at(1, RO)];
const LOOK_SECOND: &[KeySpec] = &[KeySpec::at(2, RO)];
const LOOK_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, RO)];
const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const REPLACE: &[KeySpec] = &[KeySpec::at(1, OW | UPDATE)];
const MIGRATED: &[KeySpec] = &[
    KeySpec::at(3, RW | ACCESS | DELETE).or_behind("KEYS"),
    KeySpec::all_behind("KEYS", -2, RW | ACCESS | DELETE | INCOMPLETE),
];
const CHANGE: &[KeySpec] = &[KeySpec::at(1, RW | UPDATE)];
const DELETE_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, RM | DELETE)];

const SUM_OF_SHARDS: &[&str] = &["request_policy:multi_shard", "response_policy:agg_sum"];
const VARYING: &[&str] = &["nondeterministic_output"];

const fn generic(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::Generic, run).categories(KEYSPACE)
}

const CONDITIONED: &[(&str, &str)] = &[("7.0.0", "Takes NX, XX, GT and LT.")];
const TOLD_APART: &[(&str, &str)] = &[("2.8.0", "Tells -2 of a key that is not there.")];

/// `EXPIRE` and its relatives.
const fn expiring(
    name: &'static str,
    since: &'static str,
    arguments: &'static [Argument],
    run: Run,
) -> Spec {
    generic(name, -3, run).history(CONDITIONED).flags(WRITE | FAST).keys(CHANGE).doc(
        since,
        "O(1)",
        arguments,
        "Makes a key end at a time, unless a condition forbids it.",
    )
}

/// `TTL` and its relatives.
const fn telling(name: &'static str, since: &'static str, summary: &'static str, run: Run) -> Spec {
    generic(name, 2, run).flags(READONLY | FAST).keys(READ).doc(since, "O(1)", KEY, summary)
}

/// A subcommand of `OBJECT` about a key.
const fn about(name: &'static str, since: &'static str, summary: &'static str, run: Run) -> Spec {
    generic(name, 3, run)
        .flags(READONLY)
        .keys(LOOK_SECOND)
        .tips(VARYING)
        .doc(since, "O(1)", KEY, summary)
}

const OBJECT: &[Spec] = &[
    about("object|encoding", "2.2.3", "Tells how a value is stored.", object::encoding),
    about("object|freq", "4.0.0", "Tells how often a key is used.", object::freq),
    about("object|idletime", "2.2.3", "Tells since when a key was not used.", object::idletime),
    about("object|refcount", "2.2.3", "Tells how many refer to a value.", object::refcount),
    generic("object|help", 2, object::help).flags(LOADING | STALE).doc(
        "6.2.0",
        "O(1)",
        &[],
        "Lists the subcommands.",
    ),
];

const SORTED: &str =
    "O(N+M*log(M)) where N is the number of elements and M of those returned; O(N) with BY nosort";

/// `SORT` and `SORT_RO`, which may look at any key.
const fn sorting(name: &'static str, run: Run) -> Spec {
    Spec::new(name, -2, Group::Generic, run)
        .flags(MOVABLE_KEYS | KEYS_BY_PATTERN)
        .categories(SET | SORTED_SET | LIST | DANGEROUS)
}

const RESTORING: &str = "O(1) to make the key, O(N) to make a value of N elements; O(N*log(N)) for a \
     sorted set";

/// `RESTORE` and its twin.
const fn restoring(name: &'static str) -> Spec {
    generic(name, -4, dump::restore).flags(WRITE | DENYOOM).keys(REPLACE).categories(DANGEROUS)
}

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    generic("del", -2, presence::del).flags(WRITE).keys(DELETE_ALL).tips(SUM_OF_SHARDS).doc(
        "1.0.0",
        "O(N) where N is the number of keys, and for each key that is not a string the \
             number of its elements",
        &[key("key", 0).multiple()],
        "Removes keys and tells how many there were.",
    ),
    generic("unlink", -2, presence::unlink)
        .flags(WRITE | FAST)
        .keys(DELETE_ALL)
        .tips(SUM_OF_SHARDS)
        .doc(
            "4.0.0",
            "O(1) for each key; memory is given back in the background in O(N), N being the \
             allocations of a value",
            &[key("key", 0).multiple()],
            "Removes keys, leaving it to a background thread to free large values.",
        ),
    generic("exists", -2, presence::exists)
        .history(&[("3.0.3", "Takes several keys.")])
        .flags(READONLY | FAST)
        .keys(LOOK_ALL)
        .tips(SUM_OF_SHARDS)
        .doc(
            "1.0.0",
            "O(N) where N is the number of keys",
            &[key("key", 0).multiple()],
            "Tells how many of the named keys are there; one named twice counts twice.",
        ),
    generic("touch", -2, presence::touch)
        .flags(READONLY | FAST)
        .keys(LOOK_ALL)
        .tips(SUM_OF_SHARDS)
        .doc(
            "3.2.1",
            "O(N) where N is the number of keys",
            &[key("key", 0).multiple()],
            "Counts an access to keys and tells how many of them are there.",
        ),
    generic("dump", 2, dump::dump).flags(READONLY).keys(READ).tips(VARYING).doc(
        "2.6.0",
        "O(N) where N is the number of elements of the value",
        KEY,
        "Returns the value of a key as bytes that RESTORE makes it of.",
    ),
    restoring("restore")
        .history(&[
            ("3.0.0", "Takes REPLACE."),
            ("5.0.0", "Takes ABSTTL."),
            ("5.0.0", "Takes IDLETIME and FREQ."),
        ])
        .doc(
            "2.6.0",
            RESTORING,
            dump::RESTORE,
            "Makes a key of the bytes that DUMP returned for its value.",
        ),
    restoring("restore-asking")
        .flags(ASKING | SYSTEM)
        .in_group(Group::Server)
        .history(&[
            ("3.0.0", "Takes REPLACE."),
            ("5.0.0", "Takes ABSTTL."),
            ("5.0.0", "Takes IDLETIME and FREQ."),
        ])
        .doc(
            "3.0.0",
            RESTORING,
            dump::RESTORE,
            "Makes a key that moves from one node of a cluster to another.",
        ),
    Spec::for_client("migrate", -6, Group::Generic, migrate::migrate)
        .flags(WRITE | MOVABLE_KEYS | REFUSED_IN_MULTI | CHANGES_ELSEWHERE)
        .categories(KEYSPACE | DANGEROUS)
        .keys(MIGRATED)
        .secrets(migrate::SECRETS)
        .tips(VARYING)
        .history(&[
            ("3.0.0", "Takes COPY and REPLACE."),
            ("3.0.6", "Takes KEYS."),
            ("4.0.7", "Takes AUTH."),
            ("6.0.0", "Takes AUTH2."),
        ])
        .doc(
            "2.6.0",
            "O(N) where N is the number of elements of all values, here and at the other server",
            migrate::MIGRATE,
            "Moves keys to another server.",
        ),
    generic("type", 2, presence::kind).flags(READONLY | FAST).keys(LOOK).doc(
        "1.0.0",
        "O(1)",
        KEY,
        "Tells the type of the value of a key.",
    ),
    generic("keys", 2, scan::keys)
        .flags(READONLY | LOCKS_ITSELF)
        .categories(DANGEROUS)
        .tips(&["request_policy:all_shards", "nondeterministic_output_order"])
        .doc(
            "1.0.0",
            "O(N) where N is the number of keys in the database",
            &[pattern("pattern")],
            "Returns every key that matches a pattern.",
        ),
    generic("scan", -2, scan::scan)
        .history(&[("6.0.0", "Takes TYPE.")])
        .flags(READONLY | LOCKS_ITSELF)
        .tips(&["nondeterministic_output", "request_policy:special"])
        .doc(
            "2.8.0",
            "O(1) for a call, O(N) for a whole walk over N keys",
            scan::SCAN,
            "Walks over the keys of the database, a few in each call.",
        ),
    generic("randomkey", 1, scan::randomkey)
        .flags(READONLY | LOCKS_ITSELF)
        .tips(&["request_policy:all_shards", "nondeterministic_output"])
        .doc("1.0.0", "O(1)", &[], "Returns the name of any key."),
    generic("dbsize", 1, scan::dbsize)
        .flags(READONLY | FAST | LOCKS_ITSELF)
        .tips(&["request_policy:all_shards", "response_policy:agg_sum"])
        .in_group(Group::Server)
        .doc("1.0.0", "O(1)", &[], "Tells how many keys the database has."),
    generic("flushdb", -1, flush::flushdb)
        .history(&[("4.0.0", "Takes ASYNC."), ("6.2.0", "Takes SYNC.")])
        .flags(WRITE | LOCKS_ITSELF)
        .categories(DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .in_group(Group::Server)
        .doc(
            "1.0.0",
            "O(N) where N is the number of keys in the database",
            flush::FLUSH,
            "Removes all keys of the database.",
        ),
    generic("flushall", -1, flush::flushall)
        .history(&[("4.0.0", "Takes ASYNC."), ("6.2.0", "Takes SYNC.")])
        .flags(WRITE | LOCKS_ITSELF)
        .categories(DANGEROUS)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .in_group(Group::Server)
        .doc(
            "1.0.0",
            "O(N) where N is the number of keys in all databases",
            flush::FLUSH,
            "Removes all keys of all databases.",
        ),
    generic("swapdb", 3, flush::swapdb)
        .flags(WRITE | FAST | ALL_KEYS)
        .categories(DANGEROUS)
        .in_group(Group::Server)
        .doc(
            "4.0.0",
            "O(N) where N is the number of watched and of awaited keys in both databases",
            &[integer("index1"), integer("index2")],
            "Exchanges the keys of two databases.",
        ),
    generic("rename", 3, transfer::rename)
        .flags(WRITE)
        .keys(&[KeySpec::at(1, RW | ACCESS | DELETE), KeySpec::at(2, OW | UPDATE)])
        .doc(
            "1.0.0",
            "O(1)",
            &[key("key", 0), key("newkey", 1)],
            "Renames a key, over another if there is one.",
        ),
    generic("renamenx", 3, transfer::renamenx)
        .history(&[("3.2.0", "Both names may be the same.")])
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RW | ACCESS | DELETE), KeySpec::at(2, OW | INSERT)])
        .doc(
            "1.0.0",
            "O(1)",
            &[key("key", 0), key("newkey", 1)],
            "Renames a key unless the new name is taken.",
        ),
    generic("copy", -3, transfer::copy)
        .flags(WRITE | DENYOOM | CHANGES_ELSEWHERE)
        .keys(&[KeySpec::at(1, RO | ACCESS), KeySpec::at(2, OW | UPDATE)])
        .doc(
            "6.2.0",
            "O(N) for a value that is no string, N being the number of its elements; O(1) for a \
             string",
            transfer::COPY,
            "Copies a value to another key.",
        ),
    generic("move", 3, transfer::move_key)
        .flags(WRITE | FAST | CHANGES_ELSEWHERE)
        .keys(&[KeySpec::at(1, RW | ACCESS | UPDATE)])
        .doc("1.0.0", "O(1)", &[key("key", 0), integer("db")], "Moves a key to another database."),
    Spec::new("object", -2, Group::Generic, object::help).subcommands(OBJECT).doc(
        "2.2.3",
        "Depends on the subcommand",
        &[],
        "Tells what is known of a key beside its value.",
    ),
    sorting("sort", sort::sort)
        .reads_beyond(sort::reads_beyond)
        .flags(WRITE | DENYOOM)
        .keys(&[
            KeySpec::at(1, RO | ACCESS),
            KeySpec::unknown("", RO | ACCESS),
            KeySpec::unknown("STORE", OW | UPDATE),
        ])
        .doc("1.0.0", SORTED, sort::SORT, "Returns or stores the elements of a value in order."),
    sorting("sort_ro", sort::sort_ro)
        .reads_beyond(sort::reads_beyond_ro)
        .flags(READONLY)
        .keys(&[KeySpec::at(1, RO | ACCESS), KeySpec::unknown("", RO | ACCESS)])
        .doc("7.0.0", SORTED, sort::SORT_RO, "Returns the elements of a value in order."),
    Spec::for_client("wait", 3, Group::Generic, wait::wait)
        .flags(NOSCRIPT)
        .categories(CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:agg_min"])
        .doc(
            "3.0.0",
            "O(1)",
            &[integer("numreplicas"), integer("timeout")],
            "Waits until replicas have what this connection wrote; there are none.",
        ),
    expiring("expire", "1.0.0", &[key("key", 0), integer("seconds"), WHEN], expire::expire),
    expiring("pexpire", "2.6.0", &[key("key", 0), integer("milliseconds"), WHEN], expire::pexpire),
    expiring(
        "expireat",
        "1.2.0",
        &[key("key", 0), unix_time("unix-time-seconds"), WHEN],
        expire::expireat,
    ),
    expiring(
        "pexpireat",
        "2.6.0",
        &[key("key", 0), unix_time("unix-time-milliseconds"), WHEN],
        expire::pexpireat,
    ),
    telling("ttl", "1.0.0", "Tells how many seconds a key has left.", expire::ttl)
        .history(TOLD_APART)
        .tips(VARYING)
        .compared(rule::EXACT),
    telling("pttl", "2.6.0", "Tells how many milliseconds a key has left.", expire::pttl)
        .history(TOLD_APART)
        .tips(VARYING)
        .compared(rule::EXACT),
    telling(
        "expiretime",
        "7.0.0",
        "Tells the Unix time in seconds at which a key ends.",
        expire::expiretime,
    ),
    telling(
        "pexpiretime",
        "7.0.0",
        "Tells the Unix time in milliseconds at which a key ends.",
        expire::pexpiretime,
    ),
    generic("persist", 2, expire::persist).flags(WRITE | FAST).keys(CHANGE).doc(
        "2.2.0",
        "O(1)",
        KEY,
        "Takes a key's time to live away.",
    ),
];
