//! Tables that grow, keys that are evicted, and what the server remembers of the past.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::harness::connection::encode;
use crate::harness::{Connection, Server, eventually};

const AT_ONCE: usize = 500;

/// Sets keys `k:0`, `k:1`, … until it is told to stop; returns how many. Each must succeed.
fn fill(mut connection: Connection, value_len: usize, stop: &AtomicBool) -> usize {
    let mut count = 0;
    while !stop.load(Relaxed) {
        let of = |n: usize| encode(&["SET", &format!("k:{n}"), &format!("{n:0value_len$}")]);
        let commands: Vec<u8> = (count..count + AT_ONCE).flat_map(of).collect();
        connection.send_raw(&commands);
        connection.expect(&b"+OK\r\n".repeat(AT_ONCE));
        count += AT_ONCE;
    }
    count
}

/// Runs `swaps` while keys are set; returns how many were.
fn while_filling(server: &Server, value_len: usize, swaps: impl FnOnce()) -> usize {
    let stop = AtomicBool::new(false);
    let connection = server.connect();
    std::thread::scope(|scope| {
        let filler = scope.spawn(|| fill(connection, value_len, &stop));
        // A panic here must end the filler too.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(swaps));
        stop.store(true, Relaxed);
        let count = filler.join().expect("every key can be set");
        outcome.expect("the swaps succeed");
        count
    })
}

#[test]
fn tables_grow_through_swaps_and_lose_nothing() {
    let server = Server::start();
    let mut client = server.connect();
    let count = while_filling(&server, 8, || {
        for n in 1..=4 {
            eventually("there are more keys", || client.ask("DBSIZE").number() > n * 3_000);
            server.swap();
        }
    });
    assert_eq!(client.ask("DBSIZE").number() as usize, count);
    for from in (0..count).step_by(AT_ONCE) {
        let keys = from..from + AT_ONCE;
        let get = |n: usize| encode(&["GET", &format!("k:{n}")]);
        client.send_raw(&keys.clone().flat_map(get).collect::<Vec<_>>());
        client.expect(keys.map(|n| format!("$8\r\n{n:08}\r\n")).collect::<String>().as_bytes());
    }
}

#[test]
fn eviction_goes_on_and_memory_stays_near_its_limit() {
    const ROOM: u64 = 4 << 20;
    const SLACK: u64 = 1 << 20;
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.ask("CONFIG SET maxmemory-policy allkeys-lru"), "+OK\r\n");
    let limit = client.info("used_memory") + ROOM;
    assert_eq!(client.ask(&format!("CONFIG SET maxmemory {limit}")), "+OK\r\n");
    let count = while_filling(&server, 300, || {
        for _ in 0..4 {
            let before = client.info("evicted_keys");
            let mut evicts = || client.info("evicted_keys") > before + 1_000;
            eventually("keys are evicted", &mut evicts);
            server.swap();
            let used = client.info("used_memory");
            assert!(used.abs_diff(limit) < SLACK, "{used} of {limit}");
        }
    });
    assert_eq!(client.ask("CONFIG SET maxmemory 0"), "+OK\r\n");
    let left = client.ask("DBSIZE").number() as u64;
    assert_eq!(client.info("evicted_keys") + left, count as u64);
    // What was set last is there.
    let last = count - 1;
    assert_eq!(client.ask(&format!("GET k:{last}")).text(), format!("{last:0300}"));
}

#[test]
fn settings_counters_and_logs_are_those_of_the_server() {
    let server = Server::start();
    let (mut client, mut other) = (server.connect(), server.connect());
    for command in [
        "CONFIG SET slowlog-log-slower-than 50000 latency-monitor-threshold 50",
        "CONFIG SET maxmemory 100mb hz 20 notify-keyspace-events Kx",
        "DEBUG SLEEP 0.1",
        "SET k v",
    ] {
        assert_eq!(client.ask(command), "+OK\r\n", "{command}");
    }
    assert!(other.ask("INCR k").is_error());
    let questions = [
        // Those that begin with "com" only the second release has.
        "CONFIG GET [^c]* c[^o]*",
        "SLOWLOG GET",
        "SLOWLOG LEN",
        "LATENCY HISTORY command",
        "INFO errorstats",
        "OBJECT ENCODING k",
    ];
    let mut answers = |_| questions.map(|question| client.ask(question).raw());
    let before = answers(0);
    assert!(before[1].contains("DEBUG") && before[3].starts_with("*1"), "{before:?}");
    for round in 1..3 {
        server.swap();
        assert_eq!(answers(round), before);
    }
    let stats = other.ask("INFO commandstats").text();
    for counted in ["cmdstat_set:calls=1,", "cmdstat_slowlog|len:calls=3,"] {
        assert!(stats.contains(counted), "{counted} in {stats}");
    }
    assert_eq!(other.info("total_connections_received"), 2);
    assert_eq!(server.connect().id(), "3");
}
