//! What is in a file: all that `redis-server` has once it has read it.

use std::process::Command;
use std::time::Duration;

use super::{file, save_in_background};
use crate::harness::{Connection, Peer, Server};

const LIBRARY: &str = "#!lua name=lib\nredis.register_function('f', function() return 7 end)";

/// Values of all types and encodings, small and large, with and without a time to live.
pub fn fill(client: &mut Connection) {
    let mut send = |words: &[String]| {
        let reply = client.call(words);
        assert!(!reply.0.starts_with(b"-"), "{words:.200?}: {reply:?}");
    };
    let mut line = |text: &str| send(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
    for line_of in [
        "SET int 12345",
        "SET negative -7",
        "SET short a",
        "SET expiring soon PXAT 33177117420123",
        "SADD ints 1 2 3 70000 -5",
        "SADD few a b c",
        "HSET hash f v g w n 17",
        "PEXPIREAT hash 33177117420999",
        "ZADD scores 1.5 a -2 b inf c 3.0000000000000004 d",
        "RPUSH list a 1 -99999999999 b",
        "XADD stream 5-1 f v g w",
        "XADD stream 5-2 f v g w",
        "XADD stream 7-1 other 1",
        "XADD stream 9-9 f v",
        "XDEL stream 5-2",
        "XGROUP CREATE stream readers 5-1",
        "XREADGROUP GROUP readers one COUNT 1 STREAMS stream >",
        "XREADGROUP GROUP readers two COUNT 1 STREAMS stream >",
        "XGROUP CREATE stream idle $",
        "XADD empty 1-1 f v",
        "XDEL empty 1-1",
        "SELECT 5",
        "SET elsewhere 5",
        "SADD elsewhere:set x",
        "SELECT 15",
        "RPUSH last l",
        "SELECT 0",
    ] {
        line(line_of);
    }
    line(&format!("SET compressed {}", "abc".repeat(5_000)));
    line(&format!("APPEND appended {}", "0123456789".repeat(20_000)));
    let many = |name: &str, of: &dyn Fn(usize) -> String| {
        (0..8_000).fold(name.to_owned(), |all, n| all + " " + &of(n))
    };
    line(&many("RPUSH long", &|n| format!("element-{}", n * n)));
    line(&many("SADD many", &|n| format!("member-{n}")));
    line(&many("HSET wide", &|n| format!("field-{n} {n}")));
    line(&many("ZADD ranked", &|n| format!("{}.25 member-{n}", n % 77)));
    for n in 0..2_000 {
        line(&format!("XADD log {}-0 n {n} text {}", n + 1, "x".repeat(n % 50)));
    }
    send(&["FUNCTION", "LOAD", LIBRARY].map(str::to_owned));
}

/// What is asked of a server for each key.
pub fn told(client: &mut Connection) -> Vec<String> {
    let mut all =
        vec![client.ask("DEBUG DIGEST").text(), client.ask("FUNCTION LIST WITHCODE").raw()];
    for db in 0..16 {
        client.ask(&format!("SELECT {db}"));
        all.push(client.ask("DBSIZE").raw());
        for key in ["expiring", "hash", "int", "elsewhere"] {
            all.push(client.ask(&format!("PEXPIRETIME {key}")).raw());
        }
    }
    client.ask("SELECT 0");
    for key in ["stream", "empty", "log"] {
        all.push(client.ask(&format!("XINFO STREAM {key} FULL COUNT 10")).raw());
    }
    all
}

/// What a stream's consumers are told to have done is of the time of asking, and how its nodes lie
/// is the server's own.
pub fn comparable(told: &[String]) -> Vec<String> {
    let of_lines = |text: &String| {
        let mut lines: Vec<&str> = text.lines().collect();
        for name in ["radix-tree-keys", "radix-tree-nodes"] {
            if let Some(at) = lines.iter().position(|line| *line == name) {
                lines[at + 1] = "";
            }
        }
        lines.join("\n")
    };
    told.iter().map(of_lines).collect()
}

fn check(path: &std::path::Path) -> String {
    let checked = Command::new("redis-check-rdb").arg(path).output().expect("redis-check-rdb");
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success(), "{text}");
    text
}

#[test]
fn redis_has_all_that_is_in_a_file() {
    for settings in [&[][..], &["--rdbcompression", "no", "--rdbchecksum", "no"]] {
        let server = Server::start_with(settings);
        let mut client = server.connect();
        fill(&mut client);
        save_in_background(&mut client);
        let report = check(&file(&server));
        assert_eq!(report.contains("Checksum OK"), settings.is_empty(), "{report}");
        let ours = told(&mut client);
        let peer = Peer::load(&file(&server));
        let theirs = told(&mut Connection::open(peer.port));
        assert_eq!(comparable(&ours), comparable(&theirs));
        // The same by SAVE, while nobody changes anything.
        let first = std::fs::metadata(file(&server)).expect("the file").len();
        assert_eq!(client.ask("SAVE"), "+OK\r\n");
        let second = std::fs::metadata(file(&server)).expect("the file").len();
        assert!(first.abs_diff(second) < 64, "{first} and {second} bytes");
        check(&file(&server));
    }
}

#[test]
fn how_keys_were_used_is_told_by_the_policy() {
    for policy in ["allkeys-lru", "volatile-lfu", "noeviction"] {
        let server = Server::start_with(&["--maxmemory-policy", policy]);
        let mut client = server.connect();
        client.ask("SET k v EX 1000");
        (0..300).for_each(|_| drop(client.ask("GET k")));
        // A file has it in seconds.
        std::thread::sleep(Duration::from_millis(2100));
        assert_eq!(client.ask("SAVE"), "+OK\r\n");
        let peer = Peer::load(&file(&server));
        let mut theirs = Connection::open(peer.port);
        theirs.ask(&format!("CONFIG SET maxmemory-policy {policy}"));
        // Redis takes of it what its own policy needs.
        assert_eq!(theirs.ask("DEBUG RELOAD NOSAVE"), "+OK\r\n");
        if policy == "volatile-lfu" {
            let ask = "OBJECT FREQ k";
            assert_eq!(client.ask(ask).raw(), theirs.ask(ask).raw());
            assert!(theirs.ask(ask).number() > 5, "it is not that of a new key");
        } else {
            let idle_s = theirs.ask("OBJECT IDLETIME k").number();
            let expected = if policy == "allkeys-lru" { 2..10 } else { 0..2 };
            assert!(expected.contains(&idle_s), "{policy}: {idle_s}");
        }
    }
}

#[test]
fn a_file_of_nothing_is_one_all_the_same() {
    let server = Server::start();
    let mut client = server.connect();
    save_in_background(&mut client);
    let report = check(&file(&server));
    assert!(report.contains("0 keys read"), "{report}");
    let peer = Peer::load(&file(&server));
    assert_eq!(Connection::open(peer.port).ask("DBSIZE"), ":0\r\n");
}
