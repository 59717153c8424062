//! Release 2: release 1, with what Redis 7.2 to 8.0 and Valkey 8 to 9.1 added, and a faster `LCS … LEN`. docs/compatibility.md tells what is as in which server.
//!
//! It reads and writes what release 1 does, so each can follow the other at any time, until it is made
//! final: then it writes hashes with fields that end by themselves too, which release 1 does not know.

mod bits;
mod clients;
mod commandlog;
mod conditional;
mod connection;
mod dump;
mod fields;
mod lcs;
mod msetex;
mod polygon;
mod rank;
mod rows;
mod scan;
mod stream;
mod waitaof;

use engine::exec::argument::{key, string};
use engine::exec::release::{self, Release};
use engine::exec::spec::{Group, KeySpec, Spec, access::*, flag::*};

static RELEASE: Release = Release {
    name: "logic-v2",
    version: env!("CARGO_PKG_VERSION"),
    redis_version: "8.0.6",
    schema_level: abi::schema::LEVEL_2,
    revert: engine::value::hash::TimedBuf::forget_ends,
    changes: &[
        "SET key value IFEQ comparison-value: sets a string only if it has that value now",
        "DELIFEQ key value: removes a string only if it has that value now",
        "ZRANK, ZREVRANK key member WITHSCORE: returns the score too",
        "XREAD STREAMS key +: returns the last entry of a stream",
        "XREADGROUP, XCLAIM, XAUTOCLAIM: make the consumer also where it gets nothing; who waited is answered \
         as if the command had come now",
        "XINFO STREAM FULL, XINFO CONSUMERS: tell when a consumer last got an entry",
        "RESTORE: takes payloads of versions 11, 12 and, of Valkey, 80, and sets as listpacks in them",
        "OBJECT ENCODING: calls a small set that is not one of integers a listpack",
        "GEOSEARCH, GEOSEARCHSTORE BYPOLYGON num-vertices longitude latitude …: members in a polygon",
        "MSETEX numkeys key value …: several strings, on a condition and for a time",
        "COMMANDLOG GET | LEN | RESET type: commands that were slow, large, or had large replies",
        "HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT, HPERSIST, HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME, HGETEX, \
         HSETEX, HGETDEL: fields of hashes that end by themselves; once `shell finalize` has raised the schema \
         level to 2",
        "HSCAN key cursor NOVALUES, ZSCAN key cursor NOSCORES: names alone",
        "BITCOUNT key start: to the end; BITCOUNT and BITPOS refuse arguments whether there is a key or not",
        "CLIENT LIST, CLIENT KILL: filters NAME, IDLE, FLAGS, LIB-NAME, LIB-VER, DB, IP, MAXAGE, several \
         IDs, NOT- before most, and all of them in both; lines with watch, lib-name, lib-ver, io-thread",
        "ACL LIST, ACL GETUSER: rules about commands as they were given; ACL LOG: when an entry came first \
         and last; who is refused hears its own name",
        "CLIENT SETINFO LIB-NAME | LIB-VER value, CLIENT NO-TOUCH ON | OFF",
        "WAITAOF numlocal numreplicas timeout: waits until what was written is safe in the log",
        "LCS key1 key2 LEN: takes no table, a sixty-fourth of the steps, and strings of any length",
    ],
    commands: COMMANDS,
    battery: BATTERY,
    differs: DIFFERS,
};

engine::export_logic!(RELEASE);

/// What release 1 answers otherwise, or stores otherwise.
const DIFFERS: &[&str] = &[
    "set IFEQ: release 1 does not know it",
    "zrank WITHSCORE: release 1 does not know it",
    "zrevrank WITHSCORE: release 1 does not know it",
    "xread +: release 1 does not know it",
    "hscan NOVALUES: release 1 does not know it",
    "zscan NOSCORES: release 1 does not know it",
    "geosearch BYPOLYGON: release 1 does not know it",
    "geosearchstore BYPOLYGON: release 1 does not know it",
    "xreadgroup: the consumer is made also where it gets nothing, and its times are kept",
    "xclaim: the consumer is made also where it gets nothing",
    "xautoclaim: the consumer is made also where it gets nothing",
    "xsetid: not below what was removed",
    "xinfo|stream: tells when a consumer last got an entry",
    "xinfo|consumers: tells when a consumer last got an entry",
    "xinfo|groups: a group that has read none of the entries lags by all of them",
    "bitcount: refuses arguments that make no sense though there is no key; takes a start alone",
    "bitpos: refuses arguments that make no sense though there is no key",
    "restore: reads payloads of versions 11, 12 and 80",
    "object|encoding: small sets are called listpack",
];

/// The engine's tables, then the rows that differ: a later row takes the place of an earlier one.
const COMMANDS: &[&[Spec]] = &release::with::<_, { engine::command::ALL.len() + 3 }>(
    &release::with::<_, { engine::command::ALL.len() + 2 }>(
        &release::with::<_, { engine::command::ALL.len() + 1 }>(
            engine::command::ALL,
            rows::CHANGED,
        ),
        CHANGED,
    ),
    &fields::COMMANDS,
);

/// The engine's, and a text of this release's own.
const BATTERY: &[&str] = &release::with::<_, { engine::battery::ALL.len() + 1 }>(
    engine::battery::ALL,
    include_str!("battery.txt"),
);

const CHANGED: &[Spec] = &[
    engine::command::row("set").run(conditional::set).arguments(conditional::SET),
    Spec::new("delifeq", 3, Group::String, conditional::delifeq)
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RM | ACCESS | DELETE)])
        .doc(
            "9.0.0",
            "O(1)",
            &[key("key", 0), string("value")],
            "Removes a key if it holds a string equal to the given one.",
        ),
    engine::command::row("restore").run(dump::restore),
    engine::command::row("restore-asking").run(dump::restore),
    engine::command::row("object").subcommands(dump::OBJECT),
    connection::CLIENT,
    commandlog::COMMANDLOG,
    waitaof::WAITAOF,
    msetex::MSETEX,
    engine::command::row("bitcount").run(bits::bitcount).arguments(bits::BITCOUNT),
    engine::command::row("bitpos").run(bits::bitpos),
    engine::command::row("geosearch").run(polygon::geosearch).arguments(polygon::GEOSEARCH),
    engine::command::row("geosearchstore")
        .run(polygon::geosearchstore)
        .arguments(polygon::GEOSEARCHSTORE),
    engine::command::row("hscan").run(scan::hscan).arguments(scan::HSCAN),
    engine::command::row("zscan").run(scan::zscan).arguments(scan::ZSCAN),
    engine::command::row("lcs").run(lcs::lcs),
    engine::command::row("xread").run(stream::xread),
    engine::command::row("xreadgroup").run(stream::xreadgroup),
    engine::command::row("xclaim").run(stream::xclaim),
    engine::command::row("xautoclaim").run(stream::xautoclaim),
    engine::command::row("xsetid").run(stream::xsetid),
    engine::command::row("xinfo").subcommands(stream::INFO),
    engine::command::row("zrank")
        .run(rank::zrank)
        .arguments(rank::RANK)
        .arity(-3)
        .history(rank::HISTORY),
    engine::command::row("zrevrank")
        .run(rank::zrevrank)
        .arguments(rank::RANK)
        .arity(-3)
        .history(rank::HISTORY),
];
