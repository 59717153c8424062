//! Readers that do not keep up.

use std::time::Duration;

use super::replay::{Follower, HOLD, Recorder, assert_replayed};
use crate::harness::connection::encode;
use crate::harness::{Connection, Server, eventually};

/// The ring of the stream.
const RING: u64 = 16 << 20;
const VALUE: usize = 64 << 10;
/// Values of this number are more than the ring, and what is on its way to a reader, can hold.
const VALUES: usize = 400;

/// Sends more than a reader that does not read takes; the replies are still to be read.
fn flood(client: &mut Connection) {
    let mut twin = client.stream().try_clone().expect("a descriptor");
    std::thread::spawn(move || {
        for number in 0..VALUES {
            let value = vec![b'x'; VALUE];
            let command = encode(&[b"SET", format!("big:{}", number % 8).as_bytes(), &value]);
            // It fails when the test has failed.
            let _ = std::io::Write::write_all(&mut twin, &command);
        }
    });
}

fn drain(client: &mut Connection) {
    (0..VALUES).for_each(|_| client.expect(b"+OK\r\n"));
}

/// Sends many commands at once, one for each number, and reads their replies.
fn for_each(client: &mut Connection, count: u64, command: impl Fn(u64) -> String, reply: &str) {
    let commands = (0..count).map(command).map(|command| command + "\r\n");
    client.send_raw(commands.collect::<String>().as_bytes());
    client.expect(reply.repeat(count as usize).as_bytes());
}

#[test]
fn writers_wait_for_who_holds_them_and_readers_of_data_do_not() {
    const SHORT: u64 = 20_000;
    let server = Server::start();
    let (mut writer, mut client) = (server.connect(), server.connect());
    let follower = Follower::join(&server, HOLD);
    assert_eq!(client.ask("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK\r\n");
    for_each(&mut client, SHORT, |number| format!("SET short:{number} v PX 1"), "+OK\r\n");
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    flood(&mut writer);
    eventually("writers wait", || client.info("effects_waits") > 0);
    // What only reads goes on, and finds no key whose time has come.
    assert_eq!(client.ask("GET k"), "$1\r\nv\r\n");
    for_each(&mut client, SHORT, |number| format!("GET short:{number}"), "$-1\r\n");
    let transaction = ["MULTI", "GET k", "EXISTS short:1", "EXEC"];
    client.send_raw((transaction.join("\r\n") + "\r\n").as_bytes());
    client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\nv\r\n:0\r\n");
    // Expire cycles and eviction do no more than there was room to tell of.
    assert_eq!(client.ask("DEBUG SET-ACTIVE-EXPIRE 1"), "+OK\r\n");
    assert_eq!(client.ask("CONFIG SET maxmemory-policy allkeys-lru maxmemory 1"), "+OK\r\n");
    std::thread::sleep(Duration::from_millis(500));
    let gone = client.info("evicted_keys") + client.info("expired_keys");
    assert!(gone < SHORT, "{gone} keys are gone");
    assert_eq!(client.info("effects_spills"), 0);
    assert_eq!(client.info("mem_effects_stream"), RING);
    assert_eq!(client.ask("CONFIG SET maxmemory 0"), "+OK\r\n");
    // Once it reads, all is done and nothing is lost.
    let recorder = Recorder::of(follower);
    drain(&mut writer);
    let gone = || client.info("evicted_keys") + client.info("expired_keys") >= SHORT;
    eventually("the expired are gone", gone);
    assert_replayed("held", &server, &recorder);
}

#[test]
fn a_swap_in_the_middle_lets_go_of_nobody_who_is_held() {
    let server = Server::start();
    let (mut writer, mut client) = (server.connect(), server.connect());
    let follower = Follower::join(&server, HOLD);
    flood(&mut writer);
    eventually("writers wait", || client.info("effects_waits") > 0);
    server.swap();
    let waits = client.info("effects_waits");
    eventually("they still do", || client.info("effects_waits") > waits);
    let recorder = Recorder::of(follower);
    drain(&mut writer);
    assert_replayed("held over a swap", &server, &recorder);
}

#[test]
fn who_falls_behind_is_cut_off_and_told_and_writers_go_on() {
    let server = Server::start();
    let (mut writer, mut client) = (server.connect(), server.connect());
    let mut follower = Follower::join(&server, "format=text");
    flood(&mut writer);
    drain(&mut writer);
    assert_eq!(client.info("effects_readers_cut_off"), 1);
    let mut last = Vec::new();
    loop {
        let more = follower.take();
        if more.is_empty() {
            break;
        }
        last.extend(more);
        last.drain(..last.len().saturating_sub(1000));
    }
    let last = String::from_utf8_lossy(&last).into_owned();
    assert!(last.contains("\"cut_off\"") && last.ends_with("}}\n"), "{last}");
    eventually("the ring is freed", || client.info("mem_effects_stream") == 0);
    assert_eq!(client.info("effects_waits"), 0);
}

#[test]
fn a_transaction_larger_than_the_ring_is_read_whole() {
    let server = Server::start();
    let recorder = Recorder::start(&server);
    let mut client = server.connect();
    assert_eq!(client.ask("MULTI"), "+OK\r\n");
    for number in 0..3 {
        let value = vec![b'0' + number; (RING / 2) as usize];
        let reply = client.call(&[b"SET", format!("k{number}").as_bytes(), &value]);
        assert_eq!(reply, "+QUEUED\r\n");
    }
    assert_eq!(client.ask("EXEC"), "*3\r\n+OK\r\n+OK\r\n+OK\r\n");
    assert_eq!(client.info("effects_spills"), 1);
    assert_eq!(client.ask("SET after 1"), "+OK\r\n");
    assert_replayed("spilled", &server, &recorder);
    eventually("it is freed", || client.info("mem_effects_stream") == RING);
}

#[test]
fn populated_keys_are_told() {
    let server = Server::start();
    let recorder = Recorder::start(&server);
    let mut client = server.connect();
    assert_eq!(client.ask("DEBUG POPULATE 500 some 40000"), "+OK\r\n");
    assert_eq!(client.ask("DEBUG POPULATE 600 some"), "+OK\r\n");
    assert_replayed("populated", &server, &recorder);
}

#[test]
fn memory_of_the_stream_makes_no_key_go() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.ask("SET k v"), "+OK\r\n");
    let limit = client.info("used_memory") + (1 << 20);
    let set = format!("CONFIG SET maxmemory-policy allkeys-lru maxmemory {limit}");
    assert_eq!(client.ask(&set), "+OK\r\n");
    let _recorder = Recorder::start(&server);
    assert_eq!(client.ask("SET j v"), "+OK\r\n");
    assert_eq!(client.ask("DBSIZE"), ":2\r\n");
    assert!(client.info("used_memory") > limit, "the ring is told");
    assert_eq!(client.info("mem_not_counted_for_evict"), RING);
}
