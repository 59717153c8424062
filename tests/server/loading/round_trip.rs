//! What `redis-server` saves is loaded, and is the same.

use super::setup;
use crate::harness::connection::Reply;
use crate::harness::{Connection, Peer, Server, command};

/// Fills a server with values of all types, in all encodings.
fn fill(peer: &mut Connection) {
    let lines = |count: usize, line: &dyn Fn(usize) -> String| {
        (0..count).map(|at| command(&line(at))).collect::<Vec<_>>()
    };
    for commands in [
        lines(5000, &|at| format!("SET key:{at} value:{at}")),
        lines(300, &|at| format!("SET number:{at} {}", at * at * 1000)),
        lines(300, &|at| format!("SET ends:{at} v PXAT {}", 4_000_000_000_000u64 + at as u64)),
        lines(600, &|at| format!("RPUSH list element-{at}")),
        lines(600, &|at| format!("HSET hash field-{at} {at}")),
        lines(600, &|at| format!("SADD set member-{at}")),
        lines(600, &|at| format!("SADD ints {}", at * 7)),
        lines(600, &|at| format!("ZADD zset {}.5 member-{at}", at % 50)),
        lines(300, &|at| format!("HSET hash:{at} a {at} b c")),
        lines(300, &|at| format!("RPUSH list:{at} a {at} {}", "x".repeat(at))),
        lines(300, &|at| format!("ZADD zset:{at} {at} a inf b -0.25 c")),
        lines(300, &|at| format!("SADD set:{at} a {at}")),
        lines(700, &|at| format!("XADD stream {}-{at} field {at} other x{at}", at / 3 + 1)),
        lines(100, &|at| format!("XDEL stream {}-{}", at * 2 + 1, at * 6)),
    ] {
        peer.pipeline(&commands);
    }
    peer.call(&[&b"SET"[..], b"large", &vec![b'y'; 600_000]]);
    peer.call(&[&b"RPUSH"[..], b"long", &vec![b'z'; 20_000], b"short"]);
    for line in [
        "XGROUP CREATE stream group 0 ENTRIESREAD 3",
        "XREADGROUP GROUP group one COUNT 40 STREAMS stream >",
        "XREADGROUP GROUP group two COUNT 40 STREAMS stream >",
        "XCLAIM stream group two 0 2-4",
        "XGROUP CREATECONSUMER stream group idle",
        "XGROUP CREATE stream empty $",
        "XADD trimmed MAXLEN 2 5-1 a b",
        "XSETID trimmed 7-0 ENTRIESADDED 9 MAXDELETEDID 6-6",
        "SELECT 7",
        "SET there yes",
        "SELECT 0",
    ] {
        assert!(!peer.ask(line).is_error(), "{line}");
    }
    let library = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";
    assert!(!peer.call(&["FUNCTION", "LOAD", library]).is_error());
}

/// A stream as it is told, but how it is cut into nodes.
fn stream(client: &mut Connection, key: &str) -> Vec<Reply> {
    let fields = client.ask(&format!("XINFO STREAM {key} FULL COUNT 0")).elements();
    let is_told = |field: &&[Reply]| !field[0].text().starts_with("radix-tree");
    fields.chunks(2).filter(is_told).flatten().cloned().collect()
}

fn compare(ours: &mut Connection, theirs: &mut Connection) {
    for line in ["DEBUG DIGEST", "DBSIZE", "PEXPIRETIME ends:7", "FUNCTION LIST WITHCODE"] {
        assert_eq!(ours.ask(line), theirs.ask(line), "{line}");
    }
    for key in ["stream", "trimmed"] {
        assert_eq!(stream(ours, key), stream(theirs, key), "{key}");
    }
    for key in ["key:1", "number:0", "number:40", "large", "list", "list:1", "hash", "hash:1"] {
        let line = format!("OBJECT ENCODING {key}");
        assert_eq!(ours.ask(&line), theirs.ask(&line), "{line}");
    }
}

fn saved(peer: &mut Connection) -> Vec<u8> {
    assert_eq!(peer.ask("SAVE"), "+OK\r\n");
    let dir = peer.ask("CONFIG GET dir").elements()[1].text();
    std::fs::read(format!("{dir}/dump.rdb")).expect("the file is there")
}

#[test]
fn what_redis_saves_is_loaded() {
    let peer = Peer::start();
    let mut theirs = Connection::open(peer.port);
    fill(&mut theirs);
    for setting in ["rdbcompression yes", "rdbcompression no"] {
        theirs.ask(&format!("CONFIG SET {setting}"));
        let server = setup(&saved(&mut theirs)).start();
        compare(&mut server.connect(), &mut theirs);
    }
}

#[test]
fn how_long_and_how_often_keys_were_used_is_kept_by_policy() {
    let peer = Peer::start();
    let mut theirs = Connection::open(peer.port);
    for (policy, restore, question, within) in [
        ("allkeys-lru", "IDLETIME 5000", "OBJECT IDLETIME k", 5000..=5100),
        ("allkeys-lfu", "FREQ 77", "OBJECT FREQ k", 76..=77),
    ] {
        theirs.ask("FLUSHALL");
        theirs.ask(&format!("CONFIG SET maxmemory-policy {policy}"));
        theirs.ask("SET from v");
        let payload = theirs.ask("DUMP from");
        let payload = &payload.0[payload.0.iter().position(|b| *b == b'\n').expect("a line") + 1..];
        let mut words: Vec<&[u8]> = vec![b"RESTORE", b"k", b"0", &payload[..payload.len() - 2]];
        words.extend(restore.split(' ').map(str::as_bytes));
        assert_eq!(theirs.call(&words), "+OK\r\n");
        let server = setup(&saved(&mut theirs)).arguments(["--maxmemory-policy", policy]).start();
        let told = server.connect().ask(question).number();
        assert!(within.contains(&told), "{question}: {told}");
    }
}

#[test]
fn debug_reload_reads_the_file_over_what_is_there() {
    let peer = Peer::start();
    let mut theirs = Connection::open(peer.port);
    theirs.ask("SET a theirs");
    theirs.ask("SET b theirs");
    let server: Server = setup(&saved(&mut theirs)).start();
    let mut ours = server.connect();
    let mut check = |line: &str, expect: &str| assert_eq!(ours.ask(line), expect, "{line}");
    check("SET a ours", "+OK\r\n");
    check("SET c ours", "+OK\r\n");
    check("DEBUG RELOAD NOSAVE NOFLUSH", "-ERR Error trying to load the RDB dump\r\n");
    check("GET a", "$4\r\nours\r\n");
    check("DEBUG RELOAD NOSAVE NOFLUSH MERGE", "+OK\r\n");
    check("MGET a b c", "*3\r\n$6\r\ntheirs\r\n$6\r\ntheirs\r\n$4\r\nours\r\n");
    check("DEBUG RELOAD NOSAVE", "+OK\r\n");
    check("MGET a b c", "*3\r\n$6\r\ntheirs\r\n$6\r\ntheirs\r\n$-1\r\n");
    std::fs::write(server.dir().join("dump.rdb"), b"nothing").expect("the file is there");
    check("DEBUG RELOAD NOSAVE", "-ERR Error trying to load the RDB dump\r\n");
    check("DBSIZE", ":2\r\n");
}
