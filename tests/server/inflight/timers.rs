//! What happens at a time that lies behind the swap.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::harness::{Server, eventually};

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_millis()
}

#[test]
fn keys_die_to_the_millisecond_in_the_next_release() {
    let server = Server::start();
    let mut client = server.connect();
    let first = unix_ms() + 5000;
    let keys: Vec<_> = (0..40).map(|n| (format!("key:{n}"), first + n * 7)).collect();
    for (key, at) in &keys {
        assert_eq!(client.ask(&format!("SET {key} v PXAT {at}")), "+OK\r\n");
    }
    assert_eq!(client.ask("SET kept v"), "+OK\r\n");
    assert_eq!(client.ask("SET saved v PX 5100"), "+OK\r\n");
    server.swap();
    assert_eq!(client.ask("PERSIST saved"), ":1\r\n");
    for (key, at) in &keys {
        assert_eq!(client.ask(&format!("PEXPIRETIME {key}")), format!(":{at}\r\n").as_str());
    }
    for (key, at) in &keys {
        let mut dead = || {
            let begin = unix_ms();
            let alive = client.ask(&format!("GET {key}")) == "$1\r\nv\r\n";
            // A key with a time T is there up to and with T, and not after it.
            assert!(if alive { begin <= *at } else { unix_ms() > *at }, "{key}");
            !alive
        };
        while !dead() {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    server.swap();
    assert_eq!(client.ask("MGET kept saved"), "*2\r\n$1\r\nv\r\n$1\r\nv\r\n");
    eventually("the dead are gone", || client.ask("DBSIZE") == ":2\r\n");
}

#[test]
fn a_pause_goes_on_until_it_is_ended_in_the_next_release() {
    let server = Server::start();
    let mut master = server.connect();
    let mut held: Vec<_> = (0..4).map(|_| server.connect()).collect();
    assert_eq!(master.ask("CLIENT PAUSE 100000000 WRITE"), "+OK\r\n");
    for client in &mut held {
        client.send(&["INCR", "n"]);
        client.send(&["PING"]);
    }
    server.swap();
    assert!(held.iter_mut().all(|client| client.is_silent(Duration::from_millis(20))));
    server.swap();
    assert_eq!(master.ask("CLIENT UNPAUSE"), "+OK\r\n");
    let mut counts: Vec<_> = held.iter_mut().map(|client| client.read().text()).collect();
    counts.sort();
    assert_eq!(counts, ["1", "2", "3", "4"]);
    held.iter_mut().for_each(|client| client.expect(b"+PONG\r\n"));
}

#[test]
fn a_pause_ends_at_its_time_in_the_next_release() {
    let server = Server::start();
    let (mut master, mut writer, mut reader) =
        (server.connect(), server.connect(), server.connect());
    let begin = Instant::now();
    assert_eq!(master.ask("CLIENT PAUSE 5000 WRITE"), "+OK\r\n");
    writer.send(&["SET", "k", "1"]);
    server.swap();
    assert_eq!(reader.ask("GET k"), "$-1\r\n");
    writer.expect(b"+OK\r\n");
    let waited_ms = begin.elapsed().as_millis();
    // The clock's milliseconds began up to one before the pause did.
    assert!((4999..60_000).contains(&waited_ms), "{waited_ms} ms");
    assert_eq!(reader.ask("GET k"), "$1\r\n1\r\n");
}
