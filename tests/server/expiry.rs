//! Keys end when their time has come: to the millisecond for who looks, soon after for who does
//! not.

use std::time::{Duration, Instant};

use crate::harness::{Connection, Server, command};

/// How long something may take that is to happen by itself.
const SOON: Duration = Duration::from_secs(30);

/// Waits until the database has as many keys as expected.
fn wait_for_size(connection: &mut Connection, expect: i64) {
    let begin = Instant::now();
    let mut size = connection.ask("DBSIZE").number();
    while size != expect {
        assert!(begin.elapsed() < SOON, "there are {size} keys, not {expect}");
        std::thread::sleep(Duration::from_millis(5));
        size = connection.ask("DBSIZE").number();
    }
}

/// Milliseconds of a reply to `TIME`.
fn time_ms(reply: &crate::harness::connection::Reply) -> i64 {
    let [seconds, micros] = &reply.elements()[..] else { panic!("no time: {reply:?}") };
    seconds.text().parse::<i64>().unwrap() * 1000 + micros.text().parse::<i64>().unwrap() / 1000
}

#[test]
fn a_key_is_there_through_its_last_millisecond_and_not_after_it() {
    let server = Server::start();
    let mut connection = server.connect();
    let (mut before, mut after) = (0, 0);
    for round in 0..20 {
        let end = time_ms(&connection.ask("TIME")) + 20 + round;
        connection.pipeline(&[command("SET key v"), command(&format!("PEXPIREAT key {end}"))]);
        loop {
            let [earlier, value, later] =
                ["TIME", "GET key", "TIME"].map(|line| connection.ask(line));
            if value.is_null() {
                assert!(time_ms(&later) > end, "gone {} ms early", end - time_ms(&later));
                after += 1;
                break;
            }
            assert!(time_ms(&earlier) <= end, "there {} ms late", time_ms(&earlier) - end);
            before += 1;
        }
    }
    assert!(before > 20 && after == 20);
}

#[test]
fn time_passes_within_a_pipeline_but_not_within_a_transaction() {
    let server = Server::start();
    let mut connection = server.connect();
    let slow = |end| ["SET key v PX 20", "DEBUG SLEEP 0.03", "GET key", end].map(command);
    let replies = connection.pipeline(&slow("PING"));
    assert!(replies[2].is_null(), "its time came during the sleep");
    let replies = connection.pipeline(&[&[command("MULTI")], &slow("EXEC")[..]].concat());
    assert_eq!(replies[4].elements()[2].text(), "v", "one moment of time");
    assert!(connection.ask("GET key").is_null());
}

#[test]
fn keys_end_though_nobody_asks_for_them() {
    const BRIEF: usize = 3_000;
    let server = Server::start();
    let (mut connection, mut listener) = (server.connect(), server.connect());
    connection.ask("CONFIG SET notify-keyspace-events Ex");
    listener.ask("PSUBSCRIBE __keyevent@*__:expired");
    let commands: Vec<_> = (0..BRIEF)
        .map(|i| command(&format!("SET brief:{i} v PX {}", 1 + i % 200)))
        .chain((0..500).map(|i| command(&format!("SET lasting:{i} v EX 1000"))))
        .chain([command("SELECT 3"), command("SET elsewhere v PX 5"), command("SELECT 0")])
        .collect();
    connection.pipeline(&commands);
    wait_for_size(&mut connection, 500);
    connection.ask("SELECT 3");
    wait_for_size(&mut connection, 0);
    assert_eq!(connection.info("expired_keys"), BRIEF as u64 + 1);
    for _ in 0..=BRIEF {
        let push = listener.read().elements();
        assert!(push[2].text().ends_with(":expired") && !push[3].text().starts_with("lasting"));
    }
    assert!(listener.is_silent(Duration::from_millis(50)), "an event for each key, no more");
}

#[test]
fn a_large_number_of_keys_that_end_at_once_is_removed_beside_the_commands() {
    const MANY: usize = 30_000;
    let server = Server::start();
    let mut connection = server.connect();
    let end = time_ms(&connection.ask("TIME")) + 3_000;
    let commands: Vec<_> = (0..MANY).map(|i| command(&format!("SET k:{i} v PXAT {end}"))).collect();
    connection.pipeline(&commands);
    connection.pipeline(&vec![command("INCR served"); 10]);
    wait_for_size(&mut connection, 1);
    assert_eq!(connection.ask("GET served").number(), 10);
    assert_eq!(connection.info("expired_keys"), MANY as u64);
}

#[test]
fn nothing_is_removed_unasked_while_the_cycle_is_off() {
    let server = Server::start();
    let mut connection = server.connect();
    connection.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    connection.pipeline(&[command("SET a v PX 1"), command("SET b v PX 1")]);
    // Several ticks.
    std::thread::sleep(Duration::from_millis(350));
    assert_eq!(connection.ask("DBSIZE").number(), 2);
    assert!(connection.ask("GET a").is_null());
    assert_eq!(connection.ask("DBSIZE").number(), 1);
    connection.ask("DEBUG SET-ACTIVE-EXPIRE 1");
    wait_for_size(&mut connection, 0);
}

#[test]
fn a_watched_key_that_had_ended_before_may_vanish() {
    let server = Server::start();
    let (mut connection, mut other) = (server.connect(), server.connect());
    connection.ask("DEBUG SET-ACTIVE-EXPIRE 0");
    let stale = |connection: &mut Connection, key: &str| {
        connection.ask(&format!("SET {key} v PX 1"));
        std::thread::sleep(Duration::from_millis(3));
    };
    // What another client does between WATCH and EXEC, and whether EXEC still runs.
    for (disturbance, runs) in [
        ("PING", true),
        ("DEL key", true),
        ("FLUSHDB", true),
        ("FLUSHALL", true),
        ("SWAPDB 0 1", true),
        ("SET key new", false),
        ("RENAME other key", false),
    ] {
        other.ask("FLUSHALL");
        other.ask("SET other v");
        stale(&mut other, "key");
        connection.ask("WATCH key");
        other.ask(disturbance);
        connection.pipeline(&[command("MULTI"), command("PING")]);
        assert_eq!(!connection.ask("EXEC").is_null(), runs, "{disturbance}");
    }
    // A key that ends while it is watched has changed, also if it is gone when EXEC looks.
    for disturbance in ["PING", "DEL key", "FLUSHDB"] {
        other.ask("FLUSHALL");
        other.ask("SET key v PX 40");
        connection.ask("WATCH key");
        std::thread::sleep(Duration::from_millis(60));
        other.ask(disturbance);
        connection.pipeline(&[command("MULTI"), command("PING")]);
        assert!(connection.ask("EXEC").is_null(), "{disturbance}");
    }
}
