//! Random rules and commands: what is told of both is what `redis-server` tells.

use crate::harness::{Connection, Peer, Random, Server};

/// Seeds, and commands that are tried for each.
const SEEDS: u64 = 40;
const TRIED: usize = 60;

const RULES: &[&str] = &[
    "~a*",
    "~b",
    "%R~r*",
    "%W~w*",
    "%RW~x?",
    "allkeys",
    "resetkeys",
    "&a*",
    "&news",
    "allchannels",
    "resetchannels",
    "+@all",
    "-@all",
    "+@read",
    "-@write",
    "+@string",
    "-@hash",
    "+@list",
    "+@set",
    "-@dangerous",
    "+@admin",
    "-@admin",
    "+@pubsub",
    "+@scripting",
    "-@slow",
    "+@fast",
    "+get",
    "-get",
    "+set",
    "-set",
    "+config",
    "-config",
    "+config|get",
    "-config|set",
    "+client",
    "-client|kill",
    "+select|0",
    "+object|encoding",
    "+sort",
    "-eval",
    "+mget",
    "+publish",
    "-subscribe",
    "reset",
    "(+get ~s*)",
    "(%R~s +@read)",
    "(+@write %W~z* &a*)",
    "(+@all ~*)",
    "clearselectors",
    "on",
    "off",
    "nopass",
    ">p",
    "<p",
    "+@nosuch",
    "+nosuch",
    "~a b",
    "&",
    "~",
];

const COMMANDS: &[&str] = &[
    "GET {k}",
    "SET {k} v",
    "SET {k} v GET",
    "GETSET {k} v",
    "GETEX {k} PERSIST",
    "GETEX {k}",
    "GETDEL {k}",
    "MGET {k} {k}",
    "MSET {k} v {k} v",
    "DEL {k} {k}",
    "EXISTS {k}",
    "TYPE {k}",
    "TTL {k}",
    "APPEND {k} v",
    "STRLEN {k}",
    "INCR {k}",
    "RENAME {k} {k}",
    "COPY {k} {k}",
    "SORT {k}",
    "SORT {k} BY nosort GET #",
    "SORT {k} STORE {k}",
    "SORT_RO {k} BY x*",
    "LPUSH {k} v",
    "LMOVE {k} {k} LEFT LEFT",
    "LLEN {k}",
    "BLPOP {k} {k} 0",
    "BLMOVE {k} {k} LEFT LEFT 0",
    "LMPOP 2 {k} {k} LEFT",
    "SINTERSTORE {k} {k} {k}",
    "SINTERCARD 2 {k} {k}",
    "SMOVE {k} {k} m",
    "SADD {k} m",
    "HSET {k} f v",
    "HGET {k} f",
    "HKEYS {k}",
    "ZADD {k} 1 m",
    "ZUNIONSTORE {k} 2 {k} {k}",
    "ZRANGESTORE {k} {k} 0 1",
    "ZUNION 1 {k}",
    "BITFIELD {k} GET u8 0",
    "BITFIELD {k} SET u8 0 1",
    "BITOP AND {k} {k} {k}",
    "PFMERGE {k} {k}",
    "PFCOUNT {k} {k}",
    "GEORADIUS {k} 0 0 1 m",
    "GEORADIUS {k} 0 0 1 m STORE {k}",
    "GEOSEARCHSTORE {k} {k} FROMLONLAT 0 0 BYRADIUS 1 m",
    "XADD {k} * f v",
    "XREAD STREAMS {k} {k} 0 0",
    "XREADGROUP GROUP g c STREAMS {k} 0",
    "XGROUP CREATE {k} g 0",
    "XINFO STREAM {k}",
    "OBJECT ENCODING {k}",
    "OBJECT FREQ {k}",
    "MEMORY USAGE {k}",
    "DUMP {k}",
    "RESTORE {k} 0 v",
    "MIGRATE h 1 {k} 0 1",
    "MIGRATE h 1 \"\" 0 1 KEYS {k} {k}",
    "EVAL return 2 {k} {k} x",
    "EVAL_RO return 1 {k}",
    "FCALL f 1 {k}",
    "PUBLISH {c} m",
    "SPUBLISH {c} m",
    "SUBSCRIBE {c} {c}",
    "PSUBSCRIBE {c}",
    "SSUBSCRIBE {c}",
    "UNSUBSCRIBE {c}",
    "CONFIG GET x",
    "CONFIG SET x y",
    "CONFIG RESETSTAT",
    "CLIENT KILL x",
    "CLIENT ID",
    "SELECT 0",
    "SELECT 1",
    "AUTH x",
    "PING",
    "FLUSHALL",
    "KEYS *",
    "SCAN 0",
    "INFO",
    "DBSIZE",
    "WATCH {k}",
    "TOUCH {k}",
    "UNLINK {k}",
    "EXPIRE {k} 1",
    "PERSIST {k}",
    "LCS {k} {k}",
    "SETRANGE {k} 0 v",
    "ACL LIST",
    "ACL WHOAMI",
    "SCRIPT LOAD x",
    "NOSUCH",
    "GET",
    "CONFIG NOSUCH",
];

const KEYS: &[&str] = &["a1", "b", "r1", "w1", "x1", "s", "s1", "z", "q"];
const CHANNELS: &[&str] = &["a1", "a*", "news", "q"];

/// One of some words.
fn one<'a>(random: &mut Random, of: &[&'a str]) -> &'a str {
    of[random.below(of.len() as u64) as usize]
}

/// A command with keys and channels in their places.
fn command(random: &mut Random) -> Vec<String> {
    let words = one(random, COMMANDS).split(' ').map(|word| match word {
        "{k}" => one(random, KEYS),
        "{c}" => one(random, CHANNELS),
        "\"\"" => "",
        word => word,
    });
    words.map(str::to_owned).collect()
}

/// Whether replies say the same: in the same words, unless it is a later release that says so.
fn agree(replies: &[String; 2], words_too: bool) -> bool {
    let kind = |reply: &String| (reply.starts_with("+OK"), reply.starts_with('-'));
    match words_too {
        true => replies[0] == replies[1],
        false => kind(&replies[0]) == kind(&replies[1]),
    }
}

fn call(connection: &mut Connection, words: &[&[&str]]) -> String {
    String::from_utf8_lossy(&connection.call(&words.concat()).0).into_owned()
}

/// What is told of a user, but for rules about commands: which of those are told depends on what
/// commands a server has.
fn without_commands(reply: &str) -> Vec<&str> {
    let (mut lines, mut kept) = (reply.split("\r\n"), Vec::new());
    while let Some(line) = lines.next() {
        if line == "commands" {
            // The length of what is told, and that.
            lines.nth(1);
        } else {
            kept.push(line);
        }
    }
    kept
}

#[test]
fn random_users_may_do_what_they_may_do_in_redis() {
    let (server, peer) = (Server::start(), Peer::start());
    let (mut here, mut there) = (server.connect(), Connection::open(peer.port));
    let (mut allowed, mut is_first) = (0, true);
    for seed in 0..SEEDS {
        let mut random = Random((seed + 1) * 0x9e37_79b9);
        let mut rules = Vec::new();
        for _ in 0..random.below(12) {
            let rule = one(&mut random, RULES);
            rules.push(rule);
            let words: &[&[&str]] = &[&["ACL", "SETUSER", "u"], &[rule]];
            let replies = [&mut here, &mut there].map(|c| call(c, words));
            assert_eq!(replies[0], replies[1], "seed {seed}: {rules:?}");
        }
        let told = [&mut here, &mut there].map(|c| call(c, &[&["ACL", "GETUSER", "u"]]));
        if is_first {
            let [here, there] = [&told[0], &told[1]].map(|told| without_commands(told));
            assert_eq!(here, there, "seed {seed}: {rules:?}");
        }
        for _ in 0..TRIED {
            let command = command(&mut random);
            let words: Vec<&str> = command.iter().map(String::as_str).collect();
            let words: &[&[&str]] = &[&["ACL", "DRYRUN", "u"], &words];
            let replies = [&mut here, &mut there].map(|c| call(c, words));
            let same = agree(&replies, is_first);
            assert!(same, "seed {seed}: {rules:?}: {command:?}: {replies:?}");
            allowed += (replies[0] == "+OK\r\n") as usize;
        }
        for c in [&mut here, &mut there] {
            call(c, &[&["ACL", "DELUSER", "u"]]);
        }
        if seed % 10 == 9 {
            server.swap();
            is_first = !is_first;
        }
    }
    let tried = SEEDS as usize * TRIED;
    assert!((tried / 10..tried * 9 / 10).contains(&allowed), "{allowed} of {tried} tell little");
}
