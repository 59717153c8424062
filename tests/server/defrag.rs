//! `activedefrag`: memory that lies free between what is in use goes back to the system.

use std::collections::BTreeMap;

use crate::harness::connection::encode;
use crate::harness::{Connection, Random, Server, eventually};

const KEYS: u64 = 60_000;
const BATCH: usize = 500;

/// Settings with which little is enough.
const EAGER: [&str; 8] = [
    "--active-defrag-ignore-bytes",
    "1mb",
    "--active-defrag-cycle-min",
    "25",
    "--active-defrag-cycle-max",
    "75",
    "--latency-monitor-threshold",
    "1",
];

fn value(n: u64) -> String {
    format!("{n}:{}", "0123456789abcdef".repeat(4 + n as usize % 8))
}

/// Sends commands of words separated by spaces, many at a time, and reads their replies.
fn send_all(client: &mut Connection, lines: impl Iterator<Item = String>) {
    let lines: Vec<_> = lines.collect();
    for some in lines.chunks(BATCH) {
        let words = |line: &String| encode(&line.split(' ').collect::<Vec<_>>());
        client.send_raw(&some.iter().flat_map(words).collect::<Vec<u8>>());
        for line in some {
            let reply = client.read();
            assert!(!reply.0.starts_with(b"-"), "{line}: {reply:?}");
        }
    }
}

/// Keys that stay when all others are deleted: one of ten, by chance.
fn survivors(seed: u64) -> Vec<bool> {
    let mut random = Random(seed);
    (0..KEYS).map(|_| random.below(10) == 0).collect()
}

/// Fills the server, every eleventh key with a time to live, and deletes nine of ten.
fn scatter(client: &mut Connection, survives: &[bool]) {
    let set = |n: u64| match n % 11 {
        0 => format!("SET key:{n} {} EX 100000", value(n)),
        _ => format!("SET key:{n} {}", value(n)),
    };
    send_all(client, (0..KEYS).map(set));
    let gone = (0..KEYS).filter(|n| !survives[*n as usize]);
    send_all(client, gone.map(|n| format!("UNLINK key:{n}")));
}

/// A few large values of each type, of which nine parts of ten are gone.
fn scatter_values(client: &mut Connection) {
    const PARTS: u64 = 5_000;
    let add = |n: u64| {
        [
            format!("HSET hash field:{n} {n}:{n}"),
            format!("SADD set member:{n}"),
            format!("ZADD zset {n} member:{n}"),
            format!("XADD stream {}-1 field {n}", n + 1),
        ]
    };
    let take = |n: u64| {
        [
            format!("HDEL hash field:{n}"),
            format!("SREM set member:{n}"),
            format!("ZREM zset member:{n}"),
            format!("XDEL stream {}-1", n + 1),
        ]
    };
    send_all(client, (0..PARTS).flat_map(add));
    send_all(client, (0..PARTS).filter(|n| n % 10 != 3).flat_map(take));
    let elements = |n: u64| vec![n.to_string(); 1000].join(" ");
    send_all(client, (0..50).map(|n| format!("RPUSH list {}", elements(n))));
}

/// Free memory that the arena keeps for the next who asks, and what it needs for itself.
const SLACK_BYTES: u64 = 6 << 20;

/// Whether what is in memory is so many tenths of what is in use, at most.
fn is_within(client: &mut Connection, tenths: u64) -> bool {
    let (resident, used) = (client.info("allocator_resident"), client.info("used_memory"));
    resident < used * tenths / 10 + SLACK_BYTES
}

fn digest(client: &mut Connection) -> String {
    client.ask("DEBUG DIGEST").raw()
}

fn server(activedefrag: &str) -> Server {
    let more = ["--activedefrag", activedefrag, "--enable-debug-command", "yes"];
    let arguments: Vec<_> = EAGER.iter().chain(&more).copied().collect();
    Server::start_with(&arguments)
}

#[test]
fn memory_comes_back_after_most_keys_are_deleted_by_chance() {
    let server = server("no");
    let mut client = server.connect();
    let survives = survivors(1);
    scatter(&mut client, &survives);
    scatter_values(&mut client);
    let before = digest(&mut client);
    assert!(!is_within(&mut client, 20), "it does not by itself");
    assert_eq!(client.info("active_defrag_hits"), 0);
    assert_eq!(client.ask("CONFIG SET activedefrag yes"), "+OK\r\n");
    eventually("it is under way", || client.info("active_defrag_running") > 0);
    eventually("memory comes back", || is_within(&mut client, 13));
    assert_eq!(digest(&mut client), before, "nothing has changed");
    let left = survives.iter().filter(|left| **left).count() as u64;
    assert!(client.info("active_defrag_key_hits") > left / 2);
    assert!(client.info("active_defrag_hits") > left / 2);
    for n in (0..KEYS).filter(|n| survives[*n as usize]).step_by(97) {
        let reply = client.ask(&format!("GET key:{n}"));
        assert_eq!(reply, format!("${}\r\n{}\r\n", value(n).len(), value(n)).as_str());
        let ttl = client.ask(&format!("TTL key:{n}")).raw();
        assert_eq!(ttl.starts_with(":-1"), n % 11 != 0, "{ttl}");
    }
    assert!(client.info("total_active_defrag_time") > 0);
    assert!(client.ask("LATENCY LATEST").raw().contains("active-defrag-cycle"));
    eventually("it comes to an end", || client.info("active_defrag_running") == 0);
}

#[test]
fn it_goes_on_in_another_release_and_under_writes() {
    let server = server("yes");
    let mut client = server.connect();
    let mut random = Random(7);
    let survives = survivors(2);
    scatter(&mut client, &survives);
    let mut written = BTreeMap::new();
    for _ in 0..3 {
        server.swap();
        for _ in 0..2000 {
            let n = random.below(KEYS);
            let text = value(random.below(1000)).repeat(1 + random.below(3) as usize);
            written.insert(n, text);
        }
        let lines = written.iter().map(|(n, text)| format!("SET key:{n} {text}"));
        send_all(&mut client, lines);
    }
    eventually("memory comes back", || is_within(&mut client, 13));
    for (n, text) in written {
        let reply = client.ask(&format!("GET key:{n}"));
        assert_eq!(reply, format!("${}\r\n{text}\r\n", text.len()).as_str());
    }
}
